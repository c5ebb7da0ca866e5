package natsbus_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/testharness"
)

// firing is a command of a timer that reached its owner.
type firing struct {
	message actor.Message
	at      time.Time
}

// firings is an owner of all partitions.
type firings struct {
	mu  sync.Mutex
	all []firing
}

func (f *firings) Durable(_ context.Context, d actor.Delivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, firing{d.Message, time.Now()})
}

func (f *firings) Direct(actor.Delivery) {}

func (f *firings) list() []firing {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]firing(nil), f.all...)
}

func timerMessage(id string, at time.Time, command int) actor.Message {
	return actor.Message{
		Target: actor.Address{Kind: "account", ID: id}, ID: actor.CommandID(fmt.Sprintf("%s/%d", id, command)),
		Name: "Ring", Data: []byte(`{"n":1}`), Time: at.Truncate(time.Microsecond).UTC(), Metadata: actor.Metadata{User: "ü"},
	}
}

// forward forwards timers until the test ends.
func forward(t *testing.T, bus *natsbus.Bus) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- bus.ForwardTimers(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("forward: %v", err)
		}
	})
}

// TestBus_Timers sets, sets again and cancels many timers, some of it in the wrong
// order, as a node does that was stopped for a while. GANGLION_SEED repeats a run.
func TestBus_Timers(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	synctest.Test(t, func(t *testing.T) {
		f := setup(t, natsbus.Config{Partitions: 4})
		owner := &firings{}
		serveAll(t, f.bus, owner)
		forward(t, f.bus)
		random := rand.New(rand.NewPCG(seed, 0))
		start := time.Now()
		want := map[actor.CommandID]time.Time{}
		gone := map[actor.CommandID]bool{}
		for i := range 300 {
			id := fmt.Sprintf("ä %d*.", i)
			far := func() time.Time { return start.Add(10*time.Second + time.Duration(random.Int64N(int64(time.Hour)))) }
			first, second := timerMessage(id, far(), 1), timerMessage(id, far(), 2)
			name := "late fee"
			if i%50 == 0 {
				name = fmt.Sprintf("%0300d ä", i)
			}
			set := func(m actor.Message, order int64) {
				t.Helper()
				if err := f.bus.SetTimer(t.Context(), m, name, order); err != nil {
					t.Fatal(err)
				}
			}
			cancel := func(order int64) {
				t.Helper()
				if err := f.bus.CancelTimer(t.Context(), first.Target, name, order); err != nil {
					t.Fatal(err)
				}
			}
			switch i % 6 {
			case 0: // set
				set(first, 1)
				want[first.ID] = first.Time
			case 1: // set twice
				set(first, 1)
				set(second, 2)
				want[second.ID], gone[first.ID] = second.Time, true
			case 2: // the first setting comes late
				set(second, 2)
				set(first, 1)
				want[second.ID], gone[first.ID] = second.Time, true
			case 3: // cancelled
				set(first, 1)
				cancel(2)
				gone[first.ID] = true
			case 4: // the cancellation comes late
				set(second, 3)
				cancel(2)
				want[second.ID] = second.Time
			case 5: // set again after a cancellation, and once more the same
				set(first, 1)
				cancel(2)
				set(second, 3)
				set(second, 3)
				want[second.ID], gone[first.ID] = second.Time, true
			}
		}
		past := timerMessage("past", start.Add(-time.Hour), 1)
		now := time.Now()
		if err := f.bus.SetTimer(t.Context(), past, "p", 1); err != nil {
			t.Fatal(err)
		}
		want[past.ID] = now

		<-time.After(2 * time.Hour)

		seen := map[actor.CommandID]bool{}
		for _, got := range owner.list() {
			m := got.message
			due, ok := want[m.ID]
			switch {
			case gone[m.ID]:
				t.Errorf("%s has fired, which was cancelled or replaced", m.ID)
			case !ok || seen[m.ID]:
				t.Errorf("%s was not to fire, or twice", m.ID)
			case got.at.Before(due) || got.at.After(due.Add(time.Second)):
				t.Errorf("%s fired %v after its time", m.ID, got.at.Sub(due))
			case m.ID != past.ID && !m.Time.Equal(due), m.Name != "Ring", string(m.Data) != `{"n":1}`, m.Metadata.User != "ü":
				t.Errorf("%s fired as %+v", m.ID, m)
			}
			seen[m.ID] = true
		}
		if len(seen) != len(want) {
			t.Errorf("%d timers of %d have fired", len(seen), len(want))
		}
		stream, err := newJetStream(t, f.server).Stream(t.Context(), "ganglion_DEADLINES")
		if err != nil {
			t.Fatal(err)
		}
		if n := stream.CachedInfo().State.Msgs; n != 0 {
			t.Errorf("%d messages are left in the stream", n)
		}
	})
}

// TestBus_Timers_Restart: timers survive a restart of the server, also when they come
// due while it is away, and what was forwarded and not removed is harmless. In real
// time: a server that ends sleeps while it holds what new consumers wait for.
func TestBus_Timers_Restart(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 4, Heartbeat: 100 * time.Millisecond})
	start := time.Now()
	due := map[actor.CommandID]time.Time{}
	for i := range 40 {
		m := timerMessage(fmt.Sprint(i), start.Add(time.Duration(i)*100*time.Millisecond), 1)
		if err := f.bus.SetTimer(t.Context(), m, "t", 1); err != nil {
			t.Fatal(err)
		}
		due[m.ID] = m.Time
	}
	<-time.After(500 * time.Millisecond) // nobody forwards
	f.server.Stop()
	<-time.After(500 * time.Millisecond)
	f.server.Start(t)
	owner := &firings{}
	serveAll(t, f.bus, owner)
	forward(t, f.bus)
	forward(t, f.bus)
	<-time.After(500 * time.Millisecond)
	f.server.Restart(t)
	distinct := func() map[actor.CommandID]bool {
		ids := map[actor.CommandID]bool{}
		for _, got := range owner.list() {
			ids[got.message.ID] = true
			if got.at.Before(due[got.message.ID]) {
				t.Errorf("%s fired %v before its time", got.message.ID, due[got.message.ID].Sub(got.at))
			}
		}
		return ids
	}
	testharness.Eventually(t, patient, func() bool { return len(distinct()) == len(due) })
}

// TestOpen_RefusesForeignStreams: streams of the right names that are not ours, or
// that would lose something.
func TestOpen_RefusesForeignStreams(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]jetstream.StreamConfig{
		"events":    {Name: "ganglion_EVENTS", Subjects: []string{"x.>"}},
		"deadlines": {Name: "ganglion_DEADLINES", Subjects: []string{"ganglion.due", "ganglion.timer.>"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testharness.NATS(t)
			js := newJetStream(t, server)
			if _, err := js.CreateStream(t.Context(), settings); err != nil {
				t.Fatal(err)
			}
			if _, err := natsbus.Open(t.Context(), server.Connect(t), natsbus.Config{}); !errors.Is(err, natsbus.ErrForeignStream) {
				t.Errorf("opened: %v", err)
			}
		})
	}
	for stream, change := range map[string]func(*jetstream.StreamConfig){
		"ganglion_EVENTS":    func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 10 },
		"ganglion_DEADLINES": func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour; c.Duplicates = time.Minute },
	} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			f := setup(t, natsbus.Config{})
			js := newJetStream(t, f.server)
			found, err := js.Stream(t.Context(), stream)
			if err != nil {
				t.Fatal(err)
			}
			settings := found.CachedInfo().Config
			change(&settings)
			if _, err := js.UpdateStream(t.Context(), settings); err != nil {
				t.Fatal(err)
			}
			if _, err := natsbus.Open(t.Context(), f.nc, natsbus.Config{}); !errors.Is(err, natsbus.ErrForeignStream) {
				t.Errorf("opened: %v", err)
			}
		})
	}
}

// TestBus_KeepSchedules: schedules of the cluster fire once each time, in their
// rhythm, also when they are kept again and again and by more than one forwarder; what
// is not configured any more ends; and one that is wrong holds up none of the others.
// In real time: Go's race detector and timers of a bubble crash over this one.
func TestBus_KeepSchedules(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	owner := &firings{}
	serveAll(t, f.bus, owner)
	forward(t, f.bus)
	forward(t, f.bus)
	to := actor.Address{Kind: "account", ID: "ü 1"}
	every := actor.Schedule{Name: "tick", Spec: "@every 1s", To: to, Command: "Ring", Data: []byte(`{"n":1}`)}
	cron := actor.Schedule{Name: "even", Spec: "*/2 * * * * *", Zone: "Europe/Berlin", To: to, Command: "Report", Data: []byte("{}")}
	wrong := actor.Schedule{Name: "wrong", Spec: "now and then", To: to, Command: "Ring"}
	count := func(name string) map[actor.CommandID]time.Time {
		ids := map[actor.CommandID]time.Time{}
		for _, got := range owner.list() {
			if got.message.Name == name {
				ids[got.message.ID] = got.message.Time
			}
		}
		return ids
	}
	start := time.Now()
	for range 20 { // the rhythm is not disturbed
		if err := f.bus.KeepSchedules(t.Context(), []actor.Schedule{wrong, every, cron}); err == nil {
			t.Fatal("a schedule that nobody understands was taken")
		}
		<-time.After(300 * time.Millisecond)
	}
	if err := f.bus.KeepSchedules(t.Context(), []actor.Schedule{cron}); err != nil {
		t.Fatal(err)
	}
	<-time.After(500 * time.Millisecond)
	took := time.Since(start)
	rings, reports := count("Ring"), count("Report")
	if most := int(took/time.Second) + 1; len(rings) < 3 || len(rings) > most {
		t.Errorf("fired %d times in %v, once a second", len(rings), took)
	}
	if most := int(took/(2*time.Second)) + 1; len(reports) < 1 || len(reports) > most {
		t.Errorf("%d reports in %v, one in two seconds", len(reports), took)
	}
	testharness.Eventually(t, patient, func() bool { return len(count("Report")) >= len(reports)+2 })
	if n := len(count("Ring")); n != len(rings) {
		t.Errorf("fired %d times after it was removed", n-len(rings))
	}
}
