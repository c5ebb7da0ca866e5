package natsbus_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
)

// TestBus_WaitingCommands: timers and what the runtime has sent are visited, alone and in
// batches, up to a number of messages; what callers sent is not, nor are schedules.
func TestBus_WaitingCommands(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 4})
	count := func(limit int) (timers, sent map[string]int, complete bool) {
		t.Helper()
		timers, sent = map[string]int{}, map[string]int{}
		stream, complete, err := f.bus.WaitingCommands(t.Context(), limit, func(w natsbus.WaitingCommand) {
			at := sent
			if w.Sequence == 0 {
				at = timers
			}
			at[fmt.Sprint(w.Target, " ", w.Name)]++
		})
		if head, _, headErr := f.bus.Head(t.Context()); err != nil || headErr != nil || stream != head {
			t.Fatalf("stream %q, %v; want %q, %v", stream, err, head, headErr)
		}
		return timers, sent, complete
	}
	if timers, sent, complete := count(10); len(timers) != 0 || len(sent) != 0 || !complete {
		t.Errorf("before the first: %v, %v, %v", timers, sent, complete)
	}
	internal, err := f.bus.RuntimeClient(natsbus.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(internal.Close)
	near, err := f.bus.Client(natsbus.ClientConfig{}) // of the node's gateway: it promises nothing itself
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(near.Close)
	wantTimers, wantSent := map[string]int{}, map[string]int{}
	for i := range 300 {
		m := timerMessage(fmt.Sprintf("ä %d*.", i), time.Now().Add(time.Hour), 1)
		if err := f.bus.SetTimer(t.Context(), m, "late fee", 1); err != nil {
			t.Fatal(err)
		}
		wantTimers[m.Target.String()+" Ring"]++
	}
	if err := f.bus.KeepSchedules(t.Context(), []actor.Schedule{{Name: "nightly", Spec: "@every 1h", To: actor.Address{Kind: "account", ID: "a"}, Command: "Close", Data: []byte("{}")}}); err != nil {
		t.Fatal(err)
	}
	sending := make(chan error, 60)
	for i := range 20 { // of one aggregate at a time: they go in batches
		own := command("b", `{"n":1}`)
		own.ID = actor.InternalID(time.Now(), "out", strconv.Itoa(i))
		go func() { sending <- internal.Enqueue(t.Context(), own) }()
		for _, client := range []actor.Client{near, f.client} {
			go func() { sending <- client.Enqueue(t.Context(), command("b", `{"n":1}`)) }()
		}
	}
	for range 60 {
		if err := <-sending; err != nil {
			t.Fatal(err)
		}
	}
	wantSent["account/b Deposit"] = 20
	timers, sent, complete := count(1000)
	if diff := cmp.Diff(wantTimers, timers); diff != "" || !complete {
		t.Errorf("complete %v, timers (-want +got):\n%s", complete, diff)
	}
	if diff := cmp.Diff(wantSent, sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if timers, _, complete := count(100); len(timers) != 100 || complete {
		t.Errorf("with a limit of 100: %d timers, complete %v", len(timers), complete)
	}
}
