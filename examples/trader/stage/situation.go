package stage

import (
	"context"
	"fmt"
	"slices"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

// situation is what decides which actions make sense. It is pure.
type situation struct {
	nodes, nats, mongo []being
	hasMongo           bool
	trading            bool // the load runs
	comparing          bool
	auditing           bool
	acknowledged       int64
	toured             bool // all its steps are done
}

// being is a part that somebody may break.
type being struct {
	name, state string
	primary     bool
}

// situation returns that of a sample.
func (e *Engine) situation(s sample) situation {
	owned := map[string]int{}
	for _, owner := range s.owners {
		owned[owner]++
	}
	now := situation{
		hasMongo: e.cfg.MongoURI != "", trading: e.trading.running(), comparing: e.rivals.running(), acknowledged: e.evidence.live(),
		toured: e.tour.over(),
	}
	for _, n := range e.cfg.Nodes {
		state, _ := e.trackState(s.partOf(n.Name), owned)
		now.nodes = append(now.nodes, being{name: n.Name, state: state})
	}
	for _, n := range s.nats {
		now.nats = append(now.nats, being{name: n.Name, state: n.State})
	}
	for _, n := range s.mongo {
		now.mongo = append(now.mongo, being{name: n.Name, state: n.State, primary: n.Role == "primary"})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now.auditing = e.auditing
	return now
}

// looked returns the situation as it is now, for an action that is about to be done.
func (e *Engine) lookedAt(ctx context.Context) situation {
	e.mu.Lock()
	s := e.sample
	e.mu.Unlock()
	for _, n := range e.cfg.Nodes {
		e.stateOf(ctx, n.Name)
	}
	s.parts = e.cfg.Machine.Parts()
	s.nats, s.mongo = e.natsFigures(ctx), e.mongoFigures(ctx)
	if owners, _, err := e.readOwners(ctx); err == nil {
		s.owners = owners
	}
	return e.situation(s)
}

// actions are all there are, with why those make no sense now that do not.
func (s situation) actions() (all []page.Action) {
	add := func(name, target string) {
		all = append(all, page.Action{Name: name, Target: target, Why: s.why(name, target)})
	}
	for _, name := range []string{page.ActLoad, page.ActStop} {
		add(name, "")
	}
	for _, n := range s.nodes {
		for _, name := range []string{page.ActKill, page.ActPause, page.ActCut, page.ActDrain, page.ActBack} {
			add(name, n.name)
		}
	}
	for _, n := range s.nats {
		add(page.ActKill, n.name)
		add(page.ActBack, n.name)
	}
	for _, name := range []string{
		page.ActStepDown, page.ActCheck, page.ActAudit, page.ActCompare, page.ActCompareStop,
		page.ActTour, page.ActTourSkip, page.ActTourAgain,
	} {
		add(name, "")
	}
	return all
}

// Why an action makes no sense.
const (
	whyUnknown   = "There is no such action here."
	whyComparing = "The comparison runs: it needs the machine for itself."
	whyAuditing  = "The audit runs, and nothing may move meanwhile."
	whyNoMongo   = "The store is JetStream: there is no MongoDB here."
	whyNothing   = "Nothing was acknowledged yet: start the load."
)

// why says why an action makes no sense now; empty: it does.
func (s situation) why(name, target string) string {
	switch name {
	case page.ActKill, page.ActPause, page.ActCut, page.ActDrain, page.ActBack:
		return s.whyPart(name, target)
	case page.ActStepDown:
		return s.whyStepDown()
	case page.ActLoad, page.ActAudit, page.ActCompare:
		return s.whyTurn(name)
	case page.ActStop:
		return unless(s.trading, "No load runs.")
	case page.ActCheck:
		return unless(s.acknowledged > 0, whyNothing)
	case page.ActCompareStop:
		return unless(s.comparing, "No comparison runs.")
	case page.ActTour, page.ActTourSkip:
		return unless(!s.toured, "The tour is over.")
	case page.ActTourAgain:
		return ""
	}
	return whyUnknown
}

func unless(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}

// whyTurn is about what takes turns.
func (s situation) whyTurn(name string) string {
	switch {
	case name == page.ActCompare && !s.hasMongo:
		return whyNoMongo
	case s.comparing:
		return whyComparing
	case s.auditing:
		return whyAuditing
	case name == page.ActAudit:
		return unless(s.acknowledged > 0, whyNothing)
	}
	return ""
}

// whyPart is about one process.
func (s situation) whyPart(name, target string) string {
	kin, quorum := s.nodes, 1
	at := slices.IndexFunc(kin, func(b being) bool { return b.name == target })
	if at < 0 {
		kin, quorum = s.nats, len(s.nats)/2+1
		if at = slices.IndexFunc(kin, func(b being) bool { return b.name == target }); at < 0 || name != page.ActKill && name != page.ActBack {
			return whyUnknown
		}
	}
	state := kin[at].state
	if name == page.ActBack {
		switch state {
		case page.Up, page.Joining:
			return fmt.Sprintf("%s is up.", target)
		case page.Draining:
			return fmt.Sprintf("%s hands over, ends, and starts again by itself.", target)
		case page.Starting:
			return fmt.Sprintf("%s is starting.", target)
		}
		return ""
	}
	switch {
	case s.comparing:
		return whyComparing
	case s.auditing:
		return whyAuditing
	case state == page.Dead:
		return fmt.Sprintf("%s is down already.", target)
	case state == page.Paused && name != page.ActKill, state == page.Cut && name != page.ActKill, state == page.Draining:
		return fmt.Sprintf("%s is %s already.", target, state)
	}
	left := 0
	for i, b := range kin {
		if i != at && (b.state == page.Up || b.state == page.Joining) {
			left++
		}
	}
	if left < quorum {
		return fmt.Sprintf("%s is needed: without it %s.", target, map[bool]string{true: "nobody is left who serves", false: "the NATS servers have no majority"}[quorum == 1])
	}
	return ""
}

func (s situation) whyStepDown() string {
	switch {
	case !s.hasMongo:
		return whyNoMongo
	case s.comparing:
		return whyComparing
	case s.auditing:
		return whyAuditing
	case !slices.ContainsFunc(s.mongo, func(b being) bool { return b.primary }):
		return "The replica set has no primary at the moment."
	case slices.ContainsFunc(s.mongo, func(b being) bool { return b.state != page.Up }):
		return "A member of the replica set is down."
	}
	return ""
}
