package runtime

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// carry is what a partition's owner leaves to the next one in the claim: the
// outcomes that no commit holds yet, rejections above all. An outcome is told only
// once it is there, or in a commit. Were it told before:
//
//	owner A                          store               node B
//	refuses X on version 7,
//	tells so
//	-- dies --
//	                                                     takes the partition
//	                                 version 8 <-------- commits another command
//	                                                     meets X again, and
//	                                                     executes it on version 8
//
// A command of the durable lane is no better off. B reads it again, but B may serve
// another one on the direct lane before it gets there.
//
// It is bounded in bytes: the oldest that were saved are given up for new ones. What
// is not saved yet is never given up: it waits in a queue until there is room, which
// the next saving makes. The zero value is empty. It is guarded by partition.mu.
type carry struct {
	byKey map[outcomeKey]*carried
	order []*carried // what goes into the claim, as it came
	queue []*carried // what has no place there yet, as it came; some of it gone

	bytes   int    // of order
	unsaved int    // of those in order that are not saved
	queued  int    // of the queue
	unheard int    // answers that wait
	text    string // the encoding of order, as long as that has not changed
	fresh   bool   // it has not
}

// outcomeKey names an outcome: the same id at two aggregates is two commands.
type outcomeKey struct {
	to actor.Address
	id string
}

// carried is one outcome in the carry.
type carried struct {
	Address actor.Address `json:"to"`
	Outcome store.Outcome `json:"outcome"`

	text    []byte // its encoding
	place   place
	answers []answer // of all copies of the command that came until it is saved
}

// place says how far an outcome is.
type place uint8

const (
	placeQueue place = iota // waits for room
	placeCarry              // goes into the next saving, or is in one that is under way
	placeSaved
	placeGone // in a commit, or given up
)

const (
	// carryMaxBytes bounds the carry of one partition, which is written anew with each
	// saving. An outcome that is larger does not get in, and is told at once.
	carryMaxBytes = 16 << 10
	// unsavedMaxBytes bounds what waits for room in it: some thousand outcomes.
	unsavedMaxBytes = 1 << 20
	// unheardMax bounds the answers that wait. Callers of those beyond it get no
	// answer, and ask again.
	unheardMax = 1 << 14
)

func (c *carried) key() outcomeKey { return outcomeKey{c.Address, c.Outcome.CommandID} }

// size is what it adds to the carry: its encoding and a comma.
func (c *carried) size() int { return len(c.encode()) + 1 }

// add queues an outcome, unless it has one of that name.
func (c *carry) add(one *carried) {
	if c.byKey == nil {
		c.byKey = map[outcomeKey]*carried{}
	}
	if c.byKey[one.key()] != nil {
		return
	}
	c.byKey[one.key()] = one
	c.queue = append(c.queue, one)
	c.queued += one.size()
}

// await has an answer wait for an outcome that is not saved yet. It returns false
// when there is none.
func (c *carry) await(key outcomeKey, ans answer) (waits, dropped bool) {
	one := c.byKey[key]
	if one == nil || one.place == placeSaved {
		return false, false
	}
	if c.unheard == unheardMax {
		return true, true
	}
	c.unheard++
	one.answers = append(one.answers, ans)
	return true, false
}

// overfull reports whether too much waits for a saving.
func (c *carry) overfull() bool { return c.queued >= unsavedMaxBytes }

// forget takes an outcome out, and returns the answers that have waited for it.
func (c *carry) forget(key outcomeKey) []answer {
	one := c.byKey[key]
	if one == nil {
		return nil
	}
	delete(c.byKey, key)
	switch one.place {
	case placeQueue:
		c.queued -= one.size()
	case placeCarry, placeSaved:
		c.remove(one)
	case placeGone:
	}
	one.place = placeGone
	return c.takeAnswers(one)
}

// remove takes an outcome out of what goes into the claim.
func (c *carry) remove(one *carried) {
	c.order = slices.DeleteFunc(c.order, func(other *carried) bool { return other == one }) // fewer than a hundred
	c.bytes -= one.size()
	if one.place == placeCarry {
		c.unsaved -= one.size()
	}
	c.fresh = false
}

func (c *carry) takeAnswers(one *carried) []answer {
	answers := one.answers
	one.answers = nil
	c.unheard -= len(answers)
	return answers
}

// admit moves outcomes from the queue into what goes into the claim, as far as there
// is room beside those that are not saved, and gives up the oldest of the others.
func (c *carry) admit() {
	full := false // nothing passes what does not fit
	c.queue = slices.DeleteFunc(c.queue, func(one *carried) bool {
		full = full || one.place == placeQueue && c.unsaved+one.size() > carryMaxBytes
		if one.place == placeQueue && !full {
			c.queued -= one.size()
			c.enter(one, placeCarry)
		}
		return one.place != placeQueue
	})
	for c.bytes > carryMaxBytes {
		c.forget(c.order[0].key()) // saved: the others came later, and have room
	}
}

func (c *carry) enter(one *carried, at place) {
	one.place = at
	c.order = append(c.order, one)
	c.bytes += one.size()
	if at == placeCarry {
		c.unsaved += one.size()
	}
	c.fresh = false
}

// encode returns the stored form, empty for nothing, and those in it that are not
// saved yet.
func (c *carry) encode() (text string, unsaved []*carried) {
	c.admit()
	for _, one := range c.order {
		if one.place == placeCarry {
			unsaved = append(unsaved, one)
		}
	}
	if c.fresh {
		return c.text, unsaved
	}
	c.text, c.fresh = "", true
	if len(c.order) > 0 {
		var all strings.Builder
		for i, one := range c.order {
			all.WriteByte("[,"[min(i, 1)])
			all.Write(one.encode())
		}
		all.WriteByte(']')
		c.text = all.String()
	}
	return c.text, unsaved
}

// encode returns a part of a JSON array. It is made once: the array is written anew
// with each saving.
func (c *carried) encode() []byte {
	if c.text == nil {
		data, err := json.Marshal(c)
		if err != nil { // strings, numbers and bytes
			panic("runtime: encode a carried outcome: " + err.Error())
		}
		c.text = data
	}
	return c.text
}

// saved notes that outcomes were saved, and returns the answers that have waited for
// that. Those that a commit holds by now have been told.
func (c *carry) saved(all []*carried) (due []answer) {
	for _, one := range all {
		if one.place == placeCarry {
			one.place = placeSaved
			c.unsaved -= one.size()
			due = append(due, c.takeAnswers(one)...)
		}
	}
	return due
}

// due reports whether something waits for a saving.
func (c *carry) due() bool { return c.unsaved > 0 || c.queued > 0 }

// restore takes over what the last owner has left, and keeps it for the
// activations. What cannot be read is ignored, as if it had been given up.
func (p *partition) restore(text string) {
	var all []*carried
	if text == "" {
		return
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		p.cfg.Logger.Warn("carried outcomes ignored", "partition", uint32(p.id), "error", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.carry.byKey = make(map[outcomeKey]*carried, len(all))
	for _, one := range all {
		if one == nil || p.carry.byKey[one.key()] != nil {
			continue
		}
		p.carry.byKey[one.key()] = one
		p.carry.enter(one, placeSaved)
		p.waiting.put(one.Address, append(p.waiting.take(one.Address), one.Outcome))
	}
}

// untold has an answer wait until its outcome is saved, if it is one that no commit
// holds and that is not saved yet. Otherwise it returns false.
func (p *partition) untold(ans answer) bool {
	m := &ans.delivery.Message
	if m.Type != actor.TypeCommand || !ans.carry && !ans.recalled {
		return false
	}
	var one *carried
	if ans.carry {
		one = &carried{Address: m.Target, Outcome: storedOutcome(ans.delivery, ans.outcome, 0)}
		if one.size() > carryMaxBytes {
			return false
		}
	}
	p.mu.Lock()
	if one != nil {
		p.carry.add(one)
	}
	waits, dropped := p.carry.await(outcomeKey{m.Target, string(m.ID)}, ans)
	p.mu.Unlock()
	if dropped {
		p.finish(ans.delivery)
	}
	if waits {
		p.saver.want(p)
	}
	return waits
}

// recorded forgets outcomes that a commit holds now, and tells those that have
// waited for a saving.
func (p *partition) recorded(to actor.Address, outcomes []store.Outcome) {
	for i := range outcomes {
		for _, ans := range p.forgetCarried(to, outcomes[i].CommandID) {
			p.gate.release(ans)
			p.finish(ans.delivery)
		}
	}
}

func (p *partition) forgetCarried(to actor.Address, id string) []answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.carry.forget(outcomeKey{to, id})
}

// carriedFor returns what the carry has of an aggregate, oldest first.
func (p *partition) carriedFor(to actor.Address) []store.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []store.Outcome
	for _, some := range [][]*carried{p.carry.order, p.carry.queue} {
		for _, one := range some {
			if one.Address == to && one.place != placeGone {
				found = append(found, one.Outcome)
			}
		}
	}
	return found
}

// tooManyUnsaved reports whether a direct command that raises nothing should be
// refused for that. Those of the durable lane are bounded by the window.
func (p *partition) tooManyUnsaved(d *delivery) bool {
	if d.Sequence > 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.carry.overfull()
}
