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

// interposed is a storage that calls before with what a transaction is about to write. An
// error ends the commit.
type interposed struct {
	projection.Storage
	before func(writes []projection.Write) error
}

func (i *interposed) Begin() projection.Transaction {
	return &interposedTransaction{i.Storage.Begin(), i.before}
}

type interposedTransaction struct {
	projection.Transaction
	before func(writes []projection.Write) error
}

func (t *interposedTransaction) Commit(ctx context.Context, writes []projection.Write) ([]projection.Revision, error) {
	if err := t.before(writes); err != nil {
		return nil, err
	}
	return t.Transaction.Commit(ctx, writes)
}

// TestEngine_GoesOnSoonAfterAnOutage: pauses grow while the storage is away, and not so
// far that the view stands still for long when it is back.
func TestEngine_GoesOnSoonAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t)
		down := atomic.Bool{}
		storage := &interposed{f.storage, func([]projection.Write) error {
			if down.Load() {
				return fmt.Errorf("%w: %w", projection.ErrUnavailable, errInjected)
			}
			return nil
		}}
		p := balances(&hook{})
		_, stop := f.runOn(t, storage, projection.Config{}, p)
		defer stop()
		f.deposit("a", 1)
		f.settle(t, f.view(p))
		down.Store(true)
		f.deposit("a", 2)
		<-time.After(time.Minute)
		down.Store(false)
		back := time.Now()
		f.settle(t, f.view(p))
		if took := time.Since(back); took > 3*time.Second {
			t.Errorf("the view went on %v after the storage was back", took)
		}
		f.check(t, p)
	})
}
