package natsbus_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
)

func TestBus_BothLanes_BringOutcomeBack(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 4})
	o := &owner{answer: echo}
	serveAll(t, f.bus, o)
	for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
		m := command("p 7/ä*>.%", `{"amount":5}`)
		m.Lane = lane
		m.Expect = actor.Expectation{Creation: actor.MustExist, Exact: true, Version: 42}
		m.Metadata = actor.Metadata{Trace: "00-ab-cd-01", Correlation: " c\r\nGn-Id: x", Causation: "ü%", User: "me"}

		got := f.client.Deliver(t.Context(), m)

		if err := got.Err(); err != nil {
			t.Fatalf("lane %d: %v", lane, err)
		}
		if string(got.Reply) != `{"amount":5}` {
			t.Errorf("lane %d: reply %s", lane, got.Reply)
		}
		arrived := append(o.durables(), o.directs()...)[lane].Message
		want := m
		want.Attempt = 1
		want.Outside, want.Metadata.User = true, "" // as a caller's
		ignore := cmpopts.IgnoreFields(actor.Message{}, "ID", "Time", "Deadline")
		if diff := cmp.Diff(want, arrived, ignore); diff != "" {
			t.Errorf("lane %d (-want +got):\n%s", lane, diff)
		}
		if _, ok := arrived.ID.UnixMilli(); !ok {
			t.Errorf("id %q is no UUIDv7", arrived.ID)
		}
	}
}
