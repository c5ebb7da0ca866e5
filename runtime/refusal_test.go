package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// rarely saves no watermark, so that no answer waits for one.
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

// TestNode_Refusals_ShareCommits: what is refused, or comes to nothing, while a commit is
// under way goes into the next one, and one event makes a place for all of them.
func TestNode_Refusals_ShareCommits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, rarely)
		s.want(s.add("a", 1), actor.CodeOK)
		appends := h.holdAppends()
		var all []actor.Message
		var replies []reply
		ask := func(n int64) {
			m := direct(s.message("a", "add", add{N: n}))
			all, replies = append(all, m), append(replies, s.send(m))
		}
		ask(-9)
		inFlight := <-appends
		for i := range 50 {
			ask([]int64{-9, 0}[i%2])
		}
		s.eventually("all are decided", func() bool { return s.unfinished() == len(all) })
		s.unanswered(replies[0], lease/3)
		s.unanswered(replies[50], 0)
		h.letAppends()
		inFlight.write(t, h.Store)
		for i, r := range replies {
			code := actor.CodeRejected
			if i > 0 && i%2 == 0 {
				code = actor.CodeOK
			}
			if o := s.want(s.await(r), code); o.Version != 1 {
				t.Errorf("command %d is told version %d", i, o.Version)
			}
		}
		commits := s.commits("a")
		if len(commits) != 3 || len(commits[2].Events) != 1 || len(commits[2].Outcomes) != 50 {
			t.Errorf("%d commits, the last with %d events and %d outcomes", len(commits), len(commits[2].Events), len(commits[2].Outcomes))
		}
		s.restart()
		for i, m := range all {
			if o := s.ask(m); o.Version != 1 || (o.Code == actor.CodeOK) != (i > 0 && i%2 == 0) {
				t.Fatalf("command %d at the next owner: %+v", i, o)
			}
		}
	})
}

// TestNode_Refusals_OutliveTheirOwner_HoweverMany: 600 refusals of one partition, of
// half a megabyte, whose owner dies after the last is told. The next one lets each
// aggregate change, and knows every one of them.
func TestNode_Refusals_OutliveTheirOwner_HoweverMany(t *testing.T) {
	t.Parallel()
	for _, ring := range []int{4096, 4} {
		t.Run(fmt.Sprint("ring ", ring), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSetup(t, nil, func(c *runtime.Config) { rarely(c); c.RingMax = ring })
				targets := s.idsIn(1, 30)
				var all []actor.Message
				var first []actor.Outcome
				for i := range 600 {
					m := s.message(targets[i%30], "add", add{N: []int64{-9, 0}[i%60/30]})
					m.Lane, m.Metadata.Correlation = actor.Lane(i%2), strings.Repeat("c", 800)
					if i%3 == 0 {
						m.ID = actor.CommandID(fmt.Sprint("order-", i))
					}
					all, first = append(all, m), append(first, s.ask(m))
				}
				s.close()
				s.start("n1")
				for _, id := range targets {
					s.want(s.ask(direct(s.message(id, "add", add{N: 1000}))), actor.CodeOK)
				}
				for i, m := range all {
					m.Attempt = 2
					if diff := differ(first[i], s.ask(direct(m))); diff != "" {
						t.Fatalf("command %d (-first +got):\n%s", i, diff)
					}
				}
				for _, id := range targets {
					if sum, _ := s.read(id); sum != 1000 {
						t.Errorf("%s has %d, want 1000: what was refused took effect", id, sum)
					}
				}
			})
		})
	}
}

// TestNode_Refusal_StoreDown_NobodyIsTold: neither the caller nor one who repeats the
// command meanwhile, whether the refusal was written or not. Then both are.
func TestNode_Refusal_StoreDown_NobodyIsTold(t *testing.T) {
	t.Parallel()
	for _, written := range []bool{false, true} {
		t.Run(fmt.Sprint("written ", written), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHooked()
				s := newSetup(t, h, nil)
				h.with(func(h *hooked) {
					h.append = func(ctx context.Context, commits []store.Commit) []error {
						if written {
							_ = h.Store.Append(ctx, commits)
						}
						return failAll(len(commits), store.ErrUnknown)
					}
					h.load = func(context.Context, store.Aggregate, store.Version) iter.Seq2[store.Commit, error] {
						return func(yield func(store.Commit, error) bool) { yield(store.Commit{}, store.ErrUnavailable) }
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
				h.with(func(h *hooked) { h.append, h.load = nil, nil })
				for _, r := range []reply{first, second, third} {
					s.want(s.await(r), actor.CodeRejected)
				}
				if n := len(s.outcomes("a", m.ID)); n != 1 {
					t.Errorf("told, and in %d commits", n)
				}
			})
		})
	}
}

// TestNode_Refusal_LateWriteOfAFormerOwner: a former owner's commit, which carries the
// command out, is on its way while this one refuses it.
//
//	owner A                          store                node B
//	deposit D, withdrawal X: one
//	commit, versions 2 and 3         (on its way)
//	-- declared dead --                                   takes the partition, loads 1
//	                                                      a second copy of X: not
//	                                                      enough, appends version 2
//	                                 one of the two comes first
//
// Both are for version 2, so that one is a conflict. If it is B's, B tells what A did.
func TestNode_Refusal_LateWriteOfAFormerOwner(t *testing.T) {
	t.Parallel()
	for _, formerFirst := range []bool{true, false} {
		t.Run(fmt.Sprint("the former owner first: ", formerFirst), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHooked()
				s := newSetup(t, h, nil)
				s.want(s.add("a", 5), actor.CodeOK)
				x := s.message("a", "add", add{N: -50})
				late := store.Commit{
					Aggregate: aggregate("a"), First: 2, Time: s.commits("a")[0].Time + 1,
					Events: []store.Event{{Name: "added.v1", Data: []byte(`{"n":100}`)}, {Name: "added.v1", Data: []byte(`{"n":-50}`)}},
					Outcomes: []store.Outcome{
						{CommandID: string(s.nextID()), Events: 1, Reply: []byte("105")},
						{CommandID: string(x.ID), Events: 1, Reply: []byte("55")},
					},
				}
				arrives := func() error { return h.Store.Append(t.Context(), []store.Commit{late})[0] }
				appends := h.holdAppends()
				told := s.send(x)
				refusal := <-appends
				s.unanswered(told, lease/2)
				if formerFirst {
					if err := arrives(); err != nil {
						t.Fatal(err)
					}
				}
				h.letAppends()
				refusal.write(t, h.Store)
				o := s.await(told)
				if err := arrives(); !errors.Is(err, store.ErrConflict) {
					t.Errorf("the late write: %v", err)
				}
				sum, version := s.read("a")
				if formerFirst && (o.Code != actor.CodeOK || string(o.Reply) != "55" || sum != 55 || version != 3) {
					t.Errorf("told %+v, and the sum is %d at version %d", o, sum, version)
				}
				if !formerFirst && (o.Code != actor.CodeRejected || o.Version != 1 || sum != 5 || version != 1) {
					t.Errorf("told %+v, and the sum is %d at version %d", o, sum, version)
				}
				s.restart()
				if diff := differ(o, s.ask(x)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TestNode_Refusal_ExpectedVersion: what callers are told as an aggregate's version does
// not change by a refusal, or by a success without an event, and an expectation that was
// met before them is met after them.
func TestNode_Refusal_ExpectedVersion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, func(c *runtime.Config) { c.PassivateAfter = passivateAfter },
			counters(nil, func(d *actor.Definition[counter]) { d.SnapshotEvery(4) }))
		exactly := func(v actor.Version, n int64) actor.Message {
			return expect(s.message("a", "add", add{N: n}), actor.Expectation{Exact: true, Version: v})
		}
		s.want(s.ask(exactly(0, 5)), actor.CodeOK)
		version := actor.Version(1)
		for round, between := range []func(){func() {}, s.passivate, s.restart} {
			for range 3 { // over a snapshot
				if o := s.want(s.add("a", -1000), actor.CodeRejected); o.Version != version {
					t.Errorf("a refusal is told version %d, want %d", o.Version, version)
				}
				if o := s.want(s.ask(exactly(version, 0)), actor.CodeOK); o.Version != version {
					t.Errorf("a success without an event is told version %d, want %d", o.Version, version)
				}
				if o := s.want(s.ask(exactly(version+100, 1)), actor.CodeVersionMismatch); o.Version != version {
					t.Errorf("a mismatch is told version %d, want %d", o.Version, version)
				}
			}
			between()
			if _, v := s.read("a"); v != version {
				t.Errorf("round %d: a read shows version %d, want %d", round, v, version)
			}
			old := version
			o := s.want(s.ask(exactly(version, 1)), actor.CodeOK)
			if version = o.Version; version <= old {
				t.Errorf("version %d after %d", version, old)
			}
			s.want(s.ask(exactly(old, 1)), actor.CodeVersionMismatch)
		}
		if sum, _ := s.read("a"); sum != 8 {
			t.Errorf("sum %d, want 8", sum)
		}
	})
}

// TestNode_Refusals_Alone_DoNotCreate: an aggregate that has refused, and nothing else,
// does not exist, also as a snapshot has it.
func TestNode_Refusals_Alone_DoNotCreate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil, counters(nil, func(d *actor.Definition[counter]) { d.SnapshotEvery(3) }))
		for range 10 {
			s.want(s.add("a", -1), actor.CodeRejected)
		}
		s.eventually("a snapshot is saved", func() bool { return s.snapshot("a").Version >= 3 })
		state := actor.Message{Type: actor.TypeState, Lane: actor.LaneDirect, Target: address("a"), Time: time.Now()}
		for range 2 {
			if o := s.want(s.ask(state), actor.CodeDoesNotExist); o.Version != 0 {
				t.Errorf("version %d", o.Version)
			}
			s.want(s.ask(expect(s.message("a", "add", add{N: 1}), actor.Expectation{Creation: actor.MustExist})), actor.CodeDoesNotExist)
			s.restart()
		}
		s.want(s.ask(expect(s.message("a", "add", add{N: 1}), actor.Expectation{Creation: actor.MustBeNew})), actor.CodeOK)
		s.want(s.ask(state), actor.CodeOK)
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
		s.want(s.ask(direct(s.message(ids[1], "add", add{N: 1000}))), actor.CodeOK)
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
