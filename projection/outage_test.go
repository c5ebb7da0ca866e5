package projection_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/projection"
)

// away is a storage whose writes fail for a while.
type away struct {
	projection.Storage
	down atomic.Bool
}

func (a *away) Begin() projection.Transaction { return &awayTransaction{a.Storage.Begin(), a} }

type awayTransaction struct {
	projection.Transaction
	away *away
}

func (t *awayTransaction) Commit(ctx context.Context, writes []projection.Write) ([]projection.Revision, error) {
	if t.away.down.Load() {
		return nil, fmt.Errorf("%w: %w", projection.ErrUnavailable, errInjected)
	}
	return t.Transaction.Commit(ctx, writes)
}

// TestEngine_GoesOnSoonAfterAnOutage: pauses grow while the storage is away, and not so
// far that the view stands still for long when it is back.
func TestEngine_GoesOnSoonAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t)
		storage := &away{Storage: f.storage}
		p := balances(&hook{})
		_, stop := f.runOn(t, storage, projection.Config{}, p)
		defer stop()
		f.deposit("a", 1)
		f.settle(t, f.view(p))
		storage.down.Store(true)
		f.deposit("a", 2)
		<-time.After(time.Minute)
		storage.down.Store(false)
		back := time.Now()
		f.settle(t, f.view(p))
		if took := time.Since(back); took > 3*time.Second {
			t.Errorf("the view went on %v after the storage was back", took)
		}
		f.check(t, p)
	})
}
