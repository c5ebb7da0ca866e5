package runtime

import (
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

type sentOutcomes []actor.Outcome

func (s *sentOutcomes) Respond(o actor.Outcome) { *s = append(*s, o) }

type gateSetup struct {
	clock *stoppedClock
	gate  *gate
	sent  sentOutcomes
}

func newGateSetup() *gateSetup {
	s := &gateSetup{clock: &stoppedClock{}}
	s.gate = &gate{lease: newLease(s.clock), clock: s.clock, listener: &EventListener{}}
	return s
}

func (s *gateSetup) release(v actor.Version) {
	s.gate.release(answer{
		delivery: &delivery{Delivery: actor.Delivery{Responder: &s.sent}},
		outcome:  actor.Outcome{Version: v},
	})
}

func TestGate_LeaseLapsed_KeepsAnswersUntilRenewal(t *testing.T) {
	t.Parallel()
	s := newGateSetup()
	s.release(1)
	if len(s.sent) != 0 {
		t.Fatal("an answer left before the first lease")
	}
	s.gate.lease.set(3 * time.Second)
	s.gate.reopened()
	s.clock.elapsed = 3*time.Second - 1
	s.release(2)
	if len(s.sent) != 2 {
		t.Fatalf("%d answers left, want 2", len(s.sent))
	}
	s.clock.elapsed = 3 * time.Second
	s.release(3)
	s.gate.reopened() // without a renewal: still lapsed
	if len(s.sent) != 2 {
		t.Fatal("an answer left after the lease")
	}
	s.gate.lease.set(5 * time.Second)
	s.gate.reopened()
	if len(s.sent) != 3 || s.sent[2].Version != 3 {
		t.Fatalf("sent %v", s.sent)
	}
}

// TestGate_RenewedMeanwhile_IsNotKept: the lease is found lapsed, is renewed and
// reopened, and only then the answer is to be kept. Nobody would come for it.
func TestGate_RenewedMeanwhile_IsNotKept(t *testing.T) {
	t.Parallel()
	s := newGateSetup()
	s.gate.lease.set(3 * time.Second)
	s.gate.reopened()
	if s.gate.keep(answer{}) {
		t.Error("kept although the lease is valid")
	}
}

func TestGate_Closed_DropsWhatIsKept(t *testing.T) {
	t.Parallel()
	s := newGateSetup()
	s.release(1)
	s.gate.close()
	s.gate.lease.set(3 * time.Second)
	s.gate.reopened()
	s.gate.lease.set(0)
	s.release(2)
	s.gate.lease.set(3 * time.Second)
	s.gate.reopened()
	if len(s.sent) != 0 {
		t.Errorf("sent %v", s.sent)
	}
}

func TestGate_Kept_IsBounded(t *testing.T) {
	t.Parallel()
	s := newGateSetup()
	for range keptMax + 10 {
		s.release(1)
	}
	if len(s.gate.kept) != keptMax {
		t.Errorf("%d are kept, the limit is %d", len(s.gate.kept), keptMax)
	}
}
