package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
	"github.com/ganglion-go/ganglion/store/storetest"
)

// haltingClock is a clock that a hypervisor stops: it stands still, and then goes
// on from there, as if no time had passed.
type haltingClock struct {
	mu     sync.Mutex
	origin time.Time
	lag    time.Duration
	halted time.Time // zero: it goes
}

func newHaltingClock() *haltingClock { return &haltingClock{origin: time.Now()} }

func (c *haltingClock) halt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.halted.IsZero() {
		c.halted = time.Now()
	}
}

func (c *haltingClock) goOn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.halted.IsZero() {
		c.lag += time.Since(c.halted)
		c.halted = time.Time{}
	}
}

func (c *haltingClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.halted
	if now.IsZero() {
		now = time.Now()
	}
	return now.Add(-c.lag)
}

func (c *haltingClock) Elapsed() time.Duration { return c.Now().Sub(c.origin) }

// deafStore is a node's way to the store on which nothing about sessions and claims
// comes through while it is deaf. Commits and questions about its own session do.
type deafStore struct {
	store.Store
	mu      sync.Mutex
	deaf    bool
	confirm func(ctx context.Context, s store.Session) error // nil: the store's
}

func (d *deafStore) set(deaf bool, confirm func(context.Context, store.Session) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaf, d.confirm = deaf, confirm
}

func (d *deafStore) lost(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.deaf {
		return err
	}
	return nil
}

func (d *deafStore) Renew(ctx context.Context, s store.Session) error {
	if err := d.lost(store.ErrUnknown); err != nil {
		return err
	}
	return d.Store.Renew(ctx, s)
}

func (d *deafStore) Sessions(ctx context.Context) ([]store.Session, error) {
	if err := d.lost(store.ErrUnavailable); err != nil {
		return nil, err
	}
	return d.Store.Sessions(ctx)
}

func (d *deafStore) Claims(ctx context.Context) ([]store.Claim, error) {
	if err := d.lost(store.ErrUnavailable); err != nil {
		return nil, err
	}
	return d.Store.Claims(ctx)
}

func (d *deafStore) SaveWatermarks(ctx context.Context, held []store.Claim) error {
	if err := d.lost(store.ErrUnknown); err != nil {
		return err
	}
	return d.Store.SaveWatermarks(ctx, held)
}

func (d *deafStore) ConfirmSession(ctx context.Context, s store.Session) error {
	d.mu.Lock()
	hook := d.confirm
	d.mu.Unlock()
	if hook != nil {
		return hook(ctx, s)
	}
	return d.Store.ConfirmSession(ctx, s)
}

func verified(c *runtime.Config) { c.Answers = runtime.AnswersVerified }

// TestNode_ClockStandsStill: a node whose clock has stopped believes in a lease that
// is long over. Another one has taken its partitions and changed the aggregate.
//
//	n1, its clock stands still       n2                     caller
//	has the aggregate at version 1
//	                                 declares n1 dead
//	                                 takes the partition
//	                                 commits version 2      told: done
//	                                                        asks n1
//	by lease: tells version 1
//	verified: is dead, says the
//	store: tells nothing
func TestNode_ClockStandsStill(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		message func(s *setup) actor.Message
		told    actor.Code // by n1, if it goes by its lease
		wrong   bool       // what is told then is wrong
		silent  bool       // by its lease, too: it would have to ask the store first
	}{
		"a read": {func(s *setup) actor.Message { return s.query("a") }, actor.CodeOK, true, false},
		// What n1 decides without effect is a commit as well. That one is a conflict, and n1 decides anew on what n2 has made.
		"a refusal":                    {func(s *setup) actor.Message { return direct(s.message("a", "add", add{N: -6})) }, actor.CodeOK, false, false},
		"a success without an event":   {func(s *setup) actor.Message { return direct(s.message("a", "add", add{})) }, actor.CodeOK, false, false},
		"a repetition":                 {func(s *setup) actor.Message { m := direct(s.message("a", "add", add{N: 5})); m.ID = "first"; return m }, actor.CodeOK, false, false},
		"a write of another aggregate": {func(s *setup) actor.Message { return direct(s.message("b", "add", add{N: 1})) }, actor.CodeOK, false, false},
		"a kind that it has not":       {func(s *setup) actor.Message { m := s.query("a"); m.Target.Kind = "nobody"; return m }, "", false, true},
		"a command that is past its time": {func(s *setup) actor.Message {
			m := direct(s.message("a", "add", add{N: 1}))
			m.Deadline = time.Unix(1, 0)
			return m
		}, actor.CodeExpired, false, false},
		"a query that the definition lack": {func(s *setup) actor.Message { m := s.query("a"); m.Name = "nothing"; return m }, actor.CodeUnknownCommand, false, false},
	} {
		for mode, answers := range map[string]runtime.Answers{"by lease": runtime.AnswersByLease, "verified": runtime.AnswersVerified} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s, clock := fooled(t, answers)
					m := test.message(s)
					r := make(reply, 16)
					old := s.flows(m.Target)[0]
					if !old.deliver(actor.Delivery{Message: m, Responder: r}) {
						t.Fatal("n1 has noticed")
					}
					if answers == runtime.AnswersVerified || test.silent {
						s.unanswered(r, 20*lease)
						if n := len(s.history("b")); n != 0 {
							t.Errorf("the former owner has written %d commands", n)
						}
					} else if o := s.want(s.await(r), test.told); test.wrong && o.Version != 1 {
						t.Errorf("told version %d: nobody is fooled, and the test shows nothing", o.Version)
					} else if o.Code == actor.CodeOK && !test.wrong && m.Target == address("a") && m.ID != "first" && o.Version < 2 {
						t.Errorf("told what was decided on the past: %+v", o)
					}
					clock.goOn()
				})
			})
		}
	}
}

// fooled returns n1, which believes in its lease and has counter a at 5, version 1,
// and n2, which owns everything and has brought it to 105, version 2.
func fooled(t *testing.T, answers runtime.Answers) (*setup, *haltingClock) {
	t.Helper()
	clock, shared := newHaltingClock(), memory.New()
	way := &deafStore{Store: shared}
	s := newSetup(t, way, func(c *runtime.Config) {
		c.Answers = answers
		if c.Name == "n1" {
			c.Clock = clock
		}
	})
	first := direct(s.message("a", "add", add{N: 5}))
	first.ID = "first"
	s.want(s.ask(first), actor.CodeOK)
	clock.halt()
	way.set(true, nil)
	s.store = shared
	s.start("n2")
	r := make(reply, 1)
	flows := s.flows(address("a"))
	if len(flows) != 2 {
		t.Fatalf("%d nodes serve the partition, want both", len(flows))
	}
	flows[1].deliver(actor.Delivery{Message: direct(s.message("a", "add", add{N: 100})), Responder: r})
	if o := s.want(s.await(r), actor.CodeOK); o.Version != 2 {
		t.Fatalf("n2 brought it to version %d", o.Version)
	}
	return s, clock
}

// flows are those who serve an address, the first one first.
func (s *setup) flows(a actor.Address) []*flow {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return append([]*flow(nil), s.bus.serving[s.bus.partitions.Of(a)]...)
}

// question is a call of ConfirmSession that waits for its fate.
type question struct{ fate chan error }

// holdQuestions makes each question wait until the test has answered it, which it
// must within half a lease.
func (d *deafStore) holdQuestions() <-chan question {
	asked := make(chan question, 64)
	d.set(false, func(ctx context.Context, _ store.Session) error {
		q := question{make(chan error, 1)}
		select {
		case asked <- q:
		case <-ctx.Done():
		}
		select {
		case err := <-q.fate:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
		}
	})
	return asked
}

// TestNode_Verified_QuestionUnderWay: what comes while a question is under way is
// not covered by its answer, which may be one from before.
func TestNode_Verified_QuestionUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		way := &deafStore{Store: memory.New()}
		s := newSetup(t, way, verified)
		s.want(s.add("a", 5), actor.CodeOK)
		asked := way.holdQuestions()
		one := s.send(s.query("a"))
		first := <-asked
		two := s.send(s.query("a"))
		second := <-asked // both may be under way at once
		three := s.send(s.query("a"))
		s.unanswered(one, time.Millisecond)
		first.fate <- nil
		s.want(s.await(one), actor.CodeOK)
		third := <-asked
		s.unanswered(two, time.Millisecond)
		s.unanswered(three, 0)
		third.fate <- nil // overtakes the second
		s.want(s.await(three), actor.CodeOK)
		s.unanswered(two, time.Millisecond)
		second.fate <- fmt.Errorf("died meanwhile: %w", store.ErrLost)
		s.unanswered(two, lease)
		way.set(false, nil)
	})
}

// TestNode_Verified_Command: a command is written after one question, and told
// after another one that was asked when it was durable.
func TestNode_Verified_Command(t *testing.T) {
	bubble(t, func(t *testing.T) {
		way := &deafStore{Store: memory.New()}
		s := newSetup(t, way, verified)
		asked := way.holdQuestions()
		for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
			before := len(s.history("a"))
			m := s.message("a", "add", add{N: 5})
			m.Lane = lane
			r := s.send(m)
			clearance := <-asked
			s.pause(lease / 4)
			if n := len(s.history("a")); n != before {
				t.Errorf("%d commands were written before anybody was asked", n-before)
			}
			clearance.fate <- nil
			after := <-asked
			if n := len(s.history("a")); n != before+1 {
				t.Errorf("%d commands were written", n-before)
			}
			s.unanswered(r, lease/4)
			after.fate <- nil
			s.want(s.await(r), actor.CodeOK)
		}
		way.set(false, nil)
	})
}

// TestNode_Verified_NotWrittenByAFormerOwner: a session that was lost between
// decision and append. What is in the batch is decided by the next owner.
func TestNode_Verified_NotWrittenByAFormerOwner(t *testing.T) {
	bubble(t, func(t *testing.T) {
		way := &deafStore{Store: memory.New()}
		s := newSetup(t, way, verified)
		asked := way.holdQuestions()
		incarnation := s.node.Status().Incarnation
		r := s.send(direct(s.message("a", "add", add{N: 5})))
		(<-asked).fate <- store.ErrLost
		s.eventually("another incarnation", func() bool { return s.node.Status().Incarnation != incarnation })
		s.unanswered(r, lease)
		if n := len(s.history("a")); n != 0 {
			t.Errorf("%d commands were written", n)
		}
		way.set(false, nil)
	})
}

// TestNode_Verified_StoreAway: nobody can tell, so nothing is told, and everything
// once the store is back.
func TestNode_Verified_StoreAway(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]storetest.Faults{"cut off": {CutOff: true}, "blocked": {Blocked: true}, "reads fail": {Reads: 1}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := storetest.NewFaulty(t.Context(), memory.New(), 1)
				t.Cleanup(f.Close)
				s := newSetup(t, f, verified)
				s.want(s.add("a", 5), actor.CodeOK)
				f.Set(faults)
				read := s.send(s.query("a"))
				no := s.send(direct(s.message("a", "add", add{N: -6})))
				x := s.send(direct(s.message("a", "add", add{N: 1})))
				y := s.send(s.message("a", "add", add{N: 1}))
				s.unanswered(read, 30*lease)
				for _, r := range []reply{no, x, y} {
					s.unanswered(r, 0)
				}
				f.Heal()
				for r, code := range map[*reply]actor.Code{&read: actor.CodeOK, &no: actor.CodeRejected, &x: actor.CodeOK, &y: actor.CodeOK} {
					s.want(s.await(*r), code)
				}
			})
		})
	}
}

// TestNode_Verified_LeaseLapsed: the clock has no say. A node that cannot renew, and
// that nobody has declared dead, goes on.
func TestNode_Verified_LeaseLapsed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		way := &deafStore{Store: memory.New()}
		s := newSetup(t, way, verified)
		s.want(s.add("a", 5), actor.CodeOK)
		way.set(true, nil)
		s.pause(10 * lease)
		if s.node.Status().LeaseValid {
			t.Fatal("the lease is valid")
		}
		s.want(s.add("a", 1), actor.CodeOK)
		if sum, v := s.read("a"); sum != 6 || v != 2 {
			t.Errorf("sum %d at version %d", sum, v)
		}
		way.set(false, nil)
	})
}

// TestNode_Verified_Shutdown_LosesNoAnswer: the session must not end before the
// answers that wait for its confirmation have left.
func TestNode_Verified_Shutdown_LosesNoAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		way := &deafStore{Store: memory.New()}
		s := newSetup(t, way, verified)
		s.want(s.add("a", 5), actor.CodeOK)
		way.set(false, func(ctx context.Context, one store.Session) error {
			<-time.After(lease / 2)
			return way.Store.ConfirmSession(ctx, one)
		})
		var replies []reply
		for range 3 {
			replies = append(replies, s.send(s.query("a")))
			s.pause(lease / 5)
		}
		if err := s.node.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, r := range replies {
			select {
			case o := <-r:
				s.want(o, actor.CodeOK)
			default:
				t.Errorf("read %d was not answered", i)
			}
		}
	})
}

func TestNew_Answers_Unknown(t *testing.T) {
	t.Parallel()
	_, err := runtime.New(runtime.Config{Name: "n", Answers: 2}, memory.New(), newLogBus(partitions), counters(nil))
	if !errors.Is(err, runtime.ErrConfig) {
		t.Errorf("got error %v, want %v", err, runtime.ErrConfig)
	}
}
