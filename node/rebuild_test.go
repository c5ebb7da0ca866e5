package node_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/projection"
	projectionmongo "github.com/ganglion-go/ganglion/projection/mongo"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

const rebuildEvents = "GANGLION_REBUILD_EVENTS"

// Bounds of what a rebuild may take where the machine is the test's own.
const (
	stoodStillMax = 5 * time.Second // of the live view
	residentMax   = 1 << 30         // bytes of the process: the test, two nodes, the NATS server
)

// A view of a long history is rebuilt while commands go on, on two nodes, a MongoDB
// replica set of three and a NATS server with files. All the while readers look at the
// live view in every way that there is, in this process and through a handle of the
// storage of their own. What they see is never missing, empty, older than what anybody
// saw or waited for before, or another sum than what its version says. Then writing
// ends, and each document is what the store's commits say, each event in it once.
//
//	GANGLION_REBUILD_EVENTS=1000000 go test -count=1 -timeout 30m -v -run 'TestNode_RebuildsUnderLoad$' ./node
//
// has a history of a million events, and the stand-still of the view and the memory of
// the process held to a bound. It runs beside no other test of the package, as it leaves
// them nothing of the machine.
func TestNode_RebuildsUnderLoad(t *testing.T) {
	r := newRebuildRun(t, testenv.Times(t, rebuildEvents, 8_000))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Duration(r.history)*time.Millisecond)
	defer cancel()
	r.open(ctx, t)
	r.begin(ctx, t)
	was := r.status(ctx, t, func(s *projection.Status) bool { return s.Done >= uint64(r.history) }) //nolint:gosec // not negative

	stop := inBackground(ctx, r.load)
	defer stop()
	r.await(t, "every reader and writer has begun", r.busy)
	r.rebuild(ctx, t, was.Generation)
	begun := r.counted()
	r.await(t, "reading and writing have gone on", func() bool { return r.counted().after(begun, 3) })
	stop()
	if t.Failed() {
		return
	}
	r.checkAll(ctx, t)
	t.Logf("longest command %v, longest read %v, longest until a command's event was shown %v",
		r.longestWrite.value(), r.longestRead.value(), r.longestWait.value())
	if os.Getenv(rebuildEvents) == "" {
		return
	}
	if d := r.longestWait.value(); d > stoodStillMax {
		t.Errorf("the view stood still for %v", d)
	}
	if r.resident > residentMax {
		t.Errorf("%d MiB in memory", r.resident>>20)
	}
}

// rebuildRun is one run of the test.
type rebuildRun struct {
	history    int // events that there are at first
	each       int // of each till
	partitions actor.Partitions
	t          *testing.T
	faults     atomic.Int64
	kind       *actor.Aggregate[till]
	view       *projection.Projection
	ledger     ledger

	store  store.Store
	nodes  []*nodes.Local
	server *testharness.NATSServer
	views  []*projection.View // the nodes', and one with a storage of its own

	seed    uint64
	writers int
	tills   []*watchedTill
	used    atomic.Int64 // how many of the tills there are: first those with a history

	writes, waits, gets, lists, snapshots  atomic.Int64
	longestWrite, longestWait, longestRead longest
	resident                               int64 // bytes at most while it was rebuilt
}

const (
	tillsMax     = 4000 // with a history
	newTillsMax  = 2000 // that come to be while the view is rebuilt
	rebuildNodes = 2
)

func newRebuildRun(t *testing.T, events int) *rebuildRun {
	t.Helper()
	n := max(min(events/10, tillsMax), 1)
	r := &rebuildRun{history: events / n * n, each: events / n, partitions: actor.DefaultPartitions, kind: tills(), t: t, seed: testenv.Seed(t)}
	if os.Getenv(rebuildEvents) == "" {
		r.partitions = 16 // each transaction has more events then
	}
	r.used.Store(int64(n))
	for i := range n + newTillsMax {
		w := &watchedTill{address: r.kind.ID(fmt.Sprintf("t-%05d", i)), live: map[actor.Version]int{}}
		if i < n {
			w.seeded = actor.Version(r.each) //nolint:gosec // not negative
			w.floor.Store(uint64(w.seeded))
		}
		r.tills = append(r.tills, w)
	}
	r.view = shownTills(r.kind, r.liveOnly)
	return r
}

// open starts everything.
func (r *rebuildRun) open(ctx context.Context, t *testing.T) {
	t.Helper()
	r.server = testharness.NATS(t, testharness.WithListener())
	cfg := node.Config{
		NATSURL: r.server.URL(), MongoURI: testharness.SharedMongo(t, 3).URI(), MongoDatabase: testharness.DatabaseName(t),
		Partitions: r.partitions, Projections: []*projection.Projection{r.view},
	}
	var wg sync.WaitGroup
	r.nodes = make([]*nodes.Local, rebuildNodes)
	for i := range r.nodes {
		cfg.Name = fmt.Sprint("n", i)
		r.nodes[i] = nodes.Standby(t, cfg, r.kind)
		wg.Go(func() {
			if err := r.nodes[i].AwaitServing(ctx, 1); err != nil {
				t.Error(err)
			}
		})
		r.views = append(r.views, r.nodes[i].View(r.view))
	}
	wg.Wait()
	s, closing, err := node.OpenStore(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closing)
	r.store = s
	own, err := projectionmongo.Open(cfg.MongoURI, projectionmongo.Config{Database: cfg.MongoDatabase})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Close(context.WithoutCancel(ctx)) })
	r.views = append(r.views, projection.NewView(own, r.view))
}

const (
	seeders   = 4
	seedBatch = 1000 // commits that are appended at once
)

// begin appends the history to the store, a commit for each event, one of each till
// after the other. The relay has it from there.
func (r *rebuildRun) begin(ctx context.Context, t *testing.T) {
	t.Helper()
	began, n := time.Now(), int(r.used.Load())
	var wg sync.WaitGroup
	for s := range seeders {
		wg.Go(func() {
			mine := r.tills[s*n/seeders : (s+1)*n/seeders]
			for v := range r.each {
				for low := 0; low < len(mine); low += seedBatch {
					if err := r.appendNext(ctx, mine[low:min(low+seedBatch, len(mine))], v+1); err != nil {
						t.Errorf("seed: %v", err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Logf("%d events of %d tills seeded in %v", r.history, n, time.Since(began))
}

// appendNext appends the event of that version to each of the tills.
func (r *rebuildRun) appendNext(ctx context.Context, tills []*watchedTill, version int) error {
	commits := make([]store.Commit, len(tills))
	for i, w := range tills {
		e, err := r.kind.Behavior().Encode(entered{Amount: int64(version)})
		if err != nil {
			return err
		}
		commits[i] = store.Commit{
			Aggregate: store.Aggregate(w.address.String()), First: store.Version(version), //nolint:gosec // not negative
			Partition: store.Partition(r.partitions.Of(w.address)), Time: time.Now().UnixMicro(),
			Outcomes: []store.Outcome{{CommandID: string(actor.DeriveID(time.Now(), w.address.String(), strconv.Itoa(version))), Events: 1, Reply: []byte("1")}},
			Events:   []store.Event{{Name: e.Name, Data: e.Data}},
		}
	}
	for i, err := range r.store.Append(ctx, commits) {
		if err != nil {
			return fmt.Errorf("%s at %d: %w", commits[i].Aggregate, version, err)
		}
	}
	return nil
}

// rebuild orders a rebuild and sees it through.
func (r *rebuildRun) rebuild(ctx context.Context, t *testing.T, was uint64) {
	t.Helper()
	r.resetLongest()
	before, began, resident := r.counted(), time.Now(), residentBytes()
	if err := r.nodes[0].Projections().Rebuild(ctx, r.view.Name()); err != nil {
		t.Fatal(err)
	}
	var frozen, last time.Time // first and last look that found the view frozen
	done := r.status(ctx, t, func(s *projection.Status) bool {
		r.resident = max(r.resident, residentBytes())
		if s.Rebuild != nil && s.Rebuild.Phase == projection.PhaseFreezing {
			last = time.Now()
			if frozen.IsZero() {
				frozen = last
			}
		}
		return s.Rebuild == nil && s.Generation > was
	})
	took := time.Since(began)
	is := r.counted()
	t.Logf("%d events rebuilt in %v, %.0f/s, seen frozen for %v of it; meanwhile %v; %d MiB in memory at most, %d before",
		done.Done, took.Round(time.Millisecond), float64(done.Done)/took.Seconds(), last.Sub(frozen).Round(time.Millisecond), is.since(before), r.resident>>20, resident>>20)
	if !is.after(before, 1) {
		t.Errorf("reading and writing did not go on: %v", is.since(before))
	}
}

// status waits until the state of the projection is as wanted.
func (r *rebuildRun) status(ctx context.Context, t *testing.T, wanted func(*projection.Status) bool) projection.Status {
	t.Helper()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		s, err := r.nodes[0].Projections().Show(ctx, r.view.Name())
		switch {
		case err == nil && s.Parked > 0:
			t.Fatalf("%d events are parked", s.Parked)
		case r.faults.Load() >= faultsTold:
			t.Fatal("given up")
		case err == nil && wanted(&s):
			return s
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("%+v, rebuild %+v, %v: %v", s, s.Rebuild, err, context.Cause(ctx))
		}
	}
}

// faultsTold bounds what is told of what is wrong.
const faultsTold = 20

func (r *rebuildRun) fault(format string, args ...any) {
	if r.faults.Add(1) <= faultsTold {
		r.t.Errorf(format, args...)
	}
}

func (r *rebuildRun) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	testharness.Eventually(t, time.Minute, func() bool {
		if t.Failed() {
			t.Fatalf("given up: %s", what)
		}
		return holds()
	})
}

// residentBytes is what the process has in memory, 0 where that cannot be told.
func residentBytes() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10
}
