package runtime

import (
	"context"
	"errors"

	"github.com/ganglion-go/ganglion/store"
)

// saveWatermarks saves how far partitions are finished, and trims the command
// stream behind that, until ctx ends.
func (in *incarnation) saveWatermarks(ctx context.Context) {
	var trimming trimming
	for in.pause(in.cfg.WatermarkEvery) == nil {
		if due := trimming.due(in.cfg.Clock.Elapsed(), in.cfg.TrimEvery); due {
			for _, p := range in.served() {
				p.advance()
			}
			in.saveOnce(ctx)
			in.trim(ctx, &trimming)
			continue
		}
		in.saveOnce(ctx)
	}
}

// saveOnce saves whatever has changed.
func (in *incarnation) saveOnce(ctx context.Context) {
	if err := in.save(ctx, in.served()); err != nil && ctx.Err() == nil {
		in.cfg.Logger.WarnContext(ctx, "watermarks not saved", "error", err)
	}
}

// save writes what has changed of some partitions, and lets out what has waited for
// it.
//
// One write at a time: of two, the one with less in it could arrive last. One that
// was given up may still do so; then its revision is the lower one, and the store
// refuses it.
//
// Nothing of this needs the lease. The store takes a saving only from whoever holds
// the claim, at the moment of the write.
func (in *incarnation) save(ctx context.Context, partitions []*partition) error {
	select {
	case in.savings <- struct{}{}:
		defer func() { <-in.savings }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var of []*partition
	var claims []store.Claim
	for _, p := range partitions {
		if p.ctx.Err() != nil {
			continue // it is released with what it has, or its claim is lost
		}
		if claim, changed := p.saving(); changed {
			of, claims = append(of, p), append(claims, claim)
		}
	}
	if len(claims) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, min(in.cfg.WriteTimeout, in.cfg.Lease))
	defer cancel()
	err := in.store.SaveWatermarks(ctx, claims)
	switch {
	case err == nil:
		for i, p := range of {
			p.saved(claims[i])
		}
	case errors.Is(err, store.ErrLost):
		in.dropLost(ctx)
	}
	return err
}

// dropLost stops partitions whose claim is no longer this session's. It does not wait
// for their handlers: the watermarks of others wait for the next saving.
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
		if p.ctx.Err() != nil {
			continue
		}
		if c := epochs[store.Partition(p.id)]; c.Session != p.claim.Session || c.Epoch != p.claim.Epoch {
			in.placer.moving.Go(func() { in.drop(p, store.ErrLost) })
		}
	}
}
