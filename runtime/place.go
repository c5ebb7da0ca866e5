package runtime

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/store"
)

// gather is how long a round waits after it was called for, so that several
// calls make one round.
const gather = 2 * time.Millisecond

// place looks at the store and does what the machine then decides, round by
// round, until ctx ends. What other nodes tell of claims makes a round without a look.
func (in *incarnation) place(ctx context.Context) {
	stop, err := in.bus.Announced(in.heard)
	if err != nil {
		in.cfg.Logger.WarnContext(ctx, "announcements of other nodes are not heard", "error", err)
	} else {
		defer stop()
	}
	var due time.Duration // the next look, at the latest
	for look := true; ctx.Err() == nil; {
		if look {
			due = in.cfg.Clock.Elapsed() + in.placer.cfg.Look
		}
		next := min(in.round(ctx, look), due)
		look = in.awaitRound(ctx, next-in.cfg.Clock.Elapsed())
	}
}

// awaitRound reports whether the next round begins with a look.
func (in *incarnation) awaitRound(ctx context.Context, wait time.Duration) (look bool) {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(max(wait, 0)):
		return true
	case <-in.placer.wake:
		look = true
	case <-in.placer.news:
	}
	_ = in.pause(gather)
	select {
	case <-in.placer.wake:
		return true
	default:
		return look
	}
}

// round returns the time of the next one.
func (in *incarnation) round(ctx context.Context, look bool) time.Duration {
	in.reap()
	if look && in.lease.valid() {
		if err := in.look(ctx); err != nil && ctx.Err() == nil {
			in.cfg.Logger.WarnContext(ctx, "sessions and claims not read", "error", err)
		}
	}
	for {
		plan := in.placer.plan()
		died := in.declare(ctx, plan.Declare)
		in.handOver(plan.HandOver)
		in.giveUp(ctx, plan.Release)
		in.forget(ctx, plan.Forget)
		if len(plan.Take) > 0 {
			in.placer.moving.Go(func() { in.take(ctx, plan.Take) })
		}
		if !died {
			return plan.Next
		}
	}
}

// look reads claims and then sessions, in this order: see [placement.Look].
func (in *incarnation) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, in.cfg.WriteTimeout)
	defer cancel()
	look := placement.Look{Began: in.cfg.Clock.Elapsed()}
	var err error
	if look.Claims, err = in.store.Claims(ctx); err != nil {
		return err
	}
	began := in.cfg.Clock.Now()
	if look.Sessions, err = in.store.Sessions(ctx); err != nil {
		return err
	}
	in.skews.looked(ctx, began, in.cfg.Clock.Now(), look.Sessions)
	for _, p := range in.served() {
		p.checkFormerOwner(look.Sessions)
	}
	expects := false
	in.placer.tell(func(m *placement.Machine, now time.Duration) {
		m.Looked(now, look)
		expects = m.Expects()
	})
	if expects {
		in.bus.Expect()
	}
	in.yield()
	return nil
}

// declare reports whether a session was declared dead.
func (in *incarnation) declare(ctx context.Context, silent []store.Session) bool {
	died := false
	for _, s := range silent {
		bounded, cancel := context.WithTimeout(ctx, in.cfg.WriteTimeout)
		err := in.store.DeclareDead(bounded, s)
		cancel()
		if err != nil {
			in.cfg.Logger.WarnContext(ctx, "session not declared dead", "node", s.Name, "incarnation", s.Incarnation, "error", err)
		} else {
			in.cfg.Logger.WarnContext(ctx, "session declared dead", "node", s.Name, "incarnation", s.Incarnation)
			died = true
			in.placer.tell(func(m *placement.Machine, now time.Duration) { m.Declared(now, s) })
		}
	}
	if died {
		in.announce(ctx)
	}
	return died
}

// giveUp releases claims that the node holds and does not serve: their taking
// was found out too late, or their release failed. It takes them anew first, to learn
// what they carry from an earlier build: a release writes that, and would write nothing.
func (in *incarnation) giveUp(ctx context.Context, claims []store.Claim) {
	var unserved []store.Claim
	for _, c := range claims {
		if in.partition(actor.Partition(c.Partition)) == nil {
			unserved = append(unserved, c)
		}
	}
	if len(unserved) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, in.cfg.WriteTimeout)
	defer cancel()
	held, err := in.store.TakeClaims(ctx, in.session, unserved)
	if len(held) > 0 {
		err = errors.Join(err, in.store.ReleaseClaims(ctx, held))
	}
	if err != nil {
		in.cfg.Logger.WarnContext(ctx, "claims not released", "error", err)
		return
	}
	in.announce(ctx)
}

// forget removes sessions that have long been dead.
func (in *incarnation) forget(ctx context.Context, dead []store.Session) {
	for _, s := range dead {
		bounded, cancel := context.WithTimeout(ctx, in.cfg.WriteTimeout)
		err := in.store.EndSession(bounded, s)
		cancel()
		if err != nil {
			in.cfg.Logger.WarnContext(ctx, "session of a dead node not removed", "node", s.Name, "error", err)
		} else {
			in.cfg.Logger.InfoContext(ctx, "session of a dead node removed", "node", s.Name)
		}
	}
}

// partition returns one that the node holds, or nil.
func (in *incarnation) partition(id actor.Partition) *partition {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.partitions[id]
}

// reap drops partitions whose flow of messages has failed. They are claimed, and
// served, anew.
func (in *incarnation) reap() {
	for _, p := range in.served() {
		select {
		case <-p.sub.Done():
			if err := p.sub.Err(); err != nil {
				in.cfg.Logger.Warn("partition fell silent", "partition", uint32(p.id), "error", err)
				in.drop(p, err)
			}
		default:
		}
	}
}

// drop stops a partition, and only then lets it be claimed again: were it the
// other way round, it could be served anew beside the old activations.
func (in *incarnation) drop(p *partition, cause error) {
	p.stop(cause)
	in.remove(p)
}

// remove takes a stopped partition off the map. Several may want to, and only
// the one that does it tells the machine: a second one would tell it of the
// successor, which is served.
func (in *incarnation) remove(p *partition) {
	in.mu.Lock()
	removed := in.partitions[p.id] == p
	if removed {
		delete(in.partitions, p.id)
	}
	in.mu.Unlock()
	if removed {
		in.placer.left(store.Partition(p.id))
	}
}

// serveConcurrently bounds the subscriptions that are set up at once, upon one taking.
const serveConcurrently = 16

// take claims partitions and starts to serve those that were won. Several may be under
// way, as writes take long beside what else there is to do in a hand-over.
func (in *incarnation) take(ctx context.Context, want []store.Claim) {
	ctx, cancel := context.WithTimeout(ctx, in.cfg.WriteTimeout)
	defer cancel()
	started := in.cfg.Clock.Elapsed()
	end := in.streamEnd(ctx, want)
	held, err := in.store.TakeClaims(ctx, in.session, want)
	if err != nil && in.ctx.Err() == nil {
		in.cfg.Logger.WarnContext(ctx, "partitions not claimed", "error", err)
	}
	won := make(map[store.Partition]bool, len(held))
	for _, c := range held {
		won[c.Partition] = true
	}
	for _, c := range want {
		if !won[c.Partition] {
			in.placer.left(c.Partition)
		}
	}
	if len(held) > 0 {
		in.serve(ctx, held, want, end)
		in.announceClaims(ctx, in.session.Incarnation, held) // whoever hands over goes on with the next
	}
	in.cfg.Logger.InfoContext(ctx, "partitions claimed", "taken", len(held), "wanted", len(want),
		"serving", len(in.served()), "took", in.cfg.Clock.Elapsed()-started)
}

// streamEnd returns what tells where the command stream ends, up to which the former
// owners of claims may have read it. Who has released one reads no more, so the stream
// is asked while these are taken. Who was declared dead may read on until it finds out
// that its claim was taken, so it is asked after that.
func (in *incarnation) streamEnd(ctx context.Context, want []store.Claim) func() (end store.Position, err error) {
	ask := func() (store.Position, error) {
		stream, last, err := in.bus.Head(ctx)
		return store.Position{Stream: stream, Sequence: last}, err
	}
	if slices.ContainsFunc(want, func(c store.Claim) bool { return c.Session != "" }) {
		return ask
	}
	var end store.Position
	var err error
	var asking sync.WaitGroup
	asking.Go(func() { end, err = ask() })
	return func() (store.Position, error) {
		asking.Wait()
		return end, err
	}
}

// serve starts to serve partitions whose claims were taken, and which were as in before.
func (in *incarnation) serve(ctx context.Context, held, before []store.Claim, end func() (store.Position, error)) {
	head, err := end()
	if err != nil {
		// The claims are this session's; a later round takes them again.
		in.cfg.Logger.WarnContext(ctx, "partitions not served", "partitions", len(held), "error", err)
		for _, c := range held {
			in.placer.left(c.Partition)
		}
		return
	}
	var starting sync.WaitGroup
	slots := make(chan struct{}, serveConcurrently)
	taken := make(map[store.Partition]store.Claim, len(before))
	for _, c := range before {
		taken[c.Partition] = c
	}
	for _, c := range held {
		slots <- struct{}{}
		starting.Go(func() {
			defer func() { <-slots }()
			in.start(ctx, newPartition(in, c, taken[c.Partition], head.Stream, head.Sequence))
		})
	}
	starting.Wait()
}

// start serves a partition. One that cannot be served is left for the next round.
func (in *incarnation) start(ctx context.Context, p *partition) {
	err := p.recordCarried() // may take longer than ctx lasts
	if err == nil && p.claim.Carry != "" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(in.ctx, in.cfg.WriteTimeout)
		defer cancel()
	}
	if err == nil {
		err = p.serve(ctx)
	}
	if err != nil {
		in.cfg.Logger.WarnContext(ctx, "partition not served", "partition", uint32(p.id), "error", err)
		p.stop(err)
		in.placer.left(store.Partition(p.id))
		return
	}
	in.mu.Lock()
	ended := in.ctx.Err() != nil
	if !ended {
		in.partitions[p.id] = p
	}
	in.mu.Unlock()
	if ended {
		p.stop(context.Cause(in.ctx))
		return
	}
	p.relay()
	in.placer.took(store.Partition(p.id))
}
