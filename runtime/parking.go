package runtime

import (
	"context"
	"errors"

	"github.com/ganglion-go/ganglion/store"
)

// Parking and its end. What is parked is a list for people: what a command comes to
// is judged by its aggregate alone, by the command's id. To retry it is to send it
// again under that id; to skip it is to send an [actor.Skip] under that id. Whoever
// does either takes it off the list once he has heard an outcome that is final.
//
//	retry meets retry        The second gets the outcome of the first, by recall. If it
//	                         panics again, both are tried, and the record replaced twice.
//	skip meets retry         Both are in the stream, and one is decided first: that is
//	                         the outcome of both. The other one says so.
//	retry meets its caller   who repeats the command himself: the same.
//	the owner dies           The retry is in the stream. The next owner decides it, or
//	                         has its outcome from the commits.
//	whoever retries dies     It is decided, and stays on the list. To retry it again
//	                         gets its outcome, and takes it off.
//	parked by the past       An owner that was paused writes its record late, after a
//	                         retry has succeeded elsewhere and was taken off. It is on
//	                         the list again; retry and skip get the outcome, as above.
//	removed meets parked     One retry panics and writes the record, then another one
//	                         succeeds, hears so, and removes it. The other way round the
//	                         panic came after a success under that id: recall excludes
//	                         it, but for the owner of the past.

// park takes a command out of the way, durably. It waits for the store as long
// as the partition is served, and returns false when that ends first: its next
// owner then reads the command again. The attempts are added to those of the record
// that it replaces. A skip is not parked: what it skips is.
func (p *partition) park(d *delivery, reason, stack string) bool {
	if d.Message.Skips() {
		return true
	}
	parked := store.Parked{
		Aggregate: store.Aggregate(d.Message.Target.String()),
		CommandID: string(d.Message.ID),
		Name:      d.Message.Name,
		Reason:    reason,
		Stack:     stack,
		Attempts:  d.panics,
		Time:      p.cfg.Clock.Now(),
		Message:   encodeParked(&d.Message),
	}
	// Read once, before the first write: that may take effect although it fails.
	err := p.retryBounded(func(ctx context.Context) error {
		earlier, _, err := p.store.FindParked(ctx, parked.Aggregate, parked.CommandID)
		parked.Attempts = d.panics + earlier.Attempts
		return err
	})
	if err != nil && !errors.Is(err, store.ErrCorrupt) { // a record that cannot be read is replaced
		return false
	}
	err = p.retryBounded(func(ctx context.Context) error {
		return p.store.Park(ctx, parked)
	})
	if err != nil {
		return false
	}
	if f := p.cfg.Listener.Parked; f != nil {
		f(d.Message.Target.Kind)
	}
	return true
}
