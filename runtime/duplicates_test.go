package runtime_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
)

const passivateAfter = 2 * time.Second

// repeatable are the commands whose first outcome every retry must get. They
// meet an aggregate with sum 5 at version 1.
func repeatable(s *setup) map[string]actor.Message {
	return map[string]actor.Message{
		"success":            s.message("a", "add", add{N: 7}),
		"rejection":          s.message("a", "add", add{N: -6}),
		"raised, then no":    s.message("a", "raiseThenReject", raiseThenReject{}),
		"no event":           s.message("a", "add", add{N: 0}),
		"must be new":        expect(s.message("a", "add", add{N: 1}), actor.Expectation{Creation: actor.MustBeNew}),
		"version":            expect(s.message("a", "add", add{N: 1}), actor.Expectation{Exact: true, Version: 9}),
		"version as it was":  expect(s.message("a", "add", add{N: 1}), actor.Expectation{Exact: true, Version: 1}),
		"within a deadline":  until(s.message("a", "add", add{N: 2}), time.Now().Add(time.Second)),
		"must exist, and it": expect(s.message("a", "add", add{N: 3}), actor.Expectation{Creation: actor.MustExist}),
	}
}

func until(m actor.Message, deadline time.Time) actor.Message {
	m.Deadline = deadline
	return m
}

// TestNode_Repetition_GetsTheFirstOutcome is P2: a command that is repeated a
// hundred times at once on both lanes, after its state was passivated, after
// later commands, and at the next owner, takes effect once, and every answer is
// the first one, whatever else would now stand against it.
func TestNode_Repetition_GetsTheFirstOutcome(t *testing.T) {
	t.Parallel()
	for _, ids := range []string{"uuid", "key"} {
		for name := range repeatable(&setup{t: t}) {
			t.Run(ids+"/"+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s := newSetup(t, nil, func(c *runtime.Config) { c.PassivateAfter = passivateAfter },
						counters(nil, func(d *actor.Definition[counter]) { d.SnapshotEvery(3) }))
					s.want(s.add("a", 5), actor.CodeOK)
					m := repeatable(s)[name]
					if ids == "key" {
						m.ID = "order-1"
					}
					testRepetition(s, m)
				})
			})
		}
	}
}

func testRepetition(s *setup, m actor.Message) {
	s.t.Helper()
	first := s.ask(m)
	same := func(when string) {
		s.t.Helper()
		for i, o := range s.askMany(m, 100) {
			if diff := differ(first, o); diff != "" {
				s.t.Fatalf("%s, repetition %d (-first +got):\n%s", when, i, diff)
			}
		}
	}
	same("at once")
	s.passivate()
	same("after a passivation") // what is not stored is decided again on the same state
	s.want(s.add("a", 100), actor.CodeOK)
	same("after another command")
	s.passivate()
	same("after another command and a passivation")
	s.restart()
	same("at the next owner")
	for range 5 {
		s.want(s.add("a", 1), actor.CodeOK) // over a snapshot
	}
	s.passivate()
	same("after a snapshot")
	effects := 0
	for _, id := range s.history("a") {
		if id == string(m.ID) {
			effects++
		}
	}
	if want := map[bool]int{true: 1}[first.Code == actor.CodeOK && first.Version == 2]; effects != want {
		s.t.Fatalf("took effect %d times, want %d", effects, want)
	}
}

// differ compares outcomes as they go over the wire.
func differ(a, b actor.Outcome) string {
	wire := func(o actor.Outcome) string {
		data, err := json.Marshal(o)
		if err != nil {
			return err.Error()
		}
		return string(data)
	}
	return cmp.Diff(wire(a), wire(b))
}

// askMany sends n copies of a command, on both lanes, before it waits for any.
func (s *setup) askMany(m actor.Message, n int) []actor.Outcome {
	s.t.Helper()
	replies := make([]reply, n)
	for i := range replies {
		m.Lane = actor.Lane(i % 2)
		m.Attempt = i + 2
		replies[i] = s.send(m)
	}
	outcomes := make([]actor.Outcome, n)
	for i, r := range replies {
		outcomes[i] = s.await(r)
	}
	return outcomes
}

// passivate lets every activation of the node go idle.
func (s *setup) passivate() {
	s.t.Helper()
	s.eventually("the node is idle", func() bool { return s.unfinished() == 0 })
	s.pause(2 * passivateAfter)
	if n := s.node.Status().Activations; n != 0 {
		s.t.Fatalf("%d activations are left", n)
	}
}

func (s *setup) unfinished() (n int) {
	for _, p := range s.node.Status().Partitions {
		n += p.Unfinished
	}
	return n
}

// TestNode_Repetition_ConcurrentFirsts: all hundred copies are first attempts
// of a command that nobody has decided.
func TestNode_Repetition_ConcurrentFirsts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		for i, id := range []actor.CommandID{s.nextID(), "key"} {
			m := s.message(fmt.Sprint(i), "add", add{N: 3})
			m.ID = id
			outcomes := s.askMany(m, 100)
			for _, o := range outcomes {
				if diff := differ(outcomes[0], s.want(o, actor.CodeOK)); diff != "" {
					t.Fatal(diff)
				}
			}
			if sum, v := s.read(fmt.Sprint(i)); sum != 3 || v != 1 {
				t.Fatalf("sum %d at version %d", sum, v)
			}
		}
	})
}

// TestNode_Repetition_FoundInStore: the ring has long forgotten the command.
func TestNode_Repetition_FoundInStore(t *testing.T) {
	t.Parallel()
	for _, every := range []int{0, 5} {
		t.Run(fmt.Sprintf("snapshot every %d", every), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHooked()
				s := newSetup(t, h, func(c *runtime.Config) { c.RingMax = 4; c.PassivateAfter = passivateAfter },
					counters(nil, func(d *actor.Definition[counter]) { d.SnapshotEvery(every) }))
				s.want(s.add("a", 1), actor.CodeOK)
				var all []actor.Message
				var first []actor.Outcome
				for i := range 20 {
					m := s.message("a", "add", add{N: []int64{3, -100}[i%2]})
					if i%3 == 0 {
						m.ID = actor.CommandID(fmt.Sprint("key-", i))
					}
					all, first = append(all, m), append(first, s.ask(m))
				}
				s.want(s.add("a", 1000), actor.CodeOK)
				for round := range 2 {
					for i, m := range all {
						if diff := differ(first[i], s.ask(m)); diff != "" {
							t.Fatalf("round %d, command %d (-first +got):\n%s", round, i, diff)
						}
					}
					s.passivate()
				}
				h.with(func(h *hooked) {
					if h.findOutcomes == 0 {
						t.Error("the store was never asked")
					}
				})
				if n := len(s.history("a")); n != 12 {
					t.Errorf("%d commands in the history, want 12", n)
				}
			})
		})
	}
}

// TestNode_Repetition_OfWhatIsNotYetDurable: the command is in a commit under
// way, and the ring, which is small, has forgotten it. The store does not know
// it yet either.
func TestNode_Repetition_OfWhatIsNotYetDurable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, func(c *runtime.Config) { c.RingMax = 2 })
		s.want(s.add("a", 1), actor.CodeOK)
		appends := h.holdAppends()
		m := s.message("a", "add", add{N: 10})
		replies := []reply{s.send(m)}
		inFlight := <-appends
		for range 10 {
			replies = append(replies, s.send(s.message("a", "add", add{N: 1})))
		}
		gathered := s.message("a", "add", add{N: 100})
		replies = append(replies, s.send(gathered))
		for range 10 {
			replies = append(replies, s.send(s.message("a", "add", add{N: 1})))
		}
		for range 5 {
			replies = append(replies, s.send(m), s.send(direct(m)), s.send(gathered), s.send(direct(gathered)))
		}
		s.eventually("all are decided", func() bool { return s.unfinished() == len(replies) })
		h.letAppends()
		inFlight.write(t, h.Store)
		for _, r := range replies {
			s.want(s.await(r), actor.CodeOK)
		}
		if sum, v := s.read("a"); sum != 131 || v != 23 {
			t.Fatalf("sum %d at version %d, want 131 at 23", sum, v)
		}
	})
}

// TestNode_Repetition_WaitingForAConflict: a rejection was told; a repetition of
// it waits for a commit under way, which turns out to be a conflict. What the
// state now is must not matter to the repetition.
func TestNode_Repetition_WaitingForAConflict(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		s.want(s.add("a", 5), actor.CodeOK)
		no := s.message("a", "add", add{N: -6})
		first := s.want(s.ask(no), actor.CodeRejected)
		appends := h.holdAppends()
		x := s.send(s.message("a", "add", add{N: 1}))
		inFlight := <-appends
		again := s.send(no)
		s.unanswered(again, 100*time.Millisecond)
		h.letAppends()
		s.foreign("a", "added.v1", `{"n":100}`)
		inFlight.write(t, h.Store)
		got := s.want(s.await(again), actor.CodeRejected)
		if diff := differ(first, got); diff != "" {
			t.Fatal(diff)
		}
		s.want(s.await(x), actor.CodeOK)
		s.restart()
		if diff := differ(first, s.ask(no)); diff != "" {
			t.Fatal(diff)
		}
		if sum, v := s.read("a"); sum != 106 || v != 4 {
			t.Fatalf("sum %d at version %d", sum, v)
		}
	})
}

// TestNode_Refusal_OutlivesItsOwner: a command is refused. Its owner goes; the next one lets another command change the state, and then
// meets the refused one again. Its caller was told no, and is told no.
func TestNode_Refusal_OutlivesItsOwner(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*setup){
		"shutdown": func(s *setup) {
			if err := s.node.Shutdown(s.t.Context()); err != nil {
				s.t.Fatal(err)
			}
		},
		"close before the watermark is saved": func(s *setup) { s.close() },
		"close after": func(s *setup) {
			s.pause(time.Second)
			s.close()
		},
	} {
		for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
			t.Run(fmt.Sprint(name, " lane ", lane), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s := newSetup(t, nil, nil)
					s.want(s.add("a", 5), actor.CodeOK)
					s.pause(time.Second) // its watermark is saved
					refused := s.message("a", "add", add{N: -100})
					refused.Lane = lane
					first := s.ask(refused)
					s.want(first, actor.CodeRejected)
					leave(s)
					s.start("n1")
					s.want(s.add("a", 1000), actor.CodeOK)
					again := refused
					again.Attempt = 2
					if diff := differ(first, s.ask(again)); diff != "" {
						t.Error(diff)
					}
					s.want(s.add("a", 1), actor.CodeOK)
					s.close()
					s.start("n1")
					if diff := differ(first, s.ask(again)); diff != "" {
						t.Errorf("at the owner after that: %s", diff)
					}
					if sum, _ := s.read("a"); sum != 1006 {
						t.Errorf("sum %d", sum)
					}
				})
			})
		}
	}
}

func (s *setup) close() {
	s.t.Helper()
	if err := s.node.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// TestNode_OutcomeFromBeyondTheState_IsToldWithIt: a write of a former owner arrives
// after this one has loaded the aggregate. The command comes again, and its outcome
// is found in the store. Whoever has been told it, and then reads, must see it, also
// when another command was just decided on the old state.
func TestNode_OutcomeFromBeyondTheState_IsToldWithIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, func(c *runtime.Config) { c.RingMax = 2 })
		keyed := func(key string, n int64) actor.Message {
			m := s.message("a", "add", add{N: n})
			m.ID = actor.CommandID(key)
			return m
		}
		for i := range 5 { // so that ids without a time are looked up
			s.want(s.ask(keyed(fmt.Sprint("k", i), 1)), actor.CodeOK)
		}
		late := keyed("late", 100)
		s.foreignBy(late.ID, "a", "added.v1", `{"n":100}`, "105")
		if o := s.ask(direct(late)); o.Code != actor.CodeOK || o.Version != 6 || string(o.Reply) != "105" {
			t.Errorf("the recorded outcome: %+v", o)
		}
		if sum, v := s.read("a"); sum != 105 || v != 6 {
			t.Errorf("after it was told, a read shows %d at version %d", sum, v)
		}

		later := keyed("later", 1000)
		s.foreignBy(later.ID, "a", "added.v1", `{"n":1000}`, "1105")
		other, again := s.send(s.message("a", "add", add{N: 1})), s.send(direct(later))
		s.want(s.await(again), actor.CodeOK)
		s.want(s.await(other), actor.CodeOK)
		if sum, v := s.read("a"); sum != 1106 || v != 8 {
			t.Errorf("sum %d at version %d, want 1106 at 8", sum, v)
		}
	})
}

// TestNode_Duplicate_OfAnEarlierBuild: what the runtime sends has ids of its own, which
// earlier builds did not give it. A command that such a build has sent and executed comes
// again from this one, under the id that it has now: it gets the first outcome, from
// memory, and from the store, as a success and as a refusal.
func TestNode_Duplicate_OfAnEarlierBuild(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, func(c *runtime.Config) { c.RingMax = 4 })
		again := func(m actor.Message) actor.Message {
			m.ID = "ganglion." + m.ID
			return m
		}
		s.bus.earlier = true
		done := s.message("a", "add", add{N: 5})
		first := s.want(s.ask(done), actor.CodeOK)
		refused := s.message("a", "raiseThenReject", raiseThenReject{})
		s.want(s.ask(refused), actor.CodeRejected)
		check := func(where string) {
			t.Helper()
			got := s.want(s.ask(again(done)), actor.CodeOK)
			if got.Version != first.Version || string(got.Reply) != string(first.Reply) {
				t.Errorf("%s: %+v, the first outcome was %+v", where, got, first)
			}
			s.want(s.ask(again(refused)), actor.CodeRejected)
		}
		check("in memory")
		for range 10 {
			s.add("a", 1)
		}
		check("forgotten by the ring")
		s.restart()
		check("after a restart")
		if sum, version := s.read("a"); sum != 15 || version != 12 {
			t.Errorf("sum %d at version %d: a command was executed twice", sum, version)
		}
		// A caller cannot take such an id, so that a new one is executed although its
		// time is long past.
		fresh := s.message("a", "add", add{N: 100})
		s.want(s.ask(again(fresh)), actor.CodeOK)
		s.bus.earlier = false
		s.want(s.ask(fresh), actor.CodeOK)
		if sum, _ := s.read("a"); sum != 215 {
			t.Errorf("sum %d: the name spaces are not separate", sum)
		}
	})
}
