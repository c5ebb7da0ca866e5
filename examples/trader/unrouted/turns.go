package unrouted

import (
	"context"
	"hash/maphash"
)

// stripes is far above the number of requests in flight, so that two aggregates
// hardly ever share one.
const stripes = 1 << 14

// turns lets one request at a time change an aggregate, within one server.
type turns struct {
	seed  maphash.Seed
	slots []chan struct{}
}

func newTurns() *turns {
	t := &turns{seed: maphash.MakeSeed(), slots: make([]chan struct{}, stripes)}
	for i := range t.slots {
		t.slots[i] = make(chan struct{}, 1)
	}
	return t
}

// take waits for the aggregate's turn and returns what ends it. The error is the
// cause of ctx's end.
func (t *turns) take(ctx context.Context, id string) (func(), error) {
	slot := t.slots[maphash.String(t.seed, id)%stripes]
	select {
	case slot <- struct{}{}:
		return func() { <-slot }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
