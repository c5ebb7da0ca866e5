package node_test

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

// till is an aggregate whose n-th event enters n, so that whoever sees a version of it
// knows all the rest.
type till struct{ Entries int64 }

type enter struct{ actor.Replies[int64] }

type entered struct {
	Amount int64 `json:"amount"`
}

func (l *till) enter(ctx *actor.Context, _ enter) (int64, error) {
	ctx.Raise(entered{Amount: l.Entries + 1})
	return l.Entries, nil
}

func (l *till) entered(entered) { l.Entries++ }

func tills() *actor.Aggregate[till] {
	return actor.Define("till", func(d *actor.Definition[till]) {
		actor.On(d, (*till).enter)
		actor.Apply(d, (*till).entered)
	})
}

// shownTill is the document of a till.
type shownTill struct {
	Entries int64         `json:"entries"`
	Balance int64         `json:"balance"`
	Chain   uint32        `json:"chain"` // depends on the order
	Version actor.Version `json:"version"`
}

func (s *shownTill) add(amount int64, v actor.Version) {
	s.Entries++
	s.Balance += amount
	s.Chain = s.Chain*31 + uint32(amount) //nolint:gosec // it may wrap
	s.Version = v
}

// shownPartition is a document that all tills of a partition share.
type shownPartition struct {
	Entries int64 `json:"entries"`
	Balance int64 `json:"balance"`
}

const (
	tillsShown      = "tills"
	partitionsShown = "partitions"
)

func shownTills(from *actor.Aggregate[till], live func(actor.EventRecord)) *projection.Projection {
	return projection.Define("rebuilt", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[shownPartition](partitionsShown), projection.NewCollection[shownTill](tillsShown))
		projection.On(d, from, func(ctx context.Context, tx *projection.Tx, e projection.Event[entered]) error {
			err := projection.Update(ctx, tx, partitionsShown, partitionName(e.Partition), func(s *shownPartition) error {
				s.Entries++
				s.Balance += e.Data.Amount
				return nil
			})
			if err != nil {
				return err
			}
			return projection.Update(ctx, tx, tillsShown, e.Source.ID, func(s *shownTill) error {
				s.add(e.Data.Amount, e.Version)
				return nil
			})
		})
		projection.On(d, from, func(_ context.Context, _ *projection.Tx, e projection.Event[entered]) error {
			live(e.EventRecord)
			return nil
		}, projection.LiveOnly())
	})
}

// ledger knows what a till is shown with at each version.
type ledger struct {
	mu     sync.Mutex
	states []shownTill // by version
}

func (l *ledger) at(v actor.Version) shownTill {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.states == nil {
		l.states = []shownTill{{}}
	}
	for actor.Version(len(l.states)) <= v {
		next := l.states[len(l.states)-1]
		next.add(int64(len(l.states)), actor.Version(len(l.states)))
		l.states = append(l.states, next)
	}
	return l.states[v]
}

// watchedTill is a till and what is known of it from outside.
type watchedTill struct {
	address actor.Address
	seeded  actor.Version // that its history had at first
	told    atomic.Uint64 // commands whose success was told
	acked   atomic.Uint64 // highest version that was told
	floor   atomic.Uint64 // version that somebody has seen in the view or waited for

	mu   sync.Mutex
	live map[actor.Version]int // how often the handler that is LiveOnly had an event
}

// raiseTo moves a version up.
func raiseTo(at *atomic.Uint64, to uint64) {
	for is := at.Load(); is < to && !at.CompareAndSwap(is, to); is = at.Load() {
	}
}
