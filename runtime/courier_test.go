package runtime_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// courier is what brings the effects of commits to the bus: it follows the store's
// feed, sends commands, fires timers, and routes events to sagas and policies. What
// the real ones do with streams is tested with them; this one is as bad as they may
// be: it sends things again, and fires what has been cancelled.
type courier struct {
	s     *setup
	store store.Store // that never fails
	skew  time.Duration
	again *rand.Rand // nil: everything once, and cancellations are obeyed

	mu     sync.Mutex
	sent   []actor.Message // to the bus, in order
	timers map[string]*time.Timer
	over   bool
}

// deliver runs a courier until the test ends.
func (s *setup) deliver(st store.Store, skew time.Duration, again *rand.Rand) *courier {
	s.t.Helper()
	c := &courier{s: s, store: st, skew: skew, again: again, timers: map[string]*time.Timer{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run(ctx)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-done
		c.mu.Lock()
		defer c.mu.Unlock()
		c.over = true
		for _, t := range c.timers {
			t.Stop()
		}
	})
	return c
}

func (c *courier) run(ctx context.Context) {
	var places []store.Token
	after := store.Token("")
	for ctx.Err() == nil {
		for item, err := range c.store.Follow(ctx, after) {
			if err != nil {
				c.s.t.Errorf("follow: %v", err)
				return
			}
			c.commit(&item.Commit)
			after = item.Token
			places = append(places, after)
			if c.chance(20) {
				c.mu.Lock()
				after = places[max(0, len(places)-1-c.again.IntN(40))] // started again, from where it was
				c.mu.Unlock()
				break
			}
		}
	}
}

// chance is true once in n times, of one that does things again.
func (c *courier) chance(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.again != nil && c.again.IntN(n) == 0
}

func (c *courier) commit(commit *store.Commit) {
	at := time.UnixMicro(commit.Time)
	source, err := actor.ParseAddress(string(commit.Aggregate))
	if err != nil {
		c.s.t.Error(err)
		return
	}
	commands := make([]store.Outcome, 0, len(commit.Events))
	for _, o := range commit.Outcomes {
		for range o.Events {
			commands = append(commands, o)
		}
	}
	for i, e := range commit.Events {
		c.route(actor.EventRecord{
			Source: source, Version: actor.Version(commit.First) + actor.Version(i), Name: e.Name, Data: e.Data, Time: at.UTC(),
			CommandID: actor.CommandID(commands[i].CommandID), Metadata: actor.Metadata(commands[i].Metadata),
		})
	}
	out, err := runtime.Outgoing(commit)
	if err != nil {
		c.s.t.Error(err)
		return
	}
	for i := range out {
		switch o := &out[i]; {
		case o.Timer == "":
			c.publish(o.Message(at))
		case o.Name == "":
			c.cancel(o)
		default:
			c.set(o, o.Message(at))
		}
	}
}

func (c *courier) route(r actor.EventRecord) {
	for _, d := range c.s.defs {
		for _, reaction := range d.Behavior().Reactions() {
			messages, err := reaction.Route(r)
			if err != nil {
				c.s.t.Errorf("route %s of %s: %v", r.Name, r.Source, err)
			}
			for _, m := range messages {
				c.publish(m)
			}
		}
	}
}

func (c *courier) publish(m actor.Message) {
	c.mu.Lock()
	c.sent = append(c.sent, m)
	c.mu.Unlock()
	c.s.bus.publish(m, nil)
}

// set fires a timer at its time by the courier's clock, which is ahead by skew.
func (c *courier) set(o *actor.Outgoing, m actor.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := o.To.String() + " " + o.Timer
	if old := c.timers[key]; old != nil && c.again == nil {
		old.Stop()
	}
	fire := func() {
		if c.chance(4) {
			c.publish(m)
		}
		c.publish(m)
	}
	c.timers[key] = time.AfterFunc(max(0, time.Until(o.At)-c.skew), func() {
		c.mu.Lock()
		over := c.over
		c.mu.Unlock()
		if !over {
			fire()
		}
	})
}

func (c *courier) cancel(o *actor.Outgoing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.timers[o.To.String()+" "+o.Timer]; t != nil && c.again == nil {
		t.Stop()
	}
}

// of returns what was sent under a name, to whomever.
func (c *courier) of(name string) []actor.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []actor.Message
	for _, m := range c.sent {
		if m.Name == name {
			all = append(all, m)
		}
	}
	return all
}

// checkOut fails the test if an id stands in two places of the stored histories, or
// a command took effect twice.
func checkOut(t *testing.T, commits []store.Commit) {
	t.Helper()
	out, decided := map[string]store.Aggregate{}, map[string]store.Aggregate{}
	for _, c := range commits {
		for _, o := range c.Out {
			if other, twice := out[o.ID]; twice && o.ID != "" {
				t.Errorf("%s is sent by %s and by %s", o.ID, other, c.Aggregate)
			}
			out[o.ID] = c.Aggregate
		}
		for _, o := range c.Outcomes {
			if other, twice := decided[o.CommandID]; twice && o.Events > 0 {
				t.Errorf("%s took effect twice, at %s and %s", o.CommandID, other, c.Aggregate)
			}
			if o.Events > 0 {
				decided[o.CommandID] = c.Aggregate
			}
		}
	}
}

// rnd returns a source of chance whose seed is logged and can be given.
func rnd(t *testing.T) *rand.Rand {
	t.Helper()
	seed, _ := seedOf(t)
	t.Logf("GANGLION_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 7))
}
