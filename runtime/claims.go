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

func (in *incarnation) saveOnce(ctx context.Context) {
	var moved []*partition
	var claims []store.Claim
	for _, p := range in.served() {
		if saved, current := p.progress(); current.Watermark != saved.Watermark || current.Carry != saved.Carry {
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
			p.saved(claims[i])
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
