package natsbus_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/testharness"
)

// eventsOf makes n events of one aggregate, versions from..from+n-1.
func eventsOf(id string, from, n int) (events []actor.EventRecord, marks []string) {
	to := actor.Address{Kind: "account", ID: id}
	for i := range n {
		v := from + i
		events = append(events, actor.EventRecord{
			Partition: actor.Partitions(8).Of(to), Source: to, Version: actor.Version(v), Name: "deposited.v1",
			Data: fmt.Appendf(nil, `{"n":%d}`, v), Time: time.UnixMicro(1_700_000_000_000_000 + int64(v)).UTC(),
			CommandID: actor.CommandID(fmt.Sprintf("c %d", v)),
			Metadata:  actor.Metadata{Trace: "00-ab-cd-01", Correlation: "ü\r\nx: y", Causation: `"%`, User: "me"},
		})
		marks = append(marks, fmt.Sprintf("mark %d", v))
	}
	return events, marks
}

// appendEvents appends behind the present end, and returns the events as readers get them.
func appendEvents(t *testing.T, bus *natsbus.Bus, events []actor.EventRecord, marks []string) []actor.EventRecord {
	t.Helper()
	stream, last, _, err := bus.EventsTail(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.AppendEvents(t.Context(), stream, last, events, marks); err != nil {
		t.Fatal(err)
	}
	stored := append([]actor.EventRecord(nil), events...)
	for i := range stored {
		stored[i].Position = last + uint64(i) + 1
	}
	return stored
}

// readEvents reads n events.
func readEvents(t *testing.T, bus *natsbus.Bus, filter actor.EventFilter, after uint64, n int) (got []actor.EventRecord) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	for e, err := range bus.Events(ctx, filter, after) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e); len(got) == n {
			return got
		}
	}
	t.Fatalf("%d events of %d", len(got), n)
	return nil
}

func TestBus_AppendEvents_AreRead(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8})
	id := `p 7/ä*>."%`
	events, marks := eventsOf(id, 1, 1700)
	want := appendEvents(t, f.bus, events[:1], marks[:1])
	want = append(want, appendEvents(t, f.bus, events[1:], marks[1:])...)

	if diff := cmp.Diff(want, readEvents(t, f.bus, actor.EventFilter{}, 0, 1700)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[1000:], readEvents(t, f.bus, actor.EventFilter{}, 1000, 700)); diff != "" {
		t.Errorf("after 1000 (-want +got):\n%s", diff)
	}
	stream, last, mark, err := f.bus.EventsTail(t.Context())
	if err != nil || last != 1700 || mark != "mark 1700" {
		t.Errorf("tail %d, mark %q, %v", last, mark, err)
	}
	if head, last, err := f.bus.EventsHead(t.Context()); err != nil || head != stream || last != 1700 {
		t.Errorf("head %s %d, %v; the tail is in %s", head, last, err, stream)
	}
}

// TestBus_Events_Filter: what is selected comes, in order, and nothing else.
func TestBus_Events_Filter(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8})
	var all []actor.EventRecord
	for v := 1; v <= 20; v++ {
		for p := range actor.Partition(8) {
			events, marks := eventsOf(idIn(p, 8), v, 1)
			if p%2 == 1 {
				events[0].Source.Kind = "order" // its partition is another one then, which is of no meaning here
			}
			all = append(all, appendEvents(t, f.bus, events, marks)...)
		}
	}
	many := []actor.Kind{"account"}
	for i := range 600 { // more than the server is asked to sort out
		many = append(many, actor.Kind(fmt.Sprintf("k%d", i)))
	}
	for name, filter := range map[string]actor.EventFilter{
		"all":              {},
		"partitions":       {Partitions: []actor.Partition{1, 2, 7}},
		"kind":             {Kinds: []actor.Kind{"order"}},
		"partition, kinds": {Partitions: []actor.Partition{2, 3, 4}, Kinds: []actor.Kind{"account", "other"}},
		"many":             {Partitions: []actor.Partition{2, 3, 4}, Kinds: many},
	} {
		var want []actor.EventRecord
		for _, e := range all {
			ok := filter.Partitions == nil
			for _, p := range filter.Partitions {
				ok = ok || p == e.Partition
			}
			kind := filter.Kinds == nil
			for _, k := range filter.Kinds {
				kind = kind || k == e.Source.Kind
			}
			if ok && kind {
				want = append(want, e)
			}
		}
		if diff := cmp.Diff(want, readEvents(t, f.bus, filter, 0, len(want))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestBus_Events_ShareOneConsumer: readers near the end have one consumer together,
// whatever they select, and are told how far they are without an event of theirs.
func TestBus_Events_ShareOneConsumer(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8})
	events, marks := eventsOf("a", 1, 3000)
	appendEvents(t, f.bus, events, marks)
	js := newJetStream(t, f.server)
	var readers sync.WaitGroup
	for _, filter := range []actor.EventFilter{
		{},
		{Kinds: []actor.Kind{"account", "other"}},
		{Kinds: []actor.Kind{"other"}, Progress: true},
		{Partitions: []actor.Partition{1, 2, 3, 4, 5, 6, 7, 0}},
	} {
		readers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patient)
			defer cancel()
			last := uint64(0)
			for e, err := range f.bus.Events(ctx, filter, 0) {
				if err != nil {
					t.Error(err)
					return
				}
				if e.Position <= last || e.Position > last+1 && !filter.Progress {
					t.Errorf("%+v: position %d after %d", filter, e.Position, last)
				}
				if (e.Name == "") != filter.Progress {
					t.Errorf("%+v: got %+v", filter, e)
				}
				if last = e.Position; last == 3000 {
					break
				}
			}
			if last != 3000 {
				t.Errorf("%+v: ended at %d", filter, last)
			}
		})
	}
	readers.Wait()
	stream, err := js.Stream(t.Context(), "ganglion_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	testharness.Eventually(t, patient, func() bool { // those of readers that were faster than the tail go
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Consumers == 1
	})
}

// TestBus_Events_SlowReader: one that the shared part has left behind goes on with a
// consumer of its own, and misses nothing; so does one whose stream is made anew
// beneath the shared part.
func TestBus_Events_SlowReader(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8})
	const n = 60 // of half a megabyte each: more than is kept for all
	events, marks := eventsOf("a", 1, n)
	for i := range events {
		events[i].Data = fmt.Appendf(nil, `{"n":%d,"text":"%s"}`, i, strings.Repeat("x", 500_000))
	}
	appendEvents(t, f.bus, events[:1], marks[:1])
	want := uint64(0)
	for e, err := range f.bus.Events(t.Context(), actor.EventFilter{}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if want++; e.Position != want || !strings.HasPrefix(string(e.Data), fmt.Sprintf(`{"n":%d,`, (want-1)%n)) {
			t.Fatalf("position %d, want %d: %.20s", e.Position, want, e.Data)
		}
		if want == 1 { // it takes its time
			for i := 1; i < n; i++ {
				appendEvents(t, f.bus, events[i:i+1], marks[i:i+1])
			}
			readEvents(t, f.bus, actor.EventFilter{}, n-1, 1)
		}
		if want == n {
			break
		}
	}
	stream, _, err := f.bus.EventsHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.bus.RebuildEvents(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	testharness.Eventually(t, patient, func() bool { // the server has to say for a while that there is none
		_, _, _, err := f.bus.EventsTail(t.Context())
		return err == nil
	})
	appendEvents(t, f.bus, events[:1], marks[:1])
	if got := readEvents(t, f.bus, actor.EventFilter{}, 0, 1); string(got[0].Data) != string(events[0].Data) {
		t.Errorf("got %.40s of the stream that was made anew", got[0].Data)
	}
	for _, err := range f.bus.Events(t.Context(), actor.EventFilter{Stream: stream}, 0) {
		if !errors.Is(err, natsbus.ErrEventsLost) {
			t.Errorf("of the stream that is gone: %v", err)
		}
		break
	}
}

// TestBus_AppendEvents_OneOfTwo: of two relays that know the same end, one appends.
func TestBus_AppendEvents_OneOfTwo(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8})
	events, marks := eventsOf("a", 1, 10)
	stream, _, _, err := f.bus.EventsTail(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 5} { // a message, and a batch
		_, last, _, err := f.bus.EventsTail(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := f.bus.AppendEvents(t.Context(), stream, last, events[:n], marks[:n]); err != nil {
			t.Fatal(err)
		}
		if err := f.bus.AppendEvents(t.Context(), stream, last, events[:n], marks[:n]); !errors.Is(err, natsbus.ErrEventsMoved) {
			t.Errorf("%d events behind a former end: %v", n, err)
		}
		if err := f.bus.AppendEvents(t.Context(), stream, last+100, events[:n], marks[:n]); !errors.Is(err, natsbus.ErrEventsMoved) {
			t.Errorf("%d events behind no end: %v", n, err)
		}
	}
	if _, last, err := f.bus.EventsHead(t.Context()); err != nil || last != 6 {
		t.Errorf("%d events, %v", last, err)
	}
}

// TestBus_AppendEvents_OtherIncarnation: the stream is lost and made anew, and ends
// again where a former relay thinks that it does. Its order may be another one, so
// nothing of that relay must get in.
func TestBus_AppendEvents_OtherIncarnation(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8})
	events, marks := eventsOf("a", 1, 10)
	appendEvents(t, f.bus, events[:5], marks[:5])
	stream, last, _, err := f.bus.EventsTail(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.bus.RebuildEvents(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := f.bus.EventsTail(t.Context()); !errors.Is(err, natsbus.ErrEventsLost) {
		t.Errorf("the loss is believed at once: %v", err)
	}
	testharness.Eventually(t, patient, func() bool {
		_, last, mark, err := f.bus.EventsTail(t.Context())
		return err == nil && last == 0 && mark == ""
	})
	appendEvents(t, f.bus, events[:5], marks[:5])
	if err := f.bus.AppendEvents(t.Context(), stream, last, events[5:], marks[5:]); !errors.Is(err, natsbus.ErrEventsMoved) {
		t.Errorf("appended to another incarnation: %v", err)
	}
	for _, err := range f.bus.Events(t.Context(), actor.EventFilter{Stream: stream}, 0) {
		if !errors.Is(err, natsbus.ErrEventsLost) {
			t.Errorf("read from another incarnation: %v", err)
		}
		break
	}
}

// TestBus_Events_Removed: a reader is told when its stream goes, and when events go
// that it has not had.
func TestBus_Events_Removed(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8, Heartbeat: 100 * time.Millisecond})
	events, marks := eventsOf("a", 1, 10)
	appendEvents(t, f.bus, events, marks)
	js := newJetStream(t, f.server)
	stream, err := js.Stream(t.Context(), "ganglion_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(6)); err != nil {
		t.Fatal(err)
	}
	for _, err := range f.bus.Events(t.Context(), actor.EventFilter{}, 3) {
		if !errors.Is(err, natsbus.ErrEventsTrimmed) {
			t.Errorf("events 4 and 5 are gone: %v", err)
		}
		break
	}
	n := 0
	for _, err := range f.bus.Events(t.Context(), actor.EventFilter{}, 5) {
		if n++; n < 6 {
			if err != nil {
				t.Fatal(err)
			}
			if n == 5 {
				if err := js.DeleteStream(t.Context(), "ganglion_EVENTS"); err != nil {
					t.Fatal(err)
				}
			}
			continue
		}
		if !errors.Is(err, natsbus.ErrEventsLost) {
			t.Errorf("the stream is gone: %v", err)
		}
		break
	}
}

// TestBus_Events_Hole: events that were removed from between others are missed by
// nobody without a word, neither by a reader of its own nor by those that share.
func TestBus_Events_Hole(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8})
	events, marks := eventsOf("a", 1, 6000) // more than a tail begins with
	for _, hole := range []int{1000, 5000} {
		events[hole].Source.Kind = "order"
	}
	appendEvents(t, f.bus, events, marks)
	stream, err := newJetStream(t, f.server).Stream(t.Context(), "ganglion_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject("ganglion.evt.*.order.*")); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[uint64]uint64{0: 1000, 1500: 5000} {
		last := from
		var ended error
		for e, err := range f.bus.Events(t.Context(), actor.EventFilter{}, from) {
			if ended = err; err != nil {
				break
			}
			last = e.Position
		}
		if !errors.Is(ended, natsbus.ErrEventsTrimmed) || last != want {
			t.Errorf("after %d: ended at %d with %v, want %d", from, last, ended, want)
		}
	}
}

// TestBus_Events_EndsBeforeItHasAConsumer: a reader that cannot get a consumer pauses
// between its tries, and is stopped in one of these pauses, as when its node loses a
// partition while NATS is away. It just ends.
func TestBus_Events_EndsBeforeItHasAConsumer(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8})
	if err := newJetStream(t, f.server).DeleteStream(t.Context(), "ganglion_EVENTS"); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for n := range 50 { // over more than a second, of which most is pauses
		readers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n+1)*25*time.Millisecond)
			defer cancel()
			for _, err := range f.bus.Events(ctx, actor.EventFilter{}, 0) {
				t.Errorf("reader %d: got something: %v", n, err)
			}
		})
	}
	readers.Wait()
}

// TestBus_Events_BeyondTheEnd: a reader from a position that no event has reached gets
// none of those before it, however far it is.
func TestBus_Events_BeyondTheEnd(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8})
	events, marks := eventsOf("a", 1, 5)
	appendEvents(t, f.bus, events, marks)
	readEvents(t, f.bus, actor.EventFilter{}, 0, 5)
	var readers sync.WaitGroup
	for _, after := range []uint64{5, 6, 1 << 40, math.MaxInt64, math.MaxUint64 - 1, math.MaxUint64} {
		readers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for e, err := range f.bus.Events(ctx, actor.EventFilter{}, after) {
				t.Errorf("after %d: got position %d, %v", after, e.Position, err)
			}
		})
	}
	readers.Wait()
}

// BenchmarkBus_AppendEvents is the relay's part of the work, on one server.
func BenchmarkBus_AppendEvents(b *testing.B) {
	f := setup(b, natsbus.Config{Partitions: 8})
	events, marks := eventsOf("a", 1, 2000)
	for i := range marks {
		marks[i] = fmt.Sprintf("%0160d", i)
	}
	stream, last, _, err := f.bus.EventsTail(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := f.bus.AppendEvents(b.Context(), stream, last, events, marks); err != nil {
			b.Fatal(err)
		}
		last += uint64(len(events))
	}
	b.ReportMetric(float64(b.N*len(events))/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkBus_Events_CatchUp reads the events of half of the partitions, of many
// aggregates, from the beginning. Its peers are what the server does with a consumer
// of each sort.
func BenchmarkBus_Events_CatchUp(b *testing.B) {
	const partitions, aggregates, total = 128, 10_000, 60_000
	f := setup(b, natsbus.Config{Partitions: partitions})
	js := newJetStream(b, f.server)
	for at := 0; at < total; at += 2000 {
		events, marks := eventsOf("", at, 2000)
		for i := range events {
			events[i].Source.ID = fmt.Sprint((at + i) * 7919 % aggregates)
			events[i].Partition = actor.Partitions(partitions).Of(events[i].Source)
			events[i].Version = actor.Version((at+i)/aggregates + 1)
		}
		stream, last, _, err := f.bus.EventsTail(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := f.bus.AppendEvents(b.Context(), stream, last, events, marks); err != nil {
			b.Fatal(err)
		}
	}
	filter := actor.EventFilter{Progress: true}
	var subjects []string
	for p := range actor.Partition(partitions / 2) {
		filter.Partitions = append(filter.Partitions, 2*p)
		subjects = append(subjects, fmt.Sprintf("ganglion.evt.%d.*.*", 2*p))
	}
	rate := func(b *testing.B, events int) {
		b.Helper()
		b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	}
	b.Run("reader", func(b *testing.B) {
		n := 0
		for b.Loop() {
			for e, err := range f.bus.Events(b.Context(), filter, 0) {
				if err != nil {
					b.Fatal(err)
				}
				if e.Name != "" {
					n++
				}
				if e.Position == total {
					break
				}
			}
		}
		rate(b, n)
	})
	for name, c := range map[string]struct {
		filters []string
		most    int
	}{
		"raw, no filter":            {nil, total},
		"raw, a filter a partition": {subjects, 1000},
	} {
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				made, err := js.CreateConsumer(b.Context(), "ganglion_EVENTS", jetstream.ConsumerConfig{
					FilterSubjects: c.filters, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true,
				})
				if err != nil {
					b.Fatal(err)
				}
				for left := c.most; left > 0; {
					batch, err := made.Fetch(min(left, 2000), jetstream.FetchMaxWait(time.Minute))
					if err != nil {
						b.Fatal(err)
					}
					for range batch.Messages() {
						n++
						left--
					}
				}
			}
			rate(b, n)
		})
	}
}
