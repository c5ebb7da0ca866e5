package runtime_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

type apples struct{ N int }

type pick struct{ actor.Replies[actor.None] }

type picked struct{}

func appleKind() *actor.Aggregate[apples] {
	return actor.Define("apple", func(d *actor.Definition[apples]) {
		actor.On(d, func(_ *apples, ctx *actor.Context, _ pick) (actor.None, error) {
			ctx.Raise(picked{})
			return actor.None{}, nil
		})
		actor.Apply(d, func(s *apples, _ picked) { s.N++ })
	})
}

// TestNode_OtherKinds_RefusesTheStart: a node is refused beside a live one of other kinds,
// which goes on; and is let in where all that is left of the other is its session.
func TestNode_OtherKinds_RefusesTheStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		s.start("n1")
		first, one := s.node, s.defs
		s.defs = []actor.Registrable{appleKind()}
		s.launch("n2")
		err := <-s.done
		if !errors.Is(err, runtime.ErrKindsDiffer) || !strings.Contains(err.Error(), "[apple]") || !strings.Contains(err.Error(), "[counter]") {
			t.Errorf("error %v", err)
		}
		s.defs = append(one, appleKind()) // includes the other's: let in
		s.launch("n3")
		s.awaitShared(first, s.node)
	})
}

// TestNode_OtherKinds_OfADeadNode: a session that nobody renews does not keep others out.
func TestNode_OtherKinds_OfADeadNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := memory.New()
		if err := shared.OpenSession(t.Context(), store.Session{Name: "gone", Incarnation: "gone-1", Kinds: []string{"apple"}, Lease: lease}, nil); err != nil {
			t.Fatal(err)
		}
		s := newSetup(t, shared, nil)
		s.want(s.add("a", 1), actor.CodeOK)
	})
}

// TestNode_OtherKinds_TwoAtOnce: of two that start together one ends, the other goes on.
func TestNode_OtherKinds_TwoAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		s.launch("n1")
		first, firstDone := s.node, s.done
		s.defs = []actor.Registrable{appleKind()}
		s.launch("n2")
		second, secondDone := s.node, s.done
		winner := first
		select {
		case err := <-firstDone:
			winner = second
			if !errors.Is(err, runtime.ErrKindsDiffer) {
				t.Errorf("n1: %v", err)
			}
		case err := <-secondDone:
			if !errors.Is(err, runtime.ErrKindsDiffer) {
				t.Errorf("n2: %v", err)
			}
		}
		s.node = winner
		s.awaitServing()
	})
}

// TestNode_UnknownKind_OfANodeThatIsNotFit: a live node lists a kind and cannot have the
// partition, as it lacks an event there. That nobody has the kind is not said, and what
// was promised waits.
func TestNode_UnknownKind_OfANodeThatIsNotFit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		s.launchBuild("n1", "", oldDefinitions())
		s.awaitServing()
		unfit := store.Session{Name: "n2", Incarnation: "n2-1", Kinds: []string{"counter", "ledger"}, Lease: time.Hour}
		for p := range store.Partition(partitions) {
			unfit.Lacks = append(unfit.Lacks, store.Lack{Partition: p})
		}
		if err := s.store.OpenSession(t.Context(), unfit, nil); err != nil {
			t.Fatal(err)
		}
		m := s.ledgerMessage("l-1", "enter", actor.TypeCommand)
		s.want(s.ask(m), actor.CodeNoOwner)
		promised := s.ledgerMessage("l-1", "enter", actor.TypeCommand)
		s.bus.publish(promised, nil)
		s.eventually("it is parked", func() bool {
			parked, found, err := s.store.FindParked(t.Context(), store.Aggregate(promised.Target.String()), string(promised.ID))
			return err == nil && found && runtime.ParkedWaits(&parked) == actor.CodeUnknownKind
		})
	})
}
