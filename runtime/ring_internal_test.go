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
	last    map[actor.CommandID]actor.Outcome
	indexed map[actor.CommandID]bool // in the store's index of keys
	ids     []actor.CommandID
}

// TestOutcomeRing_Model checks the statements that P2 rests on, over random additions,
// shrinks and trips through a snapshot, and whatever the clock was at each of them: an id
// that was ever added is found in the ring, or is looked for where the store has it; and
// what the ring finds is an id's newest outcome.
func TestOutcomeRing_Model(t *testing.T) {
	t.Parallel()
	rnd := testenv.Rand(t)
	for range 60 {
		limit := 1 + rnd.IntN(100)
		r, m := newOutcomeRing(), &ringModel{last: map[actor.CommandID]actor.Outcome{}, indexed: map[actor.CommandID]bool{}}
		for step := range 400 {
			switch rnd.IntN(40) {
			case 0:
				r.shrink(rnd.IntN(limit + 1))
			case 1:
				r = throughSnapshot(t, r, rnd.IntN(limit+1), limit)
			default:
				id := randomID(rnd, m.ids)
				m.add(r, id, inIndex(rnd, id), actor.Outcome{Version: actor.Version(step), Reply: []byte(`1`)}, limit)
			}
			m.check(t, r)
		}
	}
}

// randomID returns an id made at a random time, so that ids do not come in the
// order of their times, at times far ahead; a caller's own; or one that was added before.
func randomID(rnd *rand.Rand, known []actor.CommandID) actor.CommandID {
	switch {
	case len(known) > 0 && rnd.IntN(10) == 0:
		return known[rnd.IntN(len(known))]
	case rnd.IntN(8) == 0:
		return actor.CommandID(fmt.Sprintf("key-%d", rnd.IntN(1000)))
	case rnd.IntN(4) == 0:
		return actor.DeriveID(time.UnixMilli(int64(rnd.IntN(5000))), fmt.Sprint(rnd.Uint64()))
	default:
		return actor.StampID(int64(rnd.IntN(5000))<<(rnd.IntN(3)*10), 0, rnd.Uint64())
	}
}

// inIndex returns whether the outcome of an id goes into the index. A stamped id may
// have been far ahead of its owner's clock, or not, and a UUIDv7 may be of a build that
// had none in it.
func inIndex(rnd *rand.Rand, id actor.CommandID) bool {
	_, timed := id.UnixMilli()
	return !timed || rnd.IntN(2) == 0
}

func throughSnapshot(t *testing.T, r *outcomeRing, keep, limit int) *outcomeRing {
	t.Helper()
	data, err := r.encode(keep, actor.RuntimeState{})
	if err != nil {
		t.Fatal(err)
	}
	back, _, err := decodeRing(data, 0, limit)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func (m *ringModel) add(r *outcomeRing, id actor.CommandID, indexed bool, o actor.Outcome, limit int) {
	if _, ok := m.last[id]; !ok {
		m.ids = append(m.ids, id)
	}
	m.last[id] = o
	m.indexed[id] = m.indexed[id] || indexed
	r.add(id, indexed, o, limit)
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
		switch r.forgotten.where(id) {
		case lookNowhere:
			t.Fatalf("%s was decided, and is said to be new", id)
		case lookInIndex:
			if !m.indexed[id] {
				t.Fatalf("%s is looked for in the index, which does not have it", id)
			}
		case lookInAll:
		}
	}
	if n := len(r.forgotten.ahead); n > maxSpans {
		t.Fatalf("%d spans", n)
	}
}

func TestOutcomeRing_KeepsTheNewestUpToItsLimit(t *testing.T) {
	t.Parallel()
	r := newOutcomeRing()
	id := func(i int) actor.CommandID { return actor.StampID(int64(i), 0, 0) }
	for i := range 100 {
		r.add(id(i), false, actor.Outcome{Version: actor.Version(i)}, 64)
	}
	for i := range 100 {
		if _, ok := r.find(id(i)); ok != (i >= 36) {
			t.Errorf("entry %d: found %v", i, ok)
		}
	}
	if f := &r.forgotten; f.where(id(35)) != lookInAll || f.where(id(100)) != lookNowhere {
		t.Error("an id later than all forgotten ones must be new, and none of those")
	}
	if r.forgotten.where("key") != lookNowhere {
		t.Error("no key was forgotten, so an unknown key is new")
	}
}

// TestForgotten_Ahead: ids far ahead of their owner's clock say nothing of others, however
// many there are, but for those of a time that lies among them.
func TestForgotten_Ahead(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_800_000_000_000)
	id := func(at time.Duration) actor.CommandID { return actor.StampID(now.Add(at).UnixMilli(), 0, 1) }
	for at, want := range map[time.Duration]bool{-time.Hour: false, 0: false, aheadOf: false, aheadOf + time.Millisecond: true, 1000 * time.Hour: true} {
		if got := indexed(id(at), now); got != want {
			t.Errorf("an id %v ahead goes into the index: %v", at, got)
		}
	}
	if !indexed(actor.DeriveID(now, "x"), now) || !indexed("key", now) {
		t.Error("keys of callers go into the index")
	}
	f := nothingForgotten()
	for i := range 2 * maxSpans { // a client whose clock is an hour ahead, then one of its own
		f.add(id(time.Hour+time.Duration(i)*time.Millisecond), true)
	}
	f.add(id(24*time.Hour), true)
	for _, c := range []struct {
		at   time.Duration
		want lookUp
	}{
		{0, lookNowhere},
		{time.Hour - time.Millisecond, lookNowhere},
		{time.Hour, lookInIndex},
		{time.Hour + maxSpans*time.Millisecond, lookInIndex},
		{2 * time.Hour, lookNowhere},
		{24 * time.Hour, lookInIndex},
		{48 * time.Hour, lookNowhere},
	} {
		if got := f.where(id(c.at)); got != c.want {
			t.Errorf("an id %v ahead is looked for in %d, want %d", c.at, got, c.want)
		}
	}
	f.add(id(12*time.Hour), false)
	if len(f.ahead) != 1 || f.where(id(time.Hour)) != lookInAll || f.where(id(24*time.Hour)) != lookInIndex {
		t.Errorf("once their time has passed: %+v", f)
	}
}

// TestDecodeRing_OfAnEarlierBuild: it judged every UUIDv7 by its time, also a key of the
// far future. What it had forgotten is looked for, and that key ends with the snapshot.
func TestDecodeRing_OfAnEarlierBuild(t *testing.T) {
	t.Parallel()
	const last = 1_800_000_000_000
	own := actor.DeriveID(time.UnixMilli(last-5), "x")
	r, _, err := decodeRing(fmt.Appendf(nil, `{"forgottenUntil":%d,"forgotKeyed":true,"entries":[{"id":%q,"v":1,"r":1},{"id":"key","v":2,"r":1}]}`,
		int64(1<<48-1), own), last*1000, 4)
	if err != nil {
		t.Fatal(err)
	}
	f := &r.forgotten
	for id, want := range map[actor.CommandID]lookUp{
		actor.DeriveID(time.UnixMilli(last-10), "y"): lookInAll,
		"ffffffff-ffff-7fff-bfff-ffffffffffff":       lookInAll,
		actor.InternalID(time.UnixMilli(last), "z"):  lookInAll,
		"other":                                lookInIndex,
		actor.StampID(last+2*formerSkew, 0, 0): lookNowhere,
		actor.InternalID(time.UnixMilli(last+2*formerSkew), "z"): lookNowhere,
	} {
		if got := f.where(id); got != want {
			t.Errorf("%s is looked for in %d, want %d", id, got, want)
		}
	}
	for _, e := range r.entries {
		if e.indexed != (e.id == "key") {
			t.Errorf("entry %s: in the index %v", e.id, e.indexed)
		}
	}
}
