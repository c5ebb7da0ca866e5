package stage

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

// What the tour does.
const (
	tourRate     = 20 // orders a second
	tourWatched  = 100
	tourAccounts = 4
)

// tour is the guided tour. It is on the server: a reload goes on with it. A step is done
// once its effect was seen. It is safe for concurrent use.
type tour struct {
	mu      sync.Mutex
	done    []bool
	begun   bool      // the action of the step that is now
	since   time.Time // that step is now
	from    int64     // acknowledged then
	audited time.Time // everything was right, under the engine's lock
	steps   []page.Step
}

// Steps of the tour.
const (
	stepStart = iota
	stepLoad
	stepKill
	stepCompare
	stepAudit
	tourSteps
)

func tourStepsOf() []page.Step {
	return []page.Step{
		{Name: "Start the market", Text: "Six users trade the shares of three companies. Each order goes through the balancer to one of two web servers.", Action: "Start the load"},
		{Name: "Watch both tracks", Text: "Whichever web server takes a command, the one owner of its aggregate decides it. So there are no conflicts.", Action: "I have seen it"},
		{Name: "Kill a node in the middle of it", Text: "The other node takes its partitions within seconds. Then every acknowledged command is looked for in the store.", Action: "Kill a node"},
		{Name: "Compare with the balancer alone", Text: "The same deposits and withdrawals, over two web servers that share nothing but the database, in turns with ours.", Action: "Compare"},
		{Name: "Audit", Text: "The load stops, and all commits are read: every cent, every share, every order.", Action: "Audit"},
	}
}

// begin begins the tour anew. acked is what was acknowledged before.
func (t *tour) begin(now time.Time, acked int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done, t.steps = make([]bool, tourSteps), tourStepsOf()
	t.begun, t.since, t.from = false, now, acked
}

func (t *tour) nowLocked() int {
	if at := slices.Index(t.done, false); at >= 0 {
		return at
	}
	return tourSteps
}

func (t *tour) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nowLocked() == tourSteps
}

// skip goes on with the next step.
func (t *tour) skip(now time.Time, acked int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nextLocked(now, acked)
}

func (t *tour) nextLocked(now time.Time, acked int64) {
	if at := t.nowLocked(); at < tourSteps {
		t.done[at] = true
		t.begun, t.since, t.from = false, now, acked
	}
}

// view is the tour as the page shows it.
func (t *tour) view() []page.Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	steps := slices.Clone(t.steps)
	now := t.nowLocked()
	for i := range steps {
		switch {
		case t.done[i]:
			steps[i].State = "done"
		case i == now:
			steps[i].State = "now"
		}
		if i != now || t.begun {
			steps[i].Action = ""
		}
	}
	return steps
}

// act does what the step that is now is about.
func (t *tour) act(ctx context.Context, e *Engine) (text string, err error) {
	t.mu.Lock()
	now, begun := t.nowLocked(), t.begun
	t.mu.Unlock()
	if begun {
		return "", refuse("The step has begun, and is done once its effect is seen.")
	}
	s := e.lookedAt(ctx)
	switch now {
	case stepStart:
		text, err = t.first(ctx, e, s, page.ActLoad, "", func() (string, error) { return e.startLoad(ctx, tourRate) })
	case stepLoad:
		text = "The step is done once both tracks have had a hundred commands."
	case stepKill:
		target := e.cfg.Nodes[len(e.cfg.Nodes)-1].Name
		text, err = t.first(ctx, e, s, page.ActKill, target, func() (string, error) { return e.breakPart(ctx, page.ActKill, target) })
	case stepCompare:
		text, err = t.first(ctx, e, s, page.ActCompare, "", func() (string, error) { return e.startComparison(tourAccounts) })
	case stepAudit:
		text, err = t.first(ctx, e, s, page.ActAudit, "", e.startAudit)
	}
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun = t.nowLocked() == now // its effect may have been seen meanwhile
	return text, nil
}

// first does an action, unless it makes no sense.
func (*tour) first(_ context.Context, _ *Engine, s situation, name, target string, do func() (string, error)) (string, error) {
	if why := s.why(name, target); why != "" {
		return "", refuse("%s Skip the step, or try again.", why)
	}
	return do()
}

// look says of the step that is now whether its effect was seen, whoever has brought it
// about. It is called with each sample.
func (t *tour) look(e *Engine) {
	acked, running, compared, compare := e.evidence.live(), e.rivals.running(), e.rivals.finished(), e.rivals.view().Phase
	e.mu.Lock()
	verdict, fault, audited, auditing := e.verdict, e.fault != nil, t.audited, e.auditing
	busy := 0
	for _, p := range e.sample.nodes {
		if p.known() && p.times(metricRequests, commands) > 0 {
			busy++
		}
	}
	e.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	seen, over := false, false
	switch t.nowLocked() {
	case stepStart:
		seen = acked > t.from
	case stepLoad:
		seen = t.begun && acked-t.from >= tourWatched && busy == len(e.cfg.Nodes)
	case stepKill:
		over = !fault
		seen = over && verdict.State == page.Right && verdict.Checked.After(t.since) && verdict.Acknowledged > 0 && strings.Contains(verdict.After, "was killed")
	case stepCompare:
		over = !running
		seen = over && compare == page.Done && compared.After(t.since)
	case stepAudit:
		over = !auditing
		seen = over && audited.After(t.since)
	}
	switch {
	case seen:
		t.nextLocked(time.Now(), acked)
	case over: // it has not led to what it should: it can be tried again
		t.begun = false
	}
}
