package runtime_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store/memory"
)

func TestNew_Config_ReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := runtime.New(runtime.Config{
		Lease: time.Millisecond, MailboxMax: -1, WindowMax: -1, RingMax: -1, BatchEvents: -1, BatchBytes: -1, EventBytes: -1,
		Flights: -1, FlushCommits: -1, FlushBytes: -1, WriteTimeout: -1, MaxActivations: -1, MaxBytes: -1,
		PassivateAfter: -1, ParkAfter: -1, WatermarkEvery: -1, TrimEvery: -1, TrimAhead: -1, DrainTimeout: -1,
	}, memory.New(), newLogBus(1), counters(nil), counters(nil))
	if !errors.Is(err, runtime.ErrConfig) {
		t.Fatal(err)
	}
	for _, fault := range []string{
		"name of 0 bytes", "lease of 1ms", "mailbox max", "window max", "ring max", "batch events", "batch bytes", "event bytes",
		"flights", "flush commits", "flush bytes", "write timeout", "max activations", "max bytes",
		"passivate after", "park after", "watermark every", "trim every", "drain timeout", "two definitions of counter",
	} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("%q is not reported", fault)
		}
	}
	if _, err := runtime.New(runtime.Config{Name: "n"}, memory.New(), newLogBus(1)); !errors.Is(err, runtime.ErrConfig) {
		t.Errorf("no definition: %v", err)
	}
}

func TestNode_Command_IsDurableBeforeItsReply(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
			m := s.message("a", "add", add{N: 5})
			m.Lane = lane
			s.want(s.ask(m), actor.CodeOK)
			ids := s.history("a")
			if len(ids) == 0 || ids[len(ids)-1] != string(m.ID) {
				t.Fatalf("lane %d: %s is not in the history %v", lane, m.ID, ids)
			}
		}
		if sum, v := s.read("a"); sum != 10 || v != 2 {
			t.Fatalf("sum %d at version %d", sum, v)
		}
	})
}

func TestNode_Refusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, func(c *runtime.Config) { c.EventBytes = 1000 })
		s.want(s.add("a", 5), actor.CodeOK)
		for _, c := range []struct {
			name    string
			message actor.Message
			code    actor.Code
		}{
			{"rejected", s.message("a", "add", add{N: -6}), actor.CodeRejected},
			{"raised and rejected", s.message("a", "raiseThenReject", raiseThenReject{}), actor.CodeRejected},
			{"unknown command", s.message("a", "multiply", add{}), actor.CodeUnknownCommand},
			{"malformed", s.message("a", "add", []int{1}), actor.CodeMalformed},
			{"events too large", s.message("a", "bloat", bloat{Bytes: 2000}), actor.CodeTooLarge},
			{"must be new", expect(s.message("a", "add", add{N: 1}), actor.Expectation{Creation: actor.MustBeNew}), actor.CodeAlreadyExists},
			{"must exist", expect(s.message("b", "add", add{N: 1}), actor.Expectation{Creation: actor.MustExist}), actor.CodeDoesNotExist},
			{"version", expect(s.message("a", "add", add{N: 1}), actor.Expectation{Exact: true, Version: 7}), actor.CodeVersionMismatch},
		} {
			for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
				m := c.message
				m.Lane, m.ID = lane, s.nextID()
				if o := s.ask(m); o.Code != c.code {
					t.Errorf("%s on lane %d: %+v, want %s", c.name, lane, o, c.code)
				}
			}
		}
		m := s.message("x", "add", add{})
		m.Target.Kind = "nobody"
		s.want(s.ask(m), actor.CodeUnknownKind)
		s.want(s.ask(direct(m)), actor.CodeUnknownKind)
		if sum, v := s.read("a"); sum != 5 || v != 1 {
			t.Fatalf("sum %d at version %d after refusals", sum, v)
		}
		if n := len(s.history("a")); n != 1 {
			t.Fatalf("%d commands in the history", n)
		}
	})
}

func expect(m actor.Message, x actor.Expectation) actor.Message {
	m.Expect = x
	return m
}

func TestNode_Reads_ShowWhatIsThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		state := actor.Message{Type: actor.TypeState, Lane: actor.LaneDirect, Target: address("a"), Time: time.Now()}
		s.want(s.ask(state), actor.CodeDoesNotExist)
		s.add("a", 3)
		if o := s.want(s.ask(state), actor.CodeOK); string(o.Reply) != `{"Sum":3,"Count":1}` || o.Version != 1 {
			t.Errorf("%s at version %d", o.Reply, o.Version)
		}
		unknown := actor.Message{Type: actor.TypeQuery, Lane: actor.LaneDirect, Target: address("a"), Name: "product", Time: time.Now()}
		s.want(s.ask(unknown), actor.CodeUnknownCommand)
	})
}

// TestNode_UndecodableEvent_StopsThatAggregateAlone: a durable command is
// parked, and nobody is told that a command was not executed that may have been.
func TestNode_UndecodableEvent_StopsThatAggregateAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		s.foreign("a", "vanished.v1", `{}`)
		s.want(s.ask(direct(s.message("a", "add", add{N: 1}))), actor.CodeUnloadable)
		s.want(s.add("a", 1), actor.CodeUnloadable)
		again := direct(s.message("a", "add", add{N: 1}))
		again.Attempt = 2
		s.want(s.ask(again), actor.CodeUnknownOutcome)
		keyed := direct(s.message("a", "add", add{N: 1}))
		keyed.ID = "key"
		s.want(s.ask(keyed), actor.CodeUnknownOutcome)
		s.want(s.add("b", 1), actor.CodeOK)
		if n := len(s.parked("a")); n != 1 {
			t.Errorf("%d commands are parked, want the durable one", n)
		}
	})
}
