package natsbus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/testharness"
)

func direct(id, data string) actor.Message {
	m := command(id, data)
	m.Lane = actor.LaneDirect
	return m
}

func query(id string) actor.Message {
	return actor.Message{Type: actor.TypeQuery, Target: actor.Address{Kind: "account", ID: id}, Name: "Statement"}
}

func deliverWithin(t *testing.T, f *fixture, d time.Duration, m actor.Message) actor.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return f.client.Deliver(ctx, m)
}

// TestClient_Silence: what the caller is told at his deadline.
func TestClient_Silence(t *testing.T) {
	t.Parallel()
	silent := func(actor.Delivery) (actor.Outcome, bool) { return actor.Outcome{}, false }
	answering := func(code actor.Code) func(actor.Delivery) (actor.Outcome, bool) {
		return func(actor.Delivery) (actor.Outcome, bool) { return actor.Failure(code, ""), true }
	}
	// later is silent to the first attempt and answers all others.
	later := func(code actor.Code) func(actor.Delivery) (actor.Outcome, bool) {
		return func(d actor.Delivery) (actor.Outcome, bool) { return actor.Failure(code, ""), d.Message.Attempt > 1 }
	}
	tests := map[string]struct {
		message actor.Message
		owner   *owner // nil: nobody serves
		want    actor.Code
		early   bool // told at once
	}{
		"durable, stored, no owner":               {command("a", "1"), nil, actor.CodeUnknownOutcome, false},
		"durable, silent owner":                   {command("a", "1"), &owner{answer: silent}, actor.CodeUnknownOutcome, false},
		"durable, refused":                        {command("a", "1"), &owner{answer: answering(actor.CodeUnknownCommand)}, actor.CodeUnknownCommand, true},
		"durable, expired":                        {command("a", "1"), &owner{answer: answering(actor.CodeExpired)}, actor.CodeExpired, true},
		"durable, refused after a doubt":          {command("a", "1"), &owner{answer: later(actor.CodeOverloaded)}, actor.CodeUnknownOutcome, false},
		"durable, met no owner but is stored":     {command("a", "1"), &owner{answer: answering(actor.CodeNoOwner)}, actor.CodeUnknownOutcome, false},
		"direct, no owner":                        {direct("a", "1"), nil, actor.CodeNoOwner, false},
		"direct, silent owner":                    {direct("a", "1"), &owner{answer: silent}, actor.CodeUnknownOutcome, false},
		"direct, overloaded":                      {direct("a", "1"), &owner{answer: answering(actor.CodeOverloaded)}, actor.CodeOverloaded, true},
		"direct, overloaded after a doubt":        {direct("a", "1"), &owner{answer: later(actor.CodeOverloaded)}, actor.CodeUnknownOutcome, false},
		"direct, not the owner":                   {direct("a", "1"), &owner{answer: answering(actor.CodeNoOwner)}, actor.CodeUnknownOutcome, false},
		"query, no owner":                         {query("a"), nil, actor.CodeNoOwner, false},
		"query, silent owner":                     {query("a"), &owner{answer: silent}, actor.CodeNoOwner, false},
		"query, overloaded":                       {query("a"), &owner{answer: answering(actor.CodeOverloaded)}, actor.CodeOverloaded, true},
		"the owner does not know":                 {direct("a", "1"), &owner{answer: answering(actor.CodeUnknownOutcome)}, actor.CodeUnknownOutcome, true},
		"direct, refused, but not the first time": {withAttempt(direct("a", "1"), 2), &owner{answer: answering(actor.CodeParked)}, actor.CodeUnknownOutcome, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := setup(t, natsbus.Config{Partitions: 1})
				if tt.owner != nil {
					serveAll(t, f.bus, tt.owner)
				}
				const limit = 7 * time.Second
				start := time.Now()
				o := deliverWithin(t, f, limit, tt.message)
				took := time.Since(start)
				if o.Code != tt.want {
					t.Errorf("told %q (%s), want %q", o.Code, o.Detail, tt.want)
				}
				if early := took < time.Second; early != tt.early || took > limit+time.Second {
					t.Errorf("told after %v", took)
				}
			})
		})
	}
}

// TestClient_HeldRead: an owner who may hold the answer back is not asked again meanwhile,
// and is once it should have come.
func TestClient_HeldRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t, natsbus.Config{Partitions: 1})
		var asked atomic.Int64
		serveAll(t, f.bus, &owner{answer: func(d actor.Delivery) (actor.Outcome, bool) {
			if d.Message.Wait != (actor.Wait{Beyond: 3, For: 5 * time.Second}) {
				t.Errorf("the owner is asked to wait %+v", d.Message.Wait)
			}
			asked.Add(1)
			return actor.Outcome{}, false
		}})
		synctest.Wait() // that there is an owner has come to be known
		m := actor.Message{Type: actor.TypeState, Target: actor.Address{Kind: "account", ID: "a"}, Wait: actor.Wait{Beyond: 3, For: 5 * time.Second}}
		for limit, want := range map[time.Duration]int64{5 * time.Second: 1, 10 * time.Second: 2} {
			asked.Store(0)
			if o := deliverWithin(t, f, limit, m); o.Code != actor.CodeNoOwner || asked.Load() != want {
				t.Errorf("asked %d times in %v, want %d, and told %q", asked.Load(), limit, want, o.Code)
			}
		}
	})
}

func withAttempt(m actor.Message, n int) actor.Message {
	m.Attempt = n
	return m
}

// TestClient_LostAnswer_IsAskedForAgain: the owner executes the first attempt, its
// answer is lost, and a later attempt with the same id gets it.
func TestClient_LostAnswer_IsAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, m := range []actor.Message{command("a", "1"), direct("a", "1"), query("a")} {
		t.Run(fmt.Sprintf("type %d lane %d", m.Type, m.Lane), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := setup(t, natsbus.Config{Partitions: 1})
				o := &owner{answer: func(d actor.Delivery) (actor.Outcome, bool) {
					return actor.Outcome{Version: 4, Reply: fmt.Append(nil, d.Message.Attempt)}, d.Message.Attempt == 3
				}}
				serveAll(t, f.bus, o)
				got := f.client.Deliver(t.Context(), m)
				if string(got.Reply) != "3" || got.Version != 4 {
					t.Fatalf("told %+v", got)
				}
				all := append(o.durables(), o.directs()...)
				ids := map[actor.CommandID]bool{}
				var attempts []int
				for _, d := range all {
					ids[d.Message.ID] = true
					attempts = append(attempts, d.Message.Attempt)
				}
				if diff := cmp.Diff([]int{1, 2, 3}, attempts); diff != "" || len(ids) != 1 {
					t.Errorf("attempts %v under %d ids", attempts, len(ids))
				}
			})
		})
	}
}

// TestClient_OwnerAppearsLater: callers wait for an owner, in both lanes.
func TestClient_OwnerAppearsLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t, natsbus.Config{Partitions: 1})
		var group sync.WaitGroup
		start := time.Now()
		for _, m := range []actor.Message{command("a", "1"), direct("a", "1"), query("a")} {
			group.Go(func() {
				if err := deliverWithin(t, f, 10*time.Second, m).Err(); err != nil {
					t.Errorf("lane %d: %v", m.Lane, err)
				}
				if took := time.Since(start); took > 3300*time.Millisecond {
					t.Errorf("lane %d: told %v after the owner came", m.Lane, took-3*time.Second)
				}
			})
		}
		wait(t.Context(), 3*time.Second)
		serveAll(t, f.bus, &owner{answer: echo})
		group.Wait()
	})
}

func TestClient_Deadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t, natsbus.Config{Partitions: 1})
		o := &owner{answer: echo}
		serveAll(t, f.bus, o)
		now := time.Now()
		until := func(d time.Duration) actor.Message {
			m := command("a", "1")
			m.Deadline = now.Add(d)
			return m
		}
		ctx, cancel := context.WithDeadline(t.Context(), now.Add(2*time.Second))
		defer cancel()
		for i, tt := range []struct {
			bounded bool // by a context that ends in 2 s
			message actor.Message
			want    time.Duration // deadline of the message, from now
		}{
			{false, command("a", "1"), 9 * time.Second},
			{true, command("a", "1"), 1600 * time.Millisecond},
			{true, until(time.Second), 800 * time.Millisecond},
			{true, until(time.Hour), 1600 * time.Millisecond},
			{false, until(time.Minute), 59 * time.Second},
		} {
			use := t.Context()
			if tt.bounded {
				use = ctx
			}
			if err := f.client.Deliver(use, tt.message).Err(); err != nil {
				t.Fatalf("case %d: %v", i, err)
			}
			got := o.durables()[i].Message
			if d := got.Deadline.Sub(now); d != tt.want {
				t.Errorf("case %d: the message's deadline is in %v, want %v", i, d, tt.want)
			}
			if !got.Time.Equal(now) {
				t.Errorf("case %d: made at %v, not %v", i, got.Time, now)
			}
		}
		if err := f.client.Enqueue(t.Context(), command("a", "1")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if d := o.durables()[5].Message.Deadline; !d.IsZero() {
			t.Errorf("an enqueued command got the deadline %v", d)
		}
		if o := f.client.Deliver(t.Context(), until(-time.Second)); o.Code != actor.CodeExpired {
			t.Errorf("past its deadline: %+v", o)
		}
		cancel()
		if o := f.client.Deliver(ctx, command("a", "1")); o.Code != actor.CodeNoOwner {
			t.Errorf("with a canceled context: %+v", o)
		}
		if got := len(o.durables()); got != 6 {
			t.Errorf("%d messages were sent, want 6", got)
		}
	})
}

func TestClient_Cancel_EndsTheWait(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	arrived := make(chan struct{})
	serveAll(t, f.bus, &owner{answer: func(actor.Delivery) (actor.Outcome, bool) {
		close(arrived)
		return actor.Outcome{}, false
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if o := f.client.Deliver(ctx, command("a", "1")); o.Code != actor.CodeUnknownOutcome {
		t.Errorf("told %+v", o)
	}
}

func TestClient_FullStream(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1, MaxBytes: 20_000})
	big := command("a", `"`+strings.Repeat("x", 1000)+`"`)
	var err error
	for range 40 {
		if err = f.client.Enqueue(t.Context(), big); err != nil {
			break
		}
	}
	if !errors.Is(err, actor.ErrOverloaded) {
		t.Errorf("Enqueue to a full stream: %v", err)
	}
	if o := f.client.Deliver(t.Context(), big); o.Code != actor.CodeOverloaded {
		t.Errorf("Deliver to a full stream: %+v", o)
	}
	_, last, err := f.bus.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.bus.Trim(t.Context(), f.bus.Stream(), last); err != nil {
		t.Fatal(err)
	}
	if err := f.client.Enqueue(t.Context(), big); err != nil {
		t.Errorf("Enqueue after the stream was trimmed: %v", err)
	}
}

func TestClient_TooLarge(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1}, testharness.WithServerOptions(func(o *server.Options) { o.MaxPayload = 10_000 }))
	serveAll(t, f.bus, &owner{answer: func(d actor.Delivery) (actor.Outcome, bool) {
		return actor.Outcome{Version: 9, Reply: []byte(`"` + strings.Repeat("x", 20_000) + `"`)}, true
	}})
	large := command("a", strings.Repeat("x", 9_990))
	if o := f.client.Deliver(t.Context(), large); o.Code != actor.CodeTooLarge {
		t.Errorf("durable: %+v", o)
	}
	if err := f.client.Enqueue(t.Context(), large); !errors.Is(err, actor.ErrTooLarge) {
		t.Errorf("enqueued: %v", err)
	}
	large.Lane = actor.LaneDirect
	if o := f.client.Deliver(t.Context(), large); o.Code != actor.CodeTooLarge {
		t.Errorf("direct: %+v", o)
	}
	// The answer does not fit. The command has been executed nevertheless.
	if o := f.client.Deliver(t.Context(), command("a", "1")); o.Code != actor.CodeUnknownOutcome || !strings.Contains(o.Detail, "executed") {
		t.Errorf("large reply: %+v", o)
	}
	if o := f.client.Deliver(t.Context(), query("a")); o.Code != actor.CodeTooLarge {
		t.Errorf("large answer to a query: %+v", o)
	}
}

func TestClient_Malformed(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	noName, noID := command("a", "1"), command("", "1")
	noName.Name = ""
	for _, m := range []actor.Message{noName, noID} {
		if o := f.client.Deliver(t.Context(), m); o.Code != actor.CodeMalformed {
			t.Errorf("%+v: %+v", m, o)
		}
	}
	if err := f.client.Enqueue(t.Context(), query("a")); !errors.Is(err, actor.ErrMalformed) {
		t.Errorf("enqueued a query: %v", err)
	}
}

func TestClient_MaxInFlight(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	hold := make(chan struct{})
	serveAll(t, f.bus, &owner{answer: func(d actor.Delivery) (actor.Outcome, bool) {
		<-hold
		return echo(d)
	}})
	var sent atomic.Int64
	client := newClient(t, f.nc, natsbus.ClientConfig{
		MaxInFlight: 3,
		Events:      natsbus.EventListener{Published: func(actor.Lane, int) { sent.Add(1) }},
	})
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if err := client.Deliver(t.Context(), command("a", "1")).Err(); err != nil {
				t.Error(err)
			}
		})
	}
	testharness.Eventually(t, patient, func() bool { return sent.Load() == 3 })
	if o := client.Deliver(t.Context(), query("a")); o.Code != actor.CodeOverloaded {
		t.Errorf("the fourth call was told %+v", o)
	}
	close(hold)
	group.Wait()
	if err := client.Deliver(t.Context(), command("a", "1")).Err(); err != nil {
		t.Errorf("after the others: %v", err)
	}
}

func TestClient_Close_EndsCalls(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	arrived := make(chan struct{})
	serveAll(t, f.bus, &owner{answer: func(actor.Delivery) (actor.Outcome, bool) {
		close(arrived)
		return actor.Outcome{}, false
	}})
	told := make(chan actor.Outcome)
	go func() { told <- f.client.Deliver(t.Context(), command("a", "1")) }()
	<-arrived
	f.client.Close()
	f.client.Close()
	if o := <-told; o.Code != actor.CodeUnknownOutcome {
		t.Errorf("the call in flight was told %+v", o)
	}
	if o := f.client.Deliver(t.Context(), command("a", "1")); o.Code != actor.CodeNoOwner {
		t.Errorf("a later call was told %+v", o)
	}
}

func TestClient_ConnectionClosed(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	f.nc.Close()
	if o := f.client.Deliver(t.Context(), command("a", "1")); o.Code != actor.CodeNoOwner {
		t.Errorf("told %+v", o)
	}
}

// TestClient_ServerRestart_NoCallFails restarts the server under load. Every call
// succeeds, and the calls of the lanes are retried at once, not by patience.
func TestClient_ServerRestart_NoCallFails(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 4})
	serveAll(t, f.bus, &owner{answer: echo})
	stopped := make(chan struct{})
	var calls atomic.Int64
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			m := command(fmt.Sprintf("a-%d", i), "1")
			m.Lane = actor.Lane(i % 2)
			for n := 0; ; n++ {
				select {
				case <-stopped:
					return
				default:
				}
				if err := deliverWithin(t, f, patient, m).Err(); err != nil {
					t.Errorf("call %d on lane %d: %v", n, m.Lane, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	for range 3 {
		before := calls.Load()
		testharness.Eventually(t, patient, func() bool { return calls.Load() > before+200 })
		f.server.Restart(t)
	}
	before := calls.Load()
	testharness.Eventually(t, patient, func() bool { return calls.Load() > before+200 })
	close(stopped)
	group.Wait()
}

// TestClient_DuplicatePublish: the stream keeps both copies, one id.
func TestClient_DuplicatePublish(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	o := &owner{answer: echo}
	serveAll(t, f.bus, o)
	m := command("a", "1")
	m.ID = "order 17: été\r\n"
	for range 2 {
		if err := f.client.Deliver(t.Context(), m).Err(); err != nil {
			t.Fatal(err)
		}
	}
	ds := o.durables()
	if len(ds) != 2 || ds[0].Message.ID != m.ID || ds[1].Message.ID != m.ID || ds[0].Sequence == ds[1].Sequence {
		t.Errorf("delivered %+v", ds)
	}
}

// TestClient_IDsGrow makes ids while the clock stands still.
func TestClient_IDsGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t, natsbus.Config{Partitions: 1})
		o := &owner{}
		serveAll(t, f.bus, o)
		now := time.Now().UnixMilli()
		enqueue(t, f.client, "a", 0, 300)
		synctest.Wait()
		var ids []actor.CommandID
		for _, d := range o.durables() {
			ids = append(ids, d.Message.ID)
			if ms, ok := d.Message.ID.UnixMilli(); !ok || ms < now || ms > now+1 || d.Message.ID[19] < '8' || d.Message.ID[19] > 'b' {
				t.Fatalf("%s is no UUIDv7 of now", d.Message.ID)
			}
		}
		if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != 300 {
			t.Errorf("%d ids do not grow", len(ids))
		}
	})
}

// TestDirect_Overflow_IsCounted: what finds the owner's queue full is dropped,
// told of, and asked again.
func TestDirect_Overflow_IsCounted(t *testing.T) {
	t.Parallel()
	var dropped atomic.Int64
	f := setup(t, natsbus.Config{Partitions: 1, DirectWindow: 8, Events: natsbus.EventListener{
		DirectDropped: func(_ actor.Partition, n int) { dropped.Add(int64(n)) },
	}})
	hold := make(chan struct{})
	serveAll(t, f.bus, &owner{answer: func(d actor.Delivery) (actor.Outcome, bool) {
		<-hold
		return echo(d)
	}})
	var sent atomic.Int64
	client := newClient(t, f.nc, natsbus.ClientConfig{Events: natsbus.EventListener{Published: func(actor.Lane, int) { sent.Add(1) }}})
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			if err := client.Deliver(t.Context(), direct("a", fmt.Sprint(i))).Err(); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	testharness.Eventually(t, patient, func() bool { return sent.Load() >= 40 })
	for _, nc := range []*nats.Conn{f.nc, f.owners} { // the server has all of them, and then the owner
		if err := nc.FlushWithContext(deadlined(t)); err != nil {
			t.Fatal(err)
		}
	}
	close(hold)
	group.Wait()
	if dropped.Load() == 0 {
		t.Error("nothing was dropped, or it was not told")
	}
}

func deadlined(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	t.Cleanup(cancel)
	return ctx
}

// TestDirect_HandOver moves a partition from owner to owner under load.
func TestDirect_HandOver_NoCallFails(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	done := make(chan struct{})
	var calls atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := f.client.Deliver(t.Context(), direct("a", "1")).Err(); err != nil {
					t.Errorf("call failed: %v", err)
					return
				}
				calls.Add(1)
			}
		})
	}
	for range 10 {
		sub, err := f.bus.Serve(t.Context(), 0, f.bus.Stream(), 0, &owner{answer: echo})
		if err != nil {
			t.Fatal(err)
		}
		before := calls.Load()
		testharness.Eventually(t, patient, func() bool { return calls.Load() > before+50 })
		stop(t, sub)
	}
	sub, err := f.bus.Serve(t.Context(), 0, f.bus.Stream(), 0, &owner{answer: echo})
	if err != nil {
		t.Fatal(err)
	}
	close(done)
	group.Wait()
	stop(t, sub)
}

// TestClient_Reconnect_TriesAtOnce: an answer that was lost with the connection
// is asked for again long before the client loses patience, which takes 1.75 s at
// least. This is in real time: nats.go shares the timers of its reconnects with
// the whole process, so that bubbles and other tests cannot both reconnect.
func TestClient_Reconnect_TriesAtOnce(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 1})
	arrived := make(chan struct{}, 10)
	serveAll(t, f.bus, &owner{answer: func(d actor.Delivery) (actor.Outcome, bool) {
		arrived <- struct{}{}
		return actor.Outcome{Reply: d.Message.Data}, d.Message.Attempt > 1
	}})
	told := make(chan error)
	go func() { told <- f.client.Deliver(t.Context(), command("a", "1")).Err() }()
	<-arrived
	start := time.Now()
	f.server.Restart(t)
	if err := <-told; err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 1700*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

// TestClient_LateAnswer_IsNotTakenForAnother: calls reuse what they wait on. The
// answer to a call that is over must not reach the next one.
func TestClient_LateAnswer_IsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t, natsbus.Config{Partitions: 1})
		late := make(chan actor.Delivery, 1)
		serveAll(t, f.bus, &owner{answer: func(d actor.Delivery) (actor.Outcome, bool) {
			switch string(d.Message.Data) {
			case "1":
				if d.Message.Attempt == 1 {
					late <- d
				}
				return actor.Outcome{}, false
			case "2":
				before := <-late
				before.Responder.Respond(actor.Outcome{Reply: before.Message.Data})
				before.Responder.Respond(actor.Outcome{Reply: before.Message.Data})
			}
			return echo(d)
		}})
		if o := deliverWithin(t, f, 100*time.Millisecond, direct("a", "1")); o.Code != actor.CodeUnknownOutcome {
			t.Fatalf("the first call was told %+v", o)
		}
		for _, n := range []string{"2", "3", "4"} {
			if o := f.client.Deliver(t.Context(), direct("a", n)); string(o.Reply) != n {
				t.Errorf("call %s was told %+v", n, o)
			}
		}
	})
}
