package runtime_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
	"github.com/ganglion-go/ganglion/store/storetest"
)

// session returns the session under a name, as the store has it.
func (s *setup) session(name string) (store.Session, bool) {
	s.t.Helper()
	all, err := s.store.Sessions(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, one := range all {
		if one.Name == name {
			return one, true
		}
	}
	return store.Session{}, false
}

// TestNode_CutOff_HoldsAnswers: the store is away for longer than the lease. No
// answer leaves meanwhile, also none that needs no store; then all do.
func TestNode_CutOff_HoldsAnswers(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]storetest.Faults{"cut off": {CutOff: true}, "blocked": {Blocked: true}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := storetest.NewFaulty(t.Context(), memory.New(), 1)
				t.Cleanup(f.Close)
				s := newSetup(t, f, nil)
				s.want(s.add("a", 5), actor.CodeOK)
				f.Set(faults)
				s.pause(lease + 2*time.Millisecond)
				if s.node.Status().LeaseValid {
					t.Error("the lease is valid")
				}
				read := s.send(s.query("a"))
				no := s.send(direct(s.message("a", "add", add{N: -6})))
				x := s.send(direct(s.message("a", "add", add{N: 1})))
				y := s.send(s.message("a", "add", add{N: 1}))
				cold := s.send(s.message("b", "add", add{N: 1})) // is not in memory
				s.unanswered(read, 10*lease)
				for _, r := range []reply{no, x, y, cold} {
					s.unanswered(r, 0)
				}
				f.Heal()
				for r, code := range map[*reply]actor.Code{
					&read: actor.CodeOK, &no: actor.CodeRejected, &x: actor.CodeOK, &y: actor.CodeOK, &cold: actor.CodeOK,
				} {
					s.want(s.await(*r), code)
				}
				if sum, v := s.read("a"); sum != 7 || v != 4 { // the refusal has one
					t.Errorf("sum %d at version %d", sum, v)
				}
			})
		})
	}
}

// TestNode_LeaseLapsed_WritesNothing: a former owner could otherwise execute a
// command of which its successor says that it met it too late.
func TestNode_LeaseLapsed_WritesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		s.want(s.add("a", 5), actor.CodeOK)
		h.with(func(h *hooked) {
			h.renew = func(context.Context, store.Session) error { return store.ErrUnknown }
		})
		s.pause(lease)
		x := s.send(s.message("a", "add", add{N: 1}))
		s.unanswered(x, time.Second)
		if n := len(s.history("a")); n != 1 {
			t.Fatalf("%d commands in the history", n)
		}
		h.with(func(h *hooked) { h.renew = nil })
		s.want(s.await(x), actor.CodeOK)
	})
}

// TestNode_SessionLost_NewIncarnation: a node whose lease has lapsed is declared
// dead. Nothing that it held back is told, and it comes back as another.
func TestNode_SessionLost_NewIncarnation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		s.want(s.add("a", 5), actor.CodeOK)
		before := s.node.Status().Incarnation
		h.with(func(h *hooked) {
			h.renew = func(context.Context, store.Session) error { return store.ErrUnknown }
		})
		s.pause(deadAfter)
		read, x := s.send(s.query("a")), s.send(direct(s.message("a", "add", add{N: 1})))
		s.unanswered(read, lease)
		old, _ := s.session("n1")
		if err := s.store.DeclareDead(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		s.foreign("a", "added.v1", `{"n":100}`) // its successor
		h.with(func(h *hooked) { h.renew = nil })
		s.eventually("another incarnation", func() bool { return s.node.Status().Incarnation != before })
		s.awaitServing()
		s.unanswered(read, 5*lease)
		s.unanswered(x, 0)
		if sum, v := s.read("a"); sum != 105 || v != 2 {
			t.Errorf("sum %d at version %d", sum, v)
		}
	})
}

// TestNode_Renewal_AnswersLost: the renewals take effect, their answers are
// lost. The session is not given up for it.
func TestNode_Renewal_AnswersLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		before := s.node.Status().Incarnation
		calls := 0
		h.with(func(h *hooked) {
			h.renew = func(ctx context.Context, one store.Session) error {
				err := h.Store.Renew(ctx, one)
				if calls++; calls%3 != 0 && err == nil {
					return store.ErrUnknown
				}
				return err
			}
		})
		for range 100 {
			s.pause(lease / 7)
			if st := s.node.Status(); st.Incarnation != before || !st.LeaseValid {
				t.Fatalf("%+v after %d renewals", st, calls)
			}
		}
	})
}

// TestNode_Renewal_CountsFromTheOneThatWasWritten: one renewal is written, and
// its answer lost; the next, on the same beat, is lost on its way. The beat has
// moved, but others have seen that since the first was written: no lease may
// last longer than what they wait for.
func TestNode_Renewal_CountsFromTheOneThatWasWritten(t *testing.T) {
	t.Parallel()
	t.Run("lost on its way", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			testLeaseEnds(t, func(*hooked, context.Context, store.Session) error { return store.ErrUnknown })
		})
	})
	t.Run("refused", func(t *testing.T) { // as the beat has moved; nothing is written on the new one
		var first atomic.Uint64
		bubble(t, func(t *testing.T) {
			testLeaseEnds(t, func(h *hooked, ctx context.Context, one store.Session) error {
				first.CompareAndSwap(0, one.Beat)
				if one.Beat == first.Load() {
					<-time.After(lease / 3)
					return h.Store.Renew(ctx, one)
				}
				return store.ErrUnknown
			})
		})
	})
}

// testLeaseEnds lets one renewal be written without an answer, and then the
// given hook decide.
func testLeaseEnds(t *testing.T, then func(*hooked, context.Context, store.Session) error) {
	t.Helper()
	h := newHooked()
	s := newSetup(t, h, nil)
	var written atomic.Int64 // nanoseconds since 1970
	h.with(func(h *hooked) {
		h.renew = func(ctx context.Context, one store.Session) error {
			if !written.CompareAndSwap(0, time.Now().UnixNano()) {
				return then(h, ctx, one)
			}
			if err := h.Store.Renew(ctx, one); err != nil {
				return err
			}
			return store.ErrUnknown
		}
	})
	for range 1000 {
		s.pause(lease / 100)
		since := time.Since(time.Unix(0, written.Load()))
		if written.Load() != 0 && since >= deadAfter && s.node.Status().LeaseValid {
			t.Fatalf("the lease is valid %v after the last renewal that was written", since)
		}
	}
}

// TestNode_Renewal_OneRequestLost does not cost the lease.
func TestNode_Renewal_OneRequestLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		var calls atomic.Int64
		h.with(func(h *hooked) {
			h.renew = func(ctx context.Context, one store.Session) error {
				if calls.Add(1)%4 == 0 {
					<-ctx.Done()
					return store.ErrUnknown
				}
				return h.Store.Renew(ctx, one)
			}
		})
		for range 1000 {
			s.pause(lease / 50)
			if !s.node.Status().LeaseValid {
				t.Fatal("the lease lapsed")
			}
		}
	})
}

// TestNode_Renewal_SlowStore: with a store that takes most of a lease for each renewal, as
// on a disk with much else to do, the node is slower and loses neither its session nor
// its partitions. A store that takes a fifth costs nothing at all.
func TestNode_Renewal_SlowStore(t *testing.T) {
	t.Parallel()
	for name, takes := range map[string]time.Duration{"a fifth": lease / 5, "four fifths": 4 * lease / 5} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHooked()
				s := newSetup(t, h, nil)
				incarnation := s.node.Status().Incarnation
				h.with(func(h *hooked) {
					h.renew = func(ctx context.Context, one store.Session) error {
						written := make(chan error, 1)
						go func() { // also when nobody waits for it any more
							<-time.After(takes)
							written <- h.Store.Renew(context.WithoutCancel(ctx), one)
						}()
						select {
						case err := <-written:
							return err
						case <-ctx.Done():
							return store.ErrUnknown
						}
					}
				})
				s.pause(2 * lease)
				for range 10 {
					s.want(s.add("a", 1), actor.CodeOK)
					s.pause(lease / 3)
				}
				if now := s.node.Status().Incarnation; now != incarnation {
					t.Errorf("the session was lost: %q is %q now", incarnation, now)
				}
				if seen, _ := s.session("n1"); seen.Dead {
					t.Error("the session is dead")
				}
				h.with(func(h *hooked) { h.renew = nil })
				s.pause(lease)
			})
		})
	}
}

// TestNode_SoleHolder_WaitsForWhoElseHasItsName: a predecessor is known to be gone only
// if it was of those who held the lock. Anybody else's session is waited for.
func TestNode_SoleHolder_WaitsForWhoElseHasItsName(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]bool{"its own": true, "somebody else's": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var opening []string
				s := prepare(t, nil, func(c *runtime.Config) {
					c.Opened = func(incarnation string) bool { return own && incarnation == "before" }
					c.Opening = func(incarnation string) { opening = append(opening, incarnation) }
				})
				old := store.Session{Name: "n1", Incarnation: "before", Lease: lease}
				if err := s.store.OpenSession(t.Context(), old, nil); err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				s.start("n1")
				if took := time.Since(begin); own != (took < lease) {
					t.Errorf("it took %v, the lease is %v", took, lease)
				}
				if now := s.node.Status().Incarnation; len(opening) == 0 || opening[len(opening)-1] != now {
					t.Errorf("told of %q, the session is %q", opening, now)
				}
			})
		})
	}
}

func TestNode_NameInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, func(c *runtime.Config) { c.SoleHolderOfName = false })
		s.start("n1")
		first := s.node
		s.launch("n1")
		if err := <-s.done; !errors.Is(err, runtime.ErrNameInUse) {
			t.Errorf("%v", err)
		}
		if err := s.node.AwaitServing(t.Context(), 1); !errors.Is(err, runtime.ErrClosed) {
			t.Errorf("await of a node that has ended: %v", err)
		}
		if !first.Status().LeaseValid || len(first.Status().Partitions) != partitions {
			t.Errorf("the first one: %+v", first.Status())
		}
	})
}

// TestNode_Predecessor_CrashedUnderTheSameName: without a proof that it is gone,
// its lease is waited for.
func TestNode_Predecessor_CrashedUnderTheSameName(t *testing.T) {
	t.Parallel()
	for _, sole := range []bool{true, false} {
		t.Run(map[bool]string{true: "sole holder", false: "not known"}[sole], func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := prepare(t, nil, func(c *runtime.Config) { c.SoleHolderOfName = sole })
				s.start("n1")
				s.want(s.add("a", 1), actor.CodeOK)
				_ = s.node.Close()
				start := time.Now()
				s.start("n1")
				took := time.Since(start)
				if sole && took > lease/2 || !sole && (took < deadAfter || took > 2*deadAfter) {
					t.Errorf("serves after %v", took)
				}
				s.want(s.add("a", 1), actor.CodeOK)
			})
		})
	}
}

// TestNode_TakeOver: after a node was closed, another one waits until its lease
// has lapsed for certain; after a shutdown, it need not.
func TestNode_TakeOver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		leave    func(s *setup, n *runtime.Node) error
		min, max time.Duration
	}{
		{"closed", func(_ *setup, n *runtime.Node) error { return n.Close() }, lease - lease/6, deadAfter + 3*lease/6},
		{"shut down", func(s *setup, n *runtime.Node) error { return n.Shutdown(s.t.Context()) }, 0, 2 * lease / 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSetup(t, nil, nil)
				s.want(s.add("a", 1), actor.CodeOK)
				first := s.node
				s.launch("n2")
				s.awaitShared(first, s.node)
				start := time.Now()
				if err := c.leave(s, first); err != nil {
					t.Fatal(err)
				}
				s.awaitServing()
				if took := time.Since(start); took < c.min || took > c.max {
					t.Errorf("took over after %v, want %v to %v", took, c.min, c.max)
				}
				s.want(s.add("a", 1), actor.CodeOK)
				if sum, v := s.read("a"); sum != 2 || v != 2 {
					t.Errorf("sum %d at version %d", sum, v)
				}
			})
		})
	}
}

// TestNode_StoreStalls_MakesNobodyDead: nobody renews while the store is away,
// and nobody is declared dead for it afterwards.
func TestNode_StoreStalls_MakesNobodyDead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := storetest.NewFaulty(t.Context(), memory.New(), 1)
		t.Cleanup(f.Close)
		s, first := newPair(t, f, nil)
		was := [2]string{first.Status().Incarnation, s.node.Status().Incarnation}
		for range 5 {
			f.Set(storetest.Faults{Blocked: true})
			s.pause(3 * deadAfter)
			f.Heal()
			s.pause(3 * deadAfter)
		}
		if now := [2]string{first.Status().Incarnation, s.node.Status().Incarnation}; now != was {
			t.Errorf("incarnations %v, were %v", now, was)
		}
		s.awaitShared(first, s.node)
	})
}

// between calls a function once, after the first of the two readings that a
// round of claiming consists of.
type between struct {
	store.Store
	mu    sync.Mutex
	reads int
	then  func()
}

func (b *between) read() {
	b.mu.Lock()
	b.reads++
	call := b.reads == 2 // the first was of the node's own predecessor
	b.mu.Unlock()
	if call {
		b.then()
	}
}

func (b *between) Sessions(ctx context.Context) ([]store.Session, error) {
	defer b.read()
	return b.Store.Sessions(ctx)
}

func (b *between) Claims(ctx context.Context) ([]store.Claim, error) {
	defer b.read()
	return b.Store.Claims(ctx)
}

// TestNode_Claim_OfASessionThatHasJustOpened_IsNotTaken: another node opens its
// session and takes everything between this one's readings of sessions and claims.
func TestNode_Claim_OfASessionThatHasJustOpened_IsNotTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := memory.New()
		other := store.Session{Name: "other", Incarnation: "other-1", Beat: 1}
		b := &between{Store: shared, then: func() {
			if err := shared.OpenSession(t.Context(), other, nil); err != nil {
				t.Error(err)
			}
			var free []store.Claim
			for p := range store.Partition(partitions) {
				free = append(free, store.Claim{Partition: p})
			}
			if held, err := shared.TakeClaims(t.Context(), other, free); err != nil || len(held) != partitions {
				t.Errorf("%d claims, %v", len(held), err)
			}
		}}
		s := prepare(t, b, func(c *runtime.Config) { c.Alone = true }) // it does not wait for others
		s.launch("n1")
		s.pause(lease)
		claims, err := shared.Claims(t.Context())
		if err != nil || len(claims) != partitions {
			t.Fatal(len(claims), err)
		}
		for _, c := range claims {
			if c.Session != other.Incarnation {
				t.Errorf("partition %d was taken from a live session by %s", c.Partition, c.Owner)
			}
		}
	})
}
