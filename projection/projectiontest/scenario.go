package projectiontest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/memory"
)

const (
	// patience bounds each wait of a scenario.
	patience = 30 * time.Second
	// scenarioTick is how often the engine of a scenario looks at what is wanted.
	scenarioTick = 5 * time.Millisecond
)

// Scenario is a read model, or the router of a saga or policy, and events that it is
// given: given events, then documents. Make it with [New]. Its methods return the scenario,
// so that steps can be chained.
//
// The events go through the engine that nodes run, on a storage in memory: the same
// handlers, upcasters, transactions, JSON forms and parking. A Given returns when its
// events are applied, or are parked because a handler failed.
//
// When the test ends, the scenario fails it for each aggregate whose events were parked
// and no [Scenario.ThenParked] expected that; and if a rebuild from the same events gives
// other documents than there are: a handler then depends on a clock, on chance, or on
// something that is not in the view.
type Scenario struct {
	t          testing.TB
	projection *projection.Projection
	behaviors  map[actor.Kind]*actor.Behavior
	stream     *Stream
	storage    *notedStorage
	view       *projection.View
	control    *projection.Control
	sent       *outbox
	ctx        context.Context //nolint:containedctx // of the whole test
	now        time.Time
	metadata   actor.Metadata
	parked     map[actor.Address]*parking
	noRebuild  bool
}

// parking is an aggregate whose events are parked.
type parking struct {
	err      *projection.ParkedError
	expected bool
}

// New returns a scenario over a projection. The definitions of the events that it handles
// are known from it; those of a router's events are to be given. Its time begins at
// 2026-01-01T00:00:00Z.
func New(t testing.TB, p *projection.Projection, definitions ...actor.Registrable) *Scenario {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &Scenario{
		t: t, projection: p, behaviors: map[actor.Kind]*actor.Behavior{}, stream: NewStream(1), sent: &outbox{}, ctx: ctx,
		storage: &notedStorage{Storage: memory.New()}, parked: map[actor.Address]*parking{},
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	for _, b := range p.Sources() {
		s.behaviors[b.Kind()] = b
	}
	for _, d := range definitions {
		s.behaviors[d.Behavior().Kind()] = d.Behavior()
	}
	s.view, s.control = projection.NewView(s.storage, p), projection.NewControl(s.storage, s.stream, p)
	e, err := projection.New(projection.Config{Client: s.sent, Attempts: 1, Tick: scenarioTick, Keep: time.Nanosecond}, s.storage, s.stream, 1, p)
	if err == nil {
		err = e.Register(ctx) // before the first event: what is given is news, and no history
	}
	if err != nil {
		cancel()
		t.Fatalf("projectiontest: %v", err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	t.Cleanup(func() {
		defer running.Wait()
		defer cancel()
		s.finish()
	})
	return s
}

// Given brings events of an aggregate, encoded by its definition.
func (s *Scenario) Given(source actor.Address, events ...any) *Scenario {
	s.t.Helper()
	b := s.definition(source)
	stored := make([]actor.Event, 0, len(events))
	for _, e := range events {
		encoded, err := b.Encode(e)
		if err != nil {
			s.t.Fatalf("projectiontest: Given %s: %v", source, err)
		}
		stored = append(stored, encoded)
	}
	return s.GivenStored(source, stored...)
}

// GivenStored brings events in their stored form, older forms included.
func (s *Scenario) GivenStored(source actor.Address, events ...actor.Event) *Scenario {
	s.t.Helper()
	b := s.definition(source)
	for _, e := range events {
		if _, err := b.Decode(e); err != nil {
			s.t.Fatalf("projectiontest: Given %s: %v", source, err)
		}
		s.stream.AppendRecord(actor.EventRecord{Source: source, Name: e.Name, Data: e.Data, Time: s.now, Metadata: s.metadata})
	}
	if len(events) == 0 {
		return s
	}
	return s.await(source)
}

// GivenRecords brings events as readers of the event stream get them, such as those of an
// actortest.Scenario. Those that were given before are passed over, by their versions, and
// so are kinds that the projection does not read.
func (s *Scenario) GivenRecords(records ...actor.EventRecord) *Scenario {
	s.t.Helper()
	given := map[actor.Address]bool{}
	for _, r := range records {
		if s.behaviors[r.Source.Kind] == nil || r.Version <= s.stream.Version(r.Source) {
			continue
		}
		s.stream.AppendRecord(r)
		given[r.Source] = true
	}
	for source := range given {
		s.await(source)
	}
	return s
}

// At sets the time of the events that follow.
func (s *Scenario) At(t time.Time) *Scenario {
	s.now = t.UTC()
	return s
}

// Advance moves the time of the events that follow on.
func (s *Scenario) Advance(d time.Duration) *Scenario { return s.At(s.now.Add(d)) }

// With sets the metadata of the events that follow.
func (s *Scenario) With(md actor.Metadata) *Scenario {
	s.metadata = md
	return s
}

// WithoutRebuild leaves out the rebuild at the end of the test: for handlers that mean to
// leave other documents behind when they are run for history.
func (s *Scenario) WithoutRebuild() *Scenario {
	s.noRebuild = true
	return s
}

// View returns the view, for functions of the application that read it.
func (s *Scenario) View() *projection.View { return s.view }

func (s *Scenario) definition(source actor.Address) *actor.Behavior {
	s.t.Helper()
	b := s.behaviors[source.Kind]
	if b == nil {
		s.t.Fatalf("projectiontest: %s reads no events of kind %q, or its definition was not given to New", s.projection.Name(), source.Kind)
	}
	if err := source.Validate(); err != nil {
		s.t.Fatalf("projectiontest: %v", err)
	}
	return b
}

// await waits until the events of a source are applied, or parked.
func (s *Scenario) await(source actor.Address) *Scenario {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	err := s.view.Wait(ctx, projection.Version(source, s.stream.Version(source)))
	if parked, ok := errors.AsType[*projection.ParkedError](err); ok {
		if s.parked[source] == nil {
			s.parked[source] = &parking{err: parked}
		}
		return s
	}
	if err != nil {
		s.t.Fatalf("projectiontest: Given %s: %v", source, err)
	}
	return s
}

// ThenParked requires that an event of the aggregate was parked, because its handler
// returned an error or panicked, with a reason that has all of the given texts in it.
func (s *Scenario) ThenParked(source actor.Address, reason ...string) *Scenario {
	s.t.Helper()
	p := s.parked[source]
	if p == nil {
		s.t.Errorf("projectiontest: nothing of %s is parked", source)
		return s
	}
	p.expected = true
	for _, text := range reason {
		if !strings.Contains(p.err.Parked.Reason, text) {
			s.t.Errorf("projectiontest: %s is parked for another reason than %q: %s", source, text, p.err.Parked.Reason)
		}
	}
	return s
}

// finish makes the checks of the test's end.
func (s *Scenario) finish() {
	for source, p := range s.parked {
		if !p.expected {
			s.t.Errorf("projectiontest: an event was parked, and no ThenParked expected it: %v%s", p.err, s.stackOf(source))
		}
	}
	if !s.noRebuild && !s.projection.Router() && len(s.parked) == 0 && !s.t.Failed() {
		s.checkRebuild()
	}
}

// stackOf returns where a handler panicked; empty: it has returned an error.
func (s *Scenario) stackOf(source actor.Address) string {
	parked, _, err := s.control.ParkedShow(s.ctx, s.projection.Name(), source, 1)
	if err != nil || parked.Stack == "" {
		return ""
	}
	return "\n" + parked.Stack
}

// checkRebuild makes the view anew, and compares.
func (s *Scenario) checkRebuild() {
	live, err := s.documents()
	if err == nil {
		err = s.control.Rebuild(s.ctx, s.projection.Name())
	}
	if err == nil {
		err = s.awaitRebuild()
	}
	var rebuilt map[string]any
	if err == nil {
		rebuilt, err = s.documents()
	}
	if err != nil {
		s.t.Errorf("projectiontest: rebuild %s: %v", s.projection.Name(), err)
		return
	}
	if diff := compare(live, rebuilt); diff != "" {
		s.t.Errorf("projectiontest: %s: a rebuild from the same events gives other documents (-live +rebuilt):\n%s", s.projection.Name(), diff)
	}
}

var errRebuilds = errors.New("it does not end")

func (s *Scenario) awaitRebuild() error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		status, err := s.control.Show(s.ctx, s.projection.Name())
		if err != nil || status.Rebuild == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-end.C:
			return fmt.Errorf("%w: %+v", errRebuilds, *status.Rebuild)
		}
	}
}
