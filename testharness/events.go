package testharness

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// EventStream is what [CheckEvents] reads events from: a natsbus.Bus.
type EventStream interface {
	Events(ctx context.Context, filter actor.EventFilter, after uint64) iter.Seq2[actor.EventRecord, error]
	EventsHead(ctx context.Context) (incarnation string, last uint64, err error)
}

// ErrEvents is in the chain of what [CheckEvents] finds.
var ErrEvents = errors.New("events are not what the store has")

const (
	// feedQuiet is how long a feed must bring nothing to count as read to its end.
	feedQuiet = 2 * time.Second
	// eventFaultsMax bounds what CheckEvents tells.
	eventFaultsMax = 20
)

// CheckEvents compares the whole event stream with the whole store, which nobody
// writes to any more: every event is there, once, as it was committed, at the
// positions 1, 2, 3 and so on, and those of each aggregate in their order. It returns
// how many there are. What it finds wraps [ErrEvents]. It holds both in memory.
func CheckEvents(ctx context.Context, s store.Feed, stream EventStream) (events int, err error) {
	want, total, err := committed(ctx, s)
	if err != nil {
		return 0, err
	}
	_, last, err := stream.EventsHead(ctx)
	if err != nil {
		return 0, fmt.Errorf("check events: %w", err)
	}
	var faults []error
	fault := func(format string, args ...any) {
		if len(faults) < eventFaultsMax {
			faults = append(faults, fmt.Errorf(format+": %w", append(args, ErrEvents)...))
		}
	}
	if last != uint64(total) { //nolint:gosec // not negative
		fault("%d events in the stream, %d in the store", last, total)
	}
	seen := map[actor.Address]actor.Version{}
	position := uint64(0)
	for e, err := range stream.Events(ctx, actor.EventFilter{}, 0) {
		if last == 0 {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("check events: %w", err)
		}
		if position++; e.Position != position {
			fault("position %d comes after %d", e.Position, position-1)
		}
		if e.Version != seen[e.Source]+1 {
			fault("position %d: version %d of %s comes after %d", e.Position, e.Version, e.Source, seen[e.Source])
		}
		seen[e.Source] = e.Version
		if of := want[e.Source]; uint64(e.Version) > uint64(len(of)) {
			fault("position %d: version %d of %s is not in the store", e.Position, e.Version, e.Source)
		} else if e.Version > 0 && !sameEvent(&e, &of[e.Version-1]) {
			fault("position %d: is %+v, in the store it is %+v", e.Position, e, of[e.Version-1])
		}
		if e.Position >= last {
			break
		}
	}
	if ctx.Err() != nil {
		return 0, fmt.Errorf("check events: %w", context.Cause(ctx))
	}
	for source, of := range want {
		if int(seen[source]) < len(of) { //nolint:gosec // a count in memory
			fault("%s is at version %d in the stream, %d in the store", source, seen[source], len(of))
		}
	}
	return int(last), errors.Join(faults...) //nolint:gosec // a count in memory
}

// committed returns all events in the store, by aggregate.
func committed(ctx context.Context, s store.Feed) (map[actor.Address][]actor.EventRecord, int, error) {
	events := map[actor.Address][]actor.EventRecord{}
	total := 0
	for item, err := range store.FollowUntilQuiet(ctx, s, feedQuiet, nil) {
		if err == nil {
			err = item.Unreadable
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read the store: %w", err)
		}
		c := &item.Commit
		source, err := actor.ParseAddress(string(c.Aggregate))
		if err != nil {
			return nil, 0, fmt.Errorf("read the store: %w", err)
		}
		raised := raisedBy(c)
		for i, e := range c.Events {
			events[source] = append(events[source], actor.EventRecord{
				Partition: actor.Partition(c.Partition), Source: source, Version: actor.Version(c.First) + actor.Version(i), //nolint:gosec // not negative
				Name: e.Name, Data: e.Data, Time: time.UnixMicro(c.Time).UTC(),
				CommandID: actor.CommandID(raised[i].CommandID), Metadata: actor.Metadata(raised[i].Metadata),
			})
			total++
		}
	}
	for source, of := range events {
		slices.SortFunc(of, func(a, b actor.EventRecord) int { return cmp.Compare(a.Version, b.Version) })
		for i := range of {
			if of[i].Version != actor.Version(i)+1 { //nolint:gosec // not negative
				return nil, 0, fmt.Errorf("version %d of %s is at %d in the store: %w", of[i].Version, source, i+1, ErrEvents)
			}
		}
	}
	return events, total, nil
}

// raisedBy returns the outcome that each event of a commit belongs to.
func raisedBy(c *store.Commit) []store.Outcome {
	by := make([]store.Outcome, 0, len(c.Events))
	for _, o := range c.Outcomes {
		for range o.Events {
			by = append(by, o)
		}
	}
	for len(by) < len(c.Events) {
		by = append(by, store.Outcome{})
	}
	return by
}

func sameEvent(a, b *actor.EventRecord) bool {
	return a.Partition == b.Partition && a.Source == b.Source && a.Version == b.Version && a.Name == b.Name &&
		a.Time.Equal(b.Time) && a.CommandID == b.CommandID && a.Metadata == b.Metadata && sameJSON(a.Data, b.Data)
}

func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
