package runtime

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// observed is the last change that was seen of another node's session.
type observed struct {
	session store.Session
	since   time.Duration // Clock.Elapsed at which it was first seen so
}

// observer watches the beats of other sessions.
type observer struct {
	seen map[string]observed
}

// silent takes in what was read at now and returns the sessions that may be
// declared dead: their beat has stood still for deadAfter, while the reader's own
// lease was valid all the time. A reader whose own lease lapses must reset.
func (o *observer) silent(sessions []store.Session, self string, now, deadAfter time.Duration) []store.Session {
	next := make(map[string]observed, len(sessions))
	var dead []store.Session
	for _, s := range sessions {
		if s.Name == self || s.Dead {
			continue
		}
		was, ok := o.seen[s.Name]
		if !ok || !sameBeat(was.session, s) {
			was = observed{session: s, since: now}
		}
		next[s.Name] = was
		if now-was.since >= deadAfter {
			dead = append(dead, s)
		}
	}
	o.seen = next
	return dead
}

func (o *observer) reset() { o.seen = nil }

// takeable returns the claims, as they are, that the session may take: those of
// no session, of one that is dead, ended or replaced, and its own that it does
// not serve.
func takeable(partitions actor.Partitions, claims []store.Claim, sessions []store.Session, self string, serves func(actor.Partition) bool) []store.Claim {
	alive := make(map[string]bool, len(sessions))
	for _, s := range sessions {
		alive[s.Incarnation] = !s.Dead
	}
	known := make(map[store.Partition]store.Claim, len(claims))
	for _, c := range claims {
		known[c.Partition] = c
	}
	var want []store.Claim
	for p := range store.Partition(partitions) {
		c, ok := known[p]
		if !ok {
			c = store.Claim{Partition: p}
		}
		if serves(actor.Partition(p)) || c.Session != self && alive[c.Session] {
			continue
		}
		want = append(want, c)
	}
	return want
}

// claim takes partitions, and serves them, until ctx ends.
func (in *incarnation) claim(ctx context.Context) {
	others := &observer{}
	for {
		if err := in.claimOnce(ctx, others); err != nil && ctx.Err() == nil {
			in.cfg.Logger.Warn("partitions not claimed", "error", err)
		}
		if in.pause(in.renewEvery()) != nil {
			return
		}
	}
}

func (in *incarnation) claimOnce(ctx context.Context, others *observer) error {
	if !in.lease.valid() {
		others.reset()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, in.cfg.WriteTimeout)
	defer cancel()
	in.reap()
	sessions, err := in.store.Sessions(ctx)
	if err != nil {
		others.reset()
		return err
	}
	for _, s := range others.silent(sessions, in.cfg.Name, in.cfg.Clock.Elapsed(), in.deadAfter()) {
		err := in.store.DeclareDead(ctx, s)
		in.cfg.Logger.Warn("session declared dead", "node", s.Name, "incarnation", s.Incarnation, "error", err)
	}
	claims, err := in.store.Claims(ctx)
	if err != nil {
		return err
	}
	if in.isCordoned() {
		return nil
	}
	want := takeable(in.bus.Partitions(), claims, sessions, in.session.Incarnation, in.serves)
	if len(want) == 0 {
		return nil
	}
	return in.take(ctx, want)
}

func (in *incarnation) serves(p actor.Partition) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.partitions[p] != nil
}

func (in *incarnation) isCordoned() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.cordoned
}

// reap drops partitions whose flow of messages has failed. They are claimed, and
// served, anew.
func (in *incarnation) reap() {
	for _, p := range in.served() {
		select {
		case <-p.sub.Done():
			in.cfg.Logger.Warn("partition fell silent", "partition", uint32(p.id), "error", p.sub.Err())
			in.drop(p, p.sub.Err())
		default:
		}
	}
}

func (in *incarnation) drop(p *partition, cause error) {
	in.mu.Lock()
	delete(in.partitions, p.id)
	in.mu.Unlock()
	p.stop(cause)
}

// serveConcurrently bounds the subscriptions that are set up at once.
const serveConcurrently = 16

// take claims partitions and starts to serve those that were won.
func (in *incarnation) take(ctx context.Context, want []store.Claim) error {
	held, err := in.store.TakeClaims(ctx, in.session, want)
	if len(held) == 0 {
		return err
	}
	last, lastErr := in.bus.LastSequence(ctx)
	if lastErr != nil {
		return lastErr // the claims are this session's; the next round serves them
	}
	var starting sync.WaitGroup
	slots := make(chan struct{}, serveConcurrently)
	for _, c := range held {
		slots <- struct{}{}
		starting.Go(func() {
			defer func() { <-slots }()
			in.start(ctx, newPartition(in, c, last))
		})
	}
	starting.Wait()
	in.cfg.Logger.Info("partitions claimed", "taken", len(held), "wanted", len(want), "serving", len(in.served()))
	return err
}

// start serves a partition. One that cannot be served is left for the next round.
func (in *incarnation) start(ctx context.Context, p *partition) {
	if err := p.serve(ctx); err != nil {
		in.cfg.Logger.Warn("partition not served", "partition", uint32(p.id), "error", err)
		p.stop(err)
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
	}
}

// saveWatermarks saves how far partitions are finished, and trims the command
// stream behind that, until ctx ends.
func (in *incarnation) saveWatermarks(ctx context.Context) {
	for in.pause(in.cfg.WatermarkEvery) == nil {
		in.saveOnce(ctx)
		in.trim(ctx)
	}
}

func (in *incarnation) saveOnce(ctx context.Context) {
	var moved []*partition
	var claims []store.Claim
	for _, p := range in.served() {
		if saved, current := p.progress(); current.Watermark != saved.Watermark {
			moved, claims = append(moved, p), append(claims, current)
		}
	}
	if len(claims) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, in.cfg.WriteTimeout)
	defer cancel()
	err := in.store.SaveWatermarks(ctx, claims)
	switch {
	case err == nil:
		for i, p := range moved {
			p.saved(claims[i].Watermark)
		}
	case errors.Is(err, store.ErrLost):
		in.dropLost(ctx)
	default:
		in.cfg.Logger.Warn("watermarks not saved", "error", err)
	}
}

// dropLost stops partitions whose claim is no longer this session's.
func (in *incarnation) dropLost(ctx context.Context) {
	claims, err := in.store.Claims(ctx)
	if err != nil {
		return
	}
	epochs := make(map[store.Partition]store.Claim, len(claims))
	for _, c := range claims {
		epochs[c.Partition] = c
	}
	for _, p := range in.served() {
		held, _ := p.progress()
		if c := epochs[held.Partition]; c.Session != held.Session || c.Epoch != held.Epoch {
			in.drop(p, store.ErrLost)
		}
	}
}

func (in *incarnation) trim(ctx context.Context) {
	now := in.cfg.Clock.Elapsed()
	for _, p := range in.served() {
		saved, _ := p.progress()
		w := saved.Watermark.Sequence
		if saved.Watermark.Stream != p.stream || w <= p.trimmed || now-p.trimmedAt < in.cfg.TrimEvery {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, in.cfg.WriteTimeout)
		err := in.bus.Trim(bounded, p.id, w)
		cancel()
		if err != nil {
			in.cfg.Logger.Debug("commands not trimmed", "partition", uint32(p.id), "error", err)
			return
		}
		p.trimmed, p.trimmedAt = w, now
	}
}

// drain hands everything back: it takes no more claims, brings what has arrived
// to its end, releases the claims and ends the session. What is not done when
// ctx ends is left to the next owner.
func (in *incarnation) drain(ctx context.Context) error {
	in.mu.Lock()
	in.cordoned = true
	in.mu.Unlock()
	var draining sync.WaitGroup
	served := in.served()
	for _, p := range served {
		draining.Go(func() {
			bounded, cancel := context.WithTimeout(ctx, in.cfg.DrainTimeout)
			defer cancel()
			p.drain(bounded)
		})
	}
	draining.Wait()
	claims := make([]store.Claim, len(served))
	for i, p := range served {
		_, claims[i] = p.progress()
	}
	if err := in.store.ReleaseClaims(ctx, claims); err != nil {
		return err
	}
	for i, p := range served {
		p.saved(claims[i].Watermark)
	}
	return in.store.EndSession(ctx, in.session)
}
