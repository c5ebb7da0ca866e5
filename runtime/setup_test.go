package runtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

// counter is the aggregate of these tests.
type counter struct {
	Sum   int64
	Count int
}

type (
	add struct {
		actor.Replies[int64]
		N int64 `json:"n"`
	}
	added struct {
		N int64 `json:"n"`
	}
	raiseThenReject struct{ actor.Replies[actor.None] }
	explode         struct{ actor.Replies[actor.None] }
	bloat           struct {
		actor.Replies[actor.None]
		Bytes int `json:"bytes"`
	}
	bloated struct{ Fill string }
	sum     struct{ actor.Replies[int64] }
	hold    struct{ actor.Replies[actor.None] }
)

var errNegative = actor.Reject("negative", "the sum would be negative")

func (c *counter) add(ctx *actor.Context, a add) (int64, error) {
	if c.Sum+a.N < 0 {
		return 0, errNegative.With("sum", c.Sum).With("version", ctx.Version()).With("limit", int64(1<<53+1))
	}
	if a.N != 0 {
		ctx.Raise(added{N: a.N})
	}
	return c.Sum, nil
}

func (c *counter) raiseThenReject(ctx *actor.Context, _ raiseThenReject) (actor.None, error) {
	ctx.Raise(added{N: 1000})
	return actor.None{}, errNegative
}

func (c *counter) explode(ctx *actor.Context, _ explode) (actor.None, error) {
	ctx.Raise(added{N: 5000})
	panic("boom")
}

func (c *counter) bloat(ctx *actor.Context, b bloat) (actor.None, error) {
	ctx.Raise(bloated{Fill: string(make([]byte, b.Bytes))})
	return actor.None{}, nil
}

func (c *counter) added(e added)     { c.Sum += e.N; c.Count++ }
func (c *counter) bloated(e bloated) { c.Count++ }

func (c *counter) sum(*actor.QueryContext, sum) (int64, error) { return c.Sum, nil }

// counters returns the definition; held blocks the hold command until it is closed.
func counters(held <-chan struct{}, options ...func(*actor.Definition[counter])) *actor.Aggregate[counter] {
	return actor.Define("counter", func(d *actor.Definition[counter]) {
		actor.On(d, (*counter).add)
		actor.On(d, (*counter).raiseThenReject)
		actor.On(d, (*counter).explode)
		actor.On(d, (*counter).bloat)
		actor.On(d, func(*counter, *actor.Context, hold) (actor.None, error) {
			<-held
			return actor.None{}, nil
		})
		actor.Apply(d, (*counter).added)
		actor.Apply(d, (*counter).bloated)
		actor.Query(d, (*counter).sum)
		d.Rejections(errNegative)
		for _, o := range options {
			o(d)
		}
	})
}

// bubble runs a test in virtual time (testing/synctest): hours take
// milliseconds, a busy machine delays nothing, and a goroutine that outlives the
// test fails it. Nodes are closed by their cleanup, which runs in the bubble.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

// virtualClock is the bubble's clock. Outside of one it is the system's.
type virtualClock struct{ origin time.Time }

func (virtualClock) Now() time.Time           { return time.Now() }
func (c virtualClock) Elapsed() time.Duration { return time.Since(c.origin) }

const (
	partitions = 4
	lease      = 600 * time.Millisecond
	deadAfter  = lease + lease/6 // after which others take over
)

type setup struct {
	t     *testing.T
	bus   *logBus
	store store.Store // that the nodes use
	tune  func(*runtime.Config)
	defs  []actor.Registrable
	node  *runtime.Node // started last
	done  chan error    // its Run
	ids   atomic.Int64
}

func newSetup(t *testing.T, s store.Store, tune func(*runtime.Config), defs ...actor.Registrable) *setup {
	t.Helper()
	su := prepare(t, s, tune, defs...)
	su.start("n1")
	return su
}

// newPair is newSetup with a second node, n2, with which the first one shares.
func newPair(t *testing.T, s store.Store, tune func(*runtime.Config)) (su *setup, first *runtime.Node) {
	t.Helper()
	su = newSetup(t, s, tune)
	first = su.node
	su.launch("n2")
	su.awaitShared(first, su.node)
	return su, first
}

// prepare is newSetup without a node.
func prepare(t *testing.T, s store.Store, tune func(*runtime.Config), defs ...actor.Registrable) *setup {
	t.Helper()
	if s == nil {
		s = memory.New()
	}
	if len(defs) == 0 {
		defs = []actor.Registrable{counters(nil)}
	}
	return &setup{t: t, bus: newLogBus(partitions), store: s, tune: tune, defs: defs}
}

// start runs a node and waits until it serves everything.
func (s *setup) start(name string) {
	s.t.Helper()
	s.launch(name)
	s.awaitServing()
}

// launch runs a node.
func (s *setup) launch(name string) {
	s.t.Helper()
	cfg := runtime.Config{
		Name: name, SoleHolderOfName: true, Lease: lease,
		WatermarkEvery: 20 * time.Millisecond, TrimEvery: 20 * time.Millisecond,
		Clock: virtualClock{time.Now()},
	}
	if s.tune != nil {
		s.tune(&cfg)
	}
	node, err := runtime.New(cfg, s.store, s.bus, s.defs...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.node, s.done = node, make(chan error, 1)
	done := s.done
	go func() { done <- node.Run(context.Background()) }()
	s.t.Cleanup(func() { _ = node.Close() })
}

func (s *setup) awaitServing() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	if err := s.node.AwaitServing(ctx, partitions); err != nil {
		s.t.Fatal(err)
	}
}

// awaitShared waits until each node serves its share, by rendezvous hashing, and
// nothing else.
func (s *setup) awaitShared(nodes ...*runtime.Node) {
	s.t.Helper()
	var names []string
	for _, n := range nodes {
		names = append(names, n.Status().Name)
	}
	want := map[string][]actor.Partition{}
	for p := range actor.Partition(s.bus.partitions) {
		name := placement.Highest(names, store.Partition(p))
		want[name] = append(want[name], p)
	}
	s.eventually(fmt.Sprintf("shares are %v", want), func() bool {
		for i, n := range nodes {
			var serves []actor.Partition
			for _, p := range n.Status().Partitions {
				serves = append(serves, p.Partition)
			}
			if !slices.Equal(serves, want[names[i]]) {
				return false
			}
		}
		return true
	})
}

// restart closes the node and starts its successor on the same store and bus.
func (s *setup) restart() {
	s.t.Helper()
	if err := s.node.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.start("n1")
}

// eventually waits until a condition holds.
func (s *setup) eventually(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			s.t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// pause lets time pass.
func (s *setup) pause(d time.Duration) { <-time.After(d) }

// reply takes outcomes. It keeps the first few: a delivery has one, a command
// that is read again by another owner has one from each.
type reply chan actor.Outcome

func (r reply) Respond(o actor.Outcome) {
	select {
	case r <- o:
	default:
	}
}

func address(id string) actor.Address { return actor.Address{Kind: "counter", ID: id} }

func (s *setup) nextID() actor.CommandID {
	return actor.StampID(time.Now().UnixMilli(), 0, uint64(s.ids.Add(1)))
}

func (s *setup) message(id, name string, payload any) actor.Message {
	data, err := json.Marshal(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	return actor.Message{Target: address(id), ID: s.nextID(), Name: name, Data: data, Time: time.Now(), Attempt: 1}
}

// send hands a message to the bus and returns where its outcome will arrive.
func (s *setup) send(m actor.Message) reply {
	s.t.Helper()
	r := make(reply, 16)
	if m.Type == actor.TypeCommand && m.Lane == actor.LaneDurable {
		s.bus.publish(m, r)
	} else if !s.bus.direct(m, r) {
		s.t.Fatalf("nobody serves %s", m.Target)
	}
	return r
}

func (s *setup) await(r reply) actor.Outcome {
	s.t.Helper()
	select {
	case o := <-r:
		return o
	case <-time.After(10 * time.Minute):
		s.t.Fatal("no outcome")
		return actor.Outcome{}
	}
}

func (s *setup) ask(m actor.Message) actor.Outcome {
	s.t.Helper()
	return s.await(s.send(m))
}

func (s *setup) add(id string, n int64) actor.Outcome {
	s.t.Helper()
	return s.ask(s.message(id, "add", add{N: n}))
}

// unanswered fails the test if an outcome has arrived, or arrives within d.
func (s *setup) unanswered(r reply, d time.Duration) {
	s.t.Helper()
	select {
	case o := <-r:
		s.t.Fatalf("answered too early: %+v", o)
	case <-time.After(d):
	}
}

// want fails the test unless the outcome has the code.
func (s *setup) want(o actor.Outcome, code actor.Code) actor.Outcome {
	s.t.Helper()
	if o.Code != code {
		s.t.Fatalf("outcome %q: %+v; want %q", o.Code, o, code)
	}
	return o
}

func (s *setup) read(id string) (int64, actor.Version) {
	s.t.Helper()
	o := s.ask(actor.Message{Type: actor.TypeQuery, Lane: actor.LaneDirect, Target: address(id), Name: "sum", Time: time.Now()})
	if o.Code != actor.CodeOK {
		s.t.Fatalf("read: %+v", o)
	}
	var v int64
	if err := json.Unmarshal(o.Reply, &v); err != nil {
		s.t.Fatal(err)
	}
	return v, o.Version
}

func direct(m actor.Message) actor.Message {
	m.Lane = actor.LaneDirect
	return m
}

// commits returns an aggregate's commits as the store has them.
func (s *setup) commits(id string) []store.Commit {
	s.t.Helper()
	var all []store.Commit
	for c, err := range s.store.Load(s.t.Context(), aggregate(id), 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func aggregate(id string) store.Aggregate { return store.Aggregate(address(id).String()) }

// history returns the ids of all commands that raised events, in order. An event of a
// commit that only holds outcomes is nobody's.
func (s *setup) history(id string) []string {
	s.t.Helper()
	var ids []string
	for _, c := range s.commits(id) {
		c.OutcomeVersions(func(o *store.Outcome, v store.Version) {
			if o.Events > 0 && c.Events[v-c.First].Name != actor.EventOutcome {
				ids = append(ids, o.CommandID)
			}
		})
	}
	return ids
}

// outcomes returns what the history says of a command, and how often.
func (s *setup) outcomes(id string, command actor.CommandID) (all []store.Recorded) {
	s.t.Helper()
	for _, c := range s.commits(id) {
		c.OutcomeVersions(func(o *store.Outcome, v store.Version) {
			if o.CommandID == string(command) {
				all = append(all, store.Recorded{Outcome: *o, Version: v})
			}
		})
	}
	return all
}

// foreign writes a commit behind the node's back, as another owner would.
func (s *setup) foreign(id, event, data string) {
	s.t.Helper()
	s.foreignBy(s.nextID(), id, event, data, "0")
}

// foreignBy does so with the outcome of a command.
func (s *setup) foreignBy(command actor.CommandID, id, event, data, reply string) {
	s.t.Helper()
	all := s.commits(id)
	_, timed := command.UnixMilli()
	c := store.Commit{
		Aggregate: aggregate(id), First: 1, Time: 1,
		Events:   []store.Event{{Name: event, Data: []byte(data)}},
		Outcomes: []store.Outcome{{CommandID: string(command), Keyed: !timed, Events: 1, Reply: []byte(reply)}},
	}
	if len(all) > 0 {
		c.First, c.Time = all[len(all)-1].Last()+1, all[len(all)-1].Time+1
	}
	backing := s.store
	if h, ok := backing.(*hooked); ok {
		backing = h.Store
	}
	if err := backing.Append(s.t.Context(), []store.Commit{c})[0]; err != nil {
		s.t.Fatal(err)
	}
}

// parked returns the parked commands of an aggregate.
func (s *setup) parked(id string) []store.Parked {
	s.t.Helper()
	var all []store.Parked
	for p, err := range s.store.ListParked(s.t.Context(), aggregate(id)) {
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}
