package runtime

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/testenv"
)

// ringModel is what the ring stands for: everything that was ever added.
type ringModel struct {
	last map[actor.CommandID]actor.Outcome
	ids  []actor.CommandID
}

// TestOutcomeRing_Model checks the two statements that P2 rests on, over random
// additions, shrinks and trips through a snapshot: isNew never says that an id
// is new that was ever added, and find returns an id's newest outcome.
func TestOutcomeRing_Model(t *testing.T) {
	t.Parallel()
	rnd := testenv.Rand(t)
	for range 60 {
		limit := 1 + rnd.IntN(100)
		r, m := newOutcomeRing(), &ringModel{last: map[actor.CommandID]actor.Outcome{}}
		for step := range 400 {
			switch rnd.IntN(40) {
			case 0:
				r.shrink(rnd.IntN(limit + 1))
			case 1:
				r = throughSnapshot(t, r, rnd.IntN(limit+1), limit)
			default:
				m.add(r, randomID(rnd, m.ids), actor.Outcome{Version: actor.Version(step), Reply: []byte(`1`)}, limit)
			}
			m.check(t, r)
		}
	}
}

// randomID returns an id made at a random time, so that ids do not come in the
// order of their times; a caller's own; or one that was added before.
func randomID(rnd *rand.Rand, known []actor.CommandID) actor.CommandID {
	switch {
	case len(known) > 0 && rnd.IntN(10) == 0:
		return known[rnd.IntN(len(known))]
	case rnd.IntN(8) == 0:
		return actor.CommandID(fmt.Sprintf("key-%d", rnd.IntN(1000)))
	default:
		return actor.DeriveID(time.UnixMilli(int64(rnd.IntN(5000))), fmt.Sprint(rnd.Uint64()))
	}
}

func throughSnapshot(t *testing.T, r *outcomeRing, keep, limit int) *outcomeRing {
	t.Helper()
	data, err := r.encode(keep, actor.RuntimeState{})
	if err != nil {
		t.Fatal(err)
	}
	back, _, err := decodeRing(data, limit)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func (m *ringModel) add(r *outcomeRing, id actor.CommandID, o actor.Outcome, limit int) {
	if _, ok := m.last[id]; !ok {
		m.ids = append(m.ids, id)
	}
	m.last[id] = o
	r.add(id, o, limit)
}

func (m *ringModel) check(t *testing.T, r *outcomeRing) {
	t.Helper()
	bytes := 0
	for i := range r.entries {
		bytes += r.entries[i].size()
	}
	if bytes != r.bytes {
		t.Fatalf("%d bytes are counted, the entries have %d", r.bytes, bytes)
	}
	for _, id := range m.ids {
		got, ok := r.find(id)
		if ok {
			if got.Version != m.last[id].Version {
				t.Fatalf("find %s: decided at version %d, the newest is %d", id, got.Version, m.last[id].Version)
			}
			continue
		}
		if r.isNew(id) {
			t.Fatalf("%s was decided, and is said to be new", id)
		}
	}
}

func TestOutcomeRing_KeepsTheNewestUpToItsLimit(t *testing.T) {
	t.Parallel()
	r := newOutcomeRing()
	id := func(i int) actor.CommandID { return actor.DeriveID(time.UnixMilli(int64(i)), "x") }
	for i := range 100 {
		r.add(id(i), actor.Outcome{Version: actor.Version(i)}, 64)
	}
	for i := range 100 {
		if _, ok := r.find(id(i)); ok != (i >= 36) {
			t.Errorf("entry %d: found %v", i, ok)
		}
	}
	if r.isNew(id(35)) || !r.isNew(id(100)) {
		t.Error("an id later than all forgotten ones must be new, and none of those")
	}
	if !r.isNew("key") {
		t.Error("no key was forgotten, so an unknown key is new")
	}
}
