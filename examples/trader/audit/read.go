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
// time quiet. report is called with the number of commits, at each of them; nil: not.
func Read(ctx context.Context, feed store.Feed, quiet time.Duration, report func(commits int)) (*Ledger, error) {
	l := NewLedger()
	for item, err := range store.FollowUntilQuiet(ctx, feed, quiet, nil) {
		if err == nil {
			err = item.Unreadable
		}
		if err != nil {
			return nil, fmt.Errorf("read the store: %w", err)
		}
		if err := l.Add(&item.Commit); err != nil {
			return nil, err
		}
		if report != nil {
			report(l.Commits)
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
	}
	return l, nil
}
