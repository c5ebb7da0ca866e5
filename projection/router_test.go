package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/projection"
)

// commandStream takes commands, fails at times, and executes each id once, in the order
// in which it came first.
type commandStream struct {
	mu       sync.Mutex
	rand     *rand.Rand // nil: it never fails
	executed map[actor.Address][]actor.Message
	known    map[actor.CommandID]bool
	sent     int
}

var _ actor.Client = (*commandStream)(nil)

func newCommandStream(r *rand.Rand) *commandStream {
	return &commandStream{rand: r, executed: map[actor.Address][]actor.Message{}, known: map[actor.CommandID]bool{}}
}

func (c *commandStream) Deliver(context.Context, actor.Message) actor.Outcome {
	return actor.Failure(actor.CodeNoOwner, "nobody asks")
}

func (c *commandStream) Enqueue(ctx context.Context, m actor.Message) error {
	if err := ctx.Err(); err != nil {
		return &actor.Error{Code: actor.CodeUnknownOutcome, Detail: err.Error()}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fault := -1
	if c.rand != nil {
		fault = c.rand.IntN(8)
	}
	if fault == 0 {
		return &actor.Error{Code: actor.CodeOverloaded}
	}
	c.sent++
	if !c.known[m.ID] {
		c.known[m.ID] = true
		c.executed[m.Target] = append(c.executed[m.Target], m)
	}
	if fault == 1 { // stored, and nobody hears of it
		return &actor.Error{Code: actor.CodeUnknownOutcome}
	}
	return nil
}

func (c *commandStream) of(a actor.Address) []actor.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]actor.Message(nil), c.executed[a]...)
}

func mirror(id string) actor.Address { return actor.Address{Kind: "mirror", ID: id} }

// mirrors sends each deposit on to the mirror of its account.
func mirrors(start projection.Start, route func(actor.EventRecord) ([]actor.Message, error)) *projection.Projection {
	if route == nil {
		route = func(e actor.EventRecord) ([]actor.Message, error) {
			return []actor.Message{{Target: mirror(e.Source.ID), Name: "Copy", Data: e.Data}}, nil
		}
	}
	return projection.NewRouter(projection.RouterConfig{
		Name: "mirrors", Wants: map[actor.Kind][]string{"account": {"deposited.v1"}}, Start: start, Route: route,
	})
}

// Two engines route the same partitions, their storage and the command stream fail, and
// the event stream is made anew: every command takes effect once, in order.
func TestRouter_EachCommandOnceAndInOrder(t *testing.T) {
	t.Parallel()
	random := testenv.Rand(t)
	f := setup(t)
	commands := newCommandStream(rand.New(rand.NewPCG(random.Uint64(), 1)))
	storage := &faulty{Storage: f.storage, rand: rand.New(rand.NewPCG(random.Uint64(), 2))}
	p := mirrors(projection.FromBeginning, nil)
	cfg := config()
	cfg.Client = commands
	stops := make([]func(), 2)
	const accountCount = 6
	for round := range 15 {
		for range 30 {
			f.deposit(fmt.Sprint("a", random.IntN(accountCount)), int64(random.IntN(1000)))
		}
		i := random.IntN(2)
		if stops[i] != nil {
			stops[i]()
		}
		_, stops[i] = f.runOn(t, storage, cfg, p)
		if round == 9 {
			f.stream.Replace(shuffleSources)
		}
		<-time.After(time.Duration(random.IntN(20)) * time.Millisecond)
	}
	f.settle(t, f.view(p))
	want := map[actor.Address][]string{}
	for _, e := range f.stream.All() {
		want[mirror(e.Source.ID)] = append(want[mirror(e.Source.ID)], string(e.Data))
	}
	for target, datas := range want {
		got := commands.of(target)
		if len(got) != len(datas) {
			t.Fatalf("%s got %d commands, want %d", target, len(got), len(datas))
		}
		for i, m := range got {
			if string(m.Data) != datas[i] {
				t.Fatalf("command %d of %s is %s, want %s", i, target, m.Data, datas[i])
			}
		}
	}
}

func TestRouter_PanicParksTheSourceAlone(t *testing.T) {
	t.Parallel()
	f := setup(t)
	commands := newCommandStream(nil)
	p := mirrors(projection.FromBeginning, func(e actor.EventRecord) ([]actor.Message, error) {
		if e.Source.ID == "bad" {
			panic("bad")
		}
		return []actor.Message{{Target: mirror(e.Source.ID), Name: "Copy", Data: e.Data}}, nil
	})
	cfg := config()
	cfg.Client = commands
	f.deposit("bad", 1, 2)
	f.deposit("good", 3)
	f.run(t, cfg, p)
	f.takenIn(t, p)
	f.deposit("good", 4)
	f.takenIn(t, p)
	if got := commands.of(mirror("good")); len(got) != 2 {
		t.Errorf("%d commands, want 2", len(got))
	}
	all, err := f.control(p).ParkedList(t.Context(), "mirrors", 10)
	if err != nil || len(all) != 1 || all[0].Source != accounts.ID("bad") || all[0].Count != 2 {
		t.Errorf("parked: %+v, %v", all, err)
	}
}

func TestRouter_CommandThatNoStreamTakesParksItsEvent(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := mirrors(projection.FromBeginning, func(e actor.EventRecord) ([]actor.Message, error) {
		return []actor.Message{{Target: mirror(e.Source.ID), Name: "Copy", Data: e.Data}}, nil
	})
	cfg := config()
	cfg.Client = refusing{newCommandStream(nil)}
	f.deposit("huge", 1)
	f.deposit("good", 3)
	f.run(t, cfg, p)
	f.takenIn(t, p)
	all, err := f.control(p).ParkedList(t.Context(), "mirrors", 10)
	if err != nil || len(all) != 1 || all[0].Source != accounts.ID("huge") {
		t.Errorf("parked: %+v, %v", all, err)
	}
}

// refusing finds the commands to one mirror too large.
type refusing struct{ *commandStream }

func (r refusing) Enqueue(ctx context.Context, m actor.Message) error {
	if m.Target.ID == "huge" {
		return &actor.Error{Code: actor.CodeTooLarge}
	}
	return r.commandStream.Enqueue(ctx, m)
}

func TestRouter_FromNow(t *testing.T) {
	t.Parallel()
	f := setup(t)
	commands := newCommandStream(nil)
	p := mirrors(projection.FromNow, nil)
	cfg := config()
	cfg.Client = commands
	f.deposit("a", 1)
	e, _ := f.run(t, cfg, p)
	eventually(t, "it runs", func() bool { return len(e.Load()) == 1 })
	f.deposit("a", 2)
	f.settle(t, f.view(p))
	if got := commands.of(mirror("a")); len(got) != 1 || string(got[0].Data) != `{"Amount":2}` {
		t.Errorf("got %v", got)
	}
	if err := f.control(p).Rebuild(t.Context(), "mirrors"); !errors.Is(err, projection.ErrRouter) {
		t.Errorf("rebuild of a router: %v", err)
	}
}

func TestNew_ListsAllFaults(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := mirrors(projection.FromNow, nil)
	_, err := projection.New(projection.Config{Parallel: -1, Tick: -1}, f.storage, f.stream, 3, p, p)
	for _, part := range []string{"Parallel", "Tick", "3 partitions", "two projections", "needs a client"} {
		if !errors.Is(err, projection.ErrConfig) || !contains(err, part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}
