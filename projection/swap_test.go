package projection_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

// watchful is a storage that lets something happen before each write of checkpoints
// alone, such as the marks of a rebuild, and looks at each swap.
type watchful struct {
	projection.Storage
	before func(checkpoints int)
	swap   func(old, now uint64)
	live   atomic.Uint64
}

type watchfulTransaction struct {
	projection.Transaction
	s *watchful
}

func (s *watchful) Begin() projection.Transaction {
	return &watchfulTransaction{s.Storage.Begin(), s}
}

func (t *watchfulTransaction) Commit(ctx context.Context, writes []projection.Write) ([]projection.Revision, error) {
	isOther := func(w projection.Write) bool { return w.Place.Collection != "_checkpoints" }
	if len(writes) != 1 && slices.ContainsFunc(writes, isOther) {
		if live := t.s.live.Load(); writes[0].Place.Generation > live {
			<-time.After(30 * time.Millisecond) // the new one is slow to follow
		}
		return t.Transaction.Commit(ctx, writes)
	}
	switch w := &writes[0]; w.Place.Collection {
	case "_checkpoints":
		t.s.before(len(writes))
	case "_heads":
		var h struct {
			Live  uint64
			Phase projection.Phase
		}
		err := json.Unmarshal(w.Data, &h)
		if err == nil && h.Phase == projection.PhaseFreezing {
			<-time.After(300 * time.Millisecond) // the new one gets level meanwhile
		}
		if err == nil && t.s.live.Load() != h.Live {
			t.s.swap(t.s.live.Swap(h.Live), h.Live)
		}
	}
	return t.Transaction.Commit(ctx, writes)
}

// deaf is the storage of an engine that does not hear that a view is to be frozen, as
// one that is slow, or of an older build.
type deaf struct{ projection.Storage }

func (s deaf) Read(ctx context.Context, at projection.Place, keys ...string) ([]projection.Document, error) {
	docs, err := s.Storage.Read(ctx, at, keys...)
	for i := range docs {
		if at.Collection == "_heads" {
			docs[i].Data = bytes.ReplaceAll(docs[i].Data, []byte(`"phase":"freezing"`), []byte(`"phase":"building"`))
		}
	}
	return docs, err
}

// Events come between the moment in which the owner of partition 0 looks at the
// checkpoints and that in which it marks them. A runner that has heard of it leaves them
// alone, so that all are marked at once. One that has not moves some, those of other
// partitions than are marked already, more than fit into a queue. When the view is
// swapped, all of the old one's checkpoints are marked, and the new one is at their
// positions.
func TestEngine_SwapsOnlyWhenLevel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		deaf bool
		lone bool // only the last partition has a history
	}{
		{name: "all have heard"},
		{name: "one has not heard", deaf: true},
		{name: "partitions without a checkpoint", deaf: true, lone: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &swaps{fixture: setup(t), t: t}
			s.lone.Store(c.lone)
			for range 4 {
				s.depositAll()
			}
			s.run(c.deaf)
			if !c.deaf && s.marks.Load() != rebuilds {
				t.Errorf("%d transactions have marked all partitions %d times", s.marks.Load(), rebuilds)
			}
		})
	}
}

// swaps is a fixture whose views are swapped while events come.
type swaps struct {
	*fixture
	t            *testing.T
	rebuilding   atomic.Bool
	lone         atomic.Bool // until a partition is frozen, only the last one gets events
	marks, swaps atomic.Int64
}

const rebuilds = 3

func (s *swaps) run(withDeaf bool) {
	s.t.Helper()
	p, cfg := balances(&hook{}), config()
	cfg.QueueMax = 4
	if s.lone.Load() {
		cfg.SaveEvery = 1 << 20 // the place of a partition without events is not saved
	}
	if withDeaf {
		s.runOn(s.t, deaf{s.storage}, cfg, p)
	}
	w := &watchful{Storage: s.storage, before: s.mark, swap: s.swap}
	w.live.Store(1)
	s.runOn(s.t, w, cfg, p)
	s.settle(s.t, s.view(p))
	s.rebuilding.Store(true)
	for range rebuilds {
		rebuild(s.t, s.fixture, p)
	}
	s.rebuilding.Store(false)
	if s.swaps.Load() != rebuilds {
		s.t.Errorf("%d swaps, want %d", s.swaps.Load(), rebuilds)
	}
	s.settle(s.t, s.view(p))
	s.check(s.t, p)
}

// depositAll makes deposits in all partitions.
func (s *swaps) depositAll() {
	lone := s.lone.Load()
	for i := range 24 {
		id := fmt.Sprint("a", i)
		if of := actor.Partitions(partitions).Of(accounts.ID(id)); !lone || of == partitions-1 {
			s.deposit(id, 1)
		}
	}
}

// mark is called before checkpoints are marked.
func (s *swaps) mark(checkpoints int) {
	if !s.rebuilding.Load() {
		return
	}
	if n := s.marks.Add(1); n%2 == 0 || checkpoints > 1 {
		for _, cp := range s.checkpoints(1) {
			if cp.Frozen {
				s.lone.Store(false)
			}
		}
		s.depositAll()
		<-time.After(15 * time.Millisecond) // those that are not frozen yet apply them
	}
}

// storedCheckpoint is a checkpoint as a storage has it.
type storedCheckpoint struct {
	Position uint64
	Frozen   bool
}

// swap is called before the view is swapped.
func (s *swaps) swap(old, now uint64) {
	s.swaps.Add(1)
	was, is := s.checkpoints(old), s.checkpoints(now)
	for key, cp := range was {
		if !cp.Frozen || is[key].Position != cp.Position {
			s.t.Errorf("partition %s: %+v was swapped for %+v", key, cp, is[key])
		}
	}
	if len(was) != partitions {
		s.t.Errorf("%d of %d partitions are frozen", len(was), partitions)
	}
}

func (s *swaps) checkpoints(generation uint64) map[string]storedCheckpoint {
	found := map[string]storedCheckpoint{}
	at := projection.Place{Projection: "balances", Generation: generation, Collection: "_checkpoints"}
	for doc, err := range s.storage.List(context.Background(), at, projection.Range{}) {
		var cp storedCheckpoint
		if err == nil {
			err = json.Unmarshal(doc.Data, &cp)
		}
		if err != nil {
			s.t.Error(err)
		}
		found[doc.Key] = cp
	}
	return found
}
