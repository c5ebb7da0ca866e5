package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/turns"
	"github.com/ganglion-go/ganglion/store"
)

// incarnation is one life of a node: a session in the store, from its opening
// until it is ended or lost, and all that rests on it.
type incarnation struct {
	cfg          *Config
	store        store.Store
	bus          Bus
	behaviors    map[actor.Kind]*actor.Behavior
	performers   *performers
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

	placer    *placer
	releaser  *releaser
	skews     *skews
	savings   chan struct{} // capacity 1: held for a saving of claims. A later one must not arrive first.
	turns     turns.Turns   // of the node
	renewSoon chan struct{} // capacity 1: renew before it is time to
}

// newIncarnation returns the next life of a node. What the one before it has found
// out that its build lacks is still lacking.
func newIncarnation(ctx context.Context, n *Node, lacks []store.Lack) *incarnation {
	l := newLease(n.cfg.Clock)
	n.lives++
	in := &incarnation{
		cfg: &n.cfg, store: n.store, bus: n.bus, behaviors: n.behaviors, hybrid: n.hybrid, performers: n.performers,
		lease:      l,
		committer:  newCommitter(n.store, l, &n.cfg),
		snapshots:  newSnapshotter(n.store, &n.cfg),
		memory:     newMemory(&n.cfg, n.behaviors),
		skews:      newSkews(&n.cfg),
		partitions: map[actor.Partition]*partition{},
		renewSoon:  make(chan struct{}, 1),
		turns:      n.turns,
	}
	in.gate = &gate{lease: in.lease, clock: n.cfg.Clock, listener: &n.cfg.Listener}
	in.shortestIdle = min(restingAfter, n.cfg.PassivateAfter)
	for _, b := range n.behaviors {
		if after := b.PassivateAfter(); after > 0 {
			in.shortestIdle = min(in.shortestIdle, after)
		}
	}
	in.session = store.Session{
		Name: n.cfg.Name, Incarnation: incarnationOf(n.process, n.lives), Beat: 1,
		Address: n.cfg.Address, Build: n.cfg.Build, Kinds: n.kinds(), Lease: n.cfg.Lease, Lacks: lacks,
		Opened: n.cfg.Clock.Now().Truncate(time.Microsecond), // as stores keep it
	}
	in.ctx, in.cancel = context.WithCancelCause(ctx)
	in.placer = newPlacer(in)
	if n.cfg.Answers == AnswersVerified {
		v := newVerifier(in, func(a answer) { in.gate.send(a, in.cfg.Clock.Elapsed()) })
		in.gate.verifier, in.committer.verifier = v, v
	}
	in.releaser = &releaser{wake: make(chan struct{}, 1)}
	in.savings = make(chan struct{}, 1)
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
	running := []func(context.Context){
		in.renew, in.place, in.release, in.saveWatermarks, in.passivate, in.committer.run, in.snapshots.run,
	}
	if in.gate.verifier != nil {
		running = append(running, in.gate.verifier.run)
	}
	for _, part := range running {
		parts.Go(func() { part(in.ctx) })
	}
	<-in.ctx.Done()
	in.placer.lost()
	in.gate.close()
	in.stopAll(context.Cause(in.ctx))
	parts.Wait()
	in.placer.moving.Wait()
	if errors.Is(context.Cause(in.ctx), ErrKindsDiffer) {
		in.leaveAtOnce()
	}
	return context.Cause(in.ctx)
}

// leaveAtOnce ends the session of a node that may not go on, so that others have its
// partitions before they could declare it dead. Nothing of it runs any more.
func (in *incarnation) leaveAtOnce() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(in.ctx), in.cfg.WriteTimeout)
	defer cancel()
	if err := in.end(ctx); err != nil {
		in.cfg.Logger.Warn("session not ended", "error", err)
	}
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
		case old != nil && old.Incarnation == in.session.Incarnation && !old.Dead:
			return nil // an opening took effect late; the first renewal makes the lease
		case old == nil || old.Dead:
			if err := in.awaitRivals(); err != nil {
				return err
			}
			if err := in.openOver(old); err == nil || in.ctx.Err() != nil {
				return err
			}
		case in.cfg.SoleHolderOfName && (in.cfg.Opened == nil || in.cfg.Opened(old.Incarnation)):
			if in.store.DeclareDead(in.ctx, *old) == nil {
				continue
			}
		case seen == nil || !sameBeat(*seen, *old):
			if seen != nil {
				beats++
			}
			seen, since = old, in.cfg.Clock.Elapsed()
		case in.cfg.Clock.Elapsed()-since >= in.placer.cfg.DeadAfter(old):
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
	if in.cfg.Opening != nil {
		in.cfg.Opening(in.session.Incarnation)
	}
	sent := in.cfg.Clock.Elapsed()
	session := in.session
	session.Time = in.cfg.Clock.Now()
	err := in.store.OpenSession(ctx, session, old)
	if err != nil {
		// It may have been written all the same.
		if now, readErr := in.predecessor(); readErr != nil || now == nil || now.Incarnation != in.session.Incarnation || now.Dead {
			in.cfg.Logger.Warn("session not opened", "error", err)
			return err
		}
	}
	in.placer.renewed(sent, in.session)
	return nil
}

// predecessor returns the session that the store has under the node's name.
func (in *incarnation) predecessor() (*store.Session, error) {
	sessions, err := in.sessions()
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

func (in *incarnation) sessions() ([]store.Session, error) {
	ctx, cancel := context.WithTimeout(in.ctx, in.cfg.Lease)
	defer cancel()
	return in.store.Sessions(ctx)
}

func sameBeat(a, b store.Session) bool { return a.Incarnation == b.Incarnation && a.Beat == b.Beat }

func (in *incarnation) renewEvery() time.Duration { return in.placer.cfg.Renew }

// deadAfter is for how long others wait for this node.
func (in *incarnation) deadAfter() time.Duration { return in.placer.cfg.DeadAfter(&in.session) }

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
	in.announce(ctx)
	for early := firstRenewal; in.awaitRenewal(ctx, early); early = min(2*early, in.renewEvery()) {
		told := session
		session.Draining, session.Cut, session.Lacks = in.placer.toTell()
		started := in.cfg.Clock.Elapsed()
		err := in.renewOnce(ctx, &session)
		if errors.Is(err, store.ErrLost) {
			err = in.reviewRenewal(ctx, &session, err)
		}
		switch {
		case errors.Is(err, errSessionLost):
			in.cancel(errSessionLost)
		case err != nil && ctx.Err() == nil:
			in.cfg.Logger.WarnContext(ctx, "session not renewed", "error", err)
		}
		if news := session.Draining != told.Draining || session.Cut != told.Cut || len(session.Lacks) != len(told.Lacks); err == nil && (news || early < in.renewEvery()) {
			in.announce(ctx)
		}
		if f := in.cfg.Listener.Renewed; f != nil {
			f(in.cfg.Clock.Elapsed()-started, err)
		}
	}
}

// firstRenewal is the pause before the first renewal of a session. It doubles until it
// is the usual one: others hand over only to a node that they have seen renew, and are
// told to look at these renewals. Say they look at what the opening announces so late
// that the first renewal is there already, which they cannot know for one: then there
// is the second.
const firstRenewal = 75 * time.Millisecond

// awaitRenewal waits until it is time to renew, at most for a pause; false: ctx has
// ended.
func (in *incarnation) awaitRenewal(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(min(pause, in.renewEvery())):
	case <-in.renewSoon:
	}
	return ctx.Err() == nil
}

// askRenewal has the next renewal be soon.
func (in *incarnation) askRenewal() {
	select {
	case in.renewSoon <- struct{}{}:
	default:
	}
}

// reviewRenewal finds out why the session is not as it was expected. An earlier
// renewal whose outcome was unknown may have taken effect: it has then moved the
// beat, which is no reason to give the session up, and the renewal is made again
// on that beat, at once.
//
// It never counts a renewal by what it reads. Say one is sent at 0 s and
// written, but its answer is lost, and the next one, on the same beat, is sent
// at 3 s and lost on its way. The beat that is then read has moved, but others
// have seen it since 0 s: a lease from 3 s on would outlast what they wait for.
func (in *incarnation) reviewRenewal(ctx context.Context, session *store.Session, cause error) error {
	reading, cancel := context.WithTimeout(ctx, in.renewalAttempt())
	defer cancel()
	sessions, err := in.store.Sessions(reading)
	if err != nil {
		return cause
	}
	for _, s := range sessions {
		if s.Name != session.Name || s.Incarnation != session.Incarnation || s.Dead {
			continue
		}
		if s.Beat == session.Beat {
			return cause
		}
		session.Beat = s.Beat
		return in.renewOnce(ctx, session)
	}
	return errSessionLost
}
