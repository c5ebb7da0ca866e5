package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

const (
	rawEcho   = "raw insertOne until a change stream brings it, 1 in flight"
	ourNotice = "ours, a command until a subscription tells of the view's document, 1 in flight, direct"
	ourWait   = "ours, a command until View.Wait returns, 1 in flight, direct"

	viewDeadline = 30 * time.Second
)

// viewScenarios measure the time from the start of a command until a view on the
// replica set shows its event.
func viewScenarios(e *environment) []scenario {
	raw := &echo{e: e, steps: 1}
	noticed, waited := &watchedView{e: e, projection: balances(), subscribes: true}, &watchedView{e: e, projection: balances()}
	noticed.seen, waited.seen = noticed.noticed, waited.waited
	return []scenario{
		{name: rawEcho, inFlight: 1, begin: raw.begin, timed: raw.once},
		noticed.scenario(ourNotice),
		waited.scenario(ourWait),
	}
}

// watchedView sends commands, and sees what becomes of them in the view.
type watchedView struct {
	e          *environment
	projection *projection.Projection
	seen       func(context.Context, *seenCommand) error // waits until the view shows what the command has led to
	subscribes bool
	view       *projection.View
	accounts   []actor.Address
	notices    <-chan projection.Notice
}

// seenCommand is a command that was answered.
type seenCommand struct {
	account actor.Address
	version actor.Version
}

func (w *watchedView) scenario(name string) scenario {
	return scenario{
		name: name, inFlight: 1, ours: true, relayed: true, views: []*projection.Projection{w.projection}, begin: w.begin, timed: w.once,
	}
}

// begin has all accounts in memory and in the view.
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
	if w.subscribes {
		return w.subscribe(ctx)
	}
	return func() {}, nil
}

func (w *watchedView) subscribe(ctx context.Context) (stop func(), err error) {
	if w.notices, stop, err = w.e.node.Subscribe(w.projection, projection.Interest{Collection: balancesName}); err != nil {
		return nil, err
	}
	select {
	case n := <-w.notices:
		if n.Reset { // as every subscription begins
			return stop, nil
		}
		err = fmt.Errorf("a subscription begins with %+v", n)
	case <-ctx.Done():
		err = fmt.Errorf("subscribe: %w", context.Cause(ctx))
	}
	stop()
	return nil, err
}

// once returns the time from the start of a command until its event was seen. Then it
// makes sure that the view shows it.
func (w *watchedView) once(ctx context.Context, _ int) (time.Duration, error) {
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
	if err := w.seen(ctx, &c); err != nil {
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
