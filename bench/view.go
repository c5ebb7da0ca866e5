package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

const (
	rawEcho   = "raw insertOne until a change stream brings it, 1 in flight"
	ourNotice = "ours, a command until a subscription tells of the view's document, 1 in flight, direct"
	ourWait   = "ours, a command until View.Wait returns, 1 in flight, direct"

	viewDeadline = 30 * time.Second
	viewLook     = 50 * time.Millisecond
)

// viewScenarios measure the time from the start of a command until a view on the
// replica set shows its event.
func viewScenarios(e *environment) []scenario {
	raw := &echo{e: e, steps: 1}
	ours := func(name string, seen func(*watchedView, context.Context, *seenCommand) error) scenario {
		p := balances()
		w := &watchedView{e: e, projection: p}
		return scenario{
			name: name, inFlight: 1, ours: true, relayed: true, views: []*projection.Projection{p}, begin: w.begin,
			timed: func(ctx context.Context, _ int) (time.Duration, error) { return w.once(ctx, seen) },
		}
	}
	return []scenario{
		{name: rawEcho, inFlight: 1, begin: raw.begin, timed: raw.once},
		ours(ourNotice, (*watchedView).noticed),
		ours(ourWait, (*watchedView).waited),
	}
}

const balancesName = "balances"

// shownAccount is a document of the view: one for each account.
type shownAccount struct {
	Balance  int64         `json:"balance"`
	Deposits int64         `json:"deposits"`
	Version  actor.Version `json:"version"`
}

// balances is the view: every event changes the document of its account.
func balances() *projection.Projection {
	return projection.Define(balancesName, func(d *projection.Definition) {
		projection.On(d, accounts(), func(ctx context.Context, tx *projection.Tx, e projection.Event[deposited]) error {
			return projection.Update(ctx, tx, balancesName, e.Source.ID, func(v *shownAccount) error {
				v.Balance, v.Deposits, v.Version = v.Balance+e.Data.Amount, v.Deposits+1, e.Version
				return nil
			})
		})
	})
}

// watchedView sends commands, and sees what becomes of them in the view.
type watchedView struct {
	e          *environment
	projection *projection.Projection
	view       *projection.View
	accounts   []actor.Address
	notices    <-chan projection.Notice
}

// seenCommand is a command that was answered.
type seenCommand struct {
	account actor.Address
	version actor.Version
}

// begin has all accounts in memory and in the view, and subscribes.
func (w *watchedView) begin(ctx context.Context) (end func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, viewDeadline)
	defer cancel()
	w.view = w.e.node.View(w.projection)
	w.accounts = addressesOf("viewed", manyCount)
	if err := w.e.deposit(ctx, w.accounts, 1); err != nil {
		return nil, err
	}
	if err := w.e.awaitApplied(ctx, w.projection, manyCount+1); err != nil { // with that of settle
		return nil, err
	}
	notices, stop := w.e.node.Subscribe(w.projection, projection.Interest{Collection: balancesName})
	w.notices = notices
	select {
	case n := <-notices:
		if !n.Reset {
			err = fmt.Errorf("a subscription begins with %+v", n)
		}
	case <-ctx.Done():
		err = fmt.Errorf("subscribe: %w", context.Cause(ctx))
	}
	if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// once returns the time from the start of a command until its event was seen. Then it
// makes sure that the view shows it.
func (w *watchedView) once(ctx context.Context, seen func(*watchedView, context.Context, *seenCommand) error) (time.Duration, error) {
	c := seenCommand{account: w.accounts[rand.IntN(len(w.accounts))]}
	started := time.Now()
	m, err := actor.NewMessage(c.account, newDeposit(), actor.Direct())
	if err != nil {
		return 0, err
	}
	outcome := w.e.node.Client().Deliver(ctx, m)
	if err := outcome.Err(); err != nil {
		return 0, err
	}
	c.version = outcome.Version
	if err := seen(w, ctx, &c); err != nil {
		return 0, err
	}
	took := time.Since(started)
	doc, _, err := projection.Get[shownAccount](ctx, w.view, balancesName, c.account.ID)
	if err == nil && doc.Version != c.version {
		err = fmt.Errorf("%s was said to be seen at version %d, and is shown at %d", c.account, c.version, doc.Version)
	}
	return took, err
}

// noticed waits until the subscription tells of the account's document. There is no
// other command on the way, so that is what this one has made of it.
func (w *watchedView) noticed(ctx context.Context, c *seenCommand) error {
	for {
		select {
		case n := <-w.notices:
			if n.Reset {
				return errors.New("notices were lost")
			}
			if n.Key == c.account.ID {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("no notice of %s: %w", c.account, context.Cause(ctx))
		}
	}
}

func (w *watchedView) waited(ctx context.Context, c *seenCommand) error {
	return w.view.Wait(ctx, projection.Version(c.account, c.version))
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

// depositors is how many commands deposit has in flight.
const depositors = 250

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
