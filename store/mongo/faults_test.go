package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/store"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

const (
	appenders  = 8
	perFault   = 15 // commits that every appender must get acknowledged before and after a fault
	faultLimit = 90 * time.Second
)

// TestAppend_Faults lets appenders write while the replica set loses its primary
// in several ways, and checks what they were told against what is stored.
func TestAppend_Faults(t *testing.T) { //nolint:tparallel // one fault at a time
	t.Parallel()
	rs := testharness.Mongo(t, 3)
	// The patient client waits out a fail-over. The other one gives up while its
	// writes are under way, so that it sees unknown outcomes and its own writes.
	database := testharness.DatabaseName(t)
	stores := []*mongostore.Store{
		open(t, rs.URI(), mongostore.Config{Database: database}),
		open(t, rs.URI(), mongostore.Config{Database: database, WriteTimeout: 150 * time.Millisecond}),
	}
	unknown := 0
	for _, fault := range []struct {
		name   string
		inject func(context.Context, *testing.T) (heal func(context.Context))
	}{
		{"primary steps down", func(ctx context.Context, t *testing.T) func(context.Context) {
			t.Helper()
			must(t, "step down", rs.StepDown(ctx))
			return func(context.Context) {}
		}},
		{"primary is killed", func(ctx context.Context, t *testing.T) func(context.Context) {
			t.Helper()
			primary := primaryOf(ctx, t, rs)
			primary.Kill()
			primaryOf(ctx, t, rs)
			return func(ctx context.Context) { must(t, "restart", primary.Restart(ctx)) }
		}},
		{"primary is paused", func(ctx context.Context, t *testing.T) func(context.Context) {
			t.Helper()
			primary := primaryOf(ctx, t, rs)
			must(t, "pause", primary.Pause())
			t.Cleanup(func() { _ = primary.Resume() }) // a test that failed before it healed
			primaryOf(ctx, t, rs)
			return func(context.Context) { must(t, "resume", primary.Resume()) }
		}},
		{"majority is killed", func(ctx context.Context, t *testing.T) func(context.Context) {
			t.Helper()
			primary := primaryOf(ctx, t, rs)
			var down []*mongod.Member
			for _, m := range rs.Members() {
				if m != primary {
					m.Kill()
					down = append(down, m)
				}
			}
			return func(ctx context.Context) {
				var wg sync.WaitGroup
				for _, m := range down {
					wg.Go(func() {
						if err := m.Restart(ctx); err != nil {
							t.Errorf("restart: %v", err)
						}
					})
				}
				wg.Wait()
			}
		}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), faultLimit)
			defer cancel()
			run := startAppenders(ctx, t, stores)
			run.await(t, perFault)
			heal := fault.inject(ctx, t)
			heal(ctx)
			run.await(t, perFault)
			unknown += run.finish(ctx, t)
		})
	}
	if unknown == 0 {
		t.Error("no append had an unknown outcome: the faults have tested little")
	}
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func primaryOf(ctx context.Context, t *testing.T, rs *mongod.ReplicaSet) *mongod.Member {
	t.Helper()
	m, err := rs.Primary(ctx)
	must(t, "find primary", err)
	return m
}

// appender writes the history of one aggregate, as its only writer.
type appender struct {
	store     *mongostore.Store
	aggregate store.Aggregate
	attempts  map[store.Version]map[string]bool // the commands that were tried with each version
	acked     map[store.Version]string
	done      atomic.Int64 // acknowledged commits

	unknowns, conflicts int
	longest             time.Duration // between two acknowledged commits
}

type appenderRun struct {
	all  []*appender
	stop chan struct{}
	wg   sync.WaitGroup
}

func startAppenders(ctx context.Context, t *testing.T, stores []*mongostore.Store) *appenderRun {
	t.Helper()
	run := &appenderRun{stop: make(chan struct{})}
	for i := range appenders {
		a := &appender{
			store:     stores[i%len(stores)],
			aggregate: store.Aggregate(fmt.Sprintf("account/%s-%d", t.Name(), i)),
			attempts:  map[store.Version]map[string]bool{}, acked: map[store.Version]string{},
		}
		run.all = append(run.all, a)
		run.wg.Go(func() { a.write(ctx, t, run.stop) })
	}
	return run
}

// write appends until stop is closed. After anything but success it reloads, as
// the runtime does.
func (a *appender) write(ctx context.Context, t *testing.T, stop <-chan struct{}) {
	t.Helper()
	last := store.Version(0)
	acknowledged := time.Now()
	for try := 0; ctx.Err() == nil; try++ {
		select {
		case <-stop:
			return
		default:
		}
		c := typicalCommit(0)
		c.Aggregate, c.First = a.aggregate, last+1
		c.Outcomes[0].CommandID = fmt.Sprintf("try-%d", try)
		if a.attempts[c.First] == nil {
			a.attempts[c.First] = map[string]bool{}
		}
		a.attempts[c.First][c.Outcomes[0].CommandID] = true
		err := a.store.Append(ctx, []store.Commit{c})[0]
		switch {
		case err == nil:
			a.acked[c.First] = c.Outcomes[0].CommandID
			a.done.Add(1)
			a.longest = max(a.longest, time.Since(acknowledged))
			acknowledged = time.Now()
			last = c.Last()
			continue
		case errors.Is(err, store.ErrConflict):
			a.conflicts++
		case errors.Is(err, store.ErrUnknown):
			a.unknowns++
		default:
			t.Errorf("append: %v", err)
			return
		}
		last = a.reload(ctx, t)
		if errors.Is(err, store.ErrConflict) && last < c.First {
			t.Errorf("%s: version %d is in conflict with nothing", a.aggregate, c.First)
		}
	}
}

// reload returns the last version, as soon as the store can say it.
func (a *appender) reload(ctx context.Context, t *testing.T) store.Version {
	t.Helper()
	for ctx.Err() == nil {
		last, err := store.Version(0), error(nil)
		for c, e := range a.store.Load(ctx, a.aggregate, 0) {
			if err = e; err == nil {
				last = c.Last()
			}
		}
		if err == nil {
			return last
		}
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("reload: %v", err)
			return 0
		}
	}
	return 0
}

// await waits until every appender has n more commits acknowledged.
func (r *appenderRun) await(t *testing.T, n int64) {
	t.Helper()
	for _, a := range r.all {
		from := a.done.Load()
		testharness.Eventually(t, faultLimit, func() bool { return a.done.Load() >= from+n || t.Failed() })
	}
}

// finish stops the appenders, compares, and returns how many outcomes were unknown.
func (r *appenderRun) finish(ctx context.Context, t *testing.T) (unknowns int) {
	t.Helper()
	close(r.stop)
	r.wg.Wait()
	conflicts, acked, longest := 0, 0, time.Duration(0)
	for _, a := range r.all {
		stored := map[store.Version]string{}
		for c, err := range a.store.Load(ctx, a.aggregate, 0) {
			must(t, "load", err)
			id := c.Outcomes[0].CommandID
			stored[c.First] = id
			if !a.attempts[c.First][id] {
				t.Errorf("%s: version %d is %q, which nobody appended", a.aggregate, c.First, id)
			}
		}
		for v, id := range a.acked {
			if stored[v] != id {
				t.Errorf("%s: version %d was acknowledged as %q and is stored as %q", a.aggregate, v, id, stored[v])
			}
		}
		unknowns, conflicts, acked, longest = unknowns+a.unknowns, conflicts+a.conflicts, acked+len(a.acked), max(longest, a.longest)
	}
	t.Logf("%d acknowledged, %d unknown, %d conflicts, longest silence %v", acked, unknowns, conflicts, longest.Round(time.Millisecond))
	return unknowns
}
