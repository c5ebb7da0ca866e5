package natsbus_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/testharness"
)

const patient = 20 * time.Second

// owner stands in for a runtime: it records what reaches it and answers.
type owner struct {
	answer func(actor.Delivery) (actor.Outcome, bool) // false: no answer
	block  func(context.Context, actor.Delivery)      // on the durable lane

	mu      sync.Mutex
	durable []actor.Delivery
	direct  []actor.Delivery
	unread  []actor.Delivery // stored messages that could not be read
}

// echo answers every message with its own data.
func echo(d actor.Delivery) (actor.Outcome, bool) {
	return actor.Outcome{Version: actor.Version(d.Sequence), Reply: d.Message.Data}, true
}

func (o *owner) Durable(ctx context.Context, d actor.Delivery) {
	if o.block != nil {
		o.block(ctx, d)
	}
	o.mu.Lock()
	if d.Unreadable != nil {
		o.unread = append(o.unread, d)
		o.mu.Unlock()
		return
	}
	o.durable = append(o.durable, d)
	o.mu.Unlock()
	o.respond(d)
}

func (o *owner) Direct(d actor.Delivery) {
	o.mu.Lock()
	o.direct = append(o.direct, d)
	o.mu.Unlock()
	o.respond(d)
}

func (o *owner) respond(d actor.Delivery) {
	if o.answer == nil || d.Responder == nil {
		return
	}
	if outcome, ok := o.answer(d); ok {
		d.Responder.Respond(outcome)
	}
}

func (o *owner) durables() []actor.Delivery {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]actor.Delivery(nil), o.durable...)
}

func (o *owner) directs() []actor.Delivery {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]actor.Delivery(nil), o.direct...)
}

// fixture is a server, a bus and a client on connections of their own.
type fixture struct {
	server *testharness.NATSServer
	nc     *nats.Conn // of the client
	owners *nats.Conn // of the bus
	bus    *natsbus.Bus
	client *natsbus.Client
}

func setup(tb testing.TB, cfg natsbus.Config, opts ...testharness.NATSOption) *fixture {
	tb.Helper()
	f := &fixture{server: testharness.NATS(tb, opts...)}
	f.owners = f.server.Connect(tb)
	f.bus = openBus(tb, f.owners, cfg)
	f.nc = f.server.Connect(tb)
	f.client = newClient(tb, f.nc, natsbus.ClientConfig{Namespace: cfg.Namespace, Events: cfg.Events})
	return f
}

func openBus(tb testing.TB, nc *nats.Conn, cfg natsbus.Config) *natsbus.Bus {
	tb.Helper()
	bus, err := natsbus.Open(tb.Context(), nc, cfg)
	if err != nil {
		tb.Fatalf("open bus: %v", err)
	}
	return bus
}

func newClient(tb testing.TB, nc *nats.Conn, cfg natsbus.ClientConfig) *natsbus.Client {
	tb.Helper()
	client, err := natsbus.NewClient(tb.Context(), nc, cfg)
	if err != nil {
		tb.Fatalf("new client: %v", err)
	}
	tb.Cleanup(client.Close)
	return client
}

// serve serves partitions from the start of the stream until the test ends.
func serve(tb testing.TB, bus *natsbus.Bus, h actor.Handler, partitions ...actor.Partition) []actor.Subscription {
	tb.Helper()
	subs := make([]actor.Subscription, len(partitions))
	for i, p := range partitions {
		sub, err := bus.Serve(tb.Context(), p, bus.Stream(), 0, h)
		if err != nil {
			tb.Fatalf("serve partition %d: %v", p, err)
		}
		tb.Cleanup(func() { stop(tb, sub) })
		subs[i] = sub
	}
	return subs
}

func serveAll(tb testing.TB, bus *natsbus.Bus, h actor.Handler) []actor.Subscription {
	tb.Helper()
	all := make([]actor.Partition, bus.Partitions())
	for i := range all {
		all[i] = actor.Partition(i)
	}
	return serve(tb, bus, h, all...)
}

func stop(tb testing.TB, sub actor.Subscription) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	if err := sub.Stop(ctx); err != nil {
		tb.Errorf("stop: %v", err)
	}
}

func command(id, data string) actor.Message {
	return actor.Message{Target: actor.Address{Kind: "account", ID: id}, Name: "Deposit", Data: []byte(data)}
}

// idIn returns an id whose aggregate is in partition p.
func idIn(p actor.Partition, all actor.Partitions) string {
	for i := 0; ; i++ {
		id := fmt.Sprintf("a-%d", i)
		if all.Of(actor.Address{Kind: "account", ID: id}) == p {
			return id
		}
	}
}
