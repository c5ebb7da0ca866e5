package natsbus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/testharness"
)

// enqueue stores n commands for one aggregate, one after another.
func enqueue(tb testing.TB, client *natsbus.Client, id string, from, n int) {
	tb.Helper()
	for i := range n {
		if err := client.Enqueue(tb.Context(), command(id, fmt.Sprint(from+i))); err != nil {
			tb.Fatalf("enqueue %d: %v", from+i, err)
		}
	}
}

// numbers are the payloads of deliveries, in their order.
func numbers(ds []actor.Delivery) []string {
	out := make([]string, len(ds))
	for i, d := range ds {
		out[i] = string(d.Message.Data)
	}
	return out
}

func counting(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(i)
	}
	return out
}

// expectInOrder waits for n deliveries, and wants each once and in order.
func expectInOrder(tb testing.TB, o *owner, n int) {
	tb.Helper()
	testharness.Eventually(tb, patient, func() bool { return len(o.durables()) >= n })
	ds := o.durables()
	if diff := cmp.Diff(counting(n), numbers(ds)); diff != "" {
		tb.Errorf("deliveries (-want +got):\n%s", diff)
	}
	for i := 1; i < len(ds); i++ {
		if ds[i].Sequence <= ds[i-1].Sequence {
			tb.Errorf("sequence %d after %d", ds[i].Sequence, ds[i-1].Sequence)
		}
	}
}

func TestServe_DeliversInStreamOrder_FromSequence(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 2, Window: 16})
	enqueue(t, f.client, idIn(0, 2), 0, 100)
	enqueue(t, f.client, idIn(1, 2), 0, 5)
	o := &owner{}
	serve(t, f.bus, o, 0)
	expectInOrder(t, o, 100)

	enqueue(t, f.client, idIn(0, 2), 100, 50)
	expectInOrder(t, o, 150)

	from := o.durables()[119].Sequence
	later := &owner{}
	sub, err := f.bus.Serve(t.Context(), 0, f.bus.Stream(), from, later)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, sub) })
	testharness.Eventually(t, patient, func() bool { return len(later.durables()) == 30 })
	if got := later.durables()[0]; got.Sequence <= from || string(got.Message.Data) != "120" {
		t.Errorf("first after %d is %s at %d", from, got.Message.Data, got.Sequence)
	}
}

func TestBus_Head_And_Trim(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 2})
	if _, last, err := f.bus.Head(t.Context()); err != nil || last != 0 {
		t.Errorf("last of an empty stream: %d, %v", last, err)
	}
	for i := range 10 {
		enqueue(t, f.client, idIn(actor.Partition(i%2), 2), i, 1)
	}
	if _, last, err := f.bus.Head(t.Context()); err != nil || last != 10 {
		t.Errorf("last: %d, %v", last, err)
	}
	for range 2 {
		if err := f.bus.Trim(t.Context(), f.bus.Stream(), 2); err != nil {
			t.Fatal(err)
		}
		if err := f.bus.TrimPartition(t.Context(), 0, f.bus.Stream(), 5); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.bus.TrimPartition(t.Context(), 1, f.bus.Stream(), 0); err != nil {
		t.Fatal(err)
	}
	o := &owner{}
	serveAll(t, f.bus, o)
	testharness.Eventually(t, patient, func() bool { return len(o.durables()) == 6 })
	left := map[string]bool{}
	for _, n := range numbers(o.durables()) {
		left[n] = true
	}
	for i := range 10 {
		if want := i >= 2 && (i%2 == 1 || i >= 5); left[fmt.Sprint(i)] != want {
			t.Errorf("command %d at sequence %d: left is %v", i, i+1, !want)
		}
	}
	if _, last, err := f.bus.Head(t.Context()); err != nil || last != 10 {
		t.Errorf("last after trimming: %d, %v", last, err)
	}
}

func TestServe_BlockedHandler_HoldsUpItsPartitionAlone(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 2, Window: 4})
	release := make(chan struct{})
	o := &owner{answer: echo, block: func(ctx context.Context, d actor.Delivery) {
		if d.Message.Target.ID == idIn(0, 2) {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
	}}
	serveAll(t, f.bus, o)
	enqueue(t, f.client, idIn(0, 2), 0, 20)
	for range 20 {
		if err := f.client.Deliver(t.Context(), command(idIn(1, 2), "1")).Err(); err != nil {
			t.Fatalf("the other partition: %v", err)
		}
	}
	m := command(idIn(0, 2), "direct")
	m.Lane = actor.LaneDirect
	if err := f.client.Deliver(t.Context(), m).Err(); err != nil {
		t.Fatalf("the direct lane: %v", err)
	}
	if got := len(o.durables()); got != 20 {
		t.Fatalf("%d durable deliveries are done, want those of the other partition", got)
	}
	close(release)
	testharness.Eventually(t, patient, func() bool { return len(o.durables()) == 40 })
	if diff := cmp.Diff(counting(20), numbers(o.durables()[20:])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestServe_HandlerBlockedForMinutes_LosesNothing: in virtual time, the pull
// request expires, and the server removes the consumer that nobody pulls from.
func TestServe_HandlerBlockedForMinutes_LosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var resets atomic.Int64
		f := setup(t, natsbus.Config{Partitions: 1, Window: 8, Events: natsbus.EventListener{
			ConsumerReset: func(actor.Partition, error) { resets.Add(1) },
		}})
		o := &owner{block: func(ctx context.Context, d actor.Delivery) {
			if string(d.Message.Data) == "3" {
				wait(ctx, 10*time.Minute)
			}
		}}
		subs := serve(t, f.bus, o, 0)
		enqueue(t, f.client, "a", 0, 50)
		wait(t.Context(), 9*time.Minute)
		enqueue(t, f.client, "a", 50, 50)
		if got := len(o.durables()); got != 3 {
			t.Errorf("%d messages handed over while the handler blocks", got)
		}
		wait(t.Context(), 2*time.Minute)
		expectInOrder(t, o, 100)
		if resets.Load() == 0 {
			t.Error("no reset: the test has not met the removal of the consumer")
		}
		stop(t, subs[0])
	})
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// TestServe_ConsumerRemoved_GoesOn takes the consumer away again and again, as
// the loss of the server that hosts it does.
func TestServe_ConsumerRemoved_GoesOn(t *testing.T) {
	t.Parallel()
	var resets atomic.Int64
	f := setup(t, natsbus.Config{Partitions: 1, Window: 8, Events: natsbus.EventListener{
		ConsumerReset: func(actor.Partition, error) { resets.Add(1) },
	}})
	o := &owner{}
	serve(t, f.bus, o, 0)
	js := newJetStream(t, f.server)
	stream, err := js.Stream(t.Context(), "ganglion_COMMANDS")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		enqueue(t, f.client, "a", i*20, 20)
		removed := false // there is none for a moment after a reset
		testharness.Eventually(t, patient, func() bool {
			for name := range stream.ConsumerNames(t.Context()).Name() {
				err := stream.DeleteConsumer(t.Context(), name)
				if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
					t.Fatal(err)
				}
				removed = removed || err == nil
			}
			return removed
		})
		testharness.Eventually(t, patient, func() bool { return resets.Load() > int64(i) })
	}
	expectInOrder(t, o, 100)
}

func TestServe_ServerRestart_GoesOn(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1, Window: 8})
	o := &owner{answer: echo}
	serve(t, f.bus, o, 0)
	enqueue(t, f.client, "a", 0, 50)
	f.server.Restart(t)
	enqueue(t, f.client, "a", 50, 50)
	testharness.Eventually(t, patient, func() bool { return len(o.durables()) >= 100 })
	expectEachOnceOrRetried(t, o, 100)
}

// expectEachOnceOrRetried wants all numbers, in the order of their first
// appearance: a retried publish may store a command twice, with one id.
func expectEachOnceOrRetried(tb testing.TB, o *owner, n int) {
	tb.Helper()
	seen := map[actor.CommandID]bool{}
	var first []actor.Delivery
	sequences := map[uint64]bool{}
	for _, d := range o.durables() {
		if sequences[d.Sequence] {
			tb.Errorf("sequence %d was handed over twice", d.Sequence)
		}
		sequences[d.Sequence] = true
		if !seen[d.Message.ID] {
			seen[d.Message.ID] = true
			first = append(first, d)
		}
	}
	if diff := cmp.Diff(counting(n), numbers(first)); diff != "" {
		tb.Errorf("(-want +got):\n%s", diff)
	}
}

// TestServe_StopDuringLoad_HandsOverWithoutGapOrRepeat passes a partition from
// owner to owner while commands pour in.
func TestServe_StopDuringLoad_HandsOverWithoutGapOrRepeat(t *testing.T) {
	t.Parallel()
	const total = 2000
	f := setup(t, natsbus.Config{Partitions: 1, Window: 16})
	var publishing sync.WaitGroup
	publishing.Go(func() { enqueue(t, f.client, "a", 0, total) })
	var all []actor.Delivery
	for after := uint64(0); len(all) < total; {
		var stopped atomic.Bool
		var late atomic.Int64
		o := &owner{block: func(context.Context, actor.Delivery) {
			if stopped.Load() {
				late.Add(1)
			}
		}}
		sub, err := f.bus.Serve(t.Context(), 0, f.bus.Stream(), after, o)
		if err != nil {
			t.Fatal(err)
		}
		testharness.Eventually(t, patient, func() bool { return len(o.durables()) >= 100 || len(all)+len(o.durables()) == total })
		stop(t, sub)
		stopped.Store(true)
		select {
		case <-sub.Done():
		default:
			t.Error("stopped, but not done")
		}
		if sub.Err() != nil {
			t.Errorf("stopped with %v", sub.Err())
		}
		got := o.durables()
		all = append(all, got...)
		after = got[len(got)-1].Sequence
		if late.Load() != 0 {
			t.Error("the handler was called after Stop")
		}
	}
	publishing.Wait()
	if diff := cmp.Diff(counting(total), numbers(all)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSubscription_Stop_EndsHandlersContext(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	entered := make(chan struct{})
	hold := make(chan struct{})
	o := &owner{block: func(ctx context.Context, _ actor.Delivery) {
		close(entered)
		<-ctx.Done()
		<-hold
	}}
	sub, err := f.bus.Serve(t.Context(), 0, f.bus.Stream(), 0, o)
	if err != nil {
		t.Fatal(err)
	}
	enqueue(t, f.client, "a", 0, 1)
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := sub.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop while the handler runs: %v", err)
	}
	close(hold)
	stop(t, sub)
	stop(t, sub)
}

func TestServe_StopRemovesConsumer(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8})
	subs := serveAll(t, f.bus, &owner{})
	stream, err := newJetStream(t, f.server).Stream(t.Context(), "ganglion_COMMANDS")
	if err != nil {
		t.Fatal(err)
	}
	consumers := func() int {
		info, err := stream.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return info.State.Consumers
	}
	if got := consumers(); got == 0 { // the trunk's, or some partitions' own, or both
		t.Error("no consumer for 8 partitions")
	}
	for _, sub := range subs {
		stop(t, sub)
	}
	testharness.Eventually(t, patient, func() bool { return consumers() == 0 })
}

func TestServe_StreamRecreated_EndsWithErrStreamLost(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 2})
	o := &owner{}
	subs := serveAll(t, f.bus, o)
	enqueue(t, f.client, idIn(0, 2), 0, 3)
	testharness.Eventually(t, patient, func() bool { return len(o.durables()) == 3 })
	if err := newJetStream(t, f.server).DeleteStream(t.Context(), "ganglion_COMMANDS"); err != nil {
		t.Fatal(err)
	}
	again := openBus(t, f.server.Connect(t), natsbus.Config{Partitions: 2})
	lost := f.bus.Stream()
	if again.Stream() == lost {
		t.Error("the new stream has the identity of the old one")
	}
	enqueue(t, f.client, idIn(0, 2), 100, 10)
	expectLost(t, subs)
	if got := len(o.durables()); got != 3 {
		t.Errorf("%d messages: those of the new stream were handed over as if they belonged to the old one", got)
	}
	// The bus moves on to the new stream; what is asked of the old one stays refused.
	if is, last, err := f.bus.Head(t.Context()); err != nil || is != again.Stream() || is != f.bus.Stream() || last != 10 {
		t.Errorf("head is %d of %s, %v, want 10 of %s", last, is, err, again.Stream())
	}
	if err := f.bus.Trim(t.Context(), lost, 100); !errors.Is(err, natsbus.ErrStreamLost) {
		t.Errorf("Trim: %v", err)
	}
	if _, err := f.bus.Serve(t.Context(), 0, lost, 3, o); !errors.Is(err, natsbus.ErrStreamLost) {
		t.Errorf("Serve: %v", err)
	}
	serveAll(t, f.bus, o)
	testharness.Eventually(t, patient, func() bool { return len(o.durables()) == 13 })
}

// TestHead_StreamDeleted_IsMadeAnew, by two nodes at once, with as many
// partitions as before, and only when it has been gone for a while.
func TestHead_StreamDeleted_IsMadeAnew(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 2})
	other := openBus(t, f.server.Connect(t), natsbus.Config{})
	lost := f.bus.Stream()
	if err := newJetStream(t, f.server).DeleteStream(t.Context(), "ganglion_COMMANDS"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.bus.Head(t.Context()); !errors.Is(err, natsbus.ErrStreamLost) {
		t.Errorf("head of a stream that has just gone: %v", err)
	}
	heads := make([]string, 2)
	var both sync.WaitGroup
	for i, b := range []*natsbus.Bus{f.bus, other} {
		both.Go(func() {
			testharness.Eventually(t, patient, func() bool {
				is, last, err := b.Head(t.Context())
				heads[i] = is
				return err == nil && last == 0
			})
		})
	}
	both.Wait()
	if heads[0] != heads[1] || heads[0] == lost {
		t.Errorf("the lost stream %s was made anew as %q", lost, heads)
	}
	o := &owner{}
	serveAll(t, f.bus, o)
	enqueue(t, f.client, idIn(1, 2), 0, 3)
	testharness.Eventually(t, patient, func() bool { return len(o.durables()) == 3 })
}

// TestHead_OtherPartitions_IsRefused: a stream that routes otherwise has taken the
// place.
func TestHead_OtherPartitions_IsRefused(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 2})
	if err := newJetStream(t, f.server).DeleteStream(t.Context(), "ganglion_COMMANDS"); err != nil {
		t.Fatal(err)
	}
	openBus(t, f.server.Connect(t), natsbus.Config{Partitions: 4})
	if _, _, err := f.bus.Head(t.Context()); !errors.Is(err, natsbus.ErrPartitionsMismatch) {
		t.Errorf("head: %v", err)
	}
}

func TestServe_StreamDeleted_EndsWithErrStreamLost(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 2})
	subs := serveAll(t, f.bus, &owner{})
	if err := newJetStream(t, f.server).DeleteStream(t.Context(), "ganglion_COMMANDS"); err != nil {
		t.Fatal(err)
	}
	expectLost(t, subs)
}

func expectLost(t *testing.T, subs []actor.Subscription) {
	t.Helper()
	for p, sub := range subs {
		select {
		case <-sub.Done():
		case <-time.After(patient):
			t.Fatalf("partition %d goes on without its stream", p)
		}
		if err := sub.Err(); !errors.Is(err, natsbus.ErrStreamLost) {
			t.Errorf("partition %d ended with %v", p, err)
		}
		stop(t, sub)
	}
}

func TestServe_ConnectionClosed_Ends(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	nc := s.Connect(t)
	bus := openBus(t, nc, natsbus.Config{Partitions: 1})
	sub, err := bus.Serve(t.Context(), 0, bus.Stream(), 0, &owner{})
	if err != nil {
		t.Fatal(err)
	}
	if sub.Err() != nil {
		t.Errorf("Err of a running subscription: %v", sub.Err())
	}
	nc.Close()
	select {
	case <-sub.Done():
	case <-time.After(patient):
		t.Fatal("goes on without a connection")
	}
	if !errors.Is(sub.Err(), nats.ErrConnectionClosed) {
		t.Errorf("ended with %v", sub.Err())
	}
}

func TestServe_UnknownPartition(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 2})
	if _, err := f.bus.Serve(t.Context(), 2, f.bus.Stream(), 0, &owner{}); !errors.Is(err, natsbus.ErrConfig) {
		t.Errorf("error %v", err)
	}
}

// TestServe_Malformed_IsSkippedAndAnswered publishes what no client of ours does.
func TestServe_Malformed_IsSkippedAndAnswered(t *testing.T) {
	t.Parallel()
	var malformed atomic.Int64
	f := setup(t, natsbus.Config{Partitions: 1, Events: natsbus.EventListener{
		Malformed: func(actor.Lane, string, error) { malformed.Add(1) },
	}})
	o := &owner{}
	serve(t, f.bus, o, 0)
	inbox, err := f.nc.SubscribeSync("ganglion.inbox.test.0.o1")
	if err != nil {
		t.Fatal(err)
	}
	good := nats.Header{"Gn-Id": {"c"}, "Gn-Name": {"Deposit"}, "Gn-Time": {"1"}, "Gn-Reply": {inbox.Subject}}
	with := func(name, value string) nats.Header {
		h := nats.Header{name: {value}}
		for k, v := range good {
			if k != name {
				h[k] = v
			}
		}
		return h
	}
	for _, msg := range []*nats.Msg{
		{Subject: "ganglion.cmd.account.a-1", Header: with("Gn-Time", "x")},
		{Subject: "ganglion.cmd.account.a-1", Header: with("Gn-Type", "query")},
		{Subject: "ganglion.cmd.account.%61", Header: good}, // not how we write a-1
		{Subject: "ganglion.cmd.Account.a-1", Header: good},
		{Subject: "ganglion.ask.0.account.a-1", Header: with("Gn-Format", "7"), Reply: inbox.Subject},
	} {
		if err := f.nc.PublishMsg(msg); err != nil {
			t.Fatal(err)
		}
		answer, err := inbox.NextMsg(patient)
		if err != nil {
			t.Fatalf("%s %v: %v", msg.Subject, msg.Header, err)
		}
		if got := answer.Header["Gn-Code"]; len(got) != 1 || got[0] != string(actor.CodeMalformed) {
			t.Errorf("%s: answered %v", msg.Subject, answer.Header)
		}
	}
	if got := malformed.Load(); got != 5 {
		t.Errorf("%d malformed messages were told of, want 5", got)
	}
}
