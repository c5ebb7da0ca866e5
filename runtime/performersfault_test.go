package runtime_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
)

// kill ends the node as the death of its process does.
func (s *effectSetup) kill() {
	s.t.Helper()
	s.link.dead.Store(true)
	if err := s.node.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// TestEffect_SurvivesItsNode has a node die during an attempt: the next owner goes on
// within seconds, with the next number.
func TestEffect_SurvivesItsNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{Timeout: time.Hour}, nil)
		s.handler = func(ctx context.Context, call actor.Call, _ charge) (bill, error) {
			if call.Attempt < 3 && call.Key == s.calls[0].Key {
				<-ctx.Done()
				return bill{}, ctx.Err()
			}
			return bill{Number: call.Key}, nil
		}
		s.start("n1")
		keys := s.pay("a", 2, "")
		for range 2 {
			s.pause(40 * time.Second)
			s.kill()
			began := time.Now()
			s.start("n1")
			n := len(s.called())
			s.eventually("the next attempt", func() bool { return len(s.called()) > n })
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		}
		o := s.awaitEnds("a", 2)
		equal(t, "paid", o.Paid, keys)
		equal(t, "calls", s.called(), []string{keys[0] + "/1", keys[0] + "/2", keys[0] + "/3", keys[1] + "/1"})
	})
}

// TestEffect_ResultOfADyingNode has a handler succeed after its node has lost its word: the
// world is asked again, under the same key, and the aggregate gets one result.
func TestEffect_ResultOfADyingNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{}, nil)
		s.handler = func(_ context.Context, call actor.Call, _ charge) (bill, error) {
			<-time.After(time.Second)
			return bill{Number: fmt.Sprint(call.Attempt)}, nil
		}
		s.start("n1")
		keys := s.pay("a", 1, "")
		s.pause(900 * time.Millisecond)
		s.kill()
		s.start("n1")
		o := s.awaitEnds("a", 1)
		equal(t, "paid", o.Paid, []string{"2"})
		equal(t, "calls", s.called(), []string{keys[0] + "/1", keys[0] + "/2"})
	})
}

// TestEffect_LateResult has a handler ignore its context, and succeed long after its
// attempt was counted as failed: it keeps its slot, there is no second attempt beside it,
// and what the world has answered counts.
func TestEffect_LateResult(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newEffects(t, actor.EffectPolicy{Timeout: time.Second, Parallel: 1}, nil)
		s.handler = func(_ context.Context, call actor.Call, _ charge) (bill, error) {
			if call.Address == address("a") {
				<-release
			}
			return bill{Number: call.Key}, nil
		}
		s.start("n1")
		keys := s.pay("a", 1, "")
		s.pause(5 * time.Minute)
		other := s.pay("b", 1, "")
		s.pause(time.Minute)
		equal(t, "calls", s.called(), []string{keys[0] + "/1"})
		st := s.node.EffectStatus()[0]
		if st.Effect != "charge" || st.Stuck != 1 || st.Busy != 1 || st.States[runtime.EffectWaiting] != 1 || st.States[runtime.EffectStuck] != 1 {
			t.Errorf("status %+v", st)
		}
		close(release)
		equal(t, "paid", s.awaitEnds("a", 1).Paid, keys)
		equal(t, "paid", s.awaitEnds("b", 1).Paid, other)
		equal(t, "calls", s.called(), []string{keys[0] + "/1", other[0] + "/1"})
	})
}

// TestEffect_StuckAtTheEnd has a handler ignore even the end of its node.
func TestEffect_StuckAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		t.Cleanup(func() { close(release) })
		s := newEffects(t, actor.EffectPolicy{}, func(context.Context, actor.Call, charge) (bill, error) {
			<-release
			return bill{}, errProvider
		})
		s.start("n1")
		s.pay("a", 1, "")
		s.pause(time.Second)
		began := time.Now()
		if err := s.node.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the shutdown took %v", took)
		}
	})
}

// TestEffect_WithoutAPerformer has an effect wait for a node that carries it out.
func TestEffect_WithoutAPerformer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{GiveUpAfter: time.Hour}, nil)
		s.slow = true
		tune := s.tune
		var said atomic.Int32
		s.tune = func(c *runtime.Config) {
			tune(c)
			c.Effects.Performers = c.Effects.Performers[1:]
			c.Logger = slog.New(slog.NewTextHandler(writerFunc(func(line []byte) (int, error) {
				if strings.Contains(string(line), "does not carry out: what they ask for here waits") && strings.Contains(string(line), "effect=charge kinds=[counter]") {
					said.Add(1)
				}
				return len(line), nil
			}), nil))
		}
		s.start("n1")
		if n := said.Load(); n != 1 {
			t.Errorf("the start says %d times that nobody carries out what is asked for", n)
		}
		if st := s.node.EffectStatus(); len(st) != 2 || st[0].Effect != "charge" || st[0].Handled || !st[1].Handled || !slices.Equal(st[0].AskedBy, []actor.Kind{"counter"}) {
			t.Errorf("status before anything was asked for: %+v", st)
		}
		keys := s.pay("a", 1, "")
		s.pause(3 * time.Hour)
		if st := s.node.EffectStatus(); st[0].Handled || st[0].States[runtime.EffectUnhandled] != 1 {
			t.Errorf("status %+v", st)
		}
		s.tune = tune
		s.restart()
		equal(t, "paid", s.awaitEnds("a", 1).Paid, keys) // and is tried at least once, however late
	})
}

// TestEffect_Operators pauses, resumes, retries and gives up.
func TestEffect_Operators(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var up atomic.Bool
		s := newEffects(t, actor.EffectPolicy{FirstRetry: 10 * time.Hour, MaxRetry: 10 * time.Hour, GiveUpAfter: 100 * time.Hour}, nil)
		s.slow = true
		s.handler = func(_ context.Context, call actor.Call, _ charge) (bill, error) {
			if !up.Load() {
				return bill{}, errProvider
			}
			return bill{Number: call.Key}, nil
		}
		s.start("n1")
		if err := runtime.PauseEffect(t.Context(), s.store, "charge", "me"); err != nil {
			t.Fatal(err)
		}
		s.pause(5 * time.Second)
		keys := s.pay("a", 2, "")
		s.pause(time.Hour)
		equal(t, "calls while paused", s.called(), nil)
		if paused, err := runtime.EffectPaused(t.Context(), s.store, "charge"); !paused || err != nil || !s.node.EffectStatus()[0].Paused {
			t.Errorf("paused: %v, %v", paused, err)
		}
		if err := runtime.ResumeEffect(t.Context(), s.store, "charge"); err != nil {
			t.Fatal(err)
		}
		s.pause(5 * time.Second)
		equal(t, "calls", s.called(), []string{keys[0] + "/1"})
		s.pause(time.Hour) // it has left the memory
		s.operate(keys[0], actor.EffectRetry)
		s.pause(time.Second)
		equal(t, "calls", s.called(), []string{keys[0] + "/1", keys[0] + "/2"})
		up.Store(true)
		s.operate(keys[0], actor.EffectGiveUp)
		o := s.awaitEnds("a", 2)
		if len(o.Failed) != 1 || o.Failed[0].Reason != actor.GaveUpOperator || o.Failed[0].Attempts != 2 || o.Failed[0].Error != errProvider.Error() {
			t.Errorf("failed: %+v", o.Failed)
		}
		equal(t, "paid", o.Paid, keys[1:])
	})
}

// operate does what an operator's subcommand does.
func (s *effectSetup) operate(key string, op actor.EffectOp) {
	s.t.Helper()
	var note *actor.Message
	if _, err := s.notes.EffectNotes(s.t.Context(), address("a"), 100, func(m actor.Message, _ int64) {
		if actor.EffectKey(m.ID) == key {
			note = &m
		}
	}); err != nil || note == nil {
		s.t.Fatalf("no note of %s: %v", key, err)
	}
	if err := runtime.AskOfEffect(s.t.Context(), s.notes, note, op); err != nil {
		s.t.Fatal(err)
	}
}

// TestEffect_GiveUpWhileItRuns ends the attempt's context.
func TestEffect_GiveUpWhileItRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{Timeout: time.Hour}, func(ctx context.Context, _ actor.Call, _ charge) (bill, error) {
			<-ctx.Done()
			return bill{}, context.Cause(ctx)
		})
		s.start("n1")
		keys := s.pay("a", 1, "")
		s.pause(time.Minute)
		s.operate(keys[0], actor.EffectGiveUp)
		began := time.Now()
		if o := s.awaitEnds("a", 1); len(o.Failed) != 1 || o.Failed[0].Reason != actor.GaveUpOperator {
			t.Errorf("ended with %+v", o)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestEffect_MessagingAway has nothing answer for a while: no attempt begins that is not
// noted, one that runs goes on, and its result is sent when it can be.
func TestEffect_MessagingAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{Timeout: time.Hour}, nil)
		s.handler = func(_ context.Context, call actor.Call, _ charge) (bill, error) {
			<-time.After(time.Minute)
			return bill{Number: call.Key}, nil
		}
		s.start("n1")
		keys := s.pay("a", 2, "")
		s.pause(time.Second)
		s.notes.setAway(true)
		s.pause(10 * time.Minute)
		equal(t, "calls", s.called(), []string{keys[0] + "/1"})
		s.notes.setAway(false)
		equal(t, "paid", s.awaitEnds("a", 2).Paid, keys)
	})
}

// TestEffect_RescanRepeatsNothing has the relay bring out all that was ever asked for.
func TestEffect_RescanRepeatsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{}, nil)
		s.start("n1")
		keys := s.pay("a", 3, "")
		s.awaitEnds("a", 3)
		s.restart()
		for _, c := range s.commits("a") {
			s.notes.commit(&c)
		}
		s.pause(5 * time.Minute)
		equal(t, "calls", s.called(), []string{keys[0] + "/1", keys[1] + "/1", keys[2] + "/1"})
		if left := s.notes.pending(t); len(left) > 0 {
			t.Errorf("notes are left: %+v", left)
		}
	})
}

// TestEffect_NoRoom has more effects than the node has room for.
func TestEffect_NoRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{}, nil)
		s.max = 5
		s.handler = func(_ context.Context, call actor.Call, _ charge) (bill, error) {
			<-time.After(time.Second)
			return bill{Number: call.Key}, nil
		}
		s.start("n1")
		for i := range 10 {
			s.pay(fmt.Sprint(i), 4, "")
		}
		for i := range 10 {
			s.awaitEnds(fmt.Sprint(i), 4)
		}
		if n := len(s.called()); n != 40 {
			t.Errorf("%d calls for 40 effects", n)
		}
	})
}

// TestEffect_Unwanted has an effect end of which its aggregate does not want to hear.
func TestEffect_Unwanted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{}, nil)
		s.start("n1")
		s.want(s.ask(s.message("a", "silent", silent{})), actor.CodeOK)
		s.pause(time.Minute)
		if n := len(s.called()); n != 1 {
			t.Errorf("%d calls", n)
		}
		s.restart()
		s.pause(time.Minute)
		if n, left := len(s.called()), s.notes.pending(t); n != 1 || len(left) > 0 {
			t.Errorf("%d calls; notes %+v", n, left)
		}
	})
}

// TestEffect_NodeThatCarriesOutNothing has an effect come to an owner that knows nothing
// of effects, as one of an earlier build does not: it is parked, stays asked for, and is
// carried out once it is sent to one that does (node/unserved.go).
func TestEffect_NodeThatCarriesOutNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{}, nil)
		tune := s.tune
		s.tune = func(c *runtime.Config) {
			tune(c)
			c.Effects = runtime.EffectsConfig{}
		}
		s.start("n1")
		keys := s.pay("a", 2, "")
		s.eventually("both are parked", func() bool { return len(s.parked("a")) == 2 })
		for _, p := range s.parked("a") {
			if p.Name != actor.PerformCommand || runtime.ParkedWaits(&p) == actor.CodeOK {
				t.Errorf("parked: %+v", p)
			}
		}
		s.tune = tune
		s.restart()
		for _, p := range s.parked("a") {
			m, err := runtime.ParkedMessage(&p)
			if err != nil {
				t.Fatal(err)
			}
			s.bus.publish(m, nil)
		}
		equal(t, "paid", s.awaitEnds("a", 2).Paid, keys)
		equal(t, "calls", s.called(), []string{keys[0] + "/1", keys[1] + "/1"})
	})
}

// TestEffect_NotesInTheStream has a node die when its note had come due while an older one was
// not finished yet: both are in the command stream. The next owner goes by the newest, and
// gives no number twice.
func TestEffect_NotesInTheStream(t *testing.T) {
	t.Parallel()
	for _, newestFirst := range []bool{false, true} {
		t.Run(fmt.Sprint(newestFirst), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newEffects(t, actor.EffectPolicy{Timeout: time.Hour}, nil)
				s.handler = func(ctx context.Context, call actor.Call, _ charge) (bill, error) {
					if call.Attempt == 1 {
						<-ctx.Done()
						return bill{}, ctx.Err()
					}
					return bill{Number: call.Key}, nil
				}
				s.start("n1")
				keys := s.pay("a", 1, "")
				s.eventually("the first attempt", func() bool { return len(s.called()) == 1 })
				s.pause(time.Second)
				s.kill()
				newest := s.notes.take(t)
				older := newest
				var task map[string]any
				if err := json.Unmarshal(newest.Data, &task); err != nil || task["attempt"] != 1.0 {
					t.Fatalf("%v: %s", err, newest.Data)
				}
				for _, noted := range []string{"order", "node", "attempt", "started", "since"} {
					delete(task, noted)
				}
				var err error
				if older.Data, err = json.Marshal(task); err != nil {
					t.Fatal(err)
				}
				in := []actor.Message{older, newest}
				if newestFirst {
					slices.Reverse(in)
				}
				for _, m := range in {
					s.bus.publish(m, nil)
				}
				s.start("n1")
				equal(t, "paid", s.awaitEnds("a", 1).Paid, keys)
				equal(t, "calls", s.called(), []string{keys[0] + "/1", keys[0] + "/2"})
			})
		})
	}
}

// TestEffect_OlderNoteIsReadAgain has the next owner read the message of an older note again,
// while the newest has not come due: it is refused, whatever the aggregate has done meanwhile,
// and goes on with the newest.
func TestEffect_OlderNoteIsReadAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{Timeout: time.Hour}, nil)
		s.handler = func(ctx context.Context, call actor.Call, _ charge) (bill, error) {
			if call.Attempt == 1 && call.Effect == "charge" {
				<-ctx.Done()
				return bill{}, ctx.Err()
			}
			return bill{Number: call.Key}, nil
		}
		s.start("n1")
		keys := s.pay("a", 1, "")
		s.eventually("the first attempt", func() bool { return len(s.called()) == 1 })
		s.pause(time.Second)
		others := s.pay("a", 1, "other")
		s.awaitEnds("a", 1)
		s.pause(time.Second)
		s.kill()
		older := s.notes.only(t)
		var task map[string]any
		d := json.NewDecoder(bytes.NewReader(older.Data))
		d.UseNumber()
		if err := d.Decode(&task); err != nil {
			t.Fatal(err)
		}
		order, err := task["order"].(json.Number).Int64()
		if err != nil {
			t.Fatal(err)
		}
		task["order"] = order - 1
		for _, noted := range []string{"node", "attempt", "started", "since"} {
			delete(task, noted)
		}
		if older.Data, err = json.Marshal(task); err != nil {
			t.Fatal(err)
		}
		s.bus.publish(older, nil)
		s.start("n1")
		s.awaitEnds("a", 2)
		equal(t, "calls", s.called(), []string{keys[0] + "/1", others[0] + "/1", keys[0] + "/2"})
	})
}
