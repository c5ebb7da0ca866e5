package runtime_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// The two builds of these tests: the old one has counters. The new one stores
// another form of their event, reads the old one, and has ledgers, too.
const oldBuild, newBuild = "v1.4.0", "v1.5.0"

func oldDefinitions() []actor.Registrable { return []actor.Registrable{counters(nil)} }

type (
	addedTo struct {
		N  int64  `json:"n"`
		To string `json:"to"`
	}
	ledger struct{ Entries int64 }
	double struct{ actor.Replies[int64] }
	enter  struct{ actor.Replies[int64] }
	count  struct{ actor.Replies[int64] }
	listed struct{}
)

func (addedTo) WireName() string { return "added.v2" }

func newDefinitions() []actor.Registrable {
	newCounters := actor.Define("counter", func(d *actor.Definition[counter]) {
		actor.On(d, func(c *counter, ctx *actor.Context, a add) (int64, error) {
			ctx.Raise(addedTo{N: a.N, To: "sum"})
			return c.Sum, nil
		})
		actor.On(d, func(c *counter, ctx *actor.Context, _ double) (int64, error) {
			ctx.Raise(addedTo{N: c.Sum, To: "sum"})
			return c.Sum, nil
		})
		actor.Apply(d, func(c *counter, e addedTo) { c.Sum += e.N; c.Count++ },
			actor.From("added.v1", func(e added) addedTo { return addedTo{N: e.N, To: "sum"} }))
		actor.Query(d, (*counter).sum)
	})
	ledgers := actor.Define("ledger", func(d *actor.Definition[ledger]) {
		actor.On(d, func(l *ledger, ctx *actor.Context, _ enter) (int64, error) {
			ctx.Raise(listed{})
			return l.Entries, nil
		})
		actor.Apply(d, func(l *ledger, _ listed) { l.Entries++ })
		actor.Query(d, func(l *ledger, _ *actor.QueryContext, _ count) (int64, error) { return l.Entries, nil })
	})
	return []actor.Registrable{newCounters, ledgers}
}

// launchBuild runs a node of a build.
func (s *setup) launchBuild(name, build string, defs []actor.Registrable) *runtime.Node {
	s.t.Helper()
	tune := s.tune
	s.defs, s.tune = defs, func(c *runtime.Config) {
		if tune != nil {
			tune(c)
		}
		c.Build = build
	}
	s.launch(name)
	s.tune = tune
	return s.node
}

// insist sends a message as natsbus's client does: on the direct lane again, under
// the same id, whenever nobody serves the partition or the owner is silent.
func (s *setup) insist(m actor.Message) actor.Outcome {
	s.t.Helper()
	if m.Lane == actor.LaneDurable && m.Type == actor.TypeCommand {
		return s.ask(m)
	}
	for range 1000 {
		r := make(reply, 2)
		if s.bus.direct(m, r) {
			m.Attempt++
			select {
			case o := <-r:
				return o
			case <-time.After(100 * time.Millisecond):
			}
		}
		s.pause(10 * time.Millisecond)
	}
	s.t.Errorf("%s is not answered", m.Target)
	return actor.Outcome{}
}

func (s *setup) ledgerMessage(id, name string, t actor.MessageType) actor.Message {
	m := s.message(id, name, struct{}{})
	m.Type, m.Target.Kind = t, "ledger"
	if t != actor.TypeCommand {
		m.Lane, m.ID = actor.LaneDirect, ""
	}
	return m
}

// ownerOf returns the name of the node that has an aggregate's partition.
func (s *setup) ownerOf(a actor.Address) string {
	s.t.Helper()
	claims, err := s.store.Claims(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range claims {
		if c.Partition == store.Partition(s.bus.partitions.Of(a)) {
			return c.Owner
		}
	}
	return ""
}

// quiet waits until no claim has changed hands for a while, and returns how often
// any was ever taken.
func (s *setup) quiet() uint64 {
	s.t.Helper()
	for {
		before := s.epochs()
		s.pause(5 * lease)
		if s.epochs() == before {
			return before
		}
	}
}

// TestNode_UnknownKind_GoesToOneWhoKnows: commands for a kind of the new build come
// while an old node has most partitions, on both lanes, beside commands that both
// builds know. All succeed, each once and in order, and reads see them. The
// partitions end with the new node; nothing else moves.
func TestNode_UnknownKind_GoesToOneWhoKnows(t *testing.T) {
	t.Parallel()
	for name, builds := range map[string][2]string{"versions": {oldBuild, newBuild}, "no versions": {"", ""}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := prepare(t, nil, nil)
				one := s.launchBuild("n1", builds[0], oldDefinitions())
				three := s.launchBuild("n3", builds[0], oldDefinitions())
				s.awaitShared(one, three)
				two := s.launchBuild("n2", builds[1], newDefinitions())
				s.awaitShared(one, two, three)
				load := s.traffic(8)
				var users sync.WaitGroup
				const ledgers, entries = 8, 20
				for i := range ledgers {
					users.Go(func() {
						id := fmt.Sprint("l-", i)
						for n := range int64(entries) {
							m := s.ledgerMessage(id, "enter", actor.TypeCommand)
							if (n+int64(i))%2 == 0 {
								m = direct(m)
							}
							if o := s.insist(m); o.Code != actor.CodeOK || o.Version != actor.Version(n+1) || string(o.Reply) != fmt.Sprint(n+1) {
								t.Errorf("entry %d of %s: %+v", n+1, id, o)
							}
							if o := s.insist(s.ledgerMessage(id, "count", actor.TypeQuery)); string(o.Reply) != fmt.Sprint(n+1) {
								t.Errorf("count of %s after %d entries: %+v", id, n+1, o)
							}
						}
					})
				}
				users.Wait()
				for i := range ledgers {
					a := actor.Address{Kind: "ledger", ID: fmt.Sprint("l-", i)}
					if owner := s.ownerOf(a); owner != "n2" {
						t.Errorf("%s is at %q", a, owner)
					}
				}
				moved := s.quiet()
				if most := uint64(4 * partitions); moved > most {
					t.Errorf("%d claims were taken, of %d partitions", moved, partitions)
				}
				load.end(time.Second)
			})
		})
	}
}

// TestNode_MistypedKind_MovesNothing: a kind that no live session lists is refused,
// on both lanes, and no partition changes hands for it.
func TestNode_MistypedKind_MovesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		one := s.launchBuild("n1", oldBuild, oldDefinitions())
		two := s.launchBuild("n2", newBuild, newDefinitions())
		s.awaitServingTogether(one, two)
		before := s.quiet()
		start := time.Now()
		for i := range 20 {
			m := s.message(fmt.Sprint("x-", i), "add", add{N: 1})
			m.Target.Kind = "countre"
			s.want(s.ask(m), actor.CodeUnknownKind)
			s.want(s.ask(direct(m)), actor.CodeUnknownKind)
		}
		if took := time.Since(start) / 40; took > lease/6 {
			t.Errorf("a refusal took %v", took)
		}
		if after := s.quiet(); after != before {
			t.Errorf("%d claims were taken because of it", after-before)
		}
		for _, name := range []string{"n1", "n2"} {
			if one, _ := s.session(name); len(one.Lacks) > 0 {
				t.Errorf("%s lacks %v", name, one.Lacks)
			}
		}
	})
}

// awaitServingTogether waits until the nodes have all partitions, however shared.
func (s *setup) awaitServingTogether(nodes ...*runtime.Node) {
	s.t.Helper()
	s.eventually("all partitions are served", func() bool {
		n := 0
		for _, node := range nodes {
			n += len(node.Status().Partitions)
		}
		return n == partitions
	})
}

// TestNode_UnknownKind_OfOneWhoHasJustCome: the command is met by an owner that has
// not read of the new node yet. It reads again before it refuses.
func TestNode_UnknownKind_OfOneWhoHasJustCome(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		s.launchBuild("n1", oldBuild, oldDefinitions())
		s.awaitServing()
		s.bus.mute = true
		for round := range 20 {
			name := fmt.Sprint("new-", round)
			s.pause(time.Duration(round) * lease / 100)
			two := s.launchBuild(name, newBuild, newDefinitions())
			s.eventually("its session is there", func() bool { _, ok := s.session(name); return ok })
			m := s.ledgerMessage(fmt.Sprint("j-", round), "enter", actor.TypeCommand)
			if round%2 == 0 {
				m = direct(m)
			}
			s.want(s.insist(m), actor.CodeOK)
			if err := two.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.eventually("the old node has all again", func() bool { return s.allAt("n1") })
		}
	})
}

// allAt reports whether one node has all partitions.
func (s *setup) allAt(name string) bool {
	claims, err := s.store.Claims(s.t.Context())
	for _, c := range claims {
		if c.Owner != name {
			return false
		}
	}
	return err == nil && len(claims) == partitions
}

// TestNode_UnknownKind_WhoKnowsIsLost: the only one who knows dies before it has
// taken the partition. The messages wait for as long as it counts as alive, and
// are refused then, by whoever has the partition, and not before.
func TestNode_UnknownKind_WhoKnowsIsLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		one := s.launchBuild("n1", oldBuild, oldDefinitions())
		s.awaitServing()
		ghost := store.Session{Name: "ghost", Incarnation: "g", Build: newBuild, Kinds: []string{"counter", "ledger"}}
		if err := s.store.OpenSession(t.Context(), ghost, nil); err != nil {
			t.Fatal(err)
		}
		durable := s.send(s.ledgerMessage("w", "enter", actor.TypeCommand))
		asked := s.send(direct(s.ledgerMessage("w", "enter", actor.TypeCommand)))
		s.unanswered(durable, lease)
		s.unanswered(asked, 0)
		s.want(s.await(durable), actor.CodeUnknownKind)
		s.want(s.await(asked), actor.CodeUnknownKind)
		s.want(s.add("w", 1), actor.CodeOK)
		s.eventually("nothing is unfinished", func() bool {
			for _, p := range one.Status().Partitions {
				if p.Unfinished > 0 || p.Durable > 0 {
					return false
				}
			}
			return true
		})
	})
}

// TestNode_RefusedByItsBuild_IsToldWhenItIsFinal: an old owner has no handler for a
// durable command, behind one that waits for a node that knows its kind. It does not
// say so: the next owner reads both, and executes them.
func TestNode_RefusedByItsBuild_IsToldWhenItIsFinal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		one := s.launchBuild("n1", oldBuild, oldDefinitions())
		s.awaitServing()
		s.want(s.add("r", 21), actor.CodeOK)
		s.want(s.ask(s.message("r", "double", double{})), actor.CodeUnknownCommand)
		ghost := store.Session{Name: "ghost", Incarnation: "g", Build: newBuild, Kinds: []string{"counter", "ledger"}}
		if err := s.store.OpenSession(t.Context(), ghost, nil); err != nil {
			t.Fatal(err)
		}
		held := s.ledgerMessage(s.neighbour(address("r"), "ledger"), "enter", actor.TypeCommand)
		first := s.send(held)
		s.pause(lease / 10)
		second := s.send(s.message("r", "double", double{}))
		s.unanswered(second, lease/2)
		s.unanswered(first, 0)
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
		s.launchBuild("n1", newBuild, newDefinitions())
		s.want(s.await(first), actor.CodeOK)
		if o := s.want(s.await(second), actor.CodeOK); string(o.Reply) != "42" {
			t.Errorf("doubled: %+v", o)
		}
	})
}

// neighbour returns the id of an aggregate in the partition of another one.
func (s *setup) neighbour(of actor.Address, kind actor.Kind) string {
	s.t.Helper()
	for i := range 1000 {
		id := fmt.Sprint("near-", i)
		if s.bus.partitions.Of(actor.Address{Kind: kind, ID: id}) == s.bus.partitions.Of(of) {
			return id
		}
	}
	s.t.Fatal("no such id")
	return ""
}

// TestNode_Lacks_OutliveASession: the code is the same after a session was lost, and
// what it does not know is not met again first.
func TestNode_Lacks_OutliveASession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		s.launchBuild("n1", "", oldDefinitions())
		s.awaitServing()
		s.launchBuild("n2", "", newDefinitions())
		s.quiet()
		for i := range 8 {
			s.want(s.insist(s.ledgerMessage(fmt.Sprint("o-", i), "enter", actor.TypeCommand)), actor.CodeOK)
		}
		before, _ := s.session("n1")
		if len(before.Lacks) == 0 {
			t.Fatal("it lacks nothing: nothing is tested")
		}
		for s.store.DeclareDead(t.Context(), before) != nil {
			before, _ = s.session("n1")
		}
		s.eventually("it is back", func() bool {
			now, ok := s.session("n1")
			return ok && !now.Dead && now.Incarnation != before.Incarnation
		})
		if now, _ := s.session("n1"); !slices.Equal(now.Lacks, before.Lacks) {
			t.Errorf("lacks %v, and %v before", now.Lacks, before.Lacks)
		}
		s.quiet()
		for i := range 8 {
			if a := (actor.Address{Kind: "ledger", ID: fmt.Sprint("o-", i)}); s.ownerOf(a) != "n2" {
				t.Errorf("%s is at %s", a, s.ownerOf(a))
			}
		}
	})
}

// TestNode_Aside_IsBounded: no more direct messages wait for another node than a
// mailbox holds. The others are refused.
func TestNode_Aside_IsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, func(c *runtime.Config) { c.MailboxMax = 8 })
		s.launchBuild("n1", oldBuild, oldDefinitions())
		s.awaitServing()
		ghost := store.Session{Name: "ghost", Incarnation: "g", Build: newBuild, Kinds: []string{"ledger"}}
		if err := s.store.OpenSession(t.Context(), ghost, nil); err != nil {
			t.Fatal(err)
		}
		s.pause(lease / 2)
		var all []reply
		for range 10 {
			all = append(all, s.send(direct(s.ledgerMessage("b", "enter", actor.TypeCommand))))
		}
		for _, r := range all[8:] {
			s.want(s.await(r), actor.CodeOverloaded)
		}
		for _, r := range all[:8] {
			s.want(s.await(r), actor.CodeUnknownKind) // once the ghost is dead
		}
		s.want(s.ask(direct(s.ledgerMessage("b", "enter", actor.TypeCommand))), actor.CodeUnknownKind)
	})
}

// TestNode_UnknownEvent_GoesToOneWhoKnows: the new build has written into every
// counter, and half of the partitions come to an old node. It hands those back that
// it meets, and nothing is parked or refused.
func TestNode_UnknownEvent_GoesToOneWhoKnows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		two := s.launchBuild("n2", "", newDefinitions())
		s.awaitServing()
		for i := range 8 {
			s.want(s.add(fmt.Sprint("e-", i), 1), actor.CodeOK)
		}
		one := s.launchBuild("n1", "", oldDefinitions())
		three := s.launchBuild("n3", "", oldDefinitions())
		s.awaitShared(one, two, three)
		for i := range 8 {
			id := fmt.Sprint("e-", i)
			m := s.message(id, "add", add{N: 1})
			if i%2 == 0 {
				m = direct(m)
			}
			if o := s.insist(m); o.Code != actor.CodeOK || o.Version != 2 {
				t.Errorf("%s: %+v", id, o)
			}
			if parked := s.parked(id); len(parked) > 0 {
				t.Errorf("parked: %+v", parked)
			}
			if owner := s.ownerOf(address(id)); owner != "n2" {
				t.Errorf("%s is at %q", id, owner)
			}
		}
		if moved := s.quiet(); moved > 6*partitions {
			t.Errorf("%d claims were taken", moved)
		}
	})
}

// TestNode_UnknownEvent_NobodyKnows: the partition meets every node that may know
// the event once, and then stays with the last of them; the command ends as it does on a
// node that is alone. Nodes of the same version are not asked.
func TestNode_UnknownEvent_NobodyKnows(t *testing.T) {
	t.Parallel()
	for build, moves := range map[string]uint64{"": 3, oldBuild: 0} {
		t.Run("build "+build, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := prepare(t, nil, nil)
				var all []*runtime.Node
				for i := range 3 {
					all = append(all, s.launchBuild(fmt.Sprint("n", i+1), build, oldDefinitions()))
				}
				s.awaitShared(all...)
				before := s.quiet()
				s.foreign("m", "mystery.v9", `{}`)
				code := actor.CodeUnloadable
				if moves > 0 {
					code = actor.CodeUnknownOutcome // its last owner was not its first one
				}
				s.want(s.ask(s.message("m", "add", add{N: 1})), code)
				if parked := s.parked("m"); len(parked) != 1 {
					t.Errorf("parked: %+v", parked)
				}
				if after := s.quiet(); after-before > moves {
					t.Errorf("the partition was taken %d times, %d are allowed", after-before, moves)
				}
				s.want(s.insist(direct(s.message("m", "add", add{N: 1}))), actor.CodeUnloadable)
				if after := s.quiet(); after-before > moves {
					t.Errorf("the partition was taken %d times in the end", after-before)
				}
			})
		})
	}
}

// TestNode_NewestBuild_GetsWhatIsFree: what a node that drains gives up goes to the
// newer build, and what an old one has it keeps.
func TestNode_NewestBuild_GetsWhatIsFree(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		one := s.launchBuild("n1", oldBuild, oldDefinitions())
		two := s.launchBuild("n2", oldBuild, oldDefinitions())
		three := s.launchBuild("n3", newBuild, newDefinitions())
		s.awaitShared(one, two, three)
		kept := len(two.Status().Partitions)
		if err := one.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.quiet()
		if n, m := len(two.Status().Partitions), len(three.Status().Partitions); n != kept || n+m != partitions {
			t.Errorf("the old node has %d, the new one %d", n, m)
		}
		one = s.launchBuild("n1", newBuild, newDefinitions())
		s.awaitShared(one, two, three)
	})
}

// TestNode_RollingUpgrade replaces three nodes by those of a newer build, one after
// the other, under load on both lanes; ledgers are used from the moment on at which
// a node has them. Nothing fails, and shares are as they were.
func TestNode_RollingUpgrade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		names := []string{"n1", "n2", "n3"}
		nodes := map[string]*runtime.Node{}
		for _, name := range names {
			nodes[name] = s.launchBuild(name, oldBuild, oldDefinitions())
		}
		s.awaitShared(nodes["n1"], nodes["n2"], nodes["n3"])
		load := s.traffic(8)
		var users sync.WaitGroup
		stop := make(chan struct{})
		for i, name := range names {
			if err := nodes[name].Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			nodes[name] = s.launchBuild(name, newBuild, newDefinitions())
			s.eventually(name+" serves", func() bool { return len(nodes[name].Status().Partitions) > 0 })
			for k := 0; i == 0 && k < 8; k++ {
				users.Go(func() { s.useLedger(fmt.Sprint("l-", k), k%2 == 0, stop) })
			}
			s.pause(2 * lease)
		}
		s.awaitShared(nodes["n1"], nodes["n2"], nodes["n3"])
		close(stop)
		users.Wait()
		load.end(time.Second)
	})
}

// useLedger enters into a ledger until stop, and wants each entry to succeed.
func (s *setup) useLedger(id string, durable bool, stop <-chan struct{}) {
	for n := int64(1); ; n++ {
		select {
		case <-stop:
			if n < 20 {
				s.t.Errorf("%s has %d entries only", id, n)
			}
			return
		case <-time.After(5 * time.Millisecond):
		}
		m := s.ledgerMessage(id, "enter", actor.TypeCommand)
		if !durable {
			m = direct(m)
		}
		if o := s.insist(m); o.Code != actor.CodeOK || string(o.Reply) != fmt.Sprint(n) {
			s.t.Errorf("entry %d of %s: %+v", n, id, o)
			return
		}
	}
}

// TestNode_Knows: what the gateway of an old node asks.
func TestNode_Knows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		one := s.launchBuild("n1", oldBuild, oldDefinitions())
		s.awaitServing()
		s.bus.mute = true
		knows := func(kind actor.Kind, want bool) {
			t.Helper()
			if got, err := one.Knows(t.Context(), kind); err != nil || got != want {
				t.Errorf("knows %s: %v, %v", kind, got, err)
			}
		}
		knows("counter", true)
		knows("ledger", false)
		s.launchBuild("n2", newBuild, newDefinitions())
		s.eventually("its session is there", func() bool { _, ok := s.session("n2"); return ok })
		knows("ledger", true)
		knows("leger", false)
	})
}
