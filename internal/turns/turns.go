// Package turns orders what may end the process, so that it can be told what did.
package turns

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// Turns are many at a time for what only may end the process, and one alone for what is
// suspected of it, in the order in which they are asked for. Safe for concurrent use.
type Turns struct{ all *semaphore.Weighted }

const most = 1 << 20 // at a time; more than there are partitions of commands and projections

// New returns turns of which none is taken.
func New() Turns { return Turns{semaphore.NewWeighted(most)} }

// Take waits for a turn. It ends with the cause of ctx.
func (t Turns) Take(ctx context.Context, alone bool) (release func(), err error) {
	weight := int64(1)
	if alone {
		weight = most
	}
	if err := t.all.Acquire(ctx, weight); err != nil {
		return nil, context.Cause(ctx)
	}
	return func() { t.all.Release(weight) }, nil
}
