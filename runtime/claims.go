package runtime

import (
	"context"
	"errors"
	"fmt"
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

// sight is how an observer sees: its own name, the time of its reading, and
// since when its own lease has been valid without a gap.
type sight struct {
	self     string
	now      time.Duration
	unbroken time.Duration
}

// silent takes in what was read and returns the sessions that may be declared
// dead: their beat has stood still for deadAfter, and all that time the reader's
// own renewals succeeded. Time during which it could not renew does not count: a
// store that stalls makes nobody dead, however soon after it is back the reader
// comes to look.
func (o *observer) silent(sessions []store.Session, at sight, deadAfter time.Duration) []store.Session {
	next := make(map[string]observed, len(sessions))
	var dead []store.Session
	for _, s := range sessions {
		if s.Name == at.self || s.Dead {
			continue
		}
		was, ok := o.seen[s.Name]
		if !ok || !sameBeat(was.session, s) {
			was = observed{session: s, since: at.now}
		}
		next[s.Name] = was
		if at.now-max(was.since, at.unbroken) >= deadAfter {
			dead = append(dead, s)
		}
	}
	o.seen = next
	return dead
}

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

// claim takes partitions, and serves them, until the incarnation ends or is
// cordoned. claimed is closed when no partition will be added any more.
func (in *incarnation) claim(context.Context) {
	defer close(in.claimed)
	others := &observer{}
	for in.claiming.Err() == nil {
		if err := in.claimOnce(in.claiming, others); err != nil && in.claiming.Err() == nil {
			in.cfg.Logger.Warn("partitions not claimed", "error", err)
		}
		select {
		case <-in.claiming.Done():
		case <-time.After(in.renewEvery()):
		}
	}
}

// cordon ends the taking of claims, and waits until the round that may be
// under way is over. Without the wait, a partition that this round has won would
// begin to be served after its drain was to have ended.
func (in *incarnation) cordon(ctx context.Context) error {
	in.stopClaiming()
	if !in.opened.Load() {
		return nil
	}
	select {
	case <-in.claimed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cordon: %w", context.Cause(ctx))
	}
}

func (in *incarnation) claimOnce(ctx context.Context, others *observer) error {
	if !in.lease.valid() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, in.cfg.WriteTimeout)
	defer cancel()
	in.reap()
	// Claims are read before sessions. The other way round, a node that opens its
	// session after ours were read, and claims before theirs are, would look like
	// one without a session, and its fresh claim would be taken from it while its
	// lease is valid. A claim's session exists before the claim does, so one that
	// is missing from a later reading has ended.
	claims, err := in.store.Claims(ctx)
	if err != nil {
		return err
	}
	sessions, err := in.store.Sessions(ctx)
	if err != nil {
		return err
	}
	unbroken, ok := in.lease.unbroken()
	if !ok {
		return nil // it lapsed while the store was asked
	}
	at := sight{self: in.cfg.Name, now: in.cfg.Clock.Elapsed(), unbroken: unbroken}
	for _, s := range others.silent(sessions, at, in.deadAfter()) {
		err := in.store.DeclareDead(ctx, s)
		in.cfg.Logger.WarnContext(ctx, "session declared dead", "node", s.Name, "incarnation", s.Incarnation, "error", err)
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

// drop stops a partition, and only then lets it be claimed again: were it the
// other way round, the claim loop could serve it anew beside the old activations.
// Two loops drop; the second one must not take the successor off the map.
func (in *incarnation) drop(p *partition, cause error) {
	p.stop(cause)
	in.mu.Lock()
	if in.partitions[p.id] == p {
		delete(in.partitions, p.id)
	}
	in.mu.Unlock()
}

// serveConcurrently bounds the subscriptions that are set up at once.
const serveConcurrently = 16

// take claims partitions and starts to serve those that were won.
func (in *incarnation) take(ctx context.Context, want []store.Claim) error {
	held, err := in.store.TakeClaims(ctx, in.session, want)
	if len(held) == 0 {
		return err
	}
	stream, last, headErr := in.bus.Head(ctx)
	if headErr != nil {
		return headErr // the claims are this session's; the next round serves them
	}
	var starting sync.WaitGroup
	slots := make(chan struct{}, serveConcurrently)
	for _, c := range held {
		slots <- struct{}{}
		starting.Go(func() {
			defer func() { <-slots }()
			in.start(ctx, newPartition(in, c, stream, last))
		})
	}
	starting.Wait()
	in.cfg.Logger.InfoContext(ctx, "partitions claimed", "taken", len(held), "wanted", len(want), "serving", len(in.served()))
	return err
}

// start serves a partition. One that cannot be served is left for the next round.
func (in *incarnation) start(ctx context.Context, p *partition) {
	if err := p.serve(ctx); err != nil {
		in.cfg.Logger.WarnContext(ctx, "partition not served", "partition", uint32(p.id), "error", err)
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
		in.cfg.Logger.WarnContext(ctx, "watermarks not saved", "error", err)
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
		err := in.bus.Trim(bounded, p.id, p.stream, w)
		cancel()
		if err != nil {
			in.cfg.Logger.DebugContext(ctx, "commands not trimmed", "partition", uint32(p.id), "error", err)
			return
		}
		p.trimmed, p.trimmedAt = w, now
	}
}

// drain hands everything back: it takes no more claims, brings what has arrived
// to its end, and releases the claims. What is not done when ctx ends is left to
// the next owner. The session goes on, so that the answers can leave.
func (in *incarnation) drain(ctx context.Context) error {
	if err := in.cordon(ctx); err != nil {
		return err
	}
	served := in.served()
	faults := make([]error, len(served))
	var draining sync.WaitGroup
	for i, p := range served {
		draining.Go(func() {
			bounded, cancel := context.WithTimeout(ctx, in.cfg.DrainTimeout)
			defer cancel()
			faults[i] = p.drain(bounded)
		})
	}
	draining.Wait()
	return errors.Join(errors.Join(faults...), in.release(ctx, served))
}

func (in *incarnation) release(ctx context.Context, served []*partition) error {
	if len(served) == 0 {
		return nil
	}
	claims := make([]store.Claim, len(served))
	for i, p := range served {
		_, claims[i] = p.progress()
	}
	if err := in.store.ReleaseClaims(ctx, claims); err != nil {
		return fmt.Errorf("release claims: %w", err)
	}
	for i, p := range served {
		p.saved(claims[i].Watermark)
	}
	return nil
}

// end removes the session. Claims that could not be released are free then, so
// nothing of the incarnation may run any more. A renewal that came after it
// would find the session lost.
func (in *incarnation) end(ctx context.Context) error {
	if err := in.store.EndSession(ctx, in.session); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}
