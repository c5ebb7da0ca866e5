package projectiontest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

// ErrLost says that a reader wants a stream that is gone.
var ErrLost = errors.New("the event stream is another one")

// Stream is an event stream in memory. Make it with [NewStream].
type Stream struct {
	partitions actor.Partitions

	mu       sync.Mutex
	name     string
	events   []actor.EventRecord
	versions map[actor.Address]actor.Version
	grown    chan struct{} // closed and replaced when something changes
}

var _ projection.Source = (*Stream)(nil)

// NewStream returns an empty stream of a cluster with that number of partitions.
func NewStream(partitions actor.Partitions) *Stream {
	return &Stream{partitions: partitions, name: "a", versions: map[actor.Address]actor.Version{}, grown: make(chan struct{})}
}

// Append adds events of an aggregate, encoded by its definition. It panics on an
// event that the definition does not apply.
func (s *Stream) Append(source actor.Address, b actor.Registrable, events ...any) {
	for _, e := range events {
		stored, err := b.Behavior().Encode(e)
		if err != nil {
			panic("projectiontest: " + err.Error())
		}
		s.AppendStored(source, stored.Name, stored.Data)
	}
}

// AppendStored adds an event as it is stored.
func (s *Stream) AppendStored(source actor.Address, name string, data []byte) actor.EventRecord {
	return s.AppendRecord(actor.EventRecord{Source: source, Name: name, Data: json.RawMessage(data)})
}

// AppendRecord adds an event with what the record says of it. Its place in the stream is
// the next one, whatever the record says; an empty version is the next of its source, an
// empty time is now, and an empty command id is made of those.
func (s *Stream) AppendRecord(e actor.EventRecord) actor.EventRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Version == 0 {
		e.Version = s.versions[e.Source] + 1
	}
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	if e.CommandID == "" {
		e.CommandID = actor.CommandID(fmt.Sprintf("%s-%d", e.Source, e.Version))
	}
	e.Position, e.Partition = uint64(len(s.events))+1, s.partitions.Of(e.Source)
	s.versions[e.Source] = e.Version
	s.events = append(s.events, e)
	close(s.grown)
	s.grown = make(chan struct{})
	return e
}

// Version returns the version of the newest event of a source; 0: it has none.
func (s *Stream) Version(source actor.Address) actor.Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.versions[source]
}

// All returns a copy of all events.
func (s *Stream) All() []actor.EventRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Replace makes the stream anew, as one that was lost is: with other positions, the
// events in the order that order gives them. Readers of the old one fail.
func (s *Stream) Replace(order func([]actor.EventRecord)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := slices.Clone(s.events)
	order(events)
	for i := range events {
		events[i].Position = uint64(i) + 1 //nolint:gosec // an index
	}
	s.events, s.name = events, s.name+"a"
	close(s.grown)
	s.grown = make(chan struct{})
}

// EventsHead implements [projection.Source].
func (s *Stream) EventsHead(context.Context) (incarnation string, last uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.name, uint64(len(s.events)), nil
}

// Events implements [projection.Source].
func (s *Stream) Events(ctx context.Context, f actor.EventFilter, after uint64) iter.Seq2[actor.EventRecord, error] {
	return func(yield func(actor.EventRecord, error) bool) {
		for ctx.Err() == nil {
			e, grown, err := s.next(&f, after)
			if err != nil {
				yield(actor.EventRecord{}, err)
				return
			}
			if grown != nil {
				select {
				case <-grown:
				case <-ctx.Done():
				}
				continue
			}
			after = e.Position
			if f.Partitions != nil && !slices.Contains(f.Partitions, e.Partition) || f.Kinds != nil && !slices.Contains(f.Kinds, e.Source.Kind) {
				if !f.Progress {
					continue
				}
				e = actor.EventRecord{Position: e.Position}
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// next returns the event behind a position, or what is closed when there may be one.
func (s *Stream) next(f *actor.EventFilter, after uint64) (e actor.EventRecord, grown <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Stream == "" {
		f.Stream = s.name
	}
	switch {
	case f.Stream != s.name:
		return e, nil, ErrLost
	case after >= uint64(len(s.events)):
		return e, s.grown, nil
	}
	return s.events[after], nil, nil
}
