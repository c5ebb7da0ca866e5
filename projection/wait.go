package projection

import (
	"context"
	"fmt"
	"time"
)

// Bounds of the time between two looks of [View.Wait].
const (
	firstLook   = time.Millisecond
	longestLook = 50 * time.Millisecond
)

// Wait returns nil once reads of the view show what it was told to wait for. It
// looks into the storage, soon and then less often, so it works on any node; it
// ends with the cause of ctx when that ends. Events that were parked count as
// shown. The error wraps [ErrNotFollowed] for a kind that the projection does not
// read, and [ErrUnavailable].
func (v *View) Wait(ctx context.Context, u Until) error {
	if u.version > 0 && !v.projection.follows(u.source.Kind) {
		return fmt.Errorf("%s of %s: %w", u.source.Kind, v.projection.name, ErrNotFollowed)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for pause := firstLook; ; pause = min(pause*3/2, longestLook) {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", v.projection.name, context.Cause(ctx))
		}
		shown, err := v.shows(ctx, u)
		if err != nil || shown {
			return err
		}
		timer.Reset(pause)
	}
}

func (v *View) shows(ctx context.Context, u Until) (bool, error) {
	if u.version > 0 {
		data, found, err := v.load(ctx, appliedName, u.source.String())
		if err != nil || !found {
			return false, err
		}
		var a applied
		if err := v.store.Unmarshal(data, &a); err != nil {
			return false, fmt.Errorf("decode what was applied of %s: %w", u.source, err)
		}
		return a.Version >= uint64(u.version), nil
	}
	id := slotID(u.partition)
	if v.projection.singleton {
		id = 0
	}
	data, found, err := v.load(ctx, checkpointsName, id.key())
	if err != nil || !found {
		return u.position == 0, err
	}
	var cp checkpoint
	if err := v.store.Unmarshal(data, &cp); err != nil {
		return false, fmt.Errorf("decode checkpoint: %w", err)
	}
	return max(cp.Position, cp.Passed) >= u.position, nil
}
