package runtime

import (
	"context"

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

// dropLost stops partitions whose claim is no longer this session's. It does not wait
// for their handlers: outcomes of others wait for the next saving.
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
