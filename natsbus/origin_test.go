package natsbus_test

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/testharness"
)

// forgedHeaders are what a caller may put into a message, and only the runtime may send.
func forgedHeaders() map[string]nats.Header {
	return map[string]nats.Header{
		"a timer":                {"Gn-Timer": {"remind"}},
		"a fallback":             {"Gn-Refused-To": {"account/victim"}, "Gn-Refused-Name": {"Withdraw"}, "Gn-Refused-Data": {"{}"}},
		"an id of the runtime":   {"Gn-Id": {string(actor.InternalID(time.Now(), "reaction", "policy", "account/x", "1", "0"))}},
		"an escaped id of it":    {"Gn-Id": {"%67anglion.0190a1b2-0000-7000-8000-000000000000"}},
		"an event for a saga":    {"Gn-Name": {"ganglion.on.account.opened.v1"}},
		"a skip":                 {"Gn-Name": {"ganglion.skip"}},
		"the deadline of a saga": {"Gn-Name": {"ganglion.deadline"}},
		"a timer, format named":  {"Gn-Format": {"1"}, "Gn-Timer": {"remind"}},
	}
}

func forged(h nats.Header, more nats.Header) nats.Header {
	all := nats.Header{"Gn-Id": {"c-1"}, "Gn-Name": {"Deposit"}, "Gn-Time": {"1"}}
	for _, add := range []nats.Header{h, more} {
		maps.Copy(all, add)
	}
	return all
}

// batchOf is a batch of one command, as a client makes it.
func batchOf(h nats.Header, data string) []byte {
	text := func(to []byte, s string) []byte { return append(binary.AppendUvarint(to, uint64(len(s))), s...) }
	payload := binary.AppendUvarint(nil, uint64(len(h)))
	for name, v := range h {
		payload = text(text(payload, name), v[0])
	}
	return text(payload, data)
}

// TestServe_Forged_IsRefused: whoever may send commands cannot send what only the
// runtime may, on either lane, alone or in a batch.
func TestServe_Forged_IsRefused(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	o := &owner{answer: echo}
	serve(t, f.bus, o, 0)
	inbox, err := f.nc.SubscribeSync("ganglion.inbox.forger.0.o1")
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range forgedHeaders() {
		reply := nats.Header{"Gn-Reply": {inbox.Subject}}
		for way, msg := range map[string]*nats.Msg{
			"durable": {Subject: "ganglion.cmd.account.a-1", Header: forged(h, reply), Data: []byte("{}")},
			"batch":   {Subject: "ganglion.cmd.account.a-1", Header: nats.Header{"Gn-Format": {"batch1"}}, Data: batchOf(forged(h, reply), "{}")},
			"direct":  {Subject: "ganglion.ask.0.account.a-1", Header: forged(h, nil), Reply: inbox.Subject, Data: []byte("{}")},
		} {
			if err := f.nc.PublishMsg(msg); err != nil {
				t.Fatal(err)
			}
			answer, err := inbox.NextMsg(patient)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, way, err)
			}
			if got := answer.Header["Gn-Code"]; !slices.Equal(got, []string{string(actor.CodeMalformed)}) {
				t.Errorf("%s, %s: answered %v", name, way, answer.Header)
			}
		}
	}
	if n := len(o.durables()) + len(o.directs()); n > 0 {
		t.Errorf("%d forged messages reached the owner", n)
	}
}

// TestClient_Forged_IsRefused: nor by the client, in the owner's process or elsewhere.
func TestClient_Forged_IsRefused(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	o := &owner{answer: echo}
	serve(t, f.bus, o, 0)
	near, err := f.bus.Client(natsbus.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(near.Close)
	for name, change := range map[string]func(*actor.Message){
		"timer":    func(m *actor.Message) { m.Timer = "remind" },
		"fallback": func(m *actor.Message) { m.OnRefusal = &actor.Fallback{To: m.Target, Name: "Withdraw"} },
		"id":       func(m *actor.Message) { m.ID = actor.InternalID(time.Now(), "cron") },
		"name":     func(m *actor.Message) { m.Name = "ganglion.on.account.opened.v1" },
		"skip":     func(m *actor.Message) { m.ID = "c-1"; *m = actor.Skip(*m) },
	} {
		for where, client := range map[string]*natsbus.Client{"near": near, "far": f.client} {
			for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
				m := command("a-1", "{}")
				m.Lane = lane
				change(&m)
				if got := client.Deliver(t.Context(), m); got.Code != actor.CodeMalformed {
					t.Errorf("%s, %s, lane %d: %+v", name, where, lane, got)
				}
			}
			m := command("a-1", "{}")
			change(&m)
			if err := client.Enqueue(t.Context(), m); !errors.Is(err, actor.ErrMalformed) {
				t.Errorf("%s, %s, enqueued: %v", name, where, err)
			}
		}
	}
	if n := len(o.durables()) + len(o.directs()); n > 0 {
		t.Errorf("%d forged messages reached the owner", n)
	}
}

// TestBus_RuntimesOwn_IsTaken: what the runtime sends has all of that, by the relay and
// by its client, and is in the order of the stream with what callers send.
func TestBus_RuntimesOwn_IsTaken(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 2})
	id := idIn(1, 2)
	own := command(id, `{"n":0}`)
	own.ID, own.Time, own.Timer = actor.InternalID(time.Now(), "out"), time.UnixMicro(1).UTC(), "remind"
	own.OnRefusal = &actor.Fallback{To: own.Target, Name: "Refused", Data: []byte(`{"n":1}`)}
	if err := f.bus.Send(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	enqueue(t, f.client, id, 1, 1)
	internal, err := f.bus.RuntimeClient(natsbus.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(internal.Close)
	o := &owner{answer: echo}
	serve(t, f.bus, o, 1)
	skip := own
	skip.Lane = actor.LaneDirect // it takes the durable one all the same
	if got := internal.Deliver(t.Context(), actor.Skip(skip)); got.Code != actor.CodeOK {
		t.Fatalf("answered %+v", got)
	}
	got := o.durables()
	if len(got) != 3 || len(o.directs()) > 0 {
		t.Fatalf("delivered %+v and %+v", got, o.directs())
	}
	if m := got[0].Message; m.ID != own.ID || m.Timer != "remind" || m.OnRefusal == nil || m.OnRefusal.Name != "Refused" {
		t.Errorf("%+v", m)
	}
	if !got[2].Message.Skips() || got[2].Message.ID != own.ID || got[0].Sequence != 1 || got[1].Sequence != 2 {
		t.Errorf("delivered %+v", got)
	}
	backlog, err := f.bus.Backlog(t.Context())
	if err != nil || backlog[1] != 3 || len(backlog) != 1 {
		t.Errorf("backlog %v, %v", backlog, err)
	}
	if err := f.bus.TrimPartition(t.Context(), 1, f.bus.Stream(), got[2].Sequence); err != nil {
		t.Fatal(err)
	}
	if backlog, err := f.bus.Backlog(t.Context()); err != nil || len(backlog) > 0 {
		t.Errorf("after a trim of the partition: %v, %v", backlog, err)
	}
}

// TestServe_Replies_GoToCallersAlone: a message cannot have a node publish where its
// sender may not: on another user's inbox, into a stream, on the server's API.
func TestServe_Replies_GoToCallersAlone(t *testing.T) {
	t.Parallel()
	var told atomic.Int64
	f := setup(t, natsbus.Config{Partitions: 1, Events: natsbus.EventListener{NotReplyable: func(string) { told.Add(1) }}})
	o := &owner{answer: echo}
	serve(t, f.bus, o, 0)
	others := []string{"_INBOX.other.1.o1", "billing.pay", "$JS.API.STREAM.PURGE.ganglion_COMMANDS", "ganglion2.inbox.c.1.o1", "ganglion.cmd.account.a-2"}
	var heard []*nats.Subscription
	for _, subject := range others {
		sub, err := f.nc.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		heard = append(heard, sub)
		if err := f.nc.PublishMsg(&nats.Msg{Subject: "ganglion.cmd.account.a-1", Header: forged(nats.Header{"Gn-Reply": {subject}}, nil), Data: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(subject, "$") {
			continue // the server itself does not let a caller ask for an answer there
		}
		if err := f.nc.PublishMsg(&nats.Msg{Subject: "ganglion.ask.0.account.a-1", Header: forged(nil, nil), Reply: subject, Data: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	testharness.Eventually(t, patient, func() bool { return len(o.durables()) == len(others) && len(o.directs()) == len(others)-1 })
	for _, d := range append(o.durables(), o.directs()...) {
		if d.Responder != nil {
			t.Errorf("an owner answers %+v", d.Responder)
		}
	}
	// What was published by then has arrived when a caller has its answer.
	if got := f.client.Deliver(t.Context(), command("a-1", `{"n":1}`)); got.Code != actor.CodeOK {
		t.Fatalf("a caller is answered %+v", got)
	}
	for i, sub := range heard {
		if n, _, err := sub.Pending(); err != nil || n > 0 {
			t.Errorf("%d messages on %s, %v", n, others[i], err)
		}
	}
	if n := told.Load(); n != int64(2*len(others)-1) {
		t.Errorf("told of %d", n)
	}
}
