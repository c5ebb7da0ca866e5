package projection_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

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
		if live := t.s.live.Load(); live != 0 && writes[0].Place.Generation > live {
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
			if old := t.s.live.Swap(h.Live); old != 0 {
				t.s.swap(old, h.Live)
			}
		}
	}
	return t.Transaction.Commit(ctx, writes)
}

// Events come between the moment in which the owner of partition 0 looks at the
// checkpoints and that in which it marks them. When the view is swapped, all of the old
// one's checkpoints are marked nevertheless, and the new one is at their positions.
func TestEngine_SwapsOnlyWhenLevel(t *testing.T) {
	t.Parallel()
	f := setup(t)
	type checkpoint struct {
		Position uint64
		Frozen   bool
	}
	read := func(generation uint64) map[string]checkpoint {
		found := map[string]checkpoint{}
		at := projection.Place{Projection: "balances", Generation: generation, Collection: "_checkpoints"}
		for doc, err := range f.storage.List(context.Background(), at, projection.Range{}) {
			var cp checkpoint
			if err == nil {
				err = json.Unmarshal(doc.Data, &cp)
			}
			if err != nil {
				t.Error(err)
			}
			found[doc.Key] = cp
		}
		return found
	}
	p := balances(&hook{})
	var rebuilding atomic.Bool
	var marks, swaps atomic.Int64
	s := &watchful{
		Storage: f.storage,
		before: func(checkpoints int) {
			if n := marks.Add(1); rebuilding.Load() && (n%2 == 0 || checkpoints > 1) {
				for i := range 24 {
					f.deposit(fmt.Sprint("a", i), 1)
				}
				<-time.After(15 * time.Millisecond) // those that are not frozen yet apply them
			}
		},
		swap: func(old, now uint64) {
			swaps.Add(1)
			was, is := read(old), read(now)
			for key, cp := range was {
				if !cp.Frozen || is[key].Position != cp.Position {
					t.Errorf("partition %s: %+v was swapped for %+v", key, cp, is[key])
				}
			}
			if len(was) != partitions {
				t.Errorf("%d of %d partitions are frozen", len(was), partitions)
			}
		},
	}
	for i := range 96 { // in all partitions
		f.deposit(fmt.Sprint("a", i%24), 1)
	}
	f.runOn(t, s, config(), p)
	f.settle(t, f.view(p))
	rebuilding.Store(true)
	for range 3 {
		rebuild(t, f, p)
	}
	rebuilding.Store(false)
	if swaps.Load() != 3 {
		t.Errorf("%d swaps, want 3", swaps.Load())
	}
	f.settle(t, f.view(p))
}
