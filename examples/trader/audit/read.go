package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// ErrBusy says that commits kept coming: the audit is of a system at rest.
var ErrBusy = errors.New("the store does not come to rest")

// Read folds all commits of a feed. The feed has ended when nothing has come for the
// time quiet. A commit that cannot be understood is a violation, and the others are read all
// the same. see is called with each one that can; nil: not.
func Read(ctx context.Context, feed store.Feed, quiet time.Duration, see func(*store.Commit)) (*Ledger, error) {
	l := NewLedger()
	for item, err := range store.FollowUntilQuiet(ctx, feed, quiet, nil) {
		if err != nil {
			return nil, fmt.Errorf("read the store: %w", err)
		}
		if item.Unreadable != nil {
			l.unreadable(&item)
			continue
		}
		if err := l.Add(&item.Commit); err != nil {
			l.found.add(History, string(item.Commit.Aggregate), "%v", err)
		}
		if see != nil {
			see(&item.Commit)
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
	}
	return l, nil
}
