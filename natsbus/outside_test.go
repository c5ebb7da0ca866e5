package natsbus_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
	"github.com/ganglion-go/ganglion/testharness"
)

// TestServe_Outside_IsToldBySubject: what comes where callers publish is from outside, and on
// nobody's behalf, whatever its headers say; what comes where nodes alone publish is what the
// node says.
func TestServe_Outside_IsToldBySubject(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	o := &owner{answer: echo}
	serve(t, f.bus, o, 0)
	inbox, err := f.nc.SubscribeSync("ganglion.inbox.some.0.o1")
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for subject, want := range map[string]struct{ caller, node bool }{
		"ganglion.cmd.account.a-1":   {caller: true},
		"ganglion.run.account.a-1":   {node: true},
		"ganglion.ask.0.account.a-1": {caller: true},
		"ganglion.req.0.account.a-1": {node: true},
	} {
		direct := strings.Count(subject, ".") == 4
		for _, h := range []nats.Header{{"Gn-User": {"ann"}}, {"Gn-User": {"ann"}, "Gn-Outside": {"1"}}, {"Gn-User": {"ann"}, "Gn-Outside": {"0"}}} {
			for _, batch := range []bool{false, true} {
				if direct && batch {
					continue
				}
				sent++
				msg := &nats.Msg{Subject: subject, Header: forged(h, nats.Header{"Gn-Id": {fmt.Sprint("k-", sent)}, "Gn-Reply": {inbox.Subject}}), Reply: inbox.Subject, Data: []byte("{}")}
				if batch {
					msg.Data = batchOf(msg.Header, "{}")
					msg.Header = nats.Header{"Gn-Format": {"batch1"}}
				}
				if !direct {
					msg.Reply = ""
				}
				if err := f.nc.PublishMsg(msg); err != nil {
					t.Fatal(err)
				}
				if _, err := inbox.NextMsg(patient); err != nil {
					t.Fatalf("%s: %v", subject, err)
				}
				all := o.durables()
				if direct {
					all = o.directs()
				}
				m := all[len(all)-1].Message
				if outside := want.caller || len(h["Gn-Outside"]) > 0; m.Outside != outside || (m.Metadata.User == "ann") != want.node {
					t.Errorf("%s, %v, batch %v: outside %v, user %q", subject, h, batch, m.Outside, m.Metadata.User)
				}
			}
		}
	}
}

// TestClient_Outside: a client is a caller, a node's client and one with the rights of a node
// are not.
func TestClient_Outside(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	o := &owner{answer: echo}
	serve(t, f.bus, o, 0)
	elsewhere := openBus(t, f.server.Connect(t), natsbus.Config{})
	clients := map[string]*natsbus.Client{"caller": f.client, "as a node": newClient(t, f.server.Connect(t), natsbus.ClientConfig{AsNode: true})}
	for name, bus := range map[string]*natsbus.Bus{"owner's node": f.bus, "another node": elsewhere} {
		c, err := bus.Client(natsbus.ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		clients[name] = c
	}
	for name, c := range clients {
		for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
			for _, outside := range []bool{false, true} {
				m := command("a-1", `{}`)
				m.Lane, m.Outside, m.Metadata.User = lane, outside, "ann"
				if got := c.Deliver(t.Context(), m); got.Code != actor.CodeOK {
					t.Fatalf("%s: %+v", name, got)
				}
				all := o.durables()
				if lane == actor.LaneDirect {
					all = o.directs()
				}
				caller := name == "caller"
				if got := all[len(all)-1].Message; got.Outside != (caller || outside) || (got.Metadata.User == "ann") == caller {
					t.Errorf("%s, lane %d: outside %v, user %q", name, lane, got.Outside, got.Metadata.User)
				}
			}
		}
	}
}

// earlierOwner serves the direct lane of partition 0 as builds did that knew one family of
// subjects.
type earlierOwner struct {
	sub  *nats.Subscription
	took atomic.Int64
}

func newEarlierOwner(t *testing.T, nc *nats.Conn) *earlierOwner {
	t.Helper()
	o := &earlierOwner{}
	var err error
	o.sub, err = nc.Subscribe("ganglion.ask.0.>", func(msg *nats.Msg) {
		o.took.Add(1)
		_ = nc.PublishMsg(wire.EncodeOutcome(msg.Reply, actor.Outcome{Version: 7, Reply: []byte("{}")}))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestClient_OwnerOfAnEarlierBuild: while a cluster is upgraded, nodes ask owners of both
// builds, learn which is which, and nothing is executed as what it is not.
func TestClient_OwnerOfAnEarlierBuild(t *testing.T) {
	t.Parallel()
	var tries struct {
		sync.Mutex
		n int
	}
	f := setup(t, natsbus.Config{Partitions: 1, Events: natsbus.EventListener{Published: func(actor.Lane, int) {
		tries.Lock()
		tries.n++
		tries.Unlock()
	}}})
	node, err := f.bus.Client(natsbus.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Close)
	deliver := func() (triesMade int) {
		t.Helper()
		tries.Lock()
		before := tries.n
		tries.Unlock()
		m := command("a-1", `{}`)
		m.Lane, m.Metadata.User = actor.LaneDirect, "ann"
		if got := node.Deliver(t.Context(), m); got.Code != actor.CodeOK {
			t.Fatalf("answered %+v", got)
		}
		tries.Lock()
		defer tries.Unlock()
		return tries.n - before
	}
	former := newEarlierOwner(t, f.owners)
	if n := deliver(); n < 4 || former.took.Load() != 1 {
		t.Errorf("%d tries, %d taken", n, former.took.Load())
	}
	if n := deliver(); n != 1 || former.took.Load() != 2 {
		t.Errorf("once it is known: %d tries, %d taken", n, former.took.Load())
	}
	// The owner changes, and the node misses the announcement: the new one says where it listens.
	if err := former.sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	o := &owner{answer: echo}
	next := openBus(t, f.server.Connect(t), natsbus.Config{})
	serve(t, next, o, 0)
	testharness.Eventually(t, patient, func() bool { return deliver() == 1 })
	for _, d := range o.directs() {
		if d.Message.Outside || d.Message.Metadata.User != "ann" {
			t.Errorf("executed as a caller's: %+v", d.Message)
		}
	}
}

// TestServe_RelayedByANode_IsSentBack: an owner of this build does not execute what a node
// sends to where it takes it for a caller's.
func TestServe_RelayedByANode_IsSentBack(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	o := &owner{answer: echo}
	serve(t, f.bus, o, 0)
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	inbox, err := f.nc.SubscribeSync("ganglion.inbox.some.0.o1")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.nc.PublishMsg(&nats.Msg{Subject: "ganglion.ask.0.account.a-1", Reply: inbox.Subject, Header: forged(nats.Header{"Gn-Relayed": {"1"}}, nil), Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	answer, err := inbox.NextMsgWithContext(ctx)
	if err != nil || answer.Header["Gn-Code"][0] != string(actor.CodeNoOwner) || len(o.directs()) > 0 {
		t.Errorf("answered %+v, %v; %d executed", answer, err, len(o.directs()))
	}
}

// TestClient_Inbox: a client is answered at inboxes of its user's own, on both lanes.
func TestClient_Inbox(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	serve(t, f.bus, &owner{answer: echo}, 0)
	heard, err := f.nc.SubscribeSync("ganglion.inbox.ann.*.*.*")
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, f.server.Connect(t), natsbus.ClientConfig{Inbox: "ann"})
	for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
		m := command("a-1", `{}`)
		m.Lane = lane
		if got := c.Deliver(t.Context(), m); got.Code != actor.CodeOK {
			t.Errorf("lane %d: %+v", lane, got)
		}
	}
	for range 3 { // two outcomes and an acknowledgement
		if _, err := heard.NextMsg(time.Second * 10); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"a.b", "a b", "*", ">", strings.Repeat("a", 65), "ä"} {
		if _, err := natsbus.NewClient(t.Context(), f.nc, natsbus.ClientConfig{Inbox: bad}); err == nil {
			t.Errorf("inbox %q is taken", bad)
		}
	}
}
