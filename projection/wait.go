package projection

import (
	"context"
	"fmt"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Bounds of the time between two looks of [View.Wait].
const (
	firstLook   = time.Millisecond
	longestLook = 50 * time.Millisecond
)

// Wait returns nil once reads of the view show what it was told to wait for. It
// looks into the storage, soon and then less often, so it works on any node; it
// ends with the cause of ctx when that ends. An event that an operator has skipped
// counts as shown.
//
// The error is a [*ParkedError] when the event, or one before it, failed and waits for
// an operator; or when ctx ends while the engine still tries it again. It wraps
// [ErrNotFollowed] for a kind that the projection does not read, and [ErrUnavailable].
func (v *View) Wait(ctx context.Context, u Until) error {
	if u.version > 0 && !v.projection.follows(u.source.Kind) {
		return fmt.Errorf("%s of %s: %w", u.source.Kind, v.projection.name, ErrNotFollowed)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var failed *parked // an event that is tried again
	for pause := firstLook; ; pause = min(pause*3/2, longestLook) {
		select {
		case <-timer.C:
		case <-ctx.Done():
			err := fmt.Errorf("wait for %s: %w", v.projection.name, context.Cause(ctx))
			if failed != nil {
				return v.isParked(failed, err)
			}
			return err
		}
		shown, waits, err := v.shows(ctx, u)
		switch {
		case err != nil && ctx.Err() != nil: // the select says it
		case err != nil:
			return err
		case shown:
			return nil
		case waits != nil && waits.State == ParkedWaiting:
			return v.isParked(waits, nil)
		default:
			failed = waits
		}
		timer.Reset(pause)
	}
}

func (v *View) isParked(p *parked, cause error) error {
	e := &ParkedError{Projection: v.projection.name, Parked: p.shown(), cause: cause}
	e.Parked.Stack = ""
	return e
}

// shows reports whether the view shows it, and if not, what is parked in its place.
func (v *View) shows(ctx context.Context, u Until) (shown bool, waits *parked, err error) {
	if u.version > 0 {
		return v.showsVersion(ctx, u)
	}
	id := slotID(u.partition)
	if v.projection.singleton {
		id = 0
	}
	doc, found, err := v.load(ctx, checkpointsName, id.key())
	if err != nil || !found {
		return u.position == 0, nil, err
	}
	var cp checkpoint
	if err := v.store.Unmarshal(doc.Data, &cp); err != nil {
		return false, nil, fmt.Errorf("decode checkpoint: %w", err)
	}
	if max(cp.Position, cp.Passed) < u.position {
		return false, nil, nil
	}
	if cp.Parked > 0 {
		waits, err = v.parkedBefore(ctx, id, u.position)
	}
	return err == nil && waits == nil, waits, err
}

func (v *View) showsVersion(ctx context.Context, u Until) (shown bool, waits *parked, err error) {
	source := u.source.String()
	doc, found, err := v.load(ctx, appliedName, source)
	if err != nil || !found {
		return false, nil, err
	}
	var a applied
	if err := v.store.Unmarshal(doc.Data, &a); err != nil {
		return false, nil, fmt.Errorf("decode what was applied of %s: %w", u.source, err)
	}
	if a.Version < uint64(u.version) {
		return false, nil, nil
	}
	if a.Waits == 0 || uint64(u.version) < a.Waits {
		return true, nil, nil
	}
	// It may have been applied since: the next look then finds another mark.
	waits, err = v.parkedOf(ctx, u.source)
	return false, waits, err
}

// parkedOf returns what is parked of a source in the live view; nil: nothing.
func (v *View) parkedOf(ctx context.Context, source actor.Address) (*parked, error) {
	h, _, err := readHead(ctx, v.store, v.projection.name)
	if err != nil {
		return nil, err
	}
	id := slotID(0)
	if all := actor.Partitions(h.Slots); all.Valid() && !v.projection.singleton {
		id = slotID(all.Of(source))
	}
	docs, err := v.store.Read(ctx, Place{v.projection.name, h.Live, parkedName}, parkedKey(id, source.String()))
	if err != nil {
		return nil, fmt.Errorf("read what is parked of %s: %w", source, err)
	}
	if docs[0].Revision == "" {
		return nil, nil
	}
	p, err := decodeParked(v.store, docs[0])
	return &p, err
}

// parkedBefore returns a source of a slot of the live view whose first parked event is
// not behind a position; nil: none.
func (v *View) parkedBefore(ctx context.Context, id slotID, position uint64) (*parked, error) {
	live, err := v.live(ctx)
	if err != nil {
		return nil, err
	}
	for doc, err := range v.store.List(ctx, Place{v.projection.name, live, parkedName}, Range{Prefix: id.key() + "/"}) {
		if err != nil {
			return nil, fmt.Errorf("list parked of %s: %w", v.projection.name, err)
		}
		p, err := decodeParked(v.store, doc)
		if err != nil {
			return nil, err
		}
		if p.Position <= position {
			return &p, nil
		}
	}
	return nil, nil
}
