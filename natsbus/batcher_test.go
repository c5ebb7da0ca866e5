package natsbus_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
	"github.com/ganglion-go/ganglion/testharness"
)

// deliverMany makes n calls for one aggregate at once. Each gets its own answer.
func deliverMany(t *testing.T, c *natsbus.Client, id string, n int) {
	t.Helper()
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() {
			data := fmt.Sprint(i)
			if o := c.Deliver(t.Context(), command(id, data)); o.Code != actor.CodeOK || string(o.Reply) != data {
				t.Errorf("call %s: %+v", data, o)
			}
		})
	}
	calls.Wait()
}

func lastSequence(t *testing.T, f *fixture) uint64 {
	t.Helper()
	_, last, err := f.bus.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// TestBatcher_OneAggregate: commands for one aggregate that come at once share
// messages, and each comes once and is answered by itself, also at another node.
func TestBatcher_OneAggregate(t *testing.T) {
	t.Parallel()
	const n = 500
	f := setup(t, natsbus.Config{Partitions: 4})
	o := &owner{answer: echo}
	serveAll(t, f.bus, o)
	deliverMany(t, f.client, "a", n)
	last := lastSequence(t, f)
	t.Logf("%d commands in %d messages", n, last)
	if last < (n+127)/128 || last > n/2 {
		t.Errorf("%d commands came in %d messages", n, last)
	}
	all := o.durables()
	seen := map[string]bool{}
	for i, d := range all {
		seen[string(d.Message.Data)] = true
		if i == 0 || d.Sequence == all[i-1].Sequence && d.More == all[i-1].More-1 || d.Sequence == all[i-1].Sequence+1 && all[i-1].More == 0 {
			continue
		}
		t.Errorf("%d with %d more follows %d with %d more", d.Sequence, d.More, all[i-1].Sequence, all[i-1].More)
	}
	if len(all) != n || len(seen) != n {
		t.Errorf("%d deliveries of %d commands", len(all), len(seen))
	}
	testharness.Eventually(t, patient, func() bool { return natsbus.BatchesUnderWay(f.client) == 0 })
}

func TestBatcher_MaxOne(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 4})
	serveAll(t, f.bus, &owner{answer: echo})
	client := newClient(t, f.nc, natsbus.ClientConfig{BatchMax: 1})
	deliverMany(t, client, "a", 100)
	if last := lastSequence(t, f); last != 100 {
		t.Errorf("100 commands came in %d messages", last)
	}
}

// TestBatcher_Sizes: a batch is bounded in bytes, and what is large goes by itself.
func TestBatcher_Sizes(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 4})
	o := &owner{}
	serveAll(t, f.bus, o)
	var calls sync.WaitGroup
	for i := range 64 {
		size := []int{10, 20_000, 31_000, 100_000}[i%4]
		calls.Go(func() {
			if err := f.client.Enqueue(t.Context(), command("a", fmt.Sprintf("%0*d", size, 1))); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	testharness.Eventually(t, patient, func() bool { return len(o.durables()) == 64 })
	total := map[uint64]int{}
	for _, d := range o.durables() {
		total[d.Sequence] += len(d.Message.Data)
		if len(d.Message.Data) >= 32<<10 && total[d.Sequence] != len(d.Message.Data) {
			t.Errorf("%d bytes share a message", len(d.Message.Data))
		}
	}
	for sequence, bytes := range total {
		if bytes > 128<<10 {
			t.Errorf("message %d carries %d bytes", sequence, bytes)
		}
	}
}

// TestBatcher_NoWordOfTheStream: commands wait a moment for the stream's word, and then
// go without.
func TestBatcher_NoWordOfTheStream(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	serveAll(t, f.bus, &owner{answer: echo})
	js := newJetStream(t, f.server)
	stream, err := js.Stream(t.Context(), "ganglion_COMMANDS")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.NoAck = true
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	deliverMany(t, f.client, "a", 300)
	if last := lastSequence(t, f); last > 150 { // and none for the calls' second attempts
		t.Errorf("300 commands came in %d messages", last)
	}
	testharness.Eventually(t, patient, func() bool { return natsbus.BatchesUnderWay(f.client) == 0 })
}

// TestBatcher_NoStream: each call of a batch that no stream took is told that it was not
// executed.
func TestBatcher_NoStream(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	if err := newJetStream(t, f.server).DeleteStream(t.Context(), "ganglion_COMMANDS"); err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() {
			if o := deliverWithin(t, f, 500*time.Millisecond, command("a", "1")); o.Code != actor.CodeNoOwner {
				t.Errorf("%+v", o)
			}
		})
	}
	calls.Wait()
}

// TestBatcher_ConnectionClosed: likewise when the connection takes nothing any more.
func TestBatcher_ConnectionClosed(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	f.nc.Close()
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() {
			if o := f.client.Deliver(t.Context(), command("a", "1")); o.Code != actor.CodeNoOwner {
				t.Errorf("%+v", o)
			}
		})
	}
	calls.Wait()
	if n := natsbus.BatchesUnderWay(f.client); n != 0 {
		t.Errorf("%d messages are under way", n)
	}
}

// TestBatch_Malformed: what is wrong with a batch, or with one command of it, holds up
// nobody else.
func TestBatch_Malformed(t *testing.T) {
	t.Parallel()
	malformed := make(chan string, 8)
	f := setup(t, natsbus.Config{Partitions: 1, Events: natsbus.EventListener{
		Malformed: func(_ actor.Lane, subject string, _ error) { malformed <- subject },
	}})
	o := &owner{}
	serveAll(t, f.bus, o)
	to := actor.Address{Kind: "account", ID: "a"}
	publish := func(data []byte) {
		t.Helper()
		if err := f.nc.PublishMsg(&nats.Msg{Subject: wire.Namespace("ganglion").Command(to), Header: wire.BatchHeader(), Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	one := func(data string) *actor.Message {
		m := command("a", data)
		m.ID, m.Time = actor.CommandID("c-"+data), time.UnixMicro(1)
		return &m
	}
	bad := one("1")
	bad.Name = ""
	publish(nil)
	publish([]byte{1, 200})
	publish(slices.Concat(wire.EncodeCommand(one("0"), ""), wire.EncodeCommand(bad, ""), wire.EncodeCommand(one("2"), "")))
	publish(wire.EncodeCommand(one("3"), ""))
	testharness.Eventually(t, patient, func() bool { return len(o.durables()) == 3 })
	for i, want := range []string{"0", "2", "3"} {
		if got := string(o.durables()[i].Message.Data); got != want {
			t.Errorf("delivery %d is %s, want %s", i, got, want)
		}
	}
	if len(malformed) != 3 {
		t.Errorf("%d were reported, want 3", len(malformed))
	}
	testharness.Eventually(t, patient, func() bool { o.mu.Lock(); defer o.mu.Unlock(); return len(o.unread) == 3 })
}
