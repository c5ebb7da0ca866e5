package runtime

import (
	"encoding/json"
	"slices"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// carry is what a partition's owner leaves to the next one in the claim: the
// outcomes that were told and that no commit holds yet, rejections above all. They
// are saved in one write with the watermark, so a durable command that was refused
// is either above the watermark, and read again before anything that came after
// it, or in the carry. Either way the next owner knows what its caller was told.
//
// A direct command is in no stream. Its refusal is told at once, and lost with an
// owner that dies before the next saving, WatermarkEvery later.
//
// It is bounded in bytes; the oldest are given up first. The zero value is empty.
// It is guarded by partition.mu.
type carry struct {
	byID  map[string]carried
	order []string // as they came
	bytes int
	saved string // the encoding, as long as nothing has changed
	fresh bool   // it has not
}

// carried is one outcome in the carry.
type carried struct {
	Address actor.Address `json:"to"`
	Outcome store.Outcome `json:"outcome"`
}

// carryMaxBytes bounds the carry of one partition. It is written again with every
// change, once a second for all partitions.
const carryMaxBytes = 16 << 10

func (c *carried) size() int {
	return 192 + len(c.Address.Kind) + len(c.Address.ID) + len(c.Outcome.CommandID) + 4*outcomeBytes(&c.Outcome)/3
}

func (c *carry) add(to actor.Address, o store.Outcome) {
	if c.byID == nil {
		c.byID = map[string]carried{}
	}
	c.forget(o.CommandID)
	one := carried{to, o}
	c.byID[o.CommandID] = one
	c.order = append(c.order, o.CommandID)
	c.bytes += one.size()
	for c.bytes > carryMaxBytes {
		c.forget(c.order[0])
	}
	c.fresh = false
}

func (c *carry) forget(id string) {
	one, ok := c.byID[id]
	if !ok {
		return
	}
	delete(c.byID, id)
	c.order = slices.DeleteFunc(c.order, func(other string) bool { return other == id }) // fewer than a hundred
	c.bytes -= one.size()
	c.fresh = false
}

// encode returns the stored form, empty for nothing.
func (c *carry) encode() string {
	if c.fresh || len(c.byID) == 0 && c.saved == "" {
		return c.saved
	}
	all := make([]carried, 0, len(c.byID))
	for _, id := range c.order {
		all = append(all, c.byID[id])
	}
	c.saved, c.fresh = "", true
	if len(all) > 0 {
		data, err := json.Marshal(all)
		if err != nil { // strings, numbers and bytes
			panic("runtime: encode carried outcomes: " + err.Error())
		}
		c.saved = string(data)
	}
	return c.saved
}

// restore takes over what the last owner has left, and keeps it for the
// activations. What cannot be read is ignored, as if it had been given up.
func (p *partition) restore(saved string) {
	var all []carried
	if saved == "" {
		return
	}
	if err := json.Unmarshal([]byte(saved), &all); err != nil {
		p.cfg.Logger.Warn("carried outcomes ignored", "partition", uint32(p.id), "error", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range all {
		p.carry.add(one.Address, one.Outcome)
		p.waiting.put(one.Address, append(p.waiting.take(one.Address), one.Outcome))
	}
}

// carryOver notes an outcome that was recorded in no commit.
func (p *partition) carryOver(to actor.Address, o store.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.carry.add(to, o)
}

// dropCarried forgets outcomes: a commit holds them, or they are decided again.
func (p *partition) dropCarried(ids func(yield func(string) bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.carry.byID) == 0 {
		return
	}
	for id := range ids {
		p.carry.forget(id)
	}
}
