package node_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

const secret = "db.internal:5432"

type (
	leaky     struct{ Bad bool }
	opened    struct{}
	opening   struct{ actor.Replies[actor.None] }
	panicking struct{ actor.Replies[actor.None] }
	failing   struct{ actor.Replies[actor.None] }
	refusing  struct{ actor.Replies[actor.None] }
	asking    struct{ actor.Replies[actor.None] }
	wondering struct{ actor.Replies[actor.None] }
)

func (opening) WireName() string   { return "Open" }
func (panicking) WireName() string { return "Panic" }
func (failing) WireName() string   { return "Fail" }
func (refusing) WireName() string  { return "Refuse" }
func (asking) WireName() string    { return "Ask" }
func (wondering) WireName() string { return "Wonder" }

// MarshalJSON fails for a state that nobody may see.
func (l leaky) MarshalJSON() ([]byte, error) { return nil, errors.New("state at " + secret) }

var errOfTheDomain = actor.Reject("closed", "ask at "+secret)

func leakies() *actor.Aggregate[leaky] {
	bad := errors.New("dial " + secret)
	return actor.Define("leaky", func(d *actor.Definition[leaky]) {
		actor.On(d, func(_ *leaky, ctx *actor.Context, _ opening) (actor.None, error) {
			ctx.Raise(opened{})
			return actor.None{}, nil
		})
		actor.On(d, func(*leaky, *actor.Context, panicking) (actor.None, error) { panic(bad) })
		actor.On(d, func(*leaky, *actor.Context, failing) (actor.None, error) { return actor.None{}, bad })
		actor.On(d, func(*leaky, *actor.Context, refusing) (actor.None, error) { return actor.None{}, errOfTheDomain })
		actor.Query(d, func(*leaky, *actor.QueryContext, asking) (actor.None, error) { panic(bad) })
		actor.Query(d, func(*leaky, *actor.QueryContext, wondering) (actor.None, error) { return actor.None{}, bad })
		actor.Apply(d, func(*leaky, opened) {})
		d.Rejections(errOfTheDomain)
	})
}

// TestNode_CallersAreToldNoInsides: what code panics with, or the store says, is for the
// log alone. A caller gets a code, a sentence and the incident under which it is there.
func TestNode_CallersAreToldNoInsides(t *testing.T) {
	t.Parallel()
	var log lockedLog
	n := nodes.Start(t, node.Config{Partitions: 4, Logger: slog.New(slog.NewTextHandler(&log, nil))}, leakies())
	c := caller{t, n.URL()}
	c.expect("open", c.post("/v1/leaky/a/Open", ""), 200, "")
	for _, r := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"POST", "/v1/leaky/a/Panic", 500, "parked"},
		{"POST", "/v1/leaky/a/Panic?lane=direct", 500, "parked"},
		{"POST", "/v1/leaky/a/Fail", 500, "parked"},
		{"POST", "/v1/leaky/a/queries/Ask", 500, "unloadable"},
		{"POST", "/v1/leaky/a/queries/Wonder", 500, "unloadable"},
		{"GET", "/v1/leaky/a", 500, "unloadable"},
		{"GET", "/v1/leaky/a?consistency=local", 500, "unloadable"},
	} {
		a := c.do(r.method, r.path, "")
		c.expect(r.path, a, r.status, r.code)
		var p struct{ Detail, Incident string }
		if err := json.Unmarshal(a.body, &p); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(a.body), secret) || p.Incident == "" || !strings.Contains(p.Detail, p.Incident) {
			t.Errorf("%s: %s", r.path, a.body)
		}
		told := false
		for line := range strings.Lines(log.text()) {
			told = told || strings.Contains(line, p.Incident) && strings.Contains(line, secret)
		}
		if !told {
			t.Errorf("%s: no line of the log has incident %q and the text", r.path, p.Incident)
		}
	}
	if a := c.post("/v1/leaky/a/Refuse", ""); a.status != http.StatusUnprocessableEntity || !strings.Contains(string(a.body), `"detail":"ask at `+secret+`"`) {
		t.Errorf("what the domain says: %d %s", a.status, a.body)
	}
	if a := (caller{t, n.AdminURL()}).do("GET", "/parked?aggregate=leaky/a", ""); !strings.Contains(string(a.body), secret) {
		t.Errorf("an operator is not told why a command is parked: %s", a.body)
	}
}
