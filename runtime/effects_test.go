package runtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
	"github.com/ganglion-go/ganglion/store/storetest"
)

// clockwork is an aggregate with timers, which writes down what it hears, and when
// by its owner's clock.
type clockwork struct{ Heard []string }

type (
	wind struct {
		actor.Replies[actor.None]
		Name  string
		In    time.Duration
		Raise bool
		Say   string
	}
	stop struct {
		actor.Replies[actor.None]
		Name string
	}
	strike struct {
		actor.Replies[actor.None]
		Say string
	}
	tell struct {
		actor.Replies[actor.None]
		Kind, ID, Say string
		Bytes         int
	}
	toldNo struct {
		actor.Replies[actor.None]
		actor.Refused
		Say string
	}
	struck struct {
		Say  string
		Fill string
	}
)

var errMute = actor.Reject("mute", "it does not strike")

// clockworks returns the definition. early is told of strikes before their time.
func clockworks(snapshotEvery int, early func(by time.Duration)) *actor.Aggregate[clockwork] {
	return actor.Define("counter", func(d *actor.Definition[clockwork]) { // the kind that the setup's helpers address
		actor.On(d, func(_ *clockwork, ctx *actor.Context, c wind) (actor.None, error) {
			if c.Raise {
				ctx.Raise(struck{Say: "wound"})
			}
			ctx.After(c.In, strike{Say: c.Say}, actor.TimerName(c.Name))
			return actor.None{}, nil
		})
		actor.On(d, func(_ *clockwork, ctx *actor.Context, c stop) (actor.None, error) {
			ctx.Cancel(c.Name)
			return actor.None{}, nil
		})
		actor.On(d, func(_ *clockwork, ctx *actor.Context, c strike) (actor.None, error) {
			if by := time.Until(ctx.Now()); by > 0 && early != nil {
				early(by)
			}
			switch c.Say {
			case "no":
				return actor.None{}, errMute.With("how", "so")
			case "quiet":
				return actor.None{}, nil
			}
			ctx.Raise(struck{Say: c.Say})
			return actor.None{}, nil
		})
		actor.On(d, func(_ *clockwork, ctx *actor.Context, c tell) (actor.None, error) {
			to := actor.Address{Kind: actor.Kind(c.Kind), ID: c.ID}
			ctx.Send(to, bloatedStrike{Say: c.Say, Bytes: c.Bytes}, actor.OnRefusal(toldNo{Say: c.Say}))
			return actor.None{}, nil
		})
		actor.On(d, func(_ *clockwork, ctx *actor.Context, c bloatedStrike) (actor.None, error) {
			if c.Say == "no" {
				return actor.None{}, errMute
			}
			ctx.Raise(struck{Say: c.Say, Fill: string(make([]byte, c.Bytes))})
			return actor.None{}, nil
		}, actor.ExistingOnly())
		actor.On(d, func(_ *clockwork, ctx *actor.Context, c toldNo) (actor.None, error) {
			ctx.Raise(struck{Say: fmt.Sprintf("%s: %s %s of %s", c.Say, c.Refusal.Code, c.Refusal.Reason, c.Refusal.Target)})
			return actor.None{}, nil
		})
		actor.Query(d, func(c *clockwork, _ *actor.QueryContext, _ heardSoFar) ([]string, error) { return c.Heard, nil })
		actor.Apply(d, func(c *clockwork, e struck) { c.Heard = append(c.Heard, e.Say) })
		d.SnapshotEvery(snapshotEvery)
	})
}

type (
	heardSoFar    struct{ actor.Replies[[]string] }
	bloatedStrike struct {
		actor.Replies[actor.None]
		Say   string
		Bytes int
	}
)

func (s *setup) heard(id string) []string {
	s.t.Helper()
	var said []string
	o := s.want(s.ask(actor.Message{Type: actor.TypeQuery, Lane: actor.LaneDirect, Target: address(id), Name: "heardSoFar", Time: time.Now()}), actor.CodeOK)
	if err := json.Unmarshal(o.Reply, &said); err != nil {
		s.t.Fatal(err)
	}
	return said
}

func (s *setup) wants(id string, want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.heard(id)); diff != "" {
		s.t.Errorf("%s heard (-want +got):\n%s", id, diff)
	}
}

func (s *setup) tell(id, name string, payload any) actor.Outcome {
	s.t.Helper()
	return s.ask(s.message(id, name, payload))
}

func newClockworks(t *testing.T, st store.Store, tune func(*runtime.Config)) *setup {
	t.Helper()
	return newSetup(t, st, tune, clockworks(0, func(by time.Duration) { t.Errorf("struck %s too early", by) }))
}

// setBySlowCommit has a timer be set to a command that is due, by a former owner's commit: it
// arrives when its aggregate, which has one commit, is in memory.
func (s *setup) setBySlowCommit(m *actor.Message) {
	s.t.Helper()
	c := store.Commit{
		Aggregate: store.Aggregate(m.Target.String()), First: 2, Time: s.commits(m.Target.ID)[0].Time + 1,
		Events:   []store.Event{{Name: actor.EventEffects, Data: []byte(`{}`)}},
		Outcomes: []store.Outcome{{CommandID: string(s.nextID()), Events: 1, Reply: []byte(`null`)}},
		Out:      []store.Outgoing{{ID: string(m.ID), To: store.Aggregate(m.Target.String()), Name: m.Name, Timer: m.Timer, At: time.Now().UnixMicro(), Data: m.Data}},
	}
	if err := s.store.Append(s.t.Context(), []store.Commit{c})[0]; err != nil {
		s.t.Fatal(err)
	}
}

// TestNode_Timer_Fires: at its time, not before, however the courier's clock goes.
func TestNode_Timer_Fires(t *testing.T) {
	t.Parallel()
	for name, skew := range map[string]time.Duration{
		"right": 0, "late": -time.Second, "a little early": 30 * time.Millisecond, "very early": time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newClockworks(t, nil, nil)
				c := s.deliver(s.store, skew, nil)
				start := time.Now()
				s.want(s.tell("a", "wind", wind{Name: "x", In: 30 * time.Second, Say: "x"}), actor.CodeOK)
				s.eventually("it strikes", func() bool { return len(s.history("a")) > 0 && len(s.heard("a")) == 1 })
				took := time.Since(start)
				if late := max(0, -skew) + 50*time.Millisecond; took < 30*time.Second || took > 30*time.Second+late {
					t.Errorf("struck after %s", took)
				}
				// Each wait of TimerPatience is a commit, and no more than that.
				if n := len(c.of("strike")); skew == time.Hour && (n < 5 || n > 7) || skew < time.Second && n != 1 {
					t.Errorf("fired %d times", n)
				}
				s.pause(time.Minute)
				s.wants("a", "x")
			})
		})
	}
}

// TestNode_Timer_Interleavings: what can meet a firing. The courier is bad: it fires
// what was cancelled and replaced.
func TestNode_Timer_Interleavings(t *testing.T) {
	t.Parallel()
	// fire brings the firing of the nth timer command that was set, by hand.
	fire := func(s *setup, id string, n int) actor.Outcome {
		s.t.Helper()
		for _, c := range s.commits(id) {
			out, err := runtime.Outgoing(&c)
			if err != nil {
				s.t.Fatal(err)
			}
			for _, o := range out {
				if o.Timer == "" || o.Name == "" {
					continue
				}
				if n == 0 {
					return s.ask(o.Message(time.UnixMicro(c.Time)))
				}
				n--
			}
		}
		s.t.Fatal("no such timer was set")
		return actor.Outcome{}
	}
	set := func(s *setup) {
		s.t.Helper()
		s.want(s.tell("a", "wind", wind{Name: "x", In: 0, Say: "x", Raise: true}), actor.CodeOK)
	}
	for name, test := range map[string]func(s *setup){
		"fires once": func(s *setup) {
			first := s.want(fire(s, "a", 0), actor.CodeOK)
			for range 3 {
				if again := fire(s, "a", 0); again.Code != first.Code || again.Version != first.Version {
					s.t.Errorf("fired again: %+v, first %+v", again, first)
				}
				s.restart()
			}
			s.wants("a", "wound", "x")
		},
		"cancelled before": func(s *setup) {
			s.want(s.tell("a", "stop", stop{Name: "x"}), actor.CodeOK)
			s.want(fire(s, "a", 0), actor.CodeCancelled)
			s.restart()
			s.want(fire(s, "a", 0), actor.CodeCancelled)
			s.wants("a", "wound")
		},
		"cancelled after": func(s *setup) {
			s.want(fire(s, "a", 0), actor.CodeOK)
			o := s.want(s.tell("a", "stop", stop{Name: "x"}), actor.CodeOK)
			if o.Version != 2 {
				s.t.Errorf("a cancellation of nothing is version %d", o.Version)
			}
		},
		"replaced": func(s *setup) {
			s.want(s.tell("a", "wind", wind{Name: "x", In: 0, Say: "y"}), actor.CodeOK)
			s.want(fire(s, "a", 0), actor.CodeCancelled)
			s.want(fire(s, "a", 1), actor.CodeOK)
			s.want(fire(s, "a", 0), actor.CodeCancelled)
			s.wants("a", "wound", "y")
		},
		"at the next owner": func(s *setup) {
			s.restart()
			s.want(fire(s, "a", 0), actor.CodeOK)
			s.wants("a", "wound", "x")
		},
		"refused": func(s *setup) {
			s.want(s.tell("a", "wind", wind{Name: "z", In: 0, Say: "no"}), actor.CodeOK)
			first := s.want(fire(s, "a", 1), actor.CodeRejected)
			s.restart() // its outcome is in a commit, not only in the claim
			again := s.want(fire(s, "a", 1), actor.CodeRejected)
			if !errors.Is(again.Err(), errMute) || again.Version != first.Version || fmt.Sprint(again.Rejection.Details) != fmt.Sprint(first.Rejection.Details) {
				s.t.Errorf("refused again: %+v, first %+v", again, first)
			}
			s.wants("a", "wound")
		},
		"did nothing": func(s *setup) {
			s.want(s.tell("a", "wind", wind{Name: "q", In: 0, Say: "quiet"}), actor.CodeOK)
			first := s.want(fire(s, "a", 1), actor.CodeOK)
			s.restart()
			if again := s.want(fire(s, "a", 1), actor.CodeOK); again.Version != first.Version {
				s.t.Errorf("again at version %d, first %d", again.Version, first.Version)
			}
		},
		"an id of old age": func(s *setup) {
			// The ring has forgotten ids younger than the timer's: it is new all the same.
			for range 5 {
				s.want(s.tell("a", "strike", strike{Say: "s"}), actor.CodeOK)
			}
			s.want(fire(s, "a", 0), actor.CodeOK)
			s.wants("a", "wound", "s", "s", "s", "s", "s", "x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newClockworks(t, nil, func(c *runtime.Config) { c.RingMax = 3 })
				set(s)
				test(s)
			})
		})
	}
}

// TestNode_Timer_Snapshot: timers come back from a snapshot. One of a build that kept
// none is not used.
func TestNode_Timer_Snapshot(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"of this build", "of a build that did not keep the last change", "of a build without timers"} {
		t.Run(form, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				loads := 0
				inner := newHooked()
				s := newSetup(t, inner, func(c *runtime.Config) {
					c.Listener.Loaded = func(_ actor.Kind, events int, _ time.Duration) { loads = events }
				}, clockworks(2, nil))
				s.want(s.tell("a", "wind", wind{Name: "x", In: 30 * time.Second, Say: "x"}), actor.CodeOK)
				for range 9 {
					s.want(s.tell("a", "strike", strike{Say: "s"}), actor.CodeOK)
				}
				c := s.deliver(inner, 0, nil)
				s.pause(time.Second) // the snapshot is written
				if form != "of this build" {
					snapshot := s.snapshot("a")
					var ring map[string]json.RawMessage
					if err := json.Unmarshal(snapshot.Ring, &ring); err != nil {
						t.Fatal(err)
					}
					kept, is := ring["instance"]
					if !is {
						t.Fatalf("no timers in %s", snapshot.Ring)
					}
					delete(ring, "instance")
					if form != "of a build without timers" {
						var state map[string]json.RawMessage
						if err := json.Unmarshal(kept, &state); err != nil {
							t.Fatal(err)
						}
						delete(state, "changed")
						ring["runtime"], _ = json.Marshal(state)
					}
					snapshot.Ring, _ = json.Marshal(ring)
					other := snapshot
					other.Schema = "other" // or the store keeps the one that it has
					for _, one := range []store.Snapshot{other, snapshot} {
						if err := inner.SaveSnapshot(t.Context(), one); err != nil {
							t.Fatal(err)
						}
					}
				}
				s.restart()
				s.eventually("it strikes", func() bool { return len(c.of("strike")) > 0 })
				s.pause(time.Second)
				if heard := s.heard("a"); heard[len(heard)-1] != "x" || len(heard) != 10 {
					t.Errorf("heard %v", heard)
				}
				if usual := loads < 8; usual == (form == "of a build without timers") {
					t.Errorf("loaded by replaying %d events", loads)
				}
			})
		})
	}
}

// TestNode_Timer_OfASlowCommit: a former owner's write, which sets a timer, arrives
// when the aggregate has been loaded without it. The firing is not taken for
// cancelled.
func TestNode_Timer_OfASlowCommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newClockworks(t, nil, nil)
		s.want(s.tell("a", "strike", strike{Say: "first"}), actor.CodeOK)
		m := s.message("a", "strike", strike{Say: "late"})
		m.Timer = "x"
		s.setBySlowCommit(&m)
		if o := s.want(s.ask(m), actor.CodeOK); o.Version != 3 {
			t.Errorf("version %d", o.Version)
		}
		s.wants("a", "first", "late")
	})
}

// TestNode_Timer_WaitsThroughAHandover: a firing that came early is waiting for its
// time when its node drains. The drain does not wait for it, and the next owner has it.
func TestNode_Timer_WaitsThroughAHandover(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newClockworks(t, nil, func(c *runtime.Config) { c.TimerPatience = time.Minute })
		s.deliver(s.store, 20*time.Second, nil)
		start := time.Now()
		s.want(s.tell("a", "wind", wind{Name: "x", In: 30 * time.Second, Say: "x"}), actor.CodeOK)
		s.pause(15 * time.Second)
		s.want(s.tell("a", "strike", strike{Say: "meanwhile"}), actor.CodeOK) // a later sequence is decided
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := s.node.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("the drain took until %s", took)
		}
		s.start("n2")
		s.eventually("it strikes", func() bool { return len(s.heard("a")) == 2 })
		if took := time.Since(start); took < 30*time.Second || took > 31*time.Second {
			t.Errorf("struck after %s", took)
		}
		s.wants("a", "meanwhile", "x")
	})
}

// TestNode_Timer_CommitUnknown: the write of what sets, cancels or fires a timer is
// lost, or seems to be, and everything is decided again: with the same ids, once.
func TestNode_Timer_CommitUnknown(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]storetest.AppendFault{"not written": storetest.FailBefore, "written": storetest.FailAfter, "written later": storetest.FailLate} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				inner := memory.New()
				faulty := storetest.NewFaulty(t.Context(), inner, 1)
				t.Cleanup(faulty.Close)
				s := newClockworks(t, faulty, nil)
				s.deliver(inner, 0, nil)
				faulty.Set(storetest.Faults{Late: 30 * time.Millisecond})
				for i, say := range []string{"x", "y"} {
					faulty.NextAppends(1, fault)
					s.want(s.tell("a", "wind", wind{Name: say, In: time.Duration(i+1) * time.Second, Say: say}), actor.CodeOK)
				}
				faulty.NextAppends(1, fault)
				s.want(s.tell("a", "stop", stop{Name: "y"}), actor.CodeOK)
				faulty.NextAppends(1, fault)
				s.pause(3 * time.Second)
				s.wants("a", "x")
				checkOut(t, s.commits("a"))
			})
		})
	}
}

// TestNode_Refusal_IsSentBack: every definite refusal of a command that an aggregate
// sent comes back to it, once, however often the command is delivered.
func TestNode_Refusal_IsSentBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cmd     tell
		want    string
		version int // of the aggregate that refuses
	}{
		"rejected":                     {tell{Kind: "counter", ID: "b", Say: "no"}, "no: rejected mute of counter/b", 2},
		"does not exist":               {tell{Kind: "counter", ID: "nobody", Say: "x"}, "x: does_not_exist  of counter/nobody", 1},
		"larger than the node permits": {tell{Kind: "counter", ID: "b", Say: "x", Bytes: 5000}, "x: too_large  of counter/b", 2},
		"larger than the store takes":  {tell{Kind: "counter", ID: "b", Say: "x", Bytes: 500}, "x: too_large  of counter/b", 2},
		"unknown command":              {tell{Kind: "plain", ID: "b", Say: "x"}, "x: unknown_command  of plain/b", 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				inner := newHooked()
				inner.append = refusing(inner.Store, 1500)
				plain := actor.Define("plain", func(*actor.Definition[struct{}]) {})
				s := newSetup(t, inner, func(c *runtime.Config) { c.EventBytes = 4000 }, clockworks(0, nil), plain)
				s.want(s.tell("b", "strike", strike{Say: "here"}), actor.CodeOK)
				s.deliver(inner.Store, 0, rnd(t))
				s.want(s.tell("a", "tell", test.cmd), actor.CodeOK)
				s.eventually("it comes back", func() bool { return len(s.heard("a")) > 0 })
				s.restart()
				for _, m := range []string{"again", "and again"} {
					s.want(s.tell("a", "strike", strike{Say: m}), actor.CodeOK)
				}
				s.pause(time.Second)
				s.wants("a", test.want, "again", "and again")
				to := actor.Address{Kind: actor.Kind(test.cmd.Kind), ID: test.cmd.ID}
				var all []store.Commit
				for c, err := range s.store.Load(t.Context(), store.Aggregate(to.String()), 0) {
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, c)
				}
				if last := all[len(all)-1]; int(last.Last()) != test.version || last.Events[0].Name != actor.EventRefused || len(last.Out) != 1 {
					t.Errorf("the last commit of %s is %+v", to, last)
				}
				checkOut(t, append(all, s.commits("a")...))
			})
		})
	}
}

// refusing is an Append that takes no commits above a size.
func refusing(st store.Store, most int) func(context.Context, []store.Commit) []error {
	return func(ctx context.Context, commits []store.Commit) []error {
		errs := make([]error, len(commits))
		for i := range commits {
			if errs[i] = store.ErrTooLarge; commits[i].Size() <= most {
				errs[i] = st.Append(ctx, commits[i:i+1])[0]
			}
		}
		return errs
	}
}

// TestNode_Refusal_OfAnUnknownKind is parked: there is no history to write it into.
func TestNode_Refusal_OfAnUnknownKind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newClockworks(t, nil, nil)
		s.deliver(s.store, 0, nil)
		s.want(s.tell("a", "tell", tell{Kind: "nothing", ID: "b", Say: "x"}), actor.CodeOK)
		var parked []store.Parked
		s.eventually("it is parked", func() bool {
			parked = nil
			for p, err := range s.store.ListParked(t.Context(), "nothing/b") {
				if err != nil {
					t.Fatal(err)
				}
				parked = append(parked, p)
			}
			return len(parked) > 0
		})
		if m, err := runtime.ParkedMessage(&parked[0]); err != nil || m.OnRefusal == nil || m.OnRefusal.To != address("a") {
			t.Errorf("parked %+v: %v", parked[0], err)
		}
	})
}

// TestNode_Refusal_DoesNotCreate: an aggregate that has refused, and nothing else,
// does not exist, also after it was loaded again, and can be created.
func TestNode_Refusal_DoesNotCreate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newClockworks(t, nil, nil)
		s.deliver(s.store, 0, nil)
		s.want(s.tell("a", "tell", tell{Kind: "counter", ID: "b", Say: "x"}), actor.CodeOK)
		s.eventually("it comes back", func() bool { return len(s.heard("a")) > 0 })
		for range 2 {
			o := s.ask(actor.Message{Type: actor.TypeState, Lane: actor.LaneDirect, Target: address("b"), Time: time.Now()})
			if s.want(o, actor.CodeDoesNotExist); o.Version != 1 {
				t.Errorf("version %d", o.Version)
			}
			s.want(s.tell("b", "bloatedStrike", bloatedStrike{Say: "x"}), actor.CodeDoesNotExist)
			s.restart()
		}
		s.want(s.tell("b", "strike", strike{Say: "born"}), actor.CodeOK)
		s.want(s.tell("b", "bloatedStrike", bloatedStrike{Say: "lives"}), actor.CodeOK)
		s.wants("b", "born", "lives")
	})
}
