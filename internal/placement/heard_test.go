package placement_test

import (
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/store"
)

// released is a claim that nobody has since an epoch ended.
func released(p store.Partition, epoch uint64) store.Claim {
	return store.Claim{Partition: p, Epoch: epoch}
}

// heardOf has "me" see that "a" drains and has every partition, so that all of them are
// to be taken once they are released.
func heardOf(t *testing.T, partitions int) (*script, []store.Claim) {
	t.Helper()
	s := newScript(t, partitions, false)
	claims := claimed(partitions, "a", "a-1")
	s.at(time.Second, claims, draining(peer("a", 2)))
	return s, claims
}

// hear tells the machine of claims and plans.
func (s *script) hear(by string, news ...store.Claim) (placement.Plan, bool) {
	s.now++
	look := s.m.Heard(s.now, by, news)
	return s.m.Plan(s.now), look
}

// TestMachine_Heard_TakesWithoutALook: what is released is taken, once, as it was told.
func TestMachine_Heard_TakesWithoutALook(t *testing.T) {
	t.Parallel()
	s, claims := heardOf(t, 4)
	if !s.m.Expects() {
		t.Error("nothing is expected of a node that drains")
	}
	plan, look := s.hear("a", released(1, 3), released(2, 3))
	same(t, "taken", plan.Take, []store.Claim{released(1, 3), released(2, 3)})
	if look {
		t.Error("a look is wanted, although all is known")
	}
	plan, _ = s.hear("a", released(1, 3))
	same(t, "taken again", plan.Take, nil)
	s.m.Took(1)
	s.m.Left(s.now, 2) // another was faster
	plan, _ = s.hear("a", released(2, 3))
	same(t, "taken upon old news", plan.Take, nil)
	plan, _ = s.hear("a", released(2, 4))
	same(t, "taken upon newer news", plan.Take, []store.Claim{released(2, 4)})
	for _, bad := range []store.Claim{released(4, 9), released(1<<31, 9), {Partition: 3, Epoch: 9, Owner: "me", Session: "me-1"}} {
		plan, _ = s.hear("a", bad)
		same(t, "taken upon nonsense", plan.Take, nil)
	}
	plan = s.look(claims, draining(peer("a", 2)))
	same(t, "taken by a look", plan.Take, nil)
}

// TestMachine_Heard_DuringALook: the claims were read before a release that is heard
// while the sessions are read. A look that began after it counts for more: the store
// may have been put back to an earlier state.
func TestMachine_Heard_DuringALook(t *testing.T) {
	t.Parallel()
	s, claims := heardOf(t, 2)
	began := s.now
	s.now += time.Millisecond
	if s.m.Heard(s.now, "a", []store.Claim{released(0, 3)}) {
		t.Error("a look is wanted")
	}
	reading := placement.Look{Began: began, Claims: claims, Sessions: []store.Session{draining(peer("a", 2)), self()}}
	s.m.Looked(s.now, reading)
	same(t, "taken", s.m.Plan(s.now).Take, []store.Claim{released(0, 3)})
	s.m.Left(s.now, 0)
	s.now += time.Millisecond
	s.m.Heard(s.now, "a", []store.Claim{released(1, 3)})
	s.now += time.Millisecond
	reading.Began = s.now
	s.m.Looked(s.now, reading)
	same(t, "taken after a look that says otherwise", s.m.Plan(s.now).Take, nil)
}

// TestMachine_Heard_OfWhomItDoesNotKnow: a claim that a node has taken whose session was
// opened after the last look must not look like one whose owner has ended.
func TestMachine_Heard_OfWhomItDoesNotKnow(t *testing.T) {
	t.Parallel()
	s, _ := heardOf(t, 2)
	taken := store.Claim{Partition: 0, Epoch: 4, Owner: "new", Session: "new-1"}
	plan, look := s.hear("new", taken)
	same(t, "taken", plan.Take, nil)
	if !look {
		t.Error("no look is wanted")
	}
	plan = s.look(claimed(2, "a", "a-1"), draining(peer("a", 2)), dead(peer("b", 1)))
	same(t, "taken", plan.Take, nil)
	taken.Owner, taken.Session = "b", "b-1"
	if _, look := s.hear("b", taken); !look {
		t.Error("a dead node has taken a claim, and no look is wanted")
	}
}

// TestMachine_Heard_OfWhatItWouldNotTake: who has not seen yet why a node gives
// partitions away looks.
func TestMachine_Heard_OfWhatItWouldNotTake(t *testing.T) {
	t.Parallel()
	const partitions = 16
	s := newScript(t, partitions, false)
	claims := claimed(partitions, "a", "a-1")
	s.at(time.Second, claims, peer("a", 2))
	its := belonging("a", []string{"a", "me"}, partitions)[0]
	plan, look := s.hear("a", released(its, 3))
	same(t, "taken", plan.Take, nil)
	if !look {
		t.Error("no look is wanted")
	}
	claims[its] = released(its, 3)
	plan = s.look(claims, draining(peer("a", 3)))
	same(t, "taken after the look", partitionsOf(plan.Take), []store.Partition{its})
}

// TestMachine_Heard_GoesOnHandingOver: the next partitions are handed over once the first
// are heard to be taken, without a look.
func TestMachine_Heard_GoesOnHandingOver(t *testing.T) {
	t.Parallel()
	const partitions = 24
	s := newScript(t, partitions, true)
	s.at(0, nil)
	for p := range store.Partition(partitions) {
		s.m.Took(p)
	}
	s.m.Cordon()
	mine := claimed(partitions, "me", "me-1")
	s.at(time.Second, mine, peer("a", 1))
	handed := s.handsOver(s.at(2*time.Second, mine, peer("a", 2)))
	if len(handed) != partitions || !s.m.Idle() {
		t.Errorf("%d are handed over, idle: %v", len(handed), s.m.Idle())
	}
}

// handsOver has "a" take what is handed over, and tell it, for as long as there is more.
func (s *script) handsOver(plan placement.Plan) (handed []store.Partition) {
	s.t.Helper()
	for len(plan.HandOver) > 0 {
		if len(plan.HandOver) > s.cfg.LeaveMax {
			s.t.Errorf("%d are handed over at once", len(plan.HandOver))
		}
		var taken []store.Claim
		for _, p := range plan.HandOver {
			s.m.Left(s.now, p)
			taken = append(taken, store.Claim{Partition: p, Epoch: 4, Owner: "a", Session: "a-1"})
		}
		same(s.t, "handed over before the others are taken", s.m.Plan(s.now).HandOver, nil)
		handed = append(handed, plan.HandOver...)
		plan, _ = s.hear("a", taken...)
	}
	return handed
}
