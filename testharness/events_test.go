package testharness_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	jetstreamstore "github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/store/memory"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
	"github.com/ganglion-go/ganglion/testharness"
)

const relayPatience = 60 * time.Second

// relayed is a store and the event stream that relays fill from it.
type relayed struct {
	t      *testing.T
	store  store.Store
	server *testharness.NATSServer
	bus    *natsbus.Bus
	random *rand.Rand

	mu       sync.Mutex
	versions map[store.Aggregate]store.Version
	times    map[store.Aggregate]int64
	commands int
}

func newRelayed(t *testing.T, s store.Store) *relayed {
	t.Helper()
	server := testharness.NATS(t)
	bus, err := natsbus.Open(t.Context(), server.Connect(t), natsbus.Config{Partitions: 8, Heartbeat: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return &relayed{
		t: t, store: s, server: server, bus: bus, random: testenv.Rand(t),
		versions: map[store.Aggregate]store.Version{}, times: map[store.Aggregate]int64{},
	}
}

// stores are all of them.
func stores(t *testing.T) map[string]func(t *testing.T) store.Store {
	t.Helper()
	return map[string]func(t *testing.T) store.Store{
		"memory": func(*testing.T) store.Store { return memory.New() },
		"jetstream": func(t *testing.T) store.Store {
			t.Helper()
			s, err := jetstreamstore.Open(t.Context(), testharness.NATS(t).Connect(t), jetstreamstore.Config{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		"mongo": func(t *testing.T) store.Store {
			t.Helper()
			uri := testharness.SharedMongo(t, 1).URI()
			s, err := mongostore.Open(t.Context(), uri, mongostore.Config{Database: testharness.DatabaseName(t)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close(context.WithoutCancel(t.Context())) })
			return s
		},
	}
}

// next makes the next commit of an aggregate, of so many events, each with a command.
func (r *relayed) next(a store.Aggregate, events int, out ...store.Outgoing) store.Commit {
	r.mu.Lock()
	defer r.mu.Unlock()
	to, err := actor.ParseAddress(string(a))
	if err != nil {
		r.t.Fatal(err)
	}
	r.times[a] = max(r.times[a]+1, time.Now().UnixMicro())
	c := store.Commit{
		Aggregate: a, First: r.versions[a] + 1, Partition: store.Partition(actor.Partitions(8).Of(to)), Time: r.times[a], Out: out,
	}
	for range events {
		r.commands++
		c.Events = append(c.Events, store.Event{Name: "deposited.v1", Data: fmt.Appendf(nil, `{"n":%d}`, r.commands)})
		c.Outcomes = append(c.Outcomes,
			store.Outcome{CommandID: fmt.Sprintf("refused %d", r.commands), Rejection: []byte(`{"code":"no"}`)},
			store.Outcome{CommandID: fmt.Sprintf("c %d", r.commands), Events: 1, Reply: []byte("1"), Metadata: store.Metadata{User: "ü", Trace: "00-ab"}})
	}
	r.versions[a] = c.Last()
	return c
}

func (r *relayed) append(commits ...store.Commit) {
	r.t.Helper()
	for _, err := range r.store.Append(r.t.Context(), commits) {
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// write appends n commits of a few aggregates.
func (r *relayed) write(n int) {
	r.t.Helper()
	for range n {
		r.append(r.next(store.Aggregate(fmt.Sprintf("account/ä %d", r.random.IntN(10))), 1+r.random.IntN(4)))
	}
}

// start runs a relay until stop is called or the test ends.
func (r *relayed) start(outbox runtime.Outbox, cfg runtime.RelayConfig) (stop func()) {
	if outbox == nil {
		outbox = r.bus
	}
	if cfg.LookEvery == 0 {
		cfg.LookEvery = 200 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	done := make(chan struct{})
	go func() {
		runtime.NewRelay(cfg, r.store, outbox).Run(ctx)
		close(done)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	r.t.Cleanup(stop)
	return stop
}

// settle waits until the event stream has as many events as were written.
func (r *relayed) settle() {
	r.t.Helper()
	r.mu.Lock()
	want := uint64(r.commands) //nolint:gosec // not negative
	r.mu.Unlock()
	var last uint64
	var err error
	for deadline := time.Now().Add(relayPatience); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		if _, last, err = r.bus.EventsHead(r.t.Context()); err == nil && last >= want {
			return
		}
	}
	r.t.Fatalf("%d events of %d in the stream, %v", last, want, err)
}

func (r *relayed) check() {
	r.t.Helper()
	r.settle()
	ctx, cancel := context.WithTimeout(r.t.Context(), relayPatience)
	defer cancel()
	n, err := testharness.CheckEvents(ctx, r.store, r.bus)
	if err != nil || n == 0 {
		r.t.Errorf("%d events: %v", n, err)
	}
}

// onEachStore runs a test for each kind of store, with a relay to be of its own.
func onEachStore(t *testing.T, run func(t *testing.T, r *relayed)) {
	t.Helper()
	for name, open := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, newRelayed(t, open(t)))
		})
	}
}

// TestRelay_Relays: what was committed before the relay and after, also in commits of
// more events than go into one batch.
func TestRelay_Relays(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, r *relayed) {
		r.write(20)
		stop := r.start(nil, runtime.RelayConfig{})
		r.append(r.next("account/big", 1300))
		r.write(20)
		r.settle()
		stop()
		r.write(20)
		r.start(nil, runtime.RelayConfig{})
		r.write(20)
		r.check()
	})
}

// TestRelay_Faults has three relays at once, which die in the middle of commits and
// are paused, while commits come in and the server is restarted. What they append at
// once fits in one batch, and does not. GANGLION_SEED repeats a run.
func TestRelay_Faults(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, r *relayed) {
		got := &collector{}
		got.serveAll(t, r.bus)
		var faulty []*fickle
		for i := range 3 {
			f := &fickle{Outbox: r.bus, random: rand.New(rand.NewPCG(r.random.Uint64(), uint64(i))), share: 0.5} //nolint:gosec // not negative
			faulty = append(faulty, f)
			r.start(f, runtime.RelayConfig{BatchEvents: []int{50, 0, 0}[i]})
		}
		want := map[actor.CommandID]bool{}
		parts := func() (n int64) {
			for _, f := range faulty {
				n += f.parts.Load()
			}
			return n
		}
		until := time.Now().Add(20 * time.Second)
		for i := 0; i < 150 || parts() < 8 && time.Now().Before(until); i++ {
			id := fmt.Sprintf("out %d", i)
			want[actor.CommandID(id)] = true
			a := store.Aggregate(fmt.Sprintf("account/%d", r.random.IntN(5)))
			r.append(r.next(a, 1+r.random.IntN(30), store.Outgoing{ID: id, To: "account/target", Name: "Note", Data: []byte("{}")}))
			switch {
			case i == 75:
				r.server.Restart(t)
			case i%30 == 10:
				r.append(r.next(store.Aggregate(fmt.Sprintf("account/%d", r.random.IntN(5))), 1500))
			}
			<-time.After(time.Duration(r.random.IntN(30)) * time.Millisecond)
		}
		t.Logf("%d appends were cut off in the middle", parts())
		for _, f := range faulty {
			f.end()
		}
		r.check()
		testharness.Eventually(t, relayPatience, func() bool { return len(got.firsts()) >= len(want) })
		for _, id := range got.firsts() {
			if !want[id] {
				t.Errorf("%s was sent by nobody", id)
			}
		}
	})
}

// collector owns all partitions and keeps what comes on the durable lane.
type collector struct {
	mu  sync.Mutex
	all []actor.Delivery
	at  []time.Time
}

func (c *collector) Durable(_ context.Context, d actor.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all, c.at = append(c.all, d), append(c.at, time.Now())
}

func (c *collector) Direct(actor.Delivery) {}

func (c *collector) everything() (all []actor.Message, at []time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.all {
		all = append(all, d.Message)
	}
	return all, slices.Clone(c.at)
}

// firsts are the ids in the order in which they came first.
func (c *collector) firsts() (ids []actor.CommandID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[actor.CommandID]bool{}
	for _, d := range c.all {
		if !seen[d.Message.ID] {
			seen[d.Message.ID] = true
			ids = append(ids, d.Message.ID)
		}
	}
	return ids
}

func (c *collector) serveAll(t *testing.T, bus *natsbus.Bus) {
	t.Helper()
	for p := range actor.Partition(bus.Partitions()) {
		sub, err := bus.Serve(t.Context(), p, bus.Stream(), 0, c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sub.Stop(context.WithoutCancel(t.Context())) })
	}
}

// TestRelay_StreamLost: the event stream is deleted, and emptied, under the relay and
// between two: it is filled anew from the store.
func TestRelay_StreamLost(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, r *relayed) {
		js, err := jetstream.New(r.server.Connect(t))
		if err != nil {
			t.Fatal(err)
		}
		stop := r.start(nil, runtime.RelayConfig{})
		r.write(30)
		r.settle()
		was, _, err := r.bus.EventsHead(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := js.DeleteStream(t.Context(), "ganglion_EVENTS"); err != nil {
			t.Fatal(err)
		}
		r.another(was)
		r.write(10)
		r.check()
		stop()
		found, err := js.Stream(t.Context(), "ganglion_EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		if err := found.Purge(t.Context(), jetstream.WithPurgeKeep(1)); err != nil {
			t.Fatal(err)
		}
		was, _, err = r.bus.EventsHead(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.start(nil, runtime.RelayConfig{})
		r.another(was)
		r.check()
	})
}

// another waits until there is another event stream.
func (r *relayed) another(was string) {
	r.t.Helper()
	testharness.Eventually(r.t, relayPatience, func() bool {
		is, _, err := r.bus.EventsHead(r.t.Context())
		return err == nil && is != was
	})
}

// forgetful is a store whose feed does not know any place but the beginning.
type forgetful struct{ store.Store }

func (f forgetful) Follow(ctx context.Context, after store.Token) iter.Seq2[store.FeedItem, error] {
	if after == "" {
		return f.Store.Follow(ctx, after)
	}
	return func(yield func(store.FeedItem, error) bool) {
		yield(store.FeedItem{}, fmt.Errorf("follow: %w", store.ErrTokenExpired))
	}
}

// TestRelay_TokenExpired: the feed has moved on beyond the newest event. What the
// stream has is passed over, what it lacks comes, in parts also, and the rescan may
// itself be interrupted.
func TestRelay_TokenExpired(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, r *relayed) {
		stop := r.start(nil, runtime.RelayConfig{})
		r.write(50)
		r.settle()
		stop()
		r.write(10)
		r.append(r.next("account/new", 40))
		inner := r.store
		r.store = forgetful{inner}
		was, _, err := r.bus.EventsHead(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f := &fickle{Outbox: r.bus, random: rand.New(rand.NewPCG(r.random.Uint64(), 1)), share: 0.6}
		stop = r.start(f, runtime.RelayConfig{})
		r.write(50)
		r.settle()
		stop()
		f.late.Wait()
		r.store = inner
		r.start(nil, runtime.RelayConfig{}) // as after any other
		r.write(10)
		r.check()
		if is, _, err := r.bus.EventsHead(t.Context()); err != nil || is != was {
			t.Errorf("the stream was made anew: %v", err)
		}
	})
}

// TestRelay_TooManyToRemember: a rescan beyond its limit fills the stream anew.
func TestRelay_TooManyToRemember(t *testing.T) {
	t.Parallel()
	r := newRelayed(t, memory.New())
	stop := r.start(nil, runtime.RelayConfig{})
	r.write(50)
	r.settle()
	stop()
	was, _, err := r.bus.EventsHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	inner := r.store
	r.store = &once{forgetful: forgetful{inner}, inner: inner}
	r.start(nil, runtime.RelayConfig{RescanMax: 3})
	r.another(was)
	r.write(10)
	r.store = inner
	r.check()
}

// once forgets its places until it was followed from the beginning.
type once struct {
	forgetful
	inner store.Store
	begun atomic.Bool
}

func (o *once) Follow(ctx context.Context, after store.Token) iter.Seq2[store.FeedItem, error] {
	if after == "" {
		o.begun.Store(true)
	}
	if o.begun.Load() {
		return o.inner.Follow(ctx, after)
	}
	return o.forgetful.Follow(ctx, after)
}

// TestRelay_StorePutBack: the store was put back to an earlier state and has gone on in
// another way. The stream is filled anew, nothing of the other way stays.
func TestRelay_StorePutBack(t *testing.T) {
	t.Parallel()
	first := memory.New()
	r := newRelayed(t, first)
	stop := r.start(nil, runtime.RelayConfig{})
	r.append(r.next("account/a", 5), r.next("account/b", 5))
	r.settle()
	stop()
	was, _, err := r.bus.EventsHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.store, r.versions, r.commands = memory.New(), map[store.Aggregate]store.Version{}, 0
	for range 9 {
		r.append(r.next("account/b", 1))
	}
	inner := r.store
	r.store = &once{forgetful: forgetful{inner}, inner: inner}
	r.start(nil, runtime.RelayConfig{})
	r.another(was)
	r.store = inner
	r.append(r.next("account/a", 3))
	r.check()
}

// TestRelay_OutgoingLost: the streams of commands and of timers are lost, with what
// was in them: it is sent again.
func TestRelay_OutgoingLost(t *testing.T) {
	t.Parallel()
	r := newRelayed(t, memory.New())
	js, err := jetstream.New(r.server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	r.start(nil, runtime.RelayConfig{})
	at := time.Now().Add(4 * time.Second)
	r.append(
		r.next("account/a", 1, store.Outgoing{ID: "timer", To: "account/a", Name: "Ring", Timer: "t", At: at.UnixMicro(), Data: []byte("{}")}),
		r.next("account/b", 1, store.Outgoing{ID: "sent", To: "account/c", Name: "Note", Data: []byte("{}")}))
	r.settle()
	for _, name := range []string{"ganglion_COMMANDS", "ganglion_DEADLINES"} {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	testharness.Eventually(t, relayPatience, func() bool {
		_, last, err := r.bus.Head(t.Context())
		return err == nil && last > 0
	})
	got := &collector{}
	got.serveAll(t, r.bus)
	testharness.Eventually(t, relayPatience, func() bool { return len(got.firsts()) == 2 })
	r.write(3)
	r.check()
}

// TestRelay_Timers: 10,000 timers (1,000 in short runs) fire once each, not before
// their time; those that were set anew or cancelled do not. Two relays are at it.
// GANGLION_TIMERS sets how many, and has the latest held to a second.
func TestRelay_Timers(t *testing.T) {
	t.Parallel()
	n := testenv.Times(t, "GANGLION_TIMERS", 1000)
	r := newRelayed(t, memory.New())
	got := &collector{}
	got.serveAll(t, r.bus)
	r.start(nil, runtime.RelayConfig{})
	r.start(nil, runtime.RelayConfig{})
	want := map[actor.CommandID]time.Time{}
	start := time.Now()
	spread := 3*time.Second + time.Duration(n)*time.Millisecond
	for i := range n {
		a := store.Aggregate(fmt.Sprintf("account/%d", i))
		set := func(id string) store.Outgoing {
			at := start.Add(2*time.Second + spread + time.Duration(r.random.Int64N(int64(spread))))
			return store.Outgoing{ID: id, To: a, Name: "Ring", Timer: "t", At: at.UnixMicro(), Data: []byte("{}")}
		}
		first, second := set(fmt.Sprintf("%d-1", i)), set(fmt.Sprintf("%d-2", i))
		first.At += time.Minute.Microseconds() // until it is replaced or cancelled
		switch i % 3 {
		case 0:
			r.append(r.next(a, 1, second))
		case 1:
			r.append(r.next(a, 1, first))
			r.append(r.next(a, 1, second))
		case 2:
			r.append(r.next(a, 1, first))
			r.append(r.next(a, 1, store.Outgoing{To: a, Timer: "t"}))
			continue
		}
		want[actor.CommandID(second.ID)] = time.UnixMicro(second.At)
	}
	r.settle()
	t.Logf("%d timers set after %v", n, time.Since(start))
	testharness.Eventually(t, relayPatience+2*spread, func() bool { return len(got.firsts()) >= len(want) })
	fired, at := got.everything()
	seen := map[actor.CommandID]bool{}
	latest := time.Duration(0)
	for i, m := range fired {
		due, ok := want[m.ID]
		if !ok || at[i].Before(due) || m.Timer != "t" || !m.Time.Equal(due) {
			t.Errorf("%s fired at %v, due at %v: %+v", m.ID, at[i], due, m)
		}
		if !seen[m.ID] { // what comes again has no effect
			seen[m.ID] = true
			latest = max(latest, at[i].Sub(due))
		}
	}
	t.Logf("%d of %d fired, the latest after %v", len(seen), len(want), latest)
	if os.Getenv("GANGLION_TIMERS") != "" && latest > time.Second { // on a machine of one's own
		t.Errorf("the latest fired after %v", latest)
	}
}

// TestRelay_CannotBeSent: what no stream takes is parked, and holds nothing up.
func TestRelay_CannotBeSent(t *testing.T) {
	t.Parallel()
	r := newRelayed(t, memory.New())
	got := &collector{}
	got.serveAll(t, r.bus)
	r.start(nil, runtime.RelayConfig{})
	huge := fmt.Appendf(nil, `{"fill":"%02000000d"}`, 1)
	r.append(r.next("account/a", 1,
		store.Outgoing{ID: "huge", To: "account/b", Name: "Note", Data: huge},
		store.Outgoing{ID: "malformed", To: "Account/b", Name: "Note"},
		store.Outgoing{ID: "fine", To: "account/b", Name: "Note", Data: []byte("{}")}))
	r.check()
	testharness.Eventually(t, relayPatience, func() bool { return len(got.firsts()) == 1 })
	var parked []string
	for p, err := range r.store.ListParked(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		parked = append(parked, p.CommandID)
	}
	// What is sent to an address that there cannot be was dropped by earlier builds.
	if len(parked) != 2 || !slices.Contains(parked, "huge") || got.firsts()[0] != "fine" {
		t.Errorf("parked %v, sent %v", parked, got.firsts())
	}
	for p, err := range r.store.ListParked(t.Context(), "unreadable/sent") {
		u, ok := runtime.ParkedUnreadable(&p)
		if err != nil || !ok || u.Header["Id"][0] != "malformed" || u.Header["To"][0] != "Account/b" {
			t.Errorf("parked %+v, %v", u, err)
		}
	}
}

// TestRelay_Cluster: with replicated streams, whose leaders are stopped one after the
// other while commits come in. An election takes 4 to 9 s.
func TestRelay_Cluster(t *testing.T) {
	t.Parallel()
	cluster := testharness.NATSCluster(t, 3)
	nc := cluster.Connect(t)
	bus, err := natsbus.Open(t.Context(), nc, natsbus.Config{Partitions: 8, Replicas: 3, Heartbeat: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	r := &relayed{
		t: t, store: memory.New(), bus: bus, random: testenv.Rand(t),
		versions: map[store.Aggregate]store.Version{}, times: map[store.Aggregate]int64{},
	}
	got := &collector{}
	got.serveAll(t, bus)
	r.start(nil, runtime.RelayConfig{})
	r.start(nil, runtime.RelayConfig{})
	sent := 0
	for _, stream := range []string{"ganglion_EVENTS", "ganglion_DEADLINES"} {
		leader, err := cluster.StreamLeader(t.Context(), js, stream)
		if err != nil {
			t.Fatal(err)
		}
		more := func() {
			for range 50 {
				sent++
				a := store.Aggregate(fmt.Sprintf("account/%d", sent))
				at := time.Now().Add(time.Duration(r.random.Int64N(int64(3 * time.Second)))).UnixMicro()
				r.append(r.next(a, 3, store.Outgoing{ID: fmt.Sprint(sent), To: a, Name: "Ring", Timer: "t", At: at, Data: []byte("{}")}))
				<-time.After(5 * time.Millisecond)
			}
		}
		more()
		cluster.Stop(leader)
		more()
		r.settle()
		cluster.Start(t, leader)
		more()
	}
	r.check()
	testharness.Eventually(t, relayPatience, func() bool { return len(got.firsts()) == sent })
}
