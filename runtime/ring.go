package runtime

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// outcomeRing remembers an aggregate's most recent outcomes by command id, and
// enough about those it has forgotten to say, without a look at the store, that
// an id was never decided.
type outcomeRing struct {
	entries   []ringEntry // circular once full: oldest at head
	head      int
	index     map[actor.CommandID]int32 // only above indexAbove entries
	forgotten forgotten
	bytes     int
}

type ringEntry struct {
	id      actor.CommandID
	outcome actor.Outcome
	indexed bool // the store's index of keys has it
	of      command
}

// indexAbove is the number of entries from which a map pays: comparing 36-byte
// ids in a row is faster and smaller below.
const indexAbove = 32

func newOutcomeRing() *outcomeRing { return &outcomeRing{forgotten: nothingForgotten()} }

// find returns the newest outcome that is remembered for an id.
func (r *outcomeRing) find(id actor.CommandID) (actor.Outcome, bool) {
	if e := r.entry(id); e != nil {
		return e.outcome, true
	}
	return actor.Outcome{}, false
}

// entry returns the newest entry of an id, which must not be changed; nil: none.
func (r *outcomeRing) entry(id actor.CommandID) *ringEntry {
	if r.index != nil {
		if i, ok := r.index[id]; ok {
			return &r.entries[i]
		}
		return nil
	}
	for _, newestLast := range [][]ringEntry{r.entries[:r.head], r.entries[r.head:]} {
		for i := range slices.Backward(newestLast) {
			if newestLast[i].id == id {
				return &newestLast[i]
			}
		}
	}
	return nil
}

// add remembers an outcome; the oldest is forgotten when there are limit.
func (r *outcomeRing) add(id actor.CommandID, indexed bool, o actor.Outcome, limit int) {
	r.put(ringEntry{id: id, outcome: o, indexed: indexed}, limit)
}

// put adds an entry.
func (r *outcomeRing) put(e ringEntry, limit int) {
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
	r.forgotten.add(e.id, e.indexed)
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
	n := 136 + len(e.id) + len(e.outcome.Reply) + len(e.outcome.Detail)
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

	// Stamps is there since ids are stamped. Builds before that judged every UUIDv7 by
	// its time, and had all of them in ForgottenUntil.
	Stamps *stampRecord `json:"stamps,omitempty"`

	// Instance is what else is kept with a snapshot. Earlier builds kept Runtime, which
	// lacks when the aggregate was changed: at the version of the snapshot. They pass over
	// snapshots without it, and so do not take an aggregate that has nothing but refusals
	// for one that exists. Snapshots with neither may lack timers.
	Instance *actor.RuntimeState `json:"instance,omitempty"`
	Runtime  *actor.RuntimeState `json:"runtime,omitempty"`
}

type stampRecord struct {
	Ahead  []span `json:"ahead,omitempty"`
	Legacy int64  `json:"legacy"`
}

type ringRecorded struct {
	ID      actor.CommandID `json:"id"`
	Indexed bool            `json:"i,omitempty"`
	Name    uint32          `json:"n,omitempty"` // of command, as are By and Data
	By      uint32          `json:"b,omitempty"`
	Data    uint64          `json:"d,omitempty"`
	Version actor.Version   `json:"v"`
	Reply   json.RawMessage `json:"r,omitempty"`
	Refusal json.RawMessage `json:"x,omitempty"`
}

// encode writes the newest keep entries, and what else is kept of the aggregate.
func (r *outcomeRing) encode(keep int, rest actor.RuntimeState) ([]byte, error) {
	n, f := len(r.entries), r.forgotten
	f.ahead = slices.Clone(f.ahead)
	kept := make([]ringRecorded, 0, min(n, keep))
	for i := range n {
		e := &r.entries[(r.head+i)%n]
		if i < n-keep {
			f.add(e.id, e.indexed)
			continue
		}
		reply, refusal := encodeOutcome(e.outcome)
		kept = append(kept, ringRecorded{
			ID: e.id, Indexed: e.indexed, Name: e.of.name, By: e.of.by, Data: e.of.data, Version: e.outcome.Version, Reply: reply, Refusal: refusal,
		})
	}
	return json.Marshal(ringRecord{
		ForgottenUntil: f.until, ForgotKeyed: f.keys, Stamps: &stampRecord{Ahead: f.ahead, Legacy: f.legacy},
		Entries: kept, Instance: &rest,
	})
}

// decodeRing reads what encode wrote with a snapshot whose last commit is of a time, in
// microseconds.
func decodeRing(data []byte, last int64, limit int) (*outcomeRing, *actor.RuntimeState, error) {
	var rec ringRecord
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, nil, err
	}
	r := newOutcomeRing()
	r.forgotten = rec.forgotten(last)
	for _, e := range rec.Entries {
		o, err := decodeOutcome(e.Reply, e.Refusal, e.Version)
		if err != nil {
			return nil, nil, err
		}
		r.put(ringEntry{
			id: e.ID, outcome: o, indexed: e.Indexed || rec.Stamps == nil && indexedFormerly(e.ID), of: command{e.Name, e.By, e.Data},
		}, limit)
	}
	if rec.Instance == nil && rec.Runtime != nil {
		rec.Instance = rec.Runtime
		rec.Instance.Changed = math.MaxInt64 // at the version of the snapshot
	}
	return r, rec.Instance, nil
}

// formerSkew bounds how far ids that earlier builds made for the runtime's own commands
// were ahead of the clock of their owner.
const formerSkew = int64(time.Hour / time.Millisecond)

func (rec *ringRecord) forgotten(last int64) forgotten {
	f := forgotten{until: rec.ForgottenUntil, keys: rec.ForgotKeyed, legacy: rec.ForgottenUntil}
	if rec.Stamps != nil {
		f.ahead, f.legacy = rec.Stamps.Ahead, rec.Stamps.Legacy
		return f
	}
	// No id that is judged by its time was of another time than its making, so the time
	// of a caller's key, however far ahead, ends with the snapshot.
	if last > 0 {
		f.until = min(f.until, last/1000+formerSkew)
	}
	return f
}
