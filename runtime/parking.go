package runtime

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/actor"
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

// Bounds of what is kept of the reason, in bytes: a panic's value may be anything.
const (
	parkedReasonMax = 4 << 10
	parkedStackMax  = 64 << 10
)

// outOfTheWay is what has become of a command that is to be parked.
type outOfTheWay uint8

const (
	itsNextOwners outOfTheWay = iota // the partition has ended: its next owner reads the command again
	itIsParked
	itHasNoRoom // of the direct lane, where as many are parked as may be
)

// overloadedParking is the answer to a direct command for which there is no room.
func overloadedParking(reason string) actor.Outcome {
	return actor.Failure(actor.CodeOverloaded, "as many commands are parked as may be, until an operator retries or skips some; this one: "+shorten(reason, parkedReasonMax))
}

// park takes a command out of the way, durably. It waits for the store, and for room
// among what is parked, as long as the partition is served, and returns false when that
// ends first: its next owner then reads the command again. The attempts are added to
// those of the record that it replaces. A skip is not parked: what it skips is.
func (p *partition) park(d *delivery, reason, stack string) bool {
	return p.takeAside(d, reason, stack) == itIsParked
}

// takeAside is park for a command that may be of the direct lane. Nothing was promised to
// who sent that: it does not wait for room, in the way of its aggregate.
func (p *partition) takeAside(d *delivery, reason, stack string) outOfTheWay {
	if d.Message.Skips() {
		return itIsParked
	}
	m := d.Message
	if m.Timer != "" {
		m.Deadline = time.Time{} // of who sent it again: a timer has none
	}
	parked := store.Parked{
		Aggregate: store.Aggregate(m.Target.String()),
		CommandID: string(d.Message.ID),
		Name:      d.Message.Name,
		Reason:    shorten(reason, parkedReasonMax),
		Stack:     shorten(stack, parkedStackMax),
		Attempts:  int(d.panics),
		Time:      p.cfg.Clock.Now(),
		Message:   encodeParked(&m, d.waits()),
	}
	// Read once, before the first write: that may take effect although it fails.
	known := false
	err := p.retryBounded(func(ctx context.Context) error {
		earlier, found, err := p.store.FindParked(ctx, parked.Aggregate, parked.CommandID)
		known = found || errors.Is(err, store.ErrCorrupt)
		parked.Attempts = int(d.panics) + earlier.Attempts
		return err
	})
	if err != nil && !errors.Is(err, store.ErrCorrupt) { // a record that cannot be read is replaced
		return itsNextOwners
	}
	if !known {
		if room := p.awaitParkingRoom(&parked, d.Sequence > 0); room != itIsParked {
			return room
		}
	}
	err = p.retryBounded(func(ctx context.Context) error {
		return p.store.Park(ctx, parked)
	})
	if err != nil {
		return itsNextOwners
	}
	p.cfg.Logger.Error("command parked: it waits for an operator, who retries or skips it", "aggregate", parked.Aggregate,
		"name", parked.Name, "command_id", parked.CommandID, "attempts", parked.Attempts, "reason", parked.Reason)
	if f := p.cfg.Listener.Parked; f != nil {
		f(d.Message.Target.Kind)
	}
	return itIsParked
}

func shorten(s string, most int) string {
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

// Pauses while there is no room for what is to be parked.
const (
	fullPause  = time.Second
	fullRepeat = time.Minute // between two lines in the log
)

// awaitParkingRoom waits until fewer commands are parked than may be, so that this one can
// be, or until the partition is left. Nothing may be dropped to make room: a durable
// command stands in its aggregate's way, and at the end of the window in its partition's.
// Any other has no room at once.
//
// Commands of several partitions may find the last place at the same moment, and all
// take it: the bound is passed by the number of partitions at most.
func (p *partition) awaitParkingRoom(parked *store.Parked, durable bool) outOfTheWay {
	standing := false
	defer func() {
		if standing {
			p.countAwaitingRoom(-1)
		}
	}()
	var logged time.Duration
	for {
		n := 0
		err := p.retryBounded(func(ctx context.Context) (err error) {
			n, err = p.store.CountParked(ctx, p.cfg.ParkedMax)
			return err
		})
		switch {
		case err != nil:
			return itsNextOwners
		case n < p.cfg.ParkedMax:
			return itIsParked
		case !durable:
			p.cfg.Logger.Warn("a direct command is refused instead of parked: there is no room",
				"partition", uint32(p.id), "parked", n, "aggregate", parked.Aggregate, "name", parked.Name, "command_id", parked.CommandID, "reason", parked.Reason)
			return itHasNoRoom
		}
		if now := p.cfg.Clock.Elapsed(); !standing || now-logged >= fullRepeat {
			logged = now
			p.cfg.Logger.Error("as many commands are parked as may be: an aggregate stands still until an operator retries or skips some",
				"partition", uint32(p.id), "parked", n, "aggregate", parked.Aggregate, "name", parked.Name, "command_id", parked.CommandID, "reason", parked.Reason)
		}
		if !standing {
			standing = true
			p.countAwaitingRoom(1)
		}
		select {
		case <-p.ctx.Done():
			return itsNextOwners
		case <-time.After(fullPause):
		}
	}
}

// countAwaitingRoom counts commands that wait for room.
func (p *partition) countAwaitingRoom(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.awaitingRoom += n
}
