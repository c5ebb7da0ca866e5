package tradertest

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/store"
)

// World is the application. Make it with [New].
type World struct {
	t      testing.TB
	random *rand.Rand
	again  float64 // share of what comes twice

	mu         sync.Mutex
	now        time.Time
	behaviors  map[actor.Kind]*actor.Behavior
	reactions  []actor.Reaction
	aggregates map[actor.Address]*aggregate
	lines      map[line][]actor.Message
	waiting    []line // that have something
	commits    []store.Commit
	asked      int
}

// line is what keeps its order: from a source, by a router or directly, to a target.
type line struct{ by, from, to string }

type aggregate struct {
	instance *actor.Instance
	outcomes map[actor.CommandID]actor.Outcome
	timers   map[string]actor.Outgoing
}

// New returns an empty world whose chance comes from the seed. A share of what is sent
// between aggregates comes twice.
func New(t testing.TB, seed uint64, again float64) *World {
	t.Helper()
	w := &World{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), again: again, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		behaviors: map[actor.Kind]*actor.Behavior{}, aggregates: map[actor.Address]*aggregate{}, lines: map[line][]actor.Message{},
	}
	for _, d := range domain.Definitions() {
		w.behaviors[d.Behavior().Kind()] = d.Behavior()
		w.reactions = append(w.reactions, d.Behavior().Reactions()...)
	}
	return w
}

// Ask has an aggregate decide a command from outside, at once.
func (w *World) Ask(to actor.Address, c actor.Command) actor.Outcome {
	w.t.Helper()
	m, err := actor.NewMessage(to, c)
	if err != nil {
		w.t.Fatalf("tradertest: %v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	m.ID, m.Time, m.Attempt = actor.DeriveID(w.now, "tradertest", strconv.Itoa(w.asked)), w.now, 1
	return w.decide(m)
}

// Must is [World.Ask] for a command that must not be refused.
func (w *World) Must(to actor.Address, commands ...actor.Command) {
	w.t.Helper()
	for _, c := range commands {
		if o := w.Ask(to, c); o.Code != actor.CodeOK {
			w.t.Fatalf("tradertest: %T to %s: %v", c, to, o.Err())
		}
	}
}

// Decide has an aggregate decide a message, which must be complete. A repeated id gets
// the outcome of the first time. known is false for a kind that the application has not.
func (w *World) Decide(m actor.Message) (o actor.Outcome, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.behaviors[m.Target.Kind] == nil {
		return o, false
	}
	return w.decide(m), true
}

// Show returns what a read of the aggregate's state shows.
func (w *World) Show(of actor.Address) actor.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at(of).instance.Decide(&actor.Message{Type: actor.TypeState, Target: of}).Outcome
}

// Overdue reports whether a saga was not done in time.
func (w *World) Overdue(a actor.Address) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at(a).instance.RuntimeState().Overdue
}

func (w *World) at(a actor.Address) *aggregate {
	known := w.aggregates[a]
	if known == nil {
		b := w.behaviors[a.Kind]
		if b == nil {
			w.t.Fatalf("tradertest: no kind %s", a.Kind)
		}
		known = &aggregate{instance: b.New(a), outcomes: map[actor.CommandID]actor.Outcome{}, timers: map[string]actor.Outgoing{}}
		w.aggregates[a] = known
	}
	return known
}

func (w *World) decide(m actor.Message) actor.Outcome {
	a := w.at(m.Target)
	if o, ok := a.outcomes[m.ID]; ok {
		return o
	}
	d := a.instance.Decide(&m)
	if d.Panic != nil || d.Tainted {
		w.t.Fatalf("tradertest: %s to %s: %v", m.Name, m.Target, d.Outcome.Err())
	}
	a.outcomes[m.ID] = d.Outcome
	if m.Timer != "" && d.Outcome.Code != actor.CodeCancelled {
		delete(a.timers, m.Timer)
	}
	if len(d.Events) == 0 {
		return d.Outcome
	}
	w.commit(m, &d)
	for _, o := range d.Out {
		switch {
		case o.Timer == "":
			w.send(line{"", m.Target.String(), o.To.String()}, o.Message(w.now))
		case o.Name == "":
			delete(a.timers, o.Timer)
		default:
			a.timers[o.Timer] = o
		}
	}
	return d.Outcome
}

func (w *World) commit(m actor.Message, d *actor.Decision) {
	w.now = w.now.Add(time.Microsecond)
	first := w.at(m.Target).instance.Version() - actor.Version(len(d.Events)) + 1
	c := store.Commit{
		Aggregate: store.Aggregate(m.Target.String()), First: store.Version(first), Time: w.now.UnixMicro(),
		Outcomes: []store.Outcome{{CommandID: string(m.ID), Events: len(d.Events), Reply: []byte("null")}},
	}
	for i, e := range d.Events {
		c.Events = append(c.Events, store.Event(e))
		w.route(actor.EventRecord{
			Source: m.Target, Version: first + actor.Version(i), Name: e.Name, Data: e.Data, Time: w.now, CommandID: m.ID, Metadata: m.Metadata, //nolint:gosec // an index
		})
	}
	w.commits = append(w.commits, c)
}

func (w *World) route(r actor.EventRecord) {
	for _, reaction := range w.reactions {
		if reaction.Kind != r.Source.Kind || reaction.Event != r.Name {
			continue
		}
		messages, err := reaction.Route(r)
		if err != nil {
			w.t.Fatalf("tradertest: %v", err)
		}
		for _, m := range messages {
			w.send(line{string(reaction.Reactor), r.Source.String(), m.Target.String()}, m)
		}
	}
}

func (w *World) send(l line, m actor.Message) {
	if len(w.lines[l]) == 0 {
		w.waiting = append(w.waiting, l)
	}
	w.lines[l] = append(w.lines[l], m)
	if w.random.Float64() < w.again {
		w.lines[l] = append(w.lines[l], m) // right behind itself, as after a publish without an answer
	}
}

// Deliver brings up to max of what is on its way, in a random order, and returns what
// is left.
func (w *World) Deliver(most int) (left int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ; most > 0 && len(w.waiting) > 0; most-- {
		i := w.random.IntN(len(w.waiting))
		l := w.waiting[i]
		m := w.lines[l][0]
		if w.lines[l] = w.lines[l][1:]; len(w.lines[l]) == 0 {
			delete(w.lines, l)
			w.waiting[i] = w.waiting[len(w.waiting)-1]
			w.waiting = w.waiting[:len(w.waiting)-1]
		}
		w.decide(m)
	}
	return len(w.waiting)
}

// settleMax bounds Settle.
const settleMax = 10_000_000

// Settle brings everything that is on its way, and what follows from it.
func (w *World) Settle() {
	w.t.Helper()
	if w.Deliver(settleMax) > 0 {
		w.t.Fatal("tradertest: it does not come to rest")
	}
}

// Advance moves the time on. Timers fire at their times, the earliest first, and what
// follows from each comes to rest.
func (w *World) Advance(d time.Duration) {
	w.t.Helper()
	w.mu.Lock()
	end := w.now.Add(d)
	w.mu.Unlock()
	for w.fire(end) {
		w.Settle()
	}
}

// fire fires the next timer up to a time; false: there is none.
func (w *World) fire(end time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	var due []actor.Outgoing
	for _, a := range w.aggregates {
		for _, o := range a.timers {
			if !o.At.After(end) {
				due = append(due, o)
			}
		}
	}
	if len(due) == 0 {
		if end.After(w.now) {
			w.now = end
		}
		return false
	}
	next := slices.MinFunc(due, func(a, b actor.Outgoing) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.To.String()+a.Timer, b.To.String()+b.Timer))
	})
	if next.At.After(w.now) {
		w.now = next.At
	}
	w.decide(next.Message(w.now))
	return true
}

// Commits returns what was committed, in order.
func (w *World) Commits() []store.Commit {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.commits)
}
