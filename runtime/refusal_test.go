package runtime_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// savings watches what a node saves with its claims, and holds or fails it.
type savings struct {
	h *hooked

	mu      sync.Mutex
	calls   int
	carried strings.Builder // what has been saved, ever
}

func watchSavings(h *hooked) *savings {
	w := &savings{h: h}
	w.let()
	return w
}

func (w *savings) let() {
	w.h.with(func(h *hooked) { h.watermarks = w.save })
}

func (w *savings) save(ctx context.Context, held []store.Claim) error {
	w.mu.Lock()
	w.calls++
	w.mu.Unlock()
	err := w.h.Store.SaveWatermarks(ctx, held)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		for _, c := range held {
			w.carried.WriteString(c.Carry)
		}
	}
	return err
}

// hold makes savings wait until release is called.
func (w *savings) hold() (held <-chan []store.Claim, release func()) {
	calls, gate := make(chan []store.Claim, 64), make(chan struct{})
	w.h.with(func(h *hooked) {
		h.watermarks = func(ctx context.Context, held []store.Claim) error {
			calls <- held
			select {
			case <-gate:
				return w.save(ctx, held)
			case <-ctx.Done():
				return store.ErrUnknown
			}
		}
	})
	return calls, func() { w.let(); close(gate) }
}

func (w *savings) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls
}

func (w *savings) has(id actor.CommandID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(w.carried.String(), string(id))
}

// rarely saves by the clock, so that what is saved is what is told.
func rarely(c *runtime.Config) { c.WatermarkEvery, c.TrimEvery = time.Hour, time.Hour }

// TestNode_Refusal_SuccessorServesAnotherFirst: the owner dies as soon as it has
// refused X. Its successor executes another command before it meets X again, which
// would succeed now. On the durable lane X is in the stream, and the successor reads it
// only after it has served the other one directly.
func TestNode_Refusal_SuccessorServesAnotherFirst(t *testing.T) {
	t.Parallel()
	for _, lane := range []actor.Lane{actor.LaneDirect, actor.LaneDurable} {
		t.Run(fmt.Sprint("lane ", lane), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSetup(t, nil, rarely)
				s.want(s.ask(direct(s.message("a", "add", add{N: 5}))), actor.CodeOK)
				x := s.message("a", "add", add{N: -100})
				x.Lane = lane
				first := s.want(s.ask(x), actor.CodeRejected)
				s.close()
				s.bus.slow = make(chan struct{})
				s.start("n1")
				s.want(s.ask(direct(s.message("a", "add", add{N: 1000}))), actor.CodeOK)
				close(s.bus.slow)
				again := direct(x)
				again.Attempt = 2
				s.eventually("the stream is read", func() bool { return s.unfinished() == 0 })
				if diff := differ(first, s.ask(again)); diff != "" {
					t.Error(diff)
				}
				if sum, _ := s.read("a"); sum != 1005 {
					t.Errorf("sum %d, want 1005: what was refused took effect", sum)
				}
			})
		})
	}
}

// TestNode_Refusals_ShareSavings: what is refused while a saving is under way goes into
// the next one, of whatever partition it is, and nothing waits for a clock.
func TestNode_Refusals_ShareSavings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		w := watchSavings(h)
		s := newSetup(t, h, rarely)
		for i := range 50 {
			s.want(s.ask(direct(s.message(fmt.Sprint("a-", i), "add", add{N: 1}))), actor.CodeOK)
		}
		if n := w.count(); n != 0 {
			t.Errorf("%d savings, and nothing was refused", n)
		}
		held, release := w.hold()
		replies := []reply{s.send(direct(s.message("a-0", "add", add{N: -9})))}
		<-held
		for i := range 50 {
			replies = append(replies, s.send(direct(s.message(fmt.Sprint("a-", i), "add", add{N: -9}))))
		}
		s.unanswered(replies[0], lease/3)
		s.unanswered(replies[50], lease/3)
		release()
		for _, r := range replies {
			s.want(s.await(r), actor.CodeRejected)
		}
		if n := w.count(); n != 2 {
			t.Errorf("%d savings for 51 refusals, want 2", n)
		}
	})
}

// TestNode_Refusals_AreToldWhenSaved: more is refused at once than the carry of a
// partition takes. Each is in a saving before it is told, and each is told.
func TestNode_Refusals_AreToldWhenSaved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		w := watchSavings(h)
		s := newSetup(t, h, rarely)
		target := s.idsIn(1, 1)[0]
		held, release := w.hold()
		type asked struct {
			m actor.Message
			r reply
		}
		var all []asked
		for i := range 600 {
			m := direct(s.message(target, "add", add{N: -9}))
			if i%7 == 0 {
				m.Metadata.Correlation = strings.Repeat("c", 4000)
			}
			all = append(all, asked{m, s.send(m)})
		}
		<-held
		s.eventually("all are decided", func() bool { return s.unfinished() == len(all) })
		release()
		for i, a := range all {
			s.want(s.await(a.r), actor.CodeRejected)
			if !w.has(a.m.ID) {
				t.Fatalf("refusal %d was told and never saved", i)
			}
		}
		if n := w.count(); n > 60 {
			t.Errorf("%d savings for %d refusals", n, len(all))
		}
		if n := s.unfinished(); n != 0 {
			t.Errorf("%d messages are unfinished", n)
		}
	})
}

// TestNode_Refusal_StoreDown_NobodyIsTold: neither the caller nor one who repeats the
// command meanwhile, whether the saving was written or not. Then both are.
func TestNode_Refusal_StoreDown_NobodyIsTold(t *testing.T) {
	t.Parallel()
	for _, written := range []bool{false, true} {
		t.Run(fmt.Sprint("written ", written), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHooked()
				w := watchSavings(h)
				s := newSetup(t, h, nil)
				h.with(func(h *hooked) {
					h.watermarks = func(ctx context.Context, held []store.Claim) error {
						if written {
							_ = h.Store.SaveWatermarks(ctx, held)
						}
						return store.ErrUnknown
					}
				})
				m := direct(s.message("a", "add", add{N: -1}))
				first, second := s.send(m), s.send(m)
				durable := m
				durable.Lane = actor.LaneDurable
				third := s.send(durable)
				s.unanswered(first, 10*time.Second)
				s.unanswered(second, time.Millisecond)
				s.unanswered(third, time.Millisecond)
				if _, v := s.read("a"); v != 0 {
					t.Errorf("version %d", v)
				}
				w.let()
				for _, r := range []reply{first, second, third} {
					s.want(s.await(r), actor.CodeRejected)
				}
				if !w.has(m.ID) {
					t.Error("told, and not saved")
				}
			})
		})
	}
}

// TestNode_Refusal_TellsWhatACommitHolds: savings fail, and the aggregate's next commit
// records the refusal.
func TestNode_Refusal_TellsWhatACommitHolds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		w := watchSavings(h)
		s := newSetup(t, h, nil)
		_, release := w.hold()
		defer release()
		refused := s.send(direct(s.message("a", "add", add{N: -1})))
		s.unanswered(refused, lease/2)
		s.want(s.add("a", 1), actor.CodeOK)
		s.want(s.await(refused), actor.CodeRejected)
		if n := s.unfinished(); n != 0 {
			t.Errorf("%d messages are unfinished", n)
		}
	})
}

// TestNode_Refusal_ClaimLost_NobodyIsTold: another node has the partition by the time
// the refusal is to be saved. It was decided on a state of the past, perhaps.
func TestNode_Refusal_ClaimLost_NobodyIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, rarely)
		id := s.idsIn(1, 1)[0]
		thief := store.Session{Name: "thief", Incarnation: "thief-1"}
		if got, err := h.TakeClaims(t.Context(), thief, []store.Claim{s.claim(1)}); len(got) != 1 {
			t.Fatal(err)
		}
		m := direct(s.message(id, "add", add{N: -1}))
		refused := s.send(m)
		other := s.send(direct(s.message(s.idsIn(2, 1)[0], "add", add{N: -1})))
		s.want(s.await(other), actor.CodeRejected) // of a partition that the node still has
		s.unanswered(refused, time.Minute)
	})
}

// TestNode_Refusal_LateSaving: a saving is given up, a later one succeeds, and then the
// first one arrives. It must not take back what was told after the second.
//
//	owner                       store                     caller
//	refuses X, saves it         (stalls)
//	gives up, saves again       X
//	                                                      X: no
//	refuses Y, saves X and Y    X, Y
//	                                                      Y: no
//	                            the first saving: X alone
//	-- dies --                  nobody knows of Y
func TestNode_Refusal_LateSaving(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		w := watchSavings(h)
		s := newSetup(t, h, rarely)
		s.want(s.ask(direct(s.message("a", "add", add{N: 5}))), actor.CodeOK)
		var late []store.Claim
		h.with(func(h *hooked) {
			h.watermarks = func(_ context.Context, held []store.Claim) error {
				late = held
				w.let()
				return store.ErrUnknown
			}
		})
		s.want(s.ask(direct(s.message("a", "add", add{N: -100}))), actor.CodeRejected)
		y := direct(s.message("a", "add", add{N: -100}))
		s.want(s.ask(y), actor.CodeRejected)
		if err := h.Store.SaveWatermarks(t.Context(), late); err == nil {
			t.Error("the store took a saving that was given up")
		}
		s.close()
		s.start("n1")
		s.want(s.ask(direct(s.message("a", "add", add{N: 1000}))), actor.CodeOK)
		s.want(s.ask(y), actor.CodeRejected)
	})
}

// TestNode_Refusal_SameIDAtTwoAggregates of one partition: two commands, two outcomes.
func TestNode_Refusal_SameIDAtTwoAggregates(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, rarely)
		ids := s.idsIn(1, 2)
		var refused []actor.Message
		for _, id := range ids {
			m := direct(s.message(id, "add", add{N: -100}))
			m.ID = "key"
			refused = append(refused, m)
			s.want(s.ask(m), actor.CodeRejected)
		}
		s.want(s.ask(direct(s.message(ids[1], "add", add{N: 1000}))), actor.CodeOK) // records its own
		s.want(s.ask(direct(s.message(s.idsIn(1, 3)[2], "add", add{N: -1}))), actor.CodeRejected)
		s.close()
		s.start("n1")
		s.want(s.ask(direct(s.message(ids[0], "add", add{N: 1000}))), actor.CodeOK)
		for _, m := range refused {
			s.want(s.ask(m), actor.CodeRejected)
		}
	})
}

// TestNode_Refusal_ReleaseFails: the partition is left, and its release takes no
// effect. The node releases the claim later, without a partition to ask what it
// carries.
func TestNode_Refusal_ReleaseFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		n1 := s.node
		var refused []actor.Message
		for p := range actor.Partition(partitions) {
			m := direct(s.message(s.idsIn(p, 1)[0], "add", add{N: -100}))
			refused = append(refused, m)
			s.want(s.ask(m), actor.CodeRejected)
		}
		failed := 0
		h.with(func(h *hooked) {
			h.release = func(ctx context.Context, held []store.Claim) error {
				if failed++; failed <= 2 {
					return store.ErrUnknown
				}
				return h.Store.ReleaseClaims(ctx, held)
			}
		})
		s.launch("n2")
		s.awaitShared(n1, s.node)
		if failed < 3 {
			t.Fatalf("%d releases: nothing was tested", failed)
		}
		for _, m := range refused {
			s.want(s.ask(direct(s.message(m.Target.ID, "add", add{N: 1000}))), actor.CodeOK)
			s.want(s.ask(m), actor.CodeRejected)
		}
	})
}

// TestNode_Refusal_CommitTooLarge: what was refused does not fit beside the next
// command, which goes alone then. It is not forgotten for that.
func TestNode_Refusal_CommitTooLarge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		s.want(s.add("a", 5), actor.CodeOK)
		refused := s.message("a", "add", add{N: -100})
		s.want(s.ask(refused), actor.CodeRejected)
		tooLarge := 0
		h.with(func(h *hooked) {
			h.append = func(ctx context.Context, commits []store.Commit) []error {
				if len(commits[0].Outcomes) > 1 {
					tooLarge++
					return failAll(len(commits), store.ErrTooLarge)
				}
				return h.Store.Append(ctx, commits)
			}
		})
		s.want(s.ask(s.message("a", "bloat", bloat{Bytes: 500})), actor.CodeOK)
		if tooLarge != 1 {
			t.Errorf("%d commits were too large, want the first one", tooLarge)
		}
		h.letAppends()
		s.want(s.add("a", 1000), actor.CodeOK)
		s.want(s.ask(refused), actor.CodeRejected)
		recorded := s.commits("a")[2].Outcomes[0]
		if recorded.CommandID != string(refused.ID) {
			t.Errorf("the next commit begins with %+v, not with what was refused", recorded)
		}
	})
}

// TestNode_Refusals_Bounded: nothing can be saved, and callers ask on. At some point
// they are told that it is too much; that is not an outcome to remember.
func TestNode_Refusals_Bounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		w := watchSavings(h)
		var mu sync.Mutex
		limits := 0
		s := newSetup(t, h, func(c *runtime.Config) {
			c.Listener.Overloaded = func(actor.Kind, string) { mu.Lock(); limits++; mu.Unlock() }
		})
		h.with(func(h *hooked) {
			h.watermarks = func(context.Context, []store.Claim) error { return store.ErrUnknown }
		})
		target := s.idsIn(1, 1)[0]
		var last reply
		var lastMessage actor.Message
		sent := 0
		overloaded := func() bool { mu.Lock(); defer mu.Unlock(); return limits > 0 }
		for ; !overloaded() && sent < 20_000; sent++ {
			lastMessage = direct(s.message(target, "add", add{N: -1}))
			last = s.send(lastMessage)
			if sent%100 == 0 {
				s.pause(time.Millisecond)
			}
		}
		s.want(s.await(last), actor.CodeOverloaded)
		if sent < 1000 {
			t.Errorf("too much after %d", sent)
		}
		w.let()
		s.eventually("all others are told", func() bool { return s.unfinished() == 0 })
		s.want(s.ask(lastMessage), actor.CodeRejected)
	})
}
