package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// A commit that cannot be read holds its aggregate and nothing else: it, and what the
// feed brings of the aggregate later, is passed over, and a record says so before
// anything behind it is appended. The relay tries again to load the history from there;
// once it can, because what is stored was mended or a newer build reads it, or an
// operator has given the commit up, it appends all of the history that there is, in
// order. So the event stream never has a version of an aggregate without the one before.
//
// The events of a release have the mark of the place in the feed where the relay is. That
// may be before the commits that they are of: nothing was appended since those were
// passed over, and the relay has begun anew. So the record stays, and says up to which
// version the feed is to be passed over, until something is appended behind them.
//
// What of the history is in the event stream already, only the stream says:
//
//	relay A                                relay B
//	is paused as it writes the record
//	                                       writes it, releases all, removes it
//	writes it: held from version 4
//	                                       begins anew, finds the record, looks at the
//	                                       stream: version 9 is there. Nothing to release
type heldHistory struct {
	Stream   string        `json:"stream"`             // incarnation of the event stream that Released is about
	From     store.Version `json:"from,omitempty"`     // of the commit that cannot be read; 0: nothing is held any more
	Next     store.Version `json:"next,omitempty"`     // first version of the commit behind that; 0: not known
	Released store.Version `json:"released,omitempty"` // last version that the stream has, whatever the feed brings again; 0: none
}

// heldNow is a held history, and what this session of the relay knows of it.
type heldNow struct {
	heldHistory
	reason string
	since  time.Time
	passed store.Version // first version of the newest commit that the feed has brought
	newest store.Version // first version of the last commit that was released
	caught bool          // the feed has brought everything that there was at the release
}

// WaitsHistory is why the events of an aggregate wait: one of its commits cannot be read.
const WaitsHistory actor.Code = "unreadable_commit"

// The ids under which an aggregate's held history is parked, and the word of an operator
// that the commit that cannot be read is given up.
const (
	heldHistoryID = "ganglion.unreadable-commit"
	givenUpID     = "ganglion.unreadable-commit.skip"
)

// encodeHeld returns the stored form.
func encodeHeld(h *heldHistory) []byte {
	r := parkedMessage{Format: parkedFormat, Waits: string(WaitsHistory), History: h}
	return r.encode()
}

// decodeHeld is the inverse; false: it is another record.
func decodeHeld(p *store.Parked) (heldHistory, bool) {
	var r parkedMessage
	if p.CommandID != heldHistoryID || json.Unmarshal(p.Message, &r) != nil || r.History == nil {
		return heldHistory{}, false
	}
	return *r.History, true
}

// fits returns an error, which wraps [store.ErrCorrupt], for a commit with an event that
// the event stream cannot take, or of an address that there cannot be: it is held as one
// that cannot be read.
func (s *relaying) fits(c *store.Commit) error {
	if _, err := actor.ParseAddress(string(c.Aggregate)); err != nil {
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	bounded, ok := s.outbox.(interface{ MaxEventBytes() int })
	if !ok {
		return nil
	}
	most := bounded.MaxEventBytes()
	for i := range c.Events {
		if n := len(c.Events[i].Data); n > most {
			return fmt.Errorf("an event of %d bytes, the event stream takes %d: %w", n, most, store.ErrCorrupt)
		}
	}
	return nil
}

// passOver reports whether the item is not to be relayed, because its aggregate is held, or
// it was released before the feed has brought it. It has that written down before it returns.
func (s *relaying) passOver(ctx context.Context, item *store.FeedItem) (bool, error) {
	c := &item.Commit
	if item.Unreadable == nil {
		if item.Unreadable = s.fits(c); item.Unreadable != nil {
			item.Last = c.Last()
		}
	}
	h := s.held[c.Aggregate]
	switch {
	case h != nil && c.First <= h.Released:
	case h != nil && h.From > 0 && c.First > h.From:
		if h.Next == 0 {
			is := h.heldHistory
			is.Next = c.First
			if err := s.writeHeld(ctx, c.Aggregate, is, nil); err != nil {
				return false, err
			}
		}
	case item.Unreadable != nil && (h == nil || h.From == 0 || c.First < h.From):
		is := heldHistory{Stream: s.stream, From: max(c.First, 1)}
		if item.Last >= c.First && c.First > 0 {
			is.Next = item.Last + 1
		}
		if h != nil {
			is.Released = h.Released
		}
		if err := s.writeHeld(ctx, c.Aggregate, is, item.Unreadable); err != nil {
			return false, err
		}
	case item.Unreadable != nil || h != nil && h.From > 0 && c.First == h.From:
	default:
		return false, nil
	}
	h = s.held[c.Aggregate]
	h.passed = max(h.passed, c.First)
	if s.begun.aggregate == c.Aggregate {
		s.begun = begunCommit{} // what of it is in the stream, the release finds out
	}
	if s.known != nil {
		delete(s.known.last, keyOf(string(c.Aggregate)))
		s.rescanned()
	}
	return true, nil
}

// writeHeld writes the record of a held history. The first time it waits for room.
func (s *relaying) writeHeld(ctx context.Context, a store.Aggregate, is heldHistory, why error) error {
	h := s.held[a]
	fresh := h == nil
	if fresh {
		h = &heldNow{since: time.Now()}
	}
	reason := h.reason
	if why != nil {
		reason = shorten(fmt.Sprintf("version %d cannot be read, and its events and all later ones of the aggregate wait: %v", is.From, why), parkedReasonMax)
		s.cfg.Logger.ErrorContext(ctx, "a commit cannot be read: its events and the later ones of its aggregate wait", "aggregate", a, "version", is.From, "error", why)
	}
	p := store.Parked{
		Aggregate: a, CommandID: heldHistoryID, Name: heldHistoryID, Attempts: 1, Time: h.since, Reason: reason, Message: encodeHeld(&is),
	}
	if fresh {
		if err := s.awaitParkingRoom(ctx, &p); err != nil {
			return err
		}
	}
	if err := s.store.Park(ctx, p); err != nil {
		return fmt.Errorf("park a held history: %w", err)
	}
	if f := s.cfg.Listener.Parked; f != nil && fresh {
		f(kindOf(a))
	}
	h.heldHistory, h.reason = is, reason
	s.held[a] = h
	s.countHistories()
	return nil
}

func kindOf(a store.Aggregate) actor.Kind {
	address, err := actor.ParseAddress(string(a))
	if err != nil {
		return KindUnreadable
	}
	return address.Kind
}

// findHeld notes the record of a held history. What was released into another event
// stream was not into this one.
func (s *relaying) findHeld(p *store.Parked) {
	h, held := decodeHeld(p)
	if !held {
		return
	}
	if h.Stream != s.stream {
		h.Stream, h.Released = s.stream, 0
	}
	s.held[p.Aggregate] = &heldNow{heldHistory: h, reason: p.Reason, since: p.Time}
}

func (s *relaying) countHistories() {
	n := 0
	for _, h := range s.held {
		if h.From > 0 {
			n++
		}
	}
	s.progress.mu.Lock()
	defer s.progress.mu.Unlock()
	s.progress.heldHistories = n
}

// releaseHistories tries to go on with each aggregate that is held. During a rescan it does
// not: what the stream had when that began is what the rescan goes by.
func (s *relaying) releaseHistories(ctx context.Context) error {
	if s.known != nil {
		return nil
	}
	before := s.last
	for _, a := range slices.Sorted(maps.Keys(s.held)) {
		if s.held[a].From == 0 {
			continue
		}
		if err := s.releaseHistory(ctx, a, s.held[a]); err != nil {
			return err
		}
	}
	if s.last == before {
		return nil
	}
	return s.forgetReleased(ctx)
}

// releaseHistory appends all there is of the history of an aggregate, if it can be read
// by now, or the commit that cannot be is given up. Its error is one of the streams or the store.
func (s *relaying) releaseHistory(ctx context.Context, a store.Aggregate, h *heldNow) error {
	after, skip, err := s.readableAfter(ctx, a, h)
	if err != nil || after == notReadable {
		return err
	}
	through, trimmed, err := s.throughInStream(ctx, a)
	if err != nil || through+1 < h.From && !trimmed { // what comes before has yet to come, into a stream made anew
		return err
	}
	through = max(through, h.From-1)
	if skip && through < after {
		if err := s.appendSkipped(ctx, a, through+1, after); err != nil {
			return err
		}
		through = after
	}
	for c, err := range s.store.Load(ctx, a, after) {
		if err == nil {
			err = s.fits(&c)
		}
		if errors.Is(err, store.ErrCorrupt) {
			return s.holdFurther(ctx, a, h, through, err)
		}
		if err != nil {
			return fmt.Errorf("relay: %w", err)
		}
		if err := s.appendReleased(ctx, &c, through); err != nil {
			return err
		}
		through, h.newest = max(through, c.Last()), c.First
	}
	if err := s.store.Unpark(ctx, a, givenUpID); err != nil {
		return fmt.Errorf("end that a history is held: %w", err)
	}
	s.cfg.Logger.InfoContext(ctx, "the events of an aggregate wait no more", "aggregate", a, "through_version", through)
	return s.writeHeld(ctx, a, heldHistory{Stream: s.stream, Released: through}, nil)
}

// notReadable is no version after which a history can be read.
const notReadable = ^store.Version(0)

// readableAfter returns after which version the history can be read: the one before the
// commit that could not be; or, with skip, the last one of that, as it is given up.
func (s *relaying) readableAfter(ctx context.Context, a store.Aggregate, h *heldNow) (after store.Version, skip bool, err error) {
	for c, err := range s.store.Load(ctx, a, h.From-1) {
		if err == nil && c.First == h.From && s.fits(&c) == nil {
			return h.From - 1, false, nil
		}
		if err != nil && !errors.Is(err, store.ErrCorrupt) && ctx.Err() == nil {
			s.cfg.Logger.WarnContext(ctx, "a history that waits cannot be loaded", "aggregate", a, "error", err)
			return notReadable, false, nil
		}
		break
	}
	_, skip, err = s.store.FindParked(ctx, a, givenUpID)
	if err != nil || !skip || h.Next == 0 {
		return notReadable, false, orNil("find what is given up", err)
	}
	return h.Next - 1, true, nil
}

// throughInStream returns the last version of the aggregate that the event stream has, and
// whether earlier events were removed from it by a limit. It reads all of the stream
// without its data: that a commit becomes readable is seldom.
func (s *relaying) throughInStream(ctx context.Context, a store.Aggregate) (through store.Version, trimmed bool, err error) {
	if s.last == 0 {
		return 0, false, nil
	}
	s.cfg.Logger.WarnContext(ctx, "the event stream is read for what it has of an aggregate whose events waited", "aggregate", a, "events", s.last)
	first := true
	for e, err := range s.outbox.EventNames(ctx, s.stream, s.last) {
		if err != nil {
			return 0, false, fmt.Errorf("relay: %w", err)
		}
		trimmed = trimmed || first && e.Position > 1
		first = false
		if e.Source.String() == string(a) {
			through = max(through, store.Version(e.Version))
		}
	}
	if ctx.Err() != nil {
		return 0, false, context.Cause(ctx)
	}
	return through, trimmed, nil
}

// appendReleased brings out a commit that was passed over, but for what the stream has of it.
func (s *relaying) appendReleased(ctx context.Context, c *store.Commit, through store.Version) error {
	if through >= c.Last() {
		return nil
	}
	from := 0
	if through >= c.First {
		from = int(through-c.First) + 1 //nolint:gosec // at most the number of events
	}
	out := newSending()
	if err := s.collect(ctx, out, c); err != nil {
		return err
	}
	if err := s.send(ctx, out); err != nil {
		return err
	}
	events, _, err := s.events(nil, nil, &store.FeedItem{Commit: *c}, from)
	if err != nil {
		return err
	}
	return s.appendHere(ctx, events)
}

// appendSkipped appends an event for each version that is given up.
func (s *relaying) appendSkipped(ctx context.Context, a store.Aggregate, from, last store.Version) error {
	source, err := actor.ParseAddress(string(a))
	if err != nil {
		return fmt.Errorf("skip a commit of %q: %w: %w", a, store.ErrCorrupt, err)
	}
	partition := actor.Partition(0)
	if s.cfg.Partitions.Valid() {
		partition = s.cfg.Partitions.Of(source)
	}
	var events []actor.EventRecord
	for v := from; v <= last; v++ {
		events = append(events, actor.EventRecord{
			Partition: partition, Source: source, Version: actor.Version(v), Name: actor.EventSkipped,
			Data: []byte("{}"), Time: time.Now().UTC().Truncate(time.Microsecond),
		})
	}
	return s.appendHere(ctx, events)
}

// appendHere appends events that do not move the relay's place in the feed.
func (s *relaying) appendHere(ctx context.Context, events []actor.EventRecord) error {
	here := s.mark
	if here.Token == "" && !here.Rescan { // nothing was ever relayed: there is no place yet
		here = mark{Outgoing: s.outgoing, Rescan: true}
	}
	return s.appendEvents(ctx, events, slices.Repeat([]string{here.String()}, len(events)), time.Now())
}

// holdFurther notes that of a history that was released one more commit cannot be read.
func (s *relaying) holdFurther(ctx context.Context, a store.Aggregate, h *heldNow, through store.Version, why error) error {
	if through+1 <= h.From {
		return nil
	}
	if err := s.store.Unpark(ctx, a, givenUpID); err != nil { // it meant the commit before
		return fmt.Errorf("relay: %w", err)
	}
	return s.writeHeld(ctx, a, heldHistory{Stream: s.stream, From: through + 1, Released: through}, why)
}

// forgetReleased removes the records of histories that are released, once the feed will not
// bring anything of them again, however the relay begins: the newest event of the stream
// has a mark behind them. It is called after an append.
func (s *relaying) forgetReleased(ctx context.Context) error {
	for a, h := range s.held {
		if h.From > 0 || !h.caught && (h.newest == 0 || h.passed < h.newest) {
			continue
		}
		if err := s.store.Unpark(ctx, a, heldHistoryID); err != nil {
			return fmt.Errorf("end that a history is held: %w", err)
		}
		delete(s.held, a)
	}
	return nil
}

// caughtUp notes that the feed has nothing more at present.
func (s *relaying) caughtUp() {
	for _, h := range s.held {
		h.caught = h.From == 0
	}
}

// HeldHistory reports whether a parked record says that the events of its aggregate wait, and
// from which version on.
func HeldHistory(p *store.Parked) (from actor.Version, held bool) {
	h, held := decodeHeld(p)
	return actor.Version(h.From), held
}

// RetryHistory reports, by its error, why the commit with which an aggregate is held
// cannot be read still. Without one, the relay goes on with it by itself.
func RetryHistory(ctx context.Context, s store.Commits, p *store.Parked) error {
	h, held := decodeHeld(p)
	if !held {
		return fmt.Errorf("%s of %q: %w", p.CommandID, p.Aggregate, ErrParkedMessage)
	}
	for _, err := range s.Load(ctx, p.Aggregate, max(h.From, 1)-1) {
		return err
	}
	return nil
}

// SkipHistory gives up the commit that cannot be read: in the event stream something
// else stands for its events ([actor.EventSkipped]), and the later ones follow. The relay does so, once it knows how
// many there are.
func SkipHistory(ctx context.Context, s store.Parking, p *store.Parked) error {
	return s.Park(ctx, store.Parked{
		Aggregate: p.Aggregate, CommandID: givenUpID, Name: givenUpID, Attempts: 1, Time: time.Now(),
		Reason: "an operator has given up the commit that cannot be read", Message: encodeHeld(nil),
	})
}
