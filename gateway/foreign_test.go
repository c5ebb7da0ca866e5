package gateway_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

// TestForeignKind_IsPassedOn: a gateway of an old build has no definition of a kind
// that another live node has. It passes requests for it on, and answers 404 only
// for a kind that nobody has.
func TestForeignKind_IsPassedOn(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *gateway.Config) {
		c.Knows = func(_ context.Context, kind actor.Kind) (bool, error) {
			if kind == "unsure" {
				return false, errors.New("the store does not answer")
			}
			return kind == "ledger", nil
		}
	})
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/v1/ledger/l%2F1/Enter", `{"n":1}`, 200, `{"version":41,"reply":{"balance":5}}`},
		{"POST", "/v1/ledger/l%2F1/Enter?lane=direct", ``, 200, `{"version":41,"reply":{"balance":5}}`},
		{"POST", "/v1/ledger/l%2F1/events", `{}`, 200, `{"version":41,"reply":{"balance":5}}`}, // a command of this name
		{"POST", "/v1/ledger/l%2F1/queries/Count", `{}`, 200, `{"version":41,"reply":{"balance":5}}`},
		{"GET", "/v1/ledger/l%2F1", ``, 200, `{"version":41,"state":{"balance":5}}`},
		{"GET", "/v1/ledger/l%2F1?consistency=local", ``, 200, `{"version":41,"state":{"balance":5}}`},
		{"GET", "/v1/ledger/l%2F1/events", ``, 200, `{"events":[],"next":0}`},
		{"POST", "/v1/ledger//Enter", `{}`, 400, ""},
		{"POST", "/v1/ledger/l/Enter", `[]`, 400, ""},
		{"POST", "/v1/ledger/l/Enter", `null`, 400, ""},
		{"POST", "/v1/ledger/l/Enter", `{`, 400, ""},
		{"POST", "/v1/ledger/l/En%20ter", `{}`, 404, ""},
		{"POST", "/v1/ledger/l/ganglion.on.account.opened.v1", `{}`, 404, ""}, // the runtime's own
		{"PUT", "/v1/ledger/l/Enter", `{}`, 405, ""},
		{"POST", "/v1/leger/l/Enter", `{}`, 404, ""},
		{"GET", "/v1/leger/l", ``, 404, ""},
		{"POST", "/v1/Not%20a%20kind/l/Enter", `{}`, 404, ""},
		{"POST", "/v1/unsure/l/Enter", `{}`, 503, ""},
	} {
		before := len(f.client.sent())
		r := f.do(t, c.method, c.path, c.body)
		if c.want != "" {
			r.is(t, c.status, c.want)
		} else if r.StatusCode != c.status {
			t.Errorf("%s %s: status %d, want %d: %s", c.method, c.path, r.StatusCode, c.status, r.body)
		}
		if after := len(f.client.sent()); c.status != 200 && after != before {
			t.Errorf("%s %s was sent", c.method, c.path)
		}
	}
	for _, m := range f.client.sent() {
		if m.Target != (actor.Address{Kind: "ledger", ID: "l/1"}) {
			t.Errorf("sent to %v", m.Target)
		}
	}
}
