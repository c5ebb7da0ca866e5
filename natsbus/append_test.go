package natsbus_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/natsbus"
)

// TestBus_AppendEvents_FenceOfEachBatch: a call that is refused has stored nothing,
// also where one of its later batches names the end that another call has made.
func TestBus_AppendEvents_FenceOfEachBatch(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8})
	other := openBus(t, f.server.Connect(t), natsbus.Config{Partitions: 8})
	ours, marks := eventsOf("ours", 1, 2000)
	theirs, theirMarks := eventsOf("theirs", 1, 3500)
	var want []actor.EventRecord
	for _, n := range []int{500, 1, 999, 1000, 2000} {
		stream, last, _, err := f.bus.EventsTail(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, appendEvents(t, f.bus, ours[:n], marks[:n])...)
		if err := other.AppendEvents(t.Context(), stream, last, theirs, theirMarks); !errors.Is(err, natsbus.ErrEventsMoved) {
			t.Errorf("behind a former end, %d before the present one: %v", n, err)
		}
	}
	// The server takes this one after all that the other bus has sent before.
	want = append(want, appendEvents(t, other, theirs[:1], theirMarks[:1])...)
	if diff := cmp.Diff(want, readEvents(t, f.bus, actor.EventFilter{}, 0, len(want))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestBus_AppendEvents_Race: of two that append behind the same end at the same time,
// the stream has what one of them has, from its beginning on and without a gap.
func TestBus_AppendEvents_Race(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8})
	other := openBus(t, f.server.Connect(t), natsbus.Config{Partitions: 8})
	random := testenv.Rand(t)
	of := map[string][]actor.EventRecord{}
	marks := map[string][]string{}
	for _, who := range []string{"a", "b"} {
		of[who], marks[who] = eventsOf(who, 1, 2500)
	}
	for range 12 {
		stream, last, _, err := f.bus.EventsTail(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		failed := make([]error, 2)
		both.Go(func() { failed[0] = f.bus.AppendEvents(t.Context(), stream, last, of["a"], marks["a"]) })
		<-time.After(time.Duration(random.IntN(20_000)) * time.Microsecond)
		both.Go(func() { failed[1] = other.AppendEvents(t.Context(), stream, last, of["b"], marks["b"]) })
		both.Wait()
		_, end, _, err := f.bus.EventsTail(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if end == last || failed[0] == nil && failed[1] == nil {
			t.Fatalf("%d events came, of two that failed with %v", end-last, failed)
		}
		got := readEvents(t, f.bus, actor.EventFilter{}, last, int(end-last)) //nolint:gosec // a few thousand
		for i, e := range got {
			if e.Source.ID != got[0].Source.ID || e.Version != actor.Version(i)+1 { //nolint:gosec // not negative
				t.Fatalf("event %d behind the end is version %d of %s, the first one is of %s", i+1, e.Version, e.Source, got[0].Source)
			}
		}
	}
}
