package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

const (
	balancesName = "balances" // of the view and of its documents

	depositors = 250 // commands that deposit has in flight

	// viewLook is the time between two looks at how far a view is, which read the
	// checkpoints of all partitions.
	viewLook = 100 * time.Millisecond
)

// shownAccount is a document of the view: one for each account.
type shownAccount struct {
	Balance  int64         `json:"balance"`
	Deposits int64         `json:"deposits"`
	Version  actor.Version `json:"version"`
}

// balances is the view: every event changes the document of its account.
func balances() *projection.Projection {
	return projection.Define(balancesName, func(d *projection.Definition) {
		d.Collections(projection.NewCollection[shownAccount](balancesName))
		projection.On(d, accounts(), func(ctx context.Context, tx *projection.Tx, e projection.Event[deposited]) error {
			return projection.Update(ctx, tx, balancesName, e.Source.ID, func(v *shownAccount) error {
				v.Balance, v.Deposits, v.Version = v.Balance+e.Data.Amount, v.Deposits+1, e.Version
				return nil
			})
		})
	})
}

// addressesOf returns accounts that no other scenario has.
func addressesOf(prefix string, n int) []actor.Address {
	kind := accounts()
	all := make([]actor.Address, n)
	for i := range all {
		all[i] = kind.ID(fmt.Sprintf("%s-%06d", prefix, i))
	}
	return all
}

// deposit makes so many deposits to each account, and never two at a time to one of
// them: each is a commit of its own.
func (e *environment) deposit(ctx context.Context, to []actor.Address, times int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for w := range min(depositors, len(to)) {
		workers.Go(func() {
			for range times {
				for i := w; i < len(to); i += depositors {
					if _, err := actor.Ask(ctx, e.node.Client(), to[i], newDeposit(), actor.Direct()); err != nil {
						cancel(fmt.Errorf("deposit to %s: %w", to[i], err))
						return
					}
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// awaitApplied waits until the live view has taken in so many events.
func (e *environment) awaitApplied(ctx context.Context, p *projection.Projection, events int64) error {
	return e.awaitView(ctx, p, func(s *projection.Status) bool { return s.Done >= uint64(events) }) //nolint:gosec // not negative
}

// awaitView looks at the state of a projection until it is as wanted.
func (e *environment) awaitView(ctx context.Context, p *projection.Projection, wanted func(*projection.Status) bool) error {
	look := time.NewTicker(viewLook)
	defer look.Stop()
	for {
		s, err := e.node.Projections().Show(ctx, p.Name())
		switch {
		case err == nil && s.Parked > 0:
			return fmt.Errorf("%s: %d events failed", p.Name(), s.Parked)
		case err == nil && wanted(&s):
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is %+v: %w", p.Name(), s, errors.Join(context.Cause(ctx), err))
		}
	}
}
