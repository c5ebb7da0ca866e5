package projectiontest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

// counter is the aggregate of the runs.
type counter struct{}

type added struct {
	N int64 `json:"n"`
}

func (*counter) added(added) {}

// tally is what the view has of each counter.
type tally struct {
	Sum     int64  `json:"sum"`
	Count   int    `json:"count"`
	Version uint64 `json:"version"`
}

func counters() *actor.Aggregate[counter] {
	return actor.Define("counter", func(d *actor.Definition[counter]) { actor.Apply(d, (*counter).added) })
}

// tallies counts events, of each counter and of all in one document.
func tallies(from *actor.Aggregate[counter]) *projection.Projection {
	return projection.Define("tallies", func(d *projection.Definition) {
		all, each, tallyUp := all(), each(), tallyUp()
		d.Collections(all, each)
		d.BatchMax(16)
		projection.On(d, from, func(ctx context.Context, tx *projection.Tx, e projection.Event[added]) error {
			if err := all.Update(ctx, tx, "count", func(n *int) error { *n++; return nil }); err != nil {
				return err
			}
			return tallyUp(ctx, tx, e)
		})
	})
}

// all has one document, each one for each counter.
func all() projection.Collection[int]    { return projection.NewCollection[int]("all") }
func each() projection.Collection[tally] { return projection.NewCollection[tally]("each") }

// tallyUp returns a handler that keeps each.
func tallyUp() func(context.Context, *projection.Tx, projection.Event[added]) error {
	each := each()
	return func(ctx context.Context, tx *projection.Tx, e projection.Event[added]) error {
		return each.Update(ctx, tx, e.Source.ID, func(l *tally) error {
			*l = tally{l.Sum + e.Data.N, l.Count + 1, uint64(e.Version)}
			return nil
		})
	}
}

const runPartitions = 4

// run is engines on one storage and one stream.
type run struct {
	handle     func() projection.Storage
	stream     *Stream
	from       *actor.Aggregate[counter]
	projection *projection.Projection
	random     *rand.Rand
}

func newRun(t *testing.T, open Open) *run {
	t.Helper()
	from := counters()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return &run{handle: open(t), stream: NewStream(runPartitions), from: from, projection: tallies(from), random: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // a test
}

func (r *run) add(n int) {
	for range n {
		r.stream.Append(r.from.ID(fmt.Sprint("c", r.random.IntN(10))), r.from, added{r.random.Int64N(100)})
	}
}

func (r *run) start(t *testing.T) (stop func()) {
	t.Helper()
	cfg := projection.Config{Tick: 50 * time.Millisecond, Backoff: 5 * time.Millisecond, BackoffMax: 100 * time.Millisecond, Keep: time.Millisecond}
	e, err := projection.New(cfg, r.handle(), r.stream, runPartitions, r.projection)
	if err != nil {
		t.Fatal(err)
	}
	return runEngine(t.Context(), e)
}

func runEngine(ctx context.Context, e *projection.Engine) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	return func() { cancel(); running.Wait() }
}

// check waits until the view has everything, and compares it with a fold.
func (r *run) check(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	v := projection.NewView(r.handle(), r.projection)
	want, count := map[string]tally{}, 0
	for _, e := range r.stream.All() {
		decoded, err := r.from.Behavior().Decode(actor.Event{Name: e.Name, Data: e.Data})
		if err != nil {
			t.Fatal(err)
		}
		was := want[e.Source.ID]
		want[e.Source.ID] = tally{was.Sum + decoded.(added).N, was.Count + 1, uint64(e.Version)}
		count++
	}
	for id, l := range want {
		if err := v.Wait(ctx, projection.Version(r.from.ID(id), actor.Version(l.Version))); err != nil {
			t.Fatalf("wait for %s at %d: %v", id, l.Version, err)
		}
	}
	got := map[string]tally{}
	for e, err := range each().List(ctx, v, projection.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		got[e.Key] = e.Value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
	if n, _, err := all().Get(ctx, v, "count"); err != nil || n != count {
		t.Errorf("%d events counted, want %d, %v", n, count, err)
	}
}

// testTwoRunners has two engines run the same partitions, and stops and starts them.
func testTwoRunners(t *testing.T, open Open) {
	r := newRun(t, open)
	stops := []func(){r.start(t), r.start(t)}
	for range 8 {
		r.add(40)
		i := r.random.IntN(2)
		stops[i]()
		stops[i] = r.start(t)
		<-time.After(time.Duration(r.random.IntN(60)) * time.Millisecond)
	}
	r.check(t)
	for _, stop := range stops {
		stop()
	}
	r.check(t)
}

// testRebuild rebuilds while events come.
func testRebuild(t *testing.T, open Open) {
	r := newRun(t, open)
	r.add(200)
	defer r.start(t)()
	defer r.start(t)()
	r.check(t)
	c := projection.NewControl(r.handle(), r.stream, r.projection)
	for range 2 {
		if err := c.Rebuild(t.Context(), "tallies"); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); ; {
			r.add(5)
			s, err := c.Show(t.Context(), "tallies")
			if err == nil && s.Rebuild == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the rebuild does not end: %+v, %v", s.Rebuild, err)
			}
			<-time.After(10 * time.Millisecond)
		}
		r.check(t)
	}
}
