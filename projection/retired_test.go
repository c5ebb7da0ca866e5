package projection_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

// slowDrop is a storage that calls between when a generation's documents are removed
// and nobody was told yet.
type slowDrop struct {
	projection.Storage
	between func()
}

func (s *slowDrop) Drop(ctx context.Context, name string, generation uint64) error {
	err := s.Storage.Drop(ctx, name, generation)
	s.between()
	return err
}

// slowList is a storage that calls before a list begins, which knows its place then.
type slowList struct {
	projection.Storage
	before func()
}

func (s *slowList) List(ctx context.Context, at projection.Place, r projection.Range) iter.Seq2[projection.Document, error] {
	s.before()
	return s.Storage.List(ctx, at, r)
}

// A list that began before a rebuild, and goes on when the old generation's documents
// have been removed, says so and is not empty.
func TestList_OfARetiredView(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{})
	f.deposit("a", 1, 2)
	dropped, told := make(chan struct{}), make(chan struct{})
	drop, tell := sync.OnceFunc(func() { close(dropped) }), sync.OnceFunc(func() { close(told) })
	f.runOn(t, &slowDrop{f.storage, func() { drop(); <-told }}, config(), p)
	t.Cleanup(tell)
	f.settle(t, f.view(p))
	slow := &slowList{f.storage, func() {
		rebuild(t, f, p)
		select {
		case <-dropped:
		case <-time.After(20 * time.Second):
			t.Error("the old generation is not dropped")
		}
	}}
	n := 0
	var last error
	for _, err := range projection.List[balance](t.Context(), projection.NewView(slow, p), "accounts", projection.Range{}) {
		if last = err; err == nil {
			n++
		}
	}
	tell()
	if !errors.Is(last, projection.ErrRetired) {
		t.Errorf("a list has %d documents of a generation that is gone, and ends with %v", n, last)
	}
}

// ahead is a source that notes how many events were read that no handler has had.
type ahead struct {
	projection.Source
	read, handled, most atomic.Int64
}

func (a *ahead) Events(ctx context.Context, f actor.EventFilter, after uint64) iter.Seq2[actor.EventRecord, error] {
	return func(yield func(actor.EventRecord, error) bool) {
		for e, err := range a.Source.Events(ctx, f, after) {
			if err == nil && e.Name != "" {
				a.most.Store(max(a.most.Load(), a.read.Add(1)-a.handled.Load()))
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Large events that wait for a slow handler take no more memory than they may: their
// partitions have a share each.
func TestEngine_BoundsTheBytesThatWait(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const events, size, share = 100, 10 << 10, 64 << 10
	a, late := &ahead{Source: f.stream}, int64(0)
	p := projection.Define("boards", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[int]("sizes"))
		d.BatchMax(1)
		projection.On(d, boards, func(_ context.Context, tx *projection.Tx, e projection.Event[remark]) error {
			if n := a.handled.Load(); n == 0 || n == events/2 {
				<-time.After(100 * time.Millisecond)
				late = a.read.Load() - n
			}
			a.handled.Add(1)
			return tx.Put("sizes", fmt.Sprint(e.Version), len(e.Data.Text))
		})
	})
	for range events {
		f.stream.Append(boards.ID("a"), boards, remark{strings.Repeat("x", size)})
	}
	cfg := config()
	cfg.QueueBytes = partitions * share
	e, err := projection.New(cfg, f.storage, a, partitions, p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx) }()
	defer func() { cancel(); <-done }()
	f.settle(t, f.view(p))
	cancel()
	<-done
	if late < share/size-1 {
		t.Errorf("%d events wait for the one in the middle, there is room for %d", late, share/size)
	}
	if n := a.most.Load(); n > share/size+1 { // and the one that waits for room
		t.Errorf("%d events of %d bytes were read ahead, %d bytes may wait", n, size, share)
	}
}
