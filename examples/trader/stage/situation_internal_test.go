package stage

import (
	"testing"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

// TestSituation_Why: what makes no sense is refused, and nothing else.
func TestSituation_Why(t *testing.T) {
	t.Parallel()
	sound := func() situation {
		return situation{
			nodes: []being{{name: "node-1", state: page.Up}, {name: "node-2", state: page.Up}},
			nats:  []being{{name: "nats-1", state: page.Up}, {name: "nats-2", state: page.Up}, {name: "nats-3", state: page.Up}},
			mongo: []being{{name: "mongo-1", state: page.Up, primary: true}, {name: "mongo-2", state: page.Up}, {name: "mongo-3", state: page.Up}},

			hasMongo: true, trading: true, acknowledged: 1,
		}
	}
	for name, test := range map[string]struct {
		change         func(s *situation)
		action, target string
		refused        bool
	}{
		"kill":                        {nil, page.ActKill, "node-1", false},
		"kill one that is down":       {func(s *situation) { s.nodes[0].state = page.Dead }, page.ActKill, "node-1", true},
		"kill the last node":          {func(s *situation) { s.nodes[0].state = page.Dead }, page.ActKill, "node-2", true},
		"pause beside a paused one":   {func(s *situation) { s.nodes[0].state = page.Paused }, page.ActPause, "node-2", true},
		"pause a paused one":          {func(s *situation) { s.nodes[0].state = page.Paused }, page.ActPause, "node-1", true},
		"kill a paused one":           {func(s *situation) { s.nodes[0].state = page.Paused }, page.ActKill, "node-1", false},
		"drain beside a starting":     {func(s *situation) { s.nodes[0].state = page.Starting }, page.ActDrain, "node-2", true},
		"kill beside a joining one":   {func(s *situation) { s.nodes[0].state = page.Joining }, page.ActKill, "node-2", false},
		"kill a NATS server":          {nil, page.ActKill, "nats-2", false},
		"kill the majority":           {func(s *situation) { s.nats[0].state = page.Starting }, page.ActKill, "nats-2", true},
		"pause a NATS server":         {nil, page.ActPause, "nats-2", true},
		"kill what there is not":      {nil, page.ActKill, "node-3", true},
		"kill nothing":                {nil, page.ActKill, "", true},
		"kill the store":              {nil, page.ActKill, "mongo-1", true},
		"bring back what is up":       {nil, page.ActBack, "node-1", true},
		"bring back":                  {func(s *situation) { s.nodes[0].state = page.Cut }, page.ActBack, "node-1", false},
		"bring a NATS server back":    {func(s *situation) { s.nats[0].state = page.Dead }, page.ActBack, "nats-1", false},
		"bring back while comparing":  {func(s *situation) { s.nodes[0].state, s.comparing = page.Dead, true }, page.ActBack, "node-1", false},
		"step down":                   {nil, page.ActStepDown, "", false},
		"step down without MongoDB":   {func(s *situation) { s.hasMongo, s.mongo = false, nil }, page.ActStepDown, "", true},
		"step down with a member out": {func(s *situation) { s.mongo[2].state = page.Starting }, page.ActStepDown, "", true},
		"step down nobody":            {func(s *situation) { s.mongo[0].primary = false }, page.ActStepDown, "", true},
		"compare":                     {nil, page.ActCompare, "", false},
		"compare twice":               {func(s *situation) { s.comparing = true }, page.ActCompare, "", true},
		"compare without MongoDB":     {func(s *situation) { s.hasMongo = false }, page.ActCompare, "", true},
		"compare with a node down":    {func(s *situation) { s.nodes[1].state = page.Dead }, page.ActCompare, "", false}, // it is waited for
		"load while comparing":        {func(s *situation) { s.comparing = true }, page.ActLoad, "", true},
		"load while auditing":         {func(s *situation) { s.auditing = true }, page.ActLoad, "", true},
		"kill while comparing":        {func(s *situation) { s.comparing = true }, page.ActKill, "node-1", true},
		"stop":                        {nil, page.ActStop, "", false},
		"stop nothing":                {func(s *situation) { s.trading = false }, page.ActStop, "", true},
		"check nothing":               {func(s *situation) { s.acknowledged = 0 }, page.ActCheck, "", true},
		"audit nothing":               {func(s *situation) { s.acknowledged = 0 }, page.ActAudit, "", true},
		"nonsense":                    {nil, "explode", "node-1", true},
		"no action":                   {nil, "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sound()
			if test.change != nil {
				test.change(&s)
			}
			if why := s.why(test.action, test.target); (why != "") != test.refused {
				t.Errorf("why: %q", why)
			}
		})
	}
	for _, a := range sound().actions() {
		if a.Why == whyUnknown {
			t.Errorf("%s %s is listed, and unknown", a.Name, a.Target)
		}
	}
}
