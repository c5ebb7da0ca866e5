package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/store"
)

// releaser gathers partitions that have been drained, so that one write releases
// whatever is ready.
type releaser struct {
	wake chan struct{} // capacity 1

	mu     sync.Mutex
	ready  []*partition
	faults []error // of drains and releases
}

func (r *releaser) add(p *partition, fault error) {
	r.mu.Lock()
	r.ready = append(r.ready, p)
	r.faults = keepFault(r.faults, fault)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// faultsMax bounds what is kept to be told at the end of a drain.
const faultsMax = 16

func keepFault(faults []error, err error) []error {
	if err != nil && len(faults) < faultsMax {
		faults = append(faults, err)
	}
	return faults
}

func (r *releaser) take() []*partition {
	r.mu.Lock()
	defer r.mu.Unlock()
	ready := r.ready
	r.ready = nil
	return ready
}

// handOver lets partitions come to their end, each by itself: one that is stuck
// holds up none but itself.
func (in *incarnation) handOver(ids []store.Partition) {
	for _, id := range ids {
		p := in.partition(actor.Partition(id))
		if p == nil {
			continue // it was dropped in between, and the machine is told so
		}
		in.placer.moving.Go(func() {
			ctx, cancel := context.WithTimeout(in.ctx, in.cfg.DrainTimeout)
			defer cancel()
			err := p.drain(ctx)
			if err != nil && in.ctx.Err() == nil {
				in.cfg.Logger.WarnContext(ctx, "partition handed over unfinished", "partition", uint32(p.id), "error", err)
			}
			in.releaser.add(p, err)
		})
	}
}

// release frees the claims of drained partitions, and announces it, until ctx
// ends.
func (in *incarnation) release(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-in.releaser.wake:
		}
		if in.pause(gather) != nil {
			return
		}
		if ready := in.releaser.take(); len(ready) > 0 {
			in.placer.moving.Go(func() { in.releaseOnce(ctx, ready) })
		}
	}
}

// releaseOnce leaves a claim whose release failed to the next look, which finds
// it held and not served.
func (in *incarnation) releaseOnce(ctx context.Context, ready []*partition) {
	ctx, cancel := context.WithTimeout(ctx, in.cfg.WriteTimeout)
	defer cancel()
	claims := make([]store.Claim, len(ready))
	for i, p := range ready {
		p.fearNothing()
		claims[i], _ = p.saving()
	}
	err := in.store.ReleaseClaims(ctx, claims)
	if err != nil {
		err = fmt.Errorf("release claims: %w", err)
		in.cfg.Logger.WarnContext(ctx, "claims not released", "error", err)
		in.releaser.mu.Lock()
		in.releaser.faults = keepFault(in.releaser.faults, err)
		in.releaser.mu.Unlock()
	}
	for i, p := range ready {
		if err == nil {
			p.saved(claims[i])
		}
		in.remove(p)
	}
	if err != nil {
		in.placer.lookNow()
		return
	}
	in.announceClaims(ctx, "", claims) // now, as who takes them tells it, and is to be waited for
}

// cordonSoon ends the taking of claims and lets the next renewal, which is soon,
// tell the others.
func (in *incarnation) cordonSoon() {
	in.placer.tell(func(m *placement.Machine, _ time.Duration) { m.Cordon() })
	in.askRenewal()
}

// cordon returns when everything is handed over that somebody else can take.
func (in *incarnation) cordon(ctx context.Context) error {
	in.cordonSoon()
	err := in.placer.await(ctx, in.ctx, func(m *placement.Machine) bool { return m.Idle() || !m.Peers() })
	if err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	return nil
}

// drain hands everything back: it takes no more claims, brings what has arrived
// to its end, and releases the claims. What is not done when ctx ends is left to
// the next owner. The session goes on, so that the answers can leave.
func (in *incarnation) drain(ctx context.Context) error {
	in.releaser.mu.Lock()
	in.releaser.faults = nil // earlier ones have been made good, or show again
	in.releaser.mu.Unlock()
	patience, cancel := context.WithTimeout(ctx, 2*in.deadAfter())
	defer cancel()
	if err := in.cordon(patience); err != nil && ctx.Err() == nil && in.ctx.Err() == nil {
		in.cfg.Logger.WarnContext(ctx, "not everything was handed over", "error", err)
	}
	in.placer.tell(func(m *placement.Machine, _ time.Duration) { m.Leave() })
	in.placer.lookNow()
	err := in.placer.await(ctx, in.ctx, (*placement.Machine).Idle)
	if err == nil && in.gate.verifier != nil {
		err = in.gate.verifier.flush(ctx, in.ctx) // the session must live for it
	}
	if err != nil {
		err = fmt.Errorf("drain: %w", err)
	}
	in.releaser.mu.Lock()
	defer in.releaser.mu.Unlock()
	return errors.Join(append([]error{err}, in.releaser.faults...)...)
}

// end removes the session. Claims that could not be released are free then, so
// nothing of the incarnation may run any more. A renewal that came after it
// would find the session lost.
func (in *incarnation) end(ctx context.Context) error {
	if err := in.store.EndSession(ctx, in.session); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	in.announce(ctx)
	return nil
}
