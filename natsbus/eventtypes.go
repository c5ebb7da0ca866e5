package natsbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
)

// EventType is a name under which events of a kind are in the event stream.
type EventType struct {
	Kind  actor.Kind
	Name  string
	Count uint64 // of events, over all partitions
}

// EventTypes returns what sorts of events the stream has, in the order of kinds and
// names. It reads no event: the server keeps a count for each subject, and there is one
// for each partition, kind and name. It asks once for each 100,000 of them. Events that
// are in the store and were not relayed yet, or that a limit of the stream has removed,
// are not counted.
//
// Errors wrap [ErrEventsLost] when there is no stream, [ErrForeignStream] when it is not
// this namespace's or holds what is no event, or are JetStream's.
func (b *Bus) EventTypes(ctx context.Context) ([]EventType, error) {
	counts, err := b.eventCounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("count events: %w", eventsLost(err))
	}
	type key struct {
		kind actor.Kind
		name string
	}
	sums := map[key]uint64{}
	for subject, n := range counts {
		kind, name, err := b.ns.ParseEventSubject(subject)
		if err != nil {
			return nil, fmt.Errorf("count events: %w: %w", ErrForeignStream, err)
		}
		sums[key{kind, name}] += n
	}
	types := make([]EventType, 0, len(sums))
	for k, n := range sums {
		types = append(types, EventType{Kind: k.kind, Name: k.name, Count: n})
	}
	slices.SortFunc(types, func(x, y EventType) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Name, y.Name))
	})
	return types, nil
}

// eventCounts returns the number of events on each subject.
func (b *Bus) eventCounts(ctx context.Context) (map[string]uint64, error) {
	found, err := findStream(ctx, b.js, b.ns.EventStream())
	if err != nil {
		return nil, err
	}
	if _, err := inspectEvents(b.ns, found.CachedInfo()); err != nil {
		return nil, err
	}
	info, err := found.Info(ctx, jetstream.WithSubjectFilter(b.ns.EventsStored()))
	if err != nil {
		return nil, fmt.Errorf("subjects of stream %s: %w", b.ns.EventStream(), err)
	}
	return info.State.Subjects, nil
}

// LastEvent returns the newest event of a name in the stream; found is false when there
// is none. Errors are those of [Bus.EventTypes].
func (b *Bus) LastEvent(ctx context.Context, kind actor.Kind, name string) (e actor.EventRecord, found bool, err error) {
	stream, err := findStream(ctx, b.js, b.ns.EventStream())
	if err != nil {
		return e, false, fmt.Errorf("last event: %w", eventsLost(err))
	}
	msg, err := stream.GetLastMsgForSubject(ctx, b.ns.EventsNamed(kind, name))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return e, false, nil
	}
	if err != nil {
		return e, false, fmt.Errorf("last event: %w", err)
	}
	if e, err = b.ns.DecodeEvent(msg.Subject, msg.Header, msg.Data); err != nil {
		return e, false, fmt.Errorf("last event: %w: position %d: %w", ErrForeignStream, msg.Sequence, err)
	}
	e.Position = msg.Sequence
	return e, true, nil
}
