package runtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

// discardStore keeps leases and no commits, so that a measurement of the node is
// not one of the store.
type discardStore struct{ store.Store }

func (discardStore) Append(_ context.Context, commits []store.Commit) []error {
	return make([]error, len(commits))
}

func (discardStore) Load(context.Context, store.Aggregate, store.Version) iter.Seq2[store.Commit, error] {
	return func(func(store.Commit, error) bool) {}
}

func (discardStore) LoadSnapshot(context.Context, store.Aggregate, string) (store.Snapshot, bool, error) {
	return store.Snapshot{}, false, nil
}

func (discardStore) SaveSnapshot(context.Context, store.Snapshot) error { return nil }

// aheadClock runs ahead of the system's by what it is told.
type aheadClock struct {
	origin time.Time
	ahead  *atomic.Int64
}

func (c aheadClock) Now() time.Time { return time.Now() }
func (c aheadClock) Elapsed() time.Duration {
	return time.Since(c.origin) + time.Duration(c.ahead.Load())
}

// bench drives a node without the cost of a bus.
type bench struct {
	*setup
	tb       testing.TB
	handlers []actor.Handler
	ahead    atomic.Int64
	data     []byte
}

func benchSetup(tb testing.TB, s store.Store, tune func(*runtime.Config)) *bench {
	tb.Helper()
	if d, ok := s.(discardStore); ok {
		d.Store = memory.New()
		s = d
	}
	b := &bench{tb: tb, setup: &setup{bus: newLogBus(partitions), store: s}}
	b.data, _ = json.Marshal(add{N: 1})
	cfg := runtime.Config{Name: "n1", SoleHolderOfName: true, Lease: 30 * time.Second, Clock: aheadClock{time.Now(), &b.ahead}}
	if tune != nil {
		tune(&cfg)
	}
	node, err := runtime.New(cfg, s, b.bus, counters(nil))
	if err != nil {
		tb.Fatal(err)
	}
	b.node = node
	go func() { _ = node.Run(context.Background()) }()
	tb.Cleanup(func() { _ = node.Close() })
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	if err := node.AwaitServing(ctx, partitions); err != nil {
		tb.Fatal(err)
	}
	for p := range actor.Partition(partitions) {
		b.handlers = append(b.handlers, b.bus.serving[p][0].handler)
	}
	return b
}

// whenDone calls a function for the outcome.
type whenDone struct {
	tb   testing.TB
	done func()
}

func (w whenDone) Respond(o actor.Outcome) {
	if o.Code != actor.CodeOK {
		w.tb.Errorf("%+v", o)
	}
	w.done()
}

// addAsync sends a command to counter i on the direct lane.
func (b *bench) addAsync(i int, done func()) {
	target := address(fmt.Sprint(i))
	m := actor.Message{
		Target: target, Lane: actor.LaneDirect, Name: "add", Data: b.data, Attempt: 1,
		ID: benchID(uint64(b.ids.Add(1))), Time: time.Now(),
	}
	b.handlers[b.bus.partitions.Of(target)].Direct(actor.Delivery{Message: m, Responder: whenDone{b.tb, done}})
}

// benchID is an id of the form that clients make, of a time that grows with n.
func benchID(n uint64) actor.CommandID {
	return actor.StampID(int64(n), 0, n) //nolint:gosec // a count
}

// rest lets every activation come to rest.
func (b *bench) rest() {
	b.tb.Helper()
	b.ahead.Add(int64(11 * time.Second))
	timer := time.NewTimer(6 * time.Second) // a sweep comes every 2.5 s
	defer timer.Stop()
	<-timer.C
}

func BenchmarkNode_Commands(b *testing.B) {
	for _, aggregates := range []int{1, 1000} {
		for name, s := range map[string]func() store.Store{
			"memory":  func() store.Store { return memory.New() },
			"discard": func() store.Store { return discardStore{} },
		} {
			b.Run(fmt.Sprintf("aggregates=%d/store=%s", aggregates, name), func(b *testing.B) {
				node := benchSetup(b, s(), nil)
				b.ReportAllocs()
				slots := make(chan struct{}, 1024)
				var wg sync.WaitGroup
				i := 0
				for b.Loop() {
					slots <- struct{}{}
					wg.Add(1)
					node.addAsync(i%aggregates, func() { <-slots; wg.Done() })
					i++
				}
				wg.Wait()
			})
		}
	}
}

func BenchmarkNode_Latency(b *testing.B) {
	node := benchSetup(b, discardStore{}, nil)
	b.ReportAllocs()
	done := make(chan struct{}, 1)
	for b.Loop() {
		node.addAsync(0, func() { done <- struct{}{} })
		<-done
	}
}

// BenchmarkNode_Activation brings aggregates with histories into memory.
func BenchmarkNode_Activation(b *testing.B) {
	for _, events := range []int{0, 100, 10_000} {
		for _, snapshot := range []bool{false, true} {
			if snapshot && events < actor.DefaultSnapshotEvery {
				continue
			}
			b.Run(fmt.Sprintf("events=%d/snapshot=%v", events, snapshot), func(b *testing.B) {
				s := memory.New()
				if events > 0 {
					writeHistory(b, s, events, snapshot)
				}
				node := benchSetup(b, s, func(c *runtime.Config) { c.MaxActivations = 2 })
				read := actor.Message{Type: actor.TypeQuery, Lane: actor.LaneDirect, Target: address("long"), Name: "sum", Time: time.Now()}
				second, third := read, read
				second.Target, third.Target = address("second"), address("third")
				done := make(chan struct{}, 1)
				ask := func(m actor.Message) {
					node.handlers[node.bus.partitions.Of(m.Target)].Direct(actor.Delivery{
						Message: m, Responder: whenDone{b, func() { done <- struct{}{} }},
					})
					<-done
				}
				b.ReportAllocs()
				for b.Loop() {
					ask(read)
					ask(second)
					ask(third) // in its place
				}
			})
		}
	}
}

func writeHistory(b *testing.B, s *memory.Store, events int, snapshot bool) {
	b.Helper()
	for v := range events {
		c := store.Commit{
			Aggregate: aggregate("long"), First: store.Version(v + 1), Time: int64(v + 1),
			Events:   []store.Event{{Name: "added.v1", Data: []byte(`{"n":1}`)}},
			Outcomes: []store.Outcome{{CommandID: string(benchID(uint64(v))), Events: 1, Reply: []byte("1")}},
		}
		if err := s.Append(b.Context(), []store.Commit{c})[0]; err != nil {
			b.Fatal(err)
		}
	}
	if !snapshot {
		return
	}
	state, _ := json.Marshal(counter{Sum: int64(events), Count: events})
	err := s.SaveSnapshot(b.Context(), store.Snapshot{
		Aggregate: aggregate("long"), Version: store.Version(events), Schema: counters(nil).Behavior().Schema(),
		State: state, Ring: []byte(`{"forgottenUntil":1,"entries":[]}`),
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkNode_IdleActivation reports the bytes that one takes at rest.
func BenchmarkNode_IdleActivation(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(float64(idleBytes(b, 100_000, 1)), "bytes/activation")
	}
}

// BenchmarkNode_MillionAggregates touches a million in turn, with room for far
// fewer, and reports the largest heap.
func BenchmarkNode_MillionAggregates(b *testing.B) {
	for b.Loop() {
		s := benchSetup(b, discardStore{}, func(c *runtime.Config) { c.MaxActivations = 20_000 })
		slots := make(chan struct{}, 1024)
		var wg sync.WaitGroup
		var most int64
		for i := range 1_000_000 {
			slots <- struct{}{}
			wg.Add(1)
			s.addAsync(i, func() { <-slots; wg.Done() })
			if i%100_000 == 0 {
				most = max(most, heapBytes())
			}
		}
		wg.Wait()
		if n := s.node.Status().Activations; n > 20_000 {
			b.Fatalf("%d activations", n)
		}
		b.ReportMetric(float64(most)/(1<<20), "heap-MiB")
	}
}
