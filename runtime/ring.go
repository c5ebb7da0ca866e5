package runtime

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/ganglion-go/ganglion/actor"
)

// outcomeRing remembers an aggregate's most recent outcomes by command id, and
// enough about those it has forgotten to say, without a look at the store, that
// an id was never decided.
//
// It compares no clocks. A UUIDv7 carries the millisecond of its making as part
// of the id itself, so every forgotten timed id has a time of at most
// forgottenUntil. An id with a later time that is not in the ring was therefore
// never decided, whoever's clock made it.
type outcomeRing struct {
	entries        []ringEntry // circular once full: oldest at head
	head           int
	index          map[actor.CommandID]int32 // only above indexAbove entries
	forgottenUntil int64                     // greatest time of a forgotten timed id; math.MinInt64: none
	forgotKeyed    bool                      // an id without a time was forgotten
	bytes          int
}

type ringEntry struct {
	id      actor.CommandID
	outcome actor.Outcome
}

// indexAbove is the number of entries from which a map pays: comparing 36-byte
// ids in a row is faster and smaller below.
const indexAbove = 32

func newOutcomeRing() *outcomeRing { return &outcomeRing{forgottenUntil: math.MinInt64} }

// find returns the newest outcome that is remembered for an id.
func (r *outcomeRing) find(id actor.CommandID) (actor.Outcome, bool) {
	if r.index != nil {
		if i, ok := r.index[id]; ok {
			return r.entries[i].outcome, true
		}
		return actor.Outcome{}, false
	}
	for _, newestLast := range [][]ringEntry{r.entries[:r.head], r.entries[r.head:]} {
		for i := range slices.Backward(newestLast) {
			if newestLast[i].id == id {
				return newestLast[i].outcome, true
			}
		}
	}
	return actor.Outcome{}, false
}

// isNew reports that an id which find does not know was never decided. If it
// returns false the store has to be asked.
func (r *outcomeRing) isNew(id actor.CommandID) bool {
	ms, timed := id.UnixMilli()
	if !timed {
		return !r.forgotKeyed
	}
	return ms > r.forgottenUntil
}

// add remembers an outcome; the oldest is forgotten when there are limit.
func (r *outcomeRing) add(id actor.CommandID, o actor.Outcome, limit int) {
	e := ringEntry{id: id, outcome: o}
	r.bytes += e.size()
	if len(r.entries) < limit {
		r.unroll()
		r.entries = append(r.entries, e)
		r.link(len(r.entries) - 1)
		return
	}
	r.forget(r.head)
	r.entries[r.head] = e
	r.link(r.head)
	r.head = (r.head + 1) % len(r.entries)
}

func (r *outcomeRing) link(i int) {
	switch {
	case r.index != nil:
		r.index[r.entries[i].id] = int32(i)
	case len(r.entries) > indexAbove:
		r.reindex()
	}
}

// forget notes that entry i is about to go. A newer one of the same id stays
// in the index.
func (r *outcomeRing) forget(i int) {
	e := &r.entries[i]
	r.bytes -= e.size()
	if at, ok := r.index[e.id]; ok && at == int32(i) {
		delete(r.index, e.id)
	}
	if ms, timed := e.id.UnixMilli(); timed {
		r.forgottenUntil = max(r.forgottenUntil, ms)
	} else {
		r.forgotKeyed = true
	}
}

// shrink forgets all but the newest keep entries and gives memory back.
func (r *outcomeRing) shrink(keep int) {
	if len(r.entries) <= keep && cap(r.entries) <= 2*keep {
		return
	}
	r.unroll()
	drop := max(0, len(r.entries)-keep)
	for i := range drop {
		r.forget(i)
	}
	r.entries = append(make([]ringEntry, 0, len(r.entries)-drop), r.entries[drop:]...)
	r.index = nil
	if len(r.entries) > indexAbove {
		r.reindex()
	}
}

// unroll puts the oldest entry first.
func (r *outcomeRing) unroll() {
	if r.head == 0 {
		return
	}
	r.entries = append(append(make([]ringEntry, 0, len(r.entries)+1), r.entries[r.head:]...), r.entries[:r.head]...)
	r.head = 0
	if r.index != nil {
		r.reindex()
	}
}

func (r *outcomeRing) reindex() {
	r.index = make(map[actor.CommandID]int32, 2*len(r.entries))
	for i := range r.entries {
		r.index[r.entries[i].id] = int32(i)
	}
}

func (e *ringEntry) size() int {
	n := 112 + len(e.id) + len(e.outcome.Reply) + len(e.outcome.Detail)
	if e.outcome.Rejection != nil {
		n += 64 + len(e.outcome.Rejection.Message) + 128*len(e.outcome.Rejection.Details)
	}
	return n
}

// ringRecord is the form in which a snapshot keeps a ring.
type ringRecord struct {
	ForgottenUntil int64          `json:"forgottenUntil"`
	ForgotKeyed    bool           `json:"forgotKeyed,omitempty"`
	Entries        []ringRecorded `json:"entries"`

	// Runtime is what else is kept with a snapshot. Snapshots of builds that knew
	// no timers are without it, and may lack timers.
	Runtime *actor.RuntimeState `json:"runtime,omitempty"`
}

type ringRecorded struct {
	ID      actor.CommandID `json:"id"`
	Version actor.Version   `json:"v"`
	Reply   json.RawMessage `json:"r,omitempty"`
	Refusal json.RawMessage `json:"x,omitempty"`
}

// encode writes the newest keep entries, and what else is kept of the aggregate.
func (r *outcomeRing) encode(keep int, rest actor.RuntimeState) ([]byte, error) {
	r.unroll()
	c := outcomeRing{entries: r.entries, forgottenUntil: r.forgottenUntil, forgotKeyed: r.forgotKeyed}
	for len(c.entries) > keep {
		c.forget(0)
		c.entries = c.entries[1:]
	}
	rec := ringRecord{ForgottenUntil: c.forgottenUntil, ForgotKeyed: c.forgotKeyed, Runtime: &rest}
	for i := range c.entries {
		e := &c.entries[i]
		reply, refusal := encodeOutcome(e.outcome)
		rec.Entries = append(rec.Entries, ringRecorded{ID: e.id, Version: e.outcome.Version, Reply: reply, Refusal: refusal})
	}
	return json.Marshal(rec)
}

func decodeRing(data []byte, limit int) (*outcomeRing, *actor.RuntimeState, error) {
	var rec ringRecord
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, nil, err
	}
	r := newOutcomeRing()
	r.forgottenUntil, r.forgotKeyed = rec.ForgottenUntil, rec.ForgotKeyed
	for _, e := range rec.Entries {
		o, err := decodeOutcome(e.Reply, e.Refusal, e.Version)
		if err != nil {
			return nil, nil, err
		}
		r.add(e.ID, o, limit)
	}
	return r, rec.Runtime, nil
}
