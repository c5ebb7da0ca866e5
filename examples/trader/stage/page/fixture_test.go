package page_test

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

// engine is an Engine that shows what tests give it.
type engine struct {
	mu       sync.Mutex
	now      page.Snapshot
	changed  chan struct{}
	stopping chan struct{}
	acts     []string
	answer   page.Outcome
}

func newEngine(s page.Snapshot) *engine {
	return &engine{now: s, changed: make(chan struct{}), stopping: make(chan struct{})}
}

func (e *engine) Snapshot() page.Snapshot {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

func (e *engine) Changed() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

func (e *engine) Stopping() <-chan struct{} { return e.stopping }

func (e *engine) Act(_ context.Context, name string, form url.Values) page.Outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.acts = append(e.acts, name+" "+form.Encode())
	return e.answer
}

// show has a newer snapshot.
func (e *engine) show(s page.Snapshot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = s
	close(e.changed)
	e.changed = make(chan struct{})
}

// idle is a machine that has just come up.
func idle(now time.Time) page.Snapshot {
	s := page.Snapshot{
		Time: now, Started: now.Add(-40 * time.Second), Store: "MongoDB 8.0", Market: "http://127.0.0.1:8080",
		Load:     page.Load{Wanted: 40, Max: 100},
		Balancer: page.Balancer{State: page.Up, Where: "http://127.0.0.1:8080", Rate: new(0.0)},
		Compare:  page.Compare{Accounts: 20, Max: 100, Span: time.Minute},
		Views:    []page.View{{Name: "Portfolios", Behind: new(14 * time.Millisecond), Events: new(0.0)}, {Name: "Users"}},
		Log:      []page.Entry{{Time: now.Add(-time.Second), Text: "everything is up"}},
	}
	for i := range 2 {
		s.Tracks = append(s.Tracks, page.Track{
			Name: fmt.Sprintf("node-%d", i+1), State: page.Up, Since: s.Started, Requests: new(0.0), P50: new(time.Duration(0)), P99: new(time.Duration(0)),
			Commands: new(0.0), Writes: new(0.0), PerWrite: new(0.0), Conflicts: new(0.0), Partitions: 64,
		})
		for _, act := range []string{page.ActKill, page.ActPause, page.ActCut, page.ActDrain} {
			s.Actions = append(s.Actions, page.Action{Name: act, Target: s.Tracks[i].Name})
		}
		s.Actions = append(s.Actions, page.Action{Name: page.ActBack, Target: s.Tracks[i].Name, Why: "it is there"})
	}
	for i := range 128 {
		s.Partitions = append(s.Partitions, page.Partition{Number: i, Owner: s.Tracks[i*37%128/64].Name})
	}
	for i := range 3 {
		name := fmt.Sprintf("nats-%d", i+1)
		s.NATS = append(s.NATS, page.Server{Name: name, State: page.Up, Leads: []string{"A", "B"}})
		s.Mongo = append(s.Mongo, page.Server{Name: fmt.Sprintf("mongo-%d", i+1), State: page.Up, Role: "secondary"})
		s.Actions = append(s.Actions, page.Action{Name: page.ActKill, Target: name})
	}
	s.NATS[1].Role, s.Mongo[0].Role = "meta leader", "primary"
	for i, name := range []string{"Start the market: six traders, three companies", "Watch both tracks", "Kill a node in the middle of it", "Compare with the balancer alone", "Audit: every cent and every share"} {
		s.Tour = append(s.Tour, page.Step{Name: name, Text: "What to watch for.", Action: "Do it"})
		if i == 0 {
			s.Tour[0].State = "now"
		}
	}
	for _, act := range []string{page.ActLoad, page.ActStepDown, page.ActCheck, page.ActAudit, page.ActCompare, page.ActTour, page.ActTourSkip} {
		s.Actions = append(s.Actions, page.Action{Name: act})
	}
	s.Actions = append(s.Actions, page.Action{Name: page.ActStop, Why: "no load runs"}, page.Action{Name: page.ActCompareStop, Why: "it does not run"}, page.Action{Name: page.ActTourAgain})
	s.Parts = []page.Part{
		{Name: "balancer", What: "load balancer: the pages", Where: "http://127.0.0.1:8080", State: page.Up, Since: s.Started, PID: 4101, Command: "trader balancer --addr=127.0.0.1:8080"},
		{Name: "node-1", What: "node with a web server", Where: "http://127.0.0.1:8081", State: page.Up, Since: s.Started, PID: 4110, Command: "trader node --name=node-1"},
	}
	return s
}

// running is that machine under load, after a check that was right.
func running(now time.Time) page.Snapshot {
	s := idle(now)
	s.Load = page.Load{Running: true, Since: now.Add(-134 * time.Second), Wanted: 40, Max: 100, Orders: 41.3, P50: 12 * time.Millisecond, P99: 33 * time.Millisecond}
	s.Balancer.Rate = new(412.0)
	for i := range s.Tracks {
		t := &s.Tracks[i]
		t.Requests, t.P50, t.P99 = new(205.0+float64(i)*2), new(12*time.Millisecond), new(31*time.Millisecond)
		t.Commands, t.Writes, t.PerWrite = new(512.0), new(55.2), new(9.4)
	}
	for i := range s.Partitions {
		s.Partitions[i].Rate = float64(i*53%60) / 4
	}
	s.Verdict = page.Verdict{
		State: page.Right, Checked: now.Add(-3 * time.Second), Acknowledged: 48_213, Stored: 48_213, LongestWait: 1200 * time.Millisecond, After: "node-2 was killed",
		How: "Each acknowledged command was looked up in the store.", Live: 48_402, Took: 40 * time.Millisecond,
		Gaps: []page.Gap{{Track: "node-1", Longest: 40 * time.Millisecond}, {Track: "node-2", Longest: 1200 * time.Millisecond}},
	}
	s.Log = append([]page.Entry{{Time: now.Add(-3 * time.Second), Text: "check: 48,213 = 48,213", Kind: "right"}, {Time: now.Add(-9 * time.Second), Text: "node-2 was killed", Kind: "fault"}}, s.Log...)
	return s
}

// killed is that machine right after the death of node-2.
func killed(now time.Time) page.Snapshot {
	s := running(now)
	s.Verdict.State = page.Checking
	t := &s.Tracks[1]
	*t = page.Track{Name: t.Name, State: page.Dead, Since: now.Add(-12 * time.Second), Partitions: 20}
	for i := range s.Partitions {
		switch {
		case s.Partitions[i].Owner != t.Name:
		case i%3 == 0:
			s.Partitions[i].Owner = ""
		case i%3 == 1:
			s.Partitions[i].Owner, s.Partitions[i].Moved = s.Tracks[0].Name, now.Add(-time.Second)
		}
	}
	for i := range s.Actions {
		if a := &s.Actions[i]; a.Target == t.Name {
			a.Why = "node-2 is dead"
			if a.Name == page.ActBack {
				a.Why = ""
			}
		}
	}
	return s
}

// comparing is that machine while the other way runs.
func comparing(now time.Time) page.Snapshot {
	s := idle(now)
	c := &s.Compare
	c.Phase, c.Round, c.Rounds, c.Ends, c.Accounts = page.OtherRuns, 2, 3, now.Add(11*time.Second), 5
	c.Ours = page.Way{Orders: new(412.0), P50: new(12 * time.Millisecond), P99: new(33 * time.Millisecond), Conflicts: new(0.0), Failed: new(0.0), Stale: new(0.0)}
	c.Other = page.Way{Orders: new(96.0), P50: new(45 * time.Millisecond), P99: new(705 * time.Millisecond), Conflicts: new(3.9), Failed: new(0.11), Stale: new(0.21)}
	for i := range 40 {
		at, wave := time.Duration(i)*time.Second, float64(i*7%11)
		c.Ours.Points = append(c.Ours.Points, page.Point{At: at, Orders: 400 + wave*2, P99: time.Duration(30+wave) * time.Millisecond})
		if i < 30 {
			c.Other.Points = append(c.Other.Points, page.Point{At: at, Orders: 90 + wave, P99: time.Duration(680+4*wave) * time.Millisecond, Conflicts: 360 + 5*wave})
		}
	}
	return s
}
