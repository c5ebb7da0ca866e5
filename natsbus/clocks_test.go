package natsbus_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
)

// TestClient_WrongClock: an owner learns how much time is left, and not from the clock of
// the client, on both lanes, in a batch, at a repetition, and within the process.
func TestClient_WrongClock(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]time.Duration{"an hour slow": -time.Hour, "an hour fast": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := setup(t, natsbus.Config{Partitions: 1})
				second := func(d actor.Delivery) (actor.Outcome, bool) { return actor.Outcome{}, d.Message.Attempt > 1 }
				cfg := natsbus.ClientConfig{Now: func() time.Time { return time.Now().Add(by) }}
				far := newClient(t, f.nc, cfg)
				near, err := f.bus.Client(cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer near.Close()
				o := &owner{answer: second}
				serveAll(t, f.bus, o)
				for _, c := range []*natsbus.Client{far, near} {
					for _, m := range []actor.Message{command("a", "1"), direct("a", "1")} {
						m.Deadline = time.Now().Add(10 * time.Second)
						if got := c.Deliver(t.Context(), m); got.Err() != nil {
							t.Errorf("%+v", got)
						}
					}
				}
				all := append(o.durables(), o.directs()...)
				if len(all) != 8 {
					t.Fatalf("%d deliveries, want two of each of four commands", len(all))
				}
				for i, d := range all {
					want := 9 * time.Second // the message ends before its caller's deadline
					if d.Message.Attempt > 1 {
						want -= 3 * time.Second // it is asked for again after one to two
					}
					if d.Left < want || d.Left > 9*time.Second {
						t.Errorf("delivery %d, attempt %d: %v left, want %v to 9 s", i, d.Message.Attempt, d.Left, want)
					}
					if off := d.Message.Time.Sub(time.Now().Add(by)).Abs(); off > 20*time.Second {
						t.Errorf("delivery %d is stamped %v, not by the client's clock", i, d.Message.Time)
					}
				}
			})
		})
	}
}

// TestClient_Batch_CarriesWhatIsLeft: also of commands that go together.
func TestClient_Batch_CarriesWhatIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t, natsbus.Config{Partitions: 1})
		o := &owner{answer: echo}
		serveAll(t, f.bus, o)
		done := make(chan actor.Outcome)
		for range 100 {
			go func() { done <- deliverWithin(t, f, 10*time.Second, command("a", "1")) }()
		}
		for range 100 {
			if got := <-done; got.Err() != nil {
				t.Errorf("%+v", got)
			}
		}
		batches := 0
		for _, d := range o.durables() {
			if d.More > 0 {
				batches++
			}
			if d.Left < 8*time.Second || d.Left > 9*time.Second {
				t.Errorf("%v left", d.Left)
			}
		}
		if batches == 0 {
			t.Error("no commands went together")
		}
	})
}

// TestClient_WaitedInTheStream: the time that a command has waited in the stream counts.
func TestClient_WaitedInTheStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t, natsbus.Config{Partitions: 1})
		m := command("a", "1")
		for i, timeout := range []time.Duration{time.Minute, 5 * time.Second} {
			m.Deadline = time.Now().Add(timeout)
			if err := f.client.Enqueue(t.Context(), m); err != nil {
				t.Fatalf("command %d: %v", i, err)
			}
		}
		<-time.After(20 * time.Second)
		o := &owner{}
		serveAll(t, f.bus, o)
		for len(o.durables()) < 2 {
			<-time.After(time.Millisecond)
		}
		all := o.durables()
		if got := all[0].Left; got < 39*time.Second || got > 40*time.Second {
			t.Errorf("%v left of a minute after 20 s", got)
		}
		if got := all[1].Left; got >= 0 {
			t.Errorf("%v left of 5 s after 20 s", got)
		}
	})
}
