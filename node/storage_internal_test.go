package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// brokenServer is an embedded server whose disk can be made to fail.
type brokenServer struct {
	mu         sync.Mutex
	writeError error
	startError error
	heals      bool // a start makes the server write again
	starts     []time.Time
}

func (b *brokenServer) frozen() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.writeError
}

// set changes what the server does.
func (b *brokenServer) set(change func(*brokenServer)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

// begun returns when the server was started.
func (b *brokenServer) begun() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.starts)
}

func (b *brokenServer) restart(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.starts = append(b.starts, time.Now())
	if b.startError == nil && b.heals {
		b.writeError = nil
	}
	return b.startError
}

// disk is what a test's disk has free.
type disk struct {
	free  atomic.Uint64
	total uint64
}

func newDisk(free, total uint64) *disk {
	d := &disk{total: total}
	d.free.Store(free)
	return d
}

func watched(server *brokenServer, d *disk) *storage {
	return &storage{server: server, logger: slog.New(slog.DiscardHandler), space: func() (free, total uint64, err error) { return d.free.Load(), d.total, nil }}
}

// pass lets virtual time go by.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-t.Context().Done():
		t.Fatal("test ended")
	case <-time.After(d):
	}
}

// commandRefused asks what a caller is told, without anybody behind the guard.
func commandRefused(t *testing.T, s *storage) bool {
	t.Helper()
	g := guarded{silent{}, s}
	got := g.Deliver(t.Context(), actor.Message{Type: actor.TypeCommand}).Code == actor.CodeStorageFull
	if queued := errors.Is(g.Enqueue(t.Context(), actor.Message{}), actor.ErrStorageFull); queued != got {
		t.Errorf("a command that is waited for is refused: %v, one that is not: %v", got, queued)
	}
	if g.Deliver(t.Context(), actor.Message{Type: actor.TypeQuery}).Code == actor.CodeStorageFull {
		t.Error("a query is refused")
	}
	return got
}

type silent struct{}

func (silent) Deliver(context.Context, actor.Message) actor.Outcome { return actor.Outcome{} }
func (silent) Enqueue(context.Context, actor.Message) error         { return nil }

func TestStorage_FullDisk_RefusesBeforeTheNextLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(1<<30, 1<<30)
		server := &brokenServer{}
		s := watched(server, d)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.run(ctx) }()
		pass(t, time.Second)
		if commandRefused(t, s) {
			t.Error("refused on an empty disk")
		}
		d.free.Store(0)
		pass(t, storageFresh)
		if !commandRefused(t, s) {
			t.Error("a command in the moment after the disk is full is not refused")
		}
		pass(t, time.Second)
		if !errors.Is(s.current().fault, ErrStorageFull) || !commandRefused(t, s) {
			t.Errorf("fault %v", s.current().fault)
		}
		d.free.Store(storageReserve + 1) // not enough by far: it would be full again at once
		pass(t, time.Second)
		if s.current().fault == nil {
			t.Error("a little space ends the refusals")
		}
		d.free.Store(2 * storageReserve)
		pass(t, time.Second)
		if s.current().fault != nil || commandRefused(t, s) || len(server.begun()) != 0 {
			t.Errorf("space is there: fault %v, %d starts", s.current().fault, len(server.begun()))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestStorage_FailedWrite_StartsTheServerAgain, not before there is space, and with
// growing pauses as long as it does not help.
func TestStorage_FailedWrite_StartsTheServerAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(0, 1<<30)
		server := &brokenServer{writeError: errors.New("no space")}
		s := watched(server, d)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.run(ctx) }()
		pass(t, time.Minute)
		if len(server.begun()) != 0 {
			t.Errorf("%d starts on a full disk", len(server.begun()))
		}
		d.free.Store(1 << 29)
		pass(t, 10*time.Minute)
		if n := len(server.begun()); n < 5 || n > 15 {
			t.Errorf("%d starts in 10 minutes, of a server that goes on failing", n)
		}
		if !commandRefused(t, s) {
			t.Error("a server that stores nothing is given commands")
		}
		server.set(func(b *brokenServer) { b.heals = true })
		pass(t, 2*time.Minute)
		if s.current().fault != nil || commandRefused(t, s) {
			t.Errorf("after a start that helped: %v", s.current().fault)
		}
		cancel()
		<-done
	})
}

// TestStorage_ServerThatDoesNotStart_EndsTheProcess, which a supervisor starts again.
func TestStorage_ServerThatDoesNotStart_EndsTheProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &brokenServer{writeError: errors.New("input/output error"), startError: errors.New("cannot read")}
		s := watched(server, newDisk(1<<30, 1<<30))
		begin := time.Now()
		err := s.run(t.Context())
		if !errors.Is(err, ErrStorageFailed) || !errors.Is(err, server.startError) {
			t.Errorf("run returned %v", err)
		}
		if took := time.Since(begin); took < healWithin || took > 2*healWithin {
			t.Errorf("after %v", took)
		}
	})
}

// TestStorage_InACluster_OthersStore: a node whose own disk is full goes on taking
// commands as long as the cluster stores them.
func TestStorage_InACluster_OthersStore(t *testing.T) {
	t.Parallel()
	others := true
	s := watched(&brokenServer{}, newDisk(0, 1<<30))
	s.others = func(context.Context) bool { return others }
	for _, want := range []bool{false, true} {
		now := s.look(t.Context(), storageState{}, nil)
		s.state.Store(&now)
		if got := commandRefused(t, s); got != want || s.current().fault == nil {
			t.Errorf("others store: %v; refused: %v, fault %v", others, got, s.current().fault)
		}
		others = false
	}
}
