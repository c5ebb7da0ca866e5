package stage

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

const readyMax = 2500 * time.Millisecond // longer than a node takes to say that its store is silent

// stateOf returns what a part is doing, and since when it does.
func (e *Engine) stateOf(ctx context.Context, name string) (string, time.Time) {
	p := e.part(name)
	var now string
	e.mu.Lock()
	drains := e.drains[name] != 0 && e.drains[name] == p.PID
	e.mu.Unlock()
	switch {
	case p.PID == 0:
		now = page.Dead
	case p.Paused:
		now = page.Paused
	case p.Cut:
		now = page.Cut
	case drains:
		now = page.Draining
	default:
		ctx, cancel := context.WithTimeout(ctx, readyMax)
		defer cancel()
		if now = page.Up; e.cfg.Machine.Ready(ctx, name) != nil {
			now = page.Starting
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.states[name]; s.name != now {
		e.states[name] = state{now, time.Now()}
	}
	return now, e.states[name].since
}

// compose makes a snapshot of a sample.
func (e *Engine) compose(s sample) page.Snapshot {
	now := time.Now()
	shot := page.Snapshot{
		Time: now, Started: e.cfg.Started, Store: e.storeName(), Market: e.cfg.Market,
		Partitions: partitionsOf(s), NATS: s.nats, Mongo: s.mongo, Views: viewsOf(s),
		Compare: e.rivals.view(), Tour: e.tour.view(), Log: e.journal.list(),
	}
	if s.balancer != nil {
		shot.Balancer = *s.balancer
	}
	shot.Load = e.trading.view(now)
	for _, t := range e.tracks(s) {
		shot.Tracks = append(shot.Tracks, t)
		if t.Conflicts != nil {
			shot.Load.Conflicts += *t.Conflicts
		}
	}
	for _, p := range s.parts {
		shot.Parts = append(shot.Parts, page.Part{Name: p.Name, What: p.What, Where: p.Where, Since: p.Since, PID: p.PID, Command: p.Command, State: e.lastState(p)})
	}
	shot.Actions = e.situation(s).actions()
	e.mu.Lock()
	defer e.mu.Unlock()
	shot.Verdict = e.verdict
	shot.Verdict.Live = e.evidence.live()
	if e.outcome != nil && now.Sub(e.outcome.Time) < time.Minute {
		shot.Outcome = e.outcome
	}
	return shot
}

// lastState is a part's as it was asked last, unless it is known without asking.
func (e *Engine) lastState(p Part) string {
	switch {
	case p.PID == 0:
		return page.Dead
	case p.Paused:
		return page.Paused
	case p.Cut:
		return page.Cut
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch s := e.states[p.Name]; s.name {
	case "": // it is not asked
		return page.Up
	case page.Dead, page.Paused, page.Cut: // it was, and has not been asked since
		return page.Starting
	default:
		return s.name
	}
}

// Families of a node's metrics.
const (
	metricRequests  = "ganglion_http_request_seconds"
	metricOutcomes  = "ganglion_outcomes_total"
	metricFlushes   = "ganglion_flush_seconds"
	metricDiscarded = "ganglion_discarded_total"
	metricEvents    = "ganglion_projection_events_total"
	metricLag       = "ganglion_projection_lag_seconds"
)

func commands(labels map[string]string) bool  { return labels["method"] == "POST" }
func conflicts(labels map[string]string) bool { return labels["reason"] == "conflict" }

// tracks returns what is known of each node and its web server.
func (e *Engine) tracks(s sample) (all []page.Track) {
	owned := map[string]int{}
	for _, owner := range s.owners {
		owned[owner]++
	}
	for _, n := range e.cfg.Nodes {
		t := page.Track{Name: n.Name, Partitions: owned[n.Name]}
		t.State, t.Since = e.trackState(s.partOf(n.Name), owned)
		if p := s.nodes[n.Name]; p.known() {
			t.Requests = new(p.times(metricRequests, commands))
			t.Commands = new(p.rate(metricOutcomes, nil))
			t.Writes = new(p.times(metricFlushes, nil))
			t.Conflicts = new(p.rate(metricDiscarded, conflicts))
			if *t.Writes > 0 {
				t.PerWrite = new(*t.Commands / *t.Writes)
			}
			if d, ok := p.quantile(0.5, commands); ok {
				t.P50 = &d
			}
			if d, ok := p.quantile(0.99, commands); ok {
				t.P99 = &d
			}
		}
		all = append(all, t)
	}
	return all
}

// trackState is a node's state; one that is up and has nothing yet is joining.
func (e *Engine) trackState(p Part, owned map[string]int) (string, time.Time) {
	now := e.lastState(p)
	if now == page.Up && owned[p.Name] == 0 && len(owned) > 0 {
		now = page.Joining
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	since := e.states[p.Name].since
	if now == page.Dead || since.IsZero() {
		since = p.Since
	}
	return now, since
}

// partOf returns a part of a sample.
func (s sample) partOf(name string) Part {
	for _, p := range s.parts {
		if p.Name == name {
			return p
		}
	}
	return Part{Name: name}
}

func partitionsOf(s sample) (all []page.Partition) {
	seconds := s.traffic[1].at.Sub(s.traffic[0].at).Seconds()
	for i, owner := range s.owners {
		p := page.Partition{Number: i, Owner: owner}
		if i < len(s.moved) {
			p.Moved = s.moved[i]
		}
		if i < len(s.traffic[1].counts) && !s.traffic[0].at.IsZero() && seconds > 0 {
			n := s.traffic[1].counts[i]
			if i < len(s.traffic[0].counts) {
				n -= s.traffic[0].counts[i]
			}
			p.Rate = float64(n) / seconds
		}
		all = append(all, p)
	}
	return all
}

// viewsOf returns what is known of projections. Each node runs a part of them: the slowest
// says how far they are behind.
func viewsOf(s sample) (all []page.View) {
	views := map[string]*page.View{}
	for _, p := range s.nodes {
		for _, m := range p.after.series(metricLag, nil) {
			name := labelsOf(m)["projection"]
			behind := time.Duration(m.GetGauge().GetValue() * float64(time.Second))
			if views[name] == nil {
				views[name] = &page.View{Name: name, Behind: &behind}
			} else if behind > *views[name].Behind {
				views[name].Behind = &behind
			}
			if p.known() {
				events := p.rate(metricEvents, func(l map[string]string) bool { return l["projection"] == name && l["generation"] == "live" })
				if views[name].Events != nil {
					events += *views[name].Events
				}
				views[name].Events = &events
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(views)) {
		all = append(all, *views[name])
	}
	return all
}
