package runtime

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// incarnation is one life of a node: a session in the store, from its opening
// until it is ended or lost, and all that rests on it.
type incarnation struct {
	cfg          *Config
	store        store.Store
	bus          Bus
	behaviors    map[actor.Kind]*actor.Behavior
	shortestIdle time.Duration

	ctx    context.Context //nolint:containedctx // the life of the incarnation, which outlives every call
	cancel context.CancelCauseFunc

	session   store.Session // as opened: the beat in it is the first
	lease     *lease
	gate      *gate
	hybrid    *hybridClock
	committer *committer
	snapshots *snapshotter
	memory    *memory

	mu         sync.Mutex
	partitions map[actor.Partition]*partition
	cordoned   bool // takes no more claims
}

func newIncarnation(ctx context.Context, n *Node) *incarnation {
	in := &incarnation{
		cfg: &n.cfg, store: n.store, bus: n.bus, behaviors: n.behaviors, hybrid: n.hybrid,
		lease:      newLease(n.cfg.Clock, n.cfg.Lease),
		committer:  newCommitter(n.store, &n.cfg),
		snapshots:  newSnapshotter(n.store, &n.cfg),
		memory:     &memory{cfg: &n.cfg},
		partitions: map[actor.Partition]*partition{},
	}
	in.gate = &gate{lease: in.lease, clock: n.cfg.Clock, listener: &n.cfg.Listener}
	in.shortestIdle = min(restingAfter, n.cfg.PassivateAfter)
	for _, b := range n.behaviors {
		if after := b.PassivateAfter(); after > 0 {
			in.shortestIdle = min(in.shortestIdle, after)
		}
	}
	in.session = store.Session{
		Name: n.cfg.Name, Incarnation: rand.Text(), Beat: 1,
		Address: n.cfg.Address, Build: n.cfg.Build, Kinds: n.kinds(),
	}
	in.ctx, in.cancel = context.WithCancelCause(ctx)
	return in
}

// live opens the session, serves, and returns why it ended. When it returns,
// nothing of the incarnation runs.
func (in *incarnation) live() error {
	defer in.cancel(ErrClosed)
	if err := in.open(); err != nil {
		return err
	}
	in.cfg.Logger.Info("session opened", "node", in.cfg.Name, "incarnation", in.session.Incarnation)
	var parts sync.WaitGroup
	for _, part := range []func(context.Context){
		in.renew, in.claim, in.saveWatermarks, in.passivate, in.committer.run, in.snapshots.run,
	} {
		parts.Go(func() { part(in.ctx) })
	}
	<-in.ctx.Done()
	in.lease.revoke()
	in.gate.close()
	in.stopAll(context.Cause(in.ctx))
	parts.Wait()
	return context.Cause(in.ctx)
}

func (in *incarnation) stopAll(cause error) {
	var stopping sync.WaitGroup
	for _, p := range in.served() {
		stopping.Go(func() { p.stop(cause) })
	}
	stopping.Wait()
}

// served returns the partitions that the node holds.
func (in *incarnation) served() []*partition {
	in.mu.Lock()
	defer in.mu.Unlock()
	ps := make([]*partition, 0, len(in.partitions))
	for _, p := range in.partitions {
		ps = append(ps, p)
	}
	slices.SortFunc(ps, func(a, b *partition) int { return int(a.id) - int(b.id) })
	return ps
}

// open makes the session, and first sees to one that a predecessor left.
func (in *incarnation) open() error {
	beats := 0
	var seen *store.Session
	var since time.Duration
	for {
		old, err := in.predecessor()
		switch {
		case err != nil:
			seen = nil // a store that does not answer makes nobody dead
		case old == nil || old.Dead:
			if err := in.openOver(old); err == nil || in.ctx.Err() != nil {
				return err
			}
		case in.cfg.SoleHolderOfName:
			if in.store.DeclareDead(in.ctx, *old) == nil {
				continue
			}
		case seen == nil || !sameBeat(*seen, *old):
			if seen != nil {
				beats++
			}
			seen, since = old, in.cfg.Clock.Elapsed()
		case in.cfg.Clock.Elapsed()-since >= in.deadAfter():
			_ = in.store.DeclareDead(in.ctx, *old)
			seen = nil
		}
		if beats > 2 {
			return fmt.Errorf("%q: %w", in.cfg.Name, ErrNameInUse)
		}
		if err := in.pause(in.renewEvery()); err != nil {
			return err
		}
	}
}

func (in *incarnation) openOver(old *store.Session) error {
	ctx, cancel := context.WithTimeout(in.ctx, in.cfg.WriteTimeout)
	defer cancel()
	sent := in.cfg.Clock.Elapsed()
	err := in.store.OpenSession(ctx, in.session, old)
	if err != nil {
		// It may have been written all the same.
		if now, readErr := in.predecessor(); readErr != nil || now == nil || now.Incarnation != in.session.Incarnation || now.Dead {
			in.cfg.Logger.Warn("session not opened", "error", err)
			return err
		}
	}
	in.lease.renewed(sent)
	return nil
}

// predecessor returns the session that the store has under the node's name.
func (in *incarnation) predecessor() (*store.Session, error) {
	ctx, cancel := context.WithTimeout(in.ctx, in.cfg.Lease)
	defer cancel()
	sessions, err := in.store.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range sessions {
		if s.Name == in.cfg.Name {
			return &s, nil
		}
	}
	return nil, nil //nolint:nilnil // no session is not a failure
}

func sameBeat(a, b store.Session) bool { return a.Incarnation == b.Incarnation && a.Beat == b.Beat }

func (in *incarnation) renewEvery() time.Duration { return in.cfg.Lease / 6 }

// deadAfter is how long a beat must stand still before its session may be
// declared dead: the lease, and a margin for clocks that run at different rates
// and for what lies between the reading of a clock and the sending of a renewal.
func (in *incarnation) deadAfter() time.Duration { return in.cfg.Lease + in.cfg.Lease/6 }

// pause waits, and returns the incarnation's end if that comes first.
func (in *incarnation) pause(d time.Duration) error {
	select {
	case <-in.ctx.Done():
		return context.Cause(in.ctx)
	case <-time.After(d):
		return nil
	}
}

// renew keeps the session alive until ctx ends, or ends the incarnation when the
// session is lost.
func (in *incarnation) renew(ctx context.Context) {
	session := in.session
	for in.pause(in.renewEvery()) == nil {
		attempt, cancel := context.WithTimeout(ctx, in.cfg.Lease)
		sent := in.cfg.Clock.Elapsed()
		err := in.store.Renew(attempt, session)
		if err != nil {
			err = in.reviewRenewal(attempt, &session, err)
		}
		cancel()
		switch {
		case err == nil:
			session.Beat++
			in.lease.renewed(sent)
			in.gate.reopened()
		case errors.Is(err, errSessionLost):
			in.cancel(errSessionLost)
		default:
			in.cfg.Logger.Warn("session not renewed", "error", err)
		}
		if f := in.cfg.Listener.Renewed; f != nil {
			f(in.cfg.Clock.Elapsed()-sent, err)
		}
	}
}

// reviewRenewal finds out what a renewal that did not succeed has come to. A
// renewal can take effect late: it then moves the beat although its call failed,
// which is no reason to give the session up. It returns nil if this renewal is
// known to have been written, which can only have been after it was sent.
func (in *incarnation) reviewRenewal(ctx context.Context, session *store.Session, cause error) error {
	sessions, err := in.store.Sessions(ctx)
	if err != nil {
		return cause
	}
	for _, s := range sessions {
		if s.Name != session.Name || s.Incarnation != session.Incarnation || s.Dead {
			continue
		}
		switch {
		case s.Beat == session.Beat+1 && !errors.Is(cause, store.ErrLost):
			return nil
		case s.Beat != session.Beat:
			session.Beat = s.Beat // a late one was written; the next renewal goes on from it
		}
		return cause
	}
	return errSessionLost
}
