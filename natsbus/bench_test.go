package natsbus_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/testharness"
)

// echoOwner answers at once and keeps nothing.
type echoOwner struct{}

func (echoOwner) Durable(_ context.Context, d actor.Delivery) { answerEcho(d) }
func (echoOwner) Direct(d actor.Delivery)                     { answerEcho(d) }

func answerEcho(d actor.Delivery) {
	if d.Responder != nil {
		d.Responder.Respond(actor.Outcome{Version: 1, Reply: d.Message.Data})
	}
}

// benchmark is a server that listens on a socket, a node that serves all its
// partitions, and a client, on connections of their own.
func benchmark(b *testing.B) (client *natsbus.Client, nc *nats.Conn) {
	b.Helper()
	server := testharness.NATS(b, testharness.WithListener())
	connect := func() *nats.Conn {
		nc, err := nats.Connect(server.URL())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(nc.Close)
		return nc
	}
	bus := openBus(b, connect(), natsbus.Config{MaxBytes: 8 << 30})
	serveAll(b, bus, echoOwner{})
	nc = connect()
	return newClient(b, nc, natsbus.ClientConfig{}), nc
}

var benchData = []byte(`{"amount":5,"currency":"EUR","note":"a command of usual size, about a hundred bytes of JSON in all"}`)

// inFlight makes n calls at a time. Besides the throughput it reports the CPU
// time that a call costs everybody in this process, server included: on a
// machine with other work to do that is the steadier figure.
func inFlight(b *testing.B, n int, do func(i int) error) {
	b.Helper()
	b.ReportAllocs()
	var worker, calls atomic.Int64
	before := cpuTime(b)
	var group sync.WaitGroup
	todo := make(chan int, 1024)
	for range n {
		group.Go(func() {
			for i := int(worker.Add(1)) * 7919; ; i++ {
				if _, ok := <-todo; !ok {
					return
				}
				if err := do(i); err != nil {
					b.Error(err)
				}
				calls.Add(1)
			}
		})
	}
	for b.Loop() {
		todo <- 1
	}
	close(todo)
	group.Wait()
	b.ReportMetric(float64(calls.Load())/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(calls.Load()), "cpu-µs/op")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchDeliver(b *testing.B, lane actor.Lane) {
	b.Helper()
	client, _ := benchmark(b)
	for _, n := range []int{1, 256, 1024} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			inFlight(b, n, func(i int) error {
				m := actor.Message{Target: actor.Address{Kind: "account", ID: "a-" + strconv.Itoa(i%5000)}, Name: "Deposit", Data: benchData, Lane: lane}
				return client.Deliver(b.Context(), m).Err()
			})
		})
	}
}

func BenchmarkDurable(b *testing.B) { benchDeliver(b, actor.LaneDurable) }
func BenchmarkDirect(b *testing.B)  { benchDeliver(b, actor.LaneDirect) }

// BenchmarkEnqueue is the publishing half of the durable lane, with a reader.
func BenchmarkEnqueue(b *testing.B) {
	client, _ := benchmark(b)
	for _, n := range []int{1, 256, 1024} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			inFlight(b, n, func(i int) error {
				return client.Enqueue(b.Context(), command("a-"+strconv.Itoa(i%5000), string(benchData)))
			})
		})
	}
}

// BenchmarkRawPublish is what JetStream itself takes: synchronous publishes of
// the same payload, without headers, and nobody reads them.
func BenchmarkRawPublish(b *testing.B) {
	_, nc := benchmark(b)
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "RAW", Subjects: []string{"raw.*"}}); err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 256, 1024} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			inFlight(b, n, func(i int) error {
				_, err := js.Publish(b.Context(), fmt.Sprintf("raw.%d", i%5000), benchData)
				return err
			})
		})
	}
}

// BenchmarkRawRequest is what core NATS itself takes: an echo.
func BenchmarkRawRequest(b *testing.B) {
	_, nc := benchmark(b)
	for i := range 128 {
		if _, err := nc.Subscribe(fmt.Sprintf("echo.%d.>", i), func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
			b.Fatal(err)
		}
	}
	for _, n := range []int{1, 256, 1024} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			inFlight(b, n, func(i int) error {
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				_, err := nc.RequestWithContext(ctx, fmt.Sprintf("echo.%d.x", i%128), benchData)
				return err
			})
		})
	}
}

// BenchmarkServe is a node that takes over all of 128 partitions.
func BenchmarkServe(b *testing.B) {
	server := testharness.NATS(b, testharness.WithListener())
	nc, err := nats.Connect(server.URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	bus := openBus(b, nc, natsbus.Config{})
	for b.Loop() {
		subs := make([]actor.Subscription, bus.Partitions())
		var group sync.WaitGroup
		for p := range subs {
			group.Go(func() {
				var err error
				if subs[p], err = bus.Serve(b.Context(), actor.Partition(p), bus.Stream(), 0, echoOwner{}); err != nil {
					b.Error(err)
				}
			})
		}
		group.Wait()
		for _, sub := range subs {
			stop(b, sub)
		}
	}
}

// BenchmarkIdle is the CPU that 128 idle partitions cost node and server
// together, in percent of one core.
func BenchmarkIdle(b *testing.B) {
	_, _ = benchmark(b)
	before := cpuTime(b)
	const d = 5 * time.Second
	for b.Loop() {
		wait(b.Context(), d)
	}
	used := cpuTime(b) - before
	b.ReportMetric(100*used.Seconds()/b.Elapsed().Seconds(), "%core")
}
