package runtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

// counter is the aggregate of these tests.
type counter struct {
	Sum   int64
	Count int
}

type (
	add struct {
		actor.Replies[int64]
		N int64 `json:"n"`
	}
	added struct {
		N int64 `json:"n"`
	}
	raiseThenReject struct{ actor.Replies[actor.None] }
	explode         struct{ actor.Replies[actor.None] }
	bloat           struct {
		actor.Replies[actor.None]
		Bytes int `json:"bytes"`
	}
	bloated struct{ Fill string }
	sum     struct{ actor.Replies[int64] }
	hold    struct{ actor.Replies[actor.None] }
)

var errNegative = actor.Reject("negative", "the sum would be negative")

func (c *counter) add(ctx *actor.Context, a add) (int64, error) {
	if c.Sum+a.N < 0 {
		return 0, errNegative.With("sum", c.Sum)
	}
	if a.N != 0 {
		ctx.Raise(added{N: a.N})
	}
	return c.Sum, nil
}

func (c *counter) raiseThenReject(ctx *actor.Context, _ raiseThenReject) (actor.None, error) {
	ctx.Raise(added{N: 1000})
	return actor.None{}, errNegative
}

func (c *counter) explode(ctx *actor.Context, _ explode) (actor.None, error) {
	ctx.Raise(added{N: 5000})
	panic("boom")
}

func (c *counter) bloat(ctx *actor.Context, b bloat) (actor.None, error) {
	ctx.Raise(bloated{Fill: string(make([]byte, b.Bytes))})
	return actor.None{}, nil
}

func (c *counter) added(e added)     { c.Sum += e.N; c.Count++ }
func (c *counter) bloated(e bloated) { c.Count++ }

func (c *counter) sum(*actor.Context, sum) (int64, error) { return c.Sum, nil }

// counters returns the definition; held blocks the hold command until it is closed.
func counters(held <-chan struct{}, options ...func(*actor.Definition[counter])) *actor.Aggregate[counter] {
	return actor.Define("counter", func(d *actor.Definition[counter]) {
		actor.On(d, (*counter).add)
		actor.On(d, (*counter).raiseThenReject)
		actor.On(d, (*counter).explode)
		actor.On(d, (*counter).bloat)
		actor.On(d, func(*counter, *actor.Context, hold) (actor.None, error) {
			<-held
			return actor.None{}, nil
		})
		actor.Apply(d, (*counter).added)
		actor.Apply(d, (*counter).bloated)
		actor.Query(d, (*counter).sum)
		d.Rejections(errNegative)
		for _, o := range options {
			o(d)
		}
	})
}

type setup struct {
	t     *testing.T
	bus   *logBus
	store store.Store
	node  *runtime.Node
	done  chan error
	ids   atomic.Int64
}

func newSetup(t *testing.T, s store.Store, tune func(*runtime.Config), defs ...actor.Registrable) *setup {
	t.Helper()
	if s == nil {
		s = memory.New()
	}
	if len(defs) == 0 {
		defs = []actor.Registrable{counters(nil)}
	}
	su := &setup{t: t, bus: newLogBus(4), store: s}
	su.start(tune, defs...)
	return su
}

func (s *setup) start(tune func(*runtime.Config), defs ...actor.Registrable) {
	s.t.Helper()
	cfg := runtime.Config{Name: "n1", SoleHolderOfName: true, Lease: 600 * time.Millisecond, WatermarkEvery: 20 * time.Millisecond, TrimEvery: 20 * time.Millisecond}
	if tune != nil {
		tune(&cfg)
	}
	node, err := runtime.New(cfg, s.store, s.bus, defs...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.node, s.done = node, make(chan error, 1)
	done := s.done
	go func() { done <- node.Run(context.Background()) }()
	s.t.Cleanup(func() { _ = node.Close() })
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	if err := node.AwaitServing(ctx, 4); err != nil {
		s.t.Fatal(err)
	}
}

type reply chan actor.Outcome

func (r reply) Respond(o actor.Outcome) { r <- o }

func address(id string) actor.Address { return actor.Address{Kind: "counter", ID: id} }

func (s *setup) nextID() actor.CommandID {
	return actor.DeriveID(time.Now(), s.t.Name(), fmt.Sprint(s.ids.Add(1)))
}

func (s *setup) message(id, name string, payload any) actor.Message {
	data, err := json.Marshal(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	return actor.Message{Target: address(id), ID: s.nextID(), Name: name, Data: data, Time: time.Now(), Attempt: 1}
}

// send hands a message to the bus and returns where its outcome will arrive.
func (s *setup) send(m actor.Message) reply {
	s.t.Helper()
	r := make(reply, 16)
	if m.Type == actor.TypeCommand && m.Lane == actor.LaneDurable {
		s.bus.publish(m, r)
	} else if !s.bus.direct(m, r) {
		s.t.Fatalf("nobody serves %s", m.Target)
	}
	return r
}

func (s *setup) await(r reply) actor.Outcome {
	s.t.Helper()
	select {
	case o := <-r:
		return o
	case <-time.After(30 * time.Second):
		s.t.Fatal("no outcome")
		return actor.Outcome{}
	}
}

func (s *setup) ask(m actor.Message) actor.Outcome {
	s.t.Helper()
	return s.await(s.send(m))
}

func (s *setup) add(id string, n int64) actor.Outcome {
	s.t.Helper()
	return s.ask(s.message(id, "add", add{N: n}))
}

func (s *setup) read(id string) (int64, actor.Version) {
	s.t.Helper()
	o := s.ask(actor.Message{Type: actor.TypeQuery, Lane: actor.LaneDirect, Target: address(id), Name: "sum", Time: time.Now()})
	if o.Code != actor.CodeOK {
		s.t.Fatalf("read: %+v", o)
	}
	var v int64
	if err := json.Unmarshal(o.Reply, &v); err != nil {
		s.t.Fatal(err)
	}
	return v, o.Version
}

// history returns the ids of all commands that raised events, in order.
func (s *setup) history(id string) []string {
	s.t.Helper()
	var ids []string
	for c, err := range s.store.Load(s.t.Context(), store.Aggregate(address(id).String()), 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		for _, o := range c.Outcomes {
			if o.Events > 0 {
				ids = append(ids, o.CommandID)
			}
		}
	}
	return ids
}
