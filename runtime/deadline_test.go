package runtime_test

import (
	"context"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// TestNode_Deadline: that a command was not executed is said only where it is
// certain (refuseExpired).
func TestNode_Deadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		late := func(m actor.Message) actor.Message { return until(m, time.Now().Add(-time.Millisecond)) }
		replayed := make(reply, 1)
		s.bus.publish(late(s.message("a", "add", add{N: 1})), replayed) // before anybody took the partition
		s.start("n1")
		second, keyed := s.message("a", "add", add{N: 1}), s.message("a", "add", add{N: 1})
		second.Attempt, keyed.ID = 2, "key"
		for _, c := range []struct {
			name string
			r    reply
			code actor.Code
		}{
			{"replayed", replayed, actor.CodeUnknownOutcome},
			{"query", s.send(late(s.query("a"))), actor.CodeExpired},
			{"direct", s.send(direct(late(s.message("a", "add", add{N: 1})))), actor.CodeExpired},
			{"durable", s.send(late(s.message("a", "add", add{N: 1}))), actor.CodeExpired},
			{"second attempt, direct", s.send(direct(late(second))), actor.CodeUnknownOutcome},
			{"second attempt, durable", s.send(late(second)), actor.CodeUnknownOutcome},
			{"key, direct", s.send(direct(late(keyed))), actor.CodeUnknownOutcome},
			{"key, durable", s.send(late(keyed)), actor.CodeUnknownOutcome},
			{"in time", s.send(until(s.message("a", "add", add{N: 1}), time.Now().Add(time.Second))), actor.CodeOK},
		} {
			if o := s.await(c.r); o.Code != c.code {
				t.Errorf("%s: %+v, want %s", c.name, o, c.code)
			}
		}
		if sum, v := s.read("a"); sum != 1 || v != 1 {
			t.Errorf("sum %d at version %d", sum, v)
		}
	})
}

// TestNode_Deadline_DurableAnswer_WaitsForTheWatermark: until it is saved, the
// next owner could read the command again, with a clock that is behind.
func TestNode_Deadline_DurableAnswer_WaitsForTheWatermark(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		h.with(func(h *hooked) {
			h.watermarks = func(context.Context, []store.Claim) error { return store.ErrUnknown }
		})
		m := s.message("a", "add", add{N: 1})
		r := s.send(until(m, time.Now().Add(-time.Millisecond)))
		s.unanswered(r, time.Second)
		h.with(func(h *hooked) { h.watermarks = nil })
		s.want(s.await(r), actor.CodeExpired)
		s.restart()
		if n := len(s.history("a")); n != 0 || len(r) != 0 {
			t.Errorf("%d commands in the history, %d more answers", n, len(r))
		}
	})
}

// TestNode_Deadline_PassesWhileTheCommitIsUnderWay: a command that was in a lost
// write may have been executed; it is past the question of its deadline.
func TestNode_Deadline_PassesWhileTheCommitIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		appends := h.holdAppends()
		x := s.send(direct(until(s.message("a", "add", add{N: 1}), time.Now().Add(50*time.Millisecond))))
		inFlight := <-appends
		s.pause(100 * time.Millisecond)
		h.letAppends()
		inFlight.fail(store.ErrUnknown)
		s.want(s.await(x), actor.CodeOK)
		if sum, _ := s.read("a"); sum != 1 {
			t.Errorf("sum %d", sum)
		}
	})
}

// TestNode_Deadline_PassesBeforeAConflict: nothing was written, so the command
// is not executed after its deadline.
func TestNode_Deadline_PassesBeforeAConflict(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		appends := h.holdAppends()
		x := s.send(direct(until(s.message("a", "add", add{N: 1}), time.Now().Add(50*time.Millisecond))))
		inFlight := <-appends
		s.pause(100 * time.Millisecond)
		h.letAppends()
		s.foreign("a", "added.v1", `{"n":100}`)
		inFlight.write(t, h.Store)
		s.want(s.await(x), actor.CodeExpired)
		if sum, _ := s.read("a"); sum != 100 {
			t.Errorf("sum %d", sum)
		}
	})
}

// TestNode_Deadline_OfARepetition_DoesNotMatter: the recorded outcome comes
// before any other check.
func TestNode_Deadline_OfARepetition_DoesNotMatter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		m := until(s.message("a", "add", add{N: 1}), time.Now().Add(50*time.Millisecond))
		first := s.want(s.ask(m), actor.CodeOK)
		s.pause(time.Second)
		s.restart()
		for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
			m.Lane = lane
			if diff := differ(first, s.ask(m)); diff != "" {
				t.Error(diff)
			}
		}
	})
}
