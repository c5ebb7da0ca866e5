package natsbus_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
)

// TestClient_OwnerInTheSameProcess: a client of the bus reaches the partitions that
// the bus serves without NATS, and gets what it would get by it.
func TestClient_OwnerInTheSameProcess(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 2})
	large := make([]byte, 2<<20)
	answer := func(d actor.Delivery) (actor.Outcome, bool) {
		switch string(d.Message.Data) {
		case "refuse":
			return actor.Outcome{
				Code: actor.CodeRejected, Version: 3,
				Rejection: &actor.Rejection{Code: "no", Message: "not so", Details: map[string]any{"left": 5}},
			}, true
		case "large":
			return actor.Outcome{Version: 4, Reply: large}, true
		case "long":
			return actor.Failure(actor.CodeUnknownCommand, strings.Repeat("x", 5000)), true
		default:
			return actor.Outcome{Version: 1, Reply: d.Message.Data}, true
		}
	}
	o := &owner{answer: answer}
	sub := serve(t, f.bus, o, 0)[0]
	inside, err := f.bus.Client(natsbus.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(inside.Close)
	counted := func() int64 {
		v, err := f.server.Server().Varz(&server.VarzOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return v.InMsgs
	}
	for _, data := range []string{"hello", "refuse", "large", "long", strings.Repeat("y", 2<<20)} {
		m := command(idIn(0, 2), data)
		m.Lane, m.Time = actor.LaneDirect, time.Now()
		m.Metadata = actor.Metadata{User: "u"}
		here, there := inside.Deliver(t.Context(), m), f.client.Deliver(t.Context(), m)
		if data == "large" { // at its owner an answer has no limit of size
			if here.Code != actor.CodeOK || !bytes.Equal(here.Reply, large) || there.Code != actor.CodeUnknownOutcome {
				t.Errorf("large: here %q and %d bytes, by NATS %q", here.Code, len(here.Reply), there.Code)
			}
			continue
		}
		if diff := cmp.Diff(there, here); diff != "" {
			t.Errorf("%.10s (-by NATS +here):\n%s", data, diff)
		}
	}
	met := o.directs()
	for i := 0; i+1 < len(met); i += 2 {
		met[i].Message.Deadline = met[i+1].Message.Deadline
		if diff := cmp.Diff(met[i+1].Message, met[i].Message); diff != "" && met[i].Message.ID == met[i+1].Message.ID {
			t.Errorf("message (-by NATS +here):\n%s", diff)
		}
	}
	m := command(idIn(0, 2), "again")
	m.Lane = actor.LaneDirect
	before := counted()
	for range 100 {
		if err := inside.Deliver(t.Context(), m).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if n := counted() - before; n > 20 {
		t.Errorf("%d messages went through NATS for 100 calls", n)
	}
	stop(t, sub)
	n := len(o.directs())
	if o := deliverInside(t, inside, m); o.Code != actor.CodeNoOwner {
		t.Errorf("after the stop: %+v", o)
	}
	if len(o.directs()) != n {
		t.Error("the handler was called after Stop")
	}
}

func deliverInside(t *testing.T, c *natsbus.Client, m actor.Message) actor.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	return c.Deliver(ctx, m)
}
