package runtime

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

func TestCommitter_Take_WaitsForCompanyWhileOthersFly(t *testing.T) {
	t.Parallel()
	clock := &stoppedClock{}
	cfg := Config{Clock: clock, Flights: 2, FlushAhead: 3, FlushPatience: 10 * time.Millisecond, FlushCommits: 4, FlushBytes: 100}
	c := newCommitter(nil, nil, &cfg)
	submit := func(n int) {
		for range n {
			c.submit(&batch{bytes: 10})
		}
	}
	expect := func(what string, commits int, wait time.Duration) {
		t.Helper()
		flush, got := c.take()
		if len(flush) != commits || got != wait {
			t.Errorf("%s: %d commits, wait %v; want %d, %v", what, len(flush), got, commits, wait)
		}
	}
	expect("nothing there", 0, 0)
	submit(1)
	expect("nothing in flight: at once", 1, 0)
	submit(2)
	clock.elapsed += 4 * time.Millisecond
	expect("one in flight, too few", 0, 6*time.Millisecond)
	submit(1)
	expect("one in flight, enough", 3, 0)
	submit(9)
	expect("all flights taken", 0, 0)
	c.landed()
	expect("up to the limit of commits", 4, 0)
	c.landed()
	c.landed()
	expect("nothing in flight again", 4, 0)
	expect("one is left over", 0, 10*time.Millisecond)
	clock.elapsed += 10 * time.Millisecond
	expect("patience is over", 1, 0)
	c.landed()
	for range 3 {
		c.submit(&batch{bytes: 60})
	}
	expect("up to the limit of bytes, or just past it", 2, 0)
}

// suspendingClock stops the process, in effect, at its first reading: time goes on
// and things happen between the reading and the next step of who reads it.
type suspendingClock struct {
	stoppedClock
	suspended func()
}

func (c *suspendingClock) Elapsed() time.Duration {
	now := c.elapsed
	if f := c.suspended; f != nil {
		c.suspended = nil
		f()
	}
	return now
}

// TestCommitter_SuspendedAfterTheLook_WritesNothing:
//
//	committer                            others
//	finds the lease valid
//	-- suspended, the lease lapses --
//	                                     a command arrives, is decided and queued
//	takes what is in the queue
func TestCommitter_SuspendedAfterTheLook_WritesNothing(t *testing.T) {
	t.Parallel()
	clock := &suspendingClock{}
	cfg := Config{Clock: clock, Flights: 2, FlushAhead: 3, FlushCommits: 4, FlushBytes: 100}
	l := newLease(clock)
	l.set(3 * time.Second)
	c := newCommitter(nil, l, &cfg)
	ctx, cancel := context.WithCancel(t.Context())
	clock.suspended = func() {
		clock.elapsed = 14 * time.Second
		c.submit(&batch{bytes: 10})
		cancel()
	}
	if flush := c.next(ctx); flush != nil {
		t.Fatalf("%d commits are written after the lease has lapsed", len(flush))
	}
	l.set(17 * time.Second)
	if flush := c.next(t.Context()); len(flush) != 1 {
		t.Errorf("%d commits are written after a renewal, want the one that waited", len(flush))
	}
}

// appended notes the commits that reach the store.
type appended struct {
	store.Commits
	all []store.Aggregate
}

func (s *appended) Append(_ context.Context, commits []store.Commit) []error {
	for i := range commits {
		s.all = append(s.all, commits[i].Aggregate)
	}
	return make([]error, len(commits))
}

// TestCommitter_PartitionLeft_WritesNothing: a batch that waited until its partition
// was given up. Its claim may be another node's by now.
func TestCommitter_PartitionLeft_WritesNothing(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(t.Context())
	owners := map[store.Aggregate]*activation{
		"counter/left": {partition: &partition{ctx: ctx}},
		"counter/kept": {partition: &partition{ctx: t.Context()}, running: true}, // nothing need be started for it
	}
	var flush []*batch
	for id, a := range owners {
		a.partition.running.Add(1)
		flush = append(flush, &batch{owner: a, commit: store.Commit{Aggregate: id}})
	}
	leave()
	s := &appended{}
	cfg := Config{Clock: &stoppedClock{}, WriteTimeout: time.Second}
	newCommitter(s, nil, &cfg).write(t.Context(), flush)
	if len(s.all) != 1 || s.all[0] != "counter/kept" {
		t.Errorf("wrote %q, want the one whose partition is served", s.all)
	}
	for id, a := range owners {
		a.partition.running.Wait()
		if left := id == "counter/left"; errors.Is(a.settlement.err, store.ErrUnknown) != left {
			t.Errorf("%s was settled with %v", id, a.settlement.err)
		}
	}
}
