package natsbus_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
)

// typed makes an event of a kind and name for each of n aggregates.
func typed(kind actor.Kind, name string, n int) (events []actor.EventRecord, marks []string) {
	for i := range n {
		to := actor.Address{Kind: kind, ID: fmt.Sprintf("%s-%d", name, i)}
		events = append(events, actor.EventRecord{
			Partition: actor.Partitions(8).Of(to), Source: to, Version: 1, Name: name, Data: []byte(`{}`), Time: time.UnixMicro(1).UTC(),
		})
		marks = append(marks, fmt.Sprintf("mark %d", i))
	}
	return events, marks
}

// TestBus_EventTypes_AreCounted: over all partitions, with names that a subject cannot
// hold as they are; and the newest event of each is found.
func TestBus_EventTypes_AreCounted(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8})
	if types, err := f.bus.EventTypes(t.Context()); err != nil || len(types) != 0 {
		t.Errorf("before the first: %v, %v", types, err)
	}
	want := []natsbus.EventType{
		{Kind: "account", Name: "deposited.v1", Count: 40},
		{Kind: "account", Name: "ganglion.effects.v1", Count: 2},
		{Kind: "account", Name: `ü */>.%`, Count: 3},
		{Kind: "note", Name: "deposited.v1", Count: 5},
	}
	newest := map[natsbus.EventType]actor.EventRecord{}
	for _, each := range want {
		events, marks := typed(each.Kind, each.Name, int(each.Count))
		stored := appendEvents(t, f.bus, events, marks)
		newest[each] = stored[len(stored)-1]
	}
	types, err := f.bus.EventTypes(t.Context())
	if diff := cmp.Diff(want, types); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, each := range want {
		e, found, err := f.bus.LastEvent(t.Context(), each.Kind, each.Name)
		if diff := cmp.Diff(newest[each], e); err != nil || !found || diff != "" {
			t.Errorf("last %v: %t, %v (-want +got):\n%s", each, found, err, diff)
		}
	}
	if e, found, err := f.bus.LastEvent(t.Context(), "note", "gone.v1"); err != nil || found {
		t.Errorf("one that nobody has stored: %v, %t, %v", e, found, err)
	}
}

func TestBus_EventTypes_OfALostStream(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8})
	if err := newJetStream(t, f.server).DeleteStream(t.Context(), "ganglion_EVENTS"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.bus.EventTypes(t.Context()); !errors.Is(err, natsbus.ErrEventsLost) {
		t.Errorf("types: %v", err)
	}
	if _, _, err := f.bus.LastEvent(t.Context(), "account", "x"); !errors.Is(err, natsbus.ErrEventsLost) {
		t.Errorf("last: %v", err)
	}
}
