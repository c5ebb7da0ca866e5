package gateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

type (
	settle    struct{ actor.Replies[actor.None] }
	settleOld struct{}
	pay       struct{ actor.Replies[actor.None] }
	audit     struct{ actor.Replies[actor.None] }
)

// internals returns a kind that callers have in part, and one that they have not.
func internals() []actor.Registrable {
	define := func(kind actor.Kind, more ...func(*actor.Definition[struct{}])) actor.Registrable {
		return actor.Define(kind, func(d *actor.Definition[struct{}]) {
			actor.On(d, func(*struct{}, *actor.Context, pay) (actor.None, error) { return actor.None{}, nil })
			actor.On(d, func(*struct{}, *actor.Context, settle) (actor.None, error) { return actor.None{}, nil },
				actor.Internal(), actor.From("settleOld", func(settleOld) settle { return settle{} }))
			actor.On(d, func(*struct{}, *actor.Context, events) (actor.None, error) { return actor.None{}, nil }, actor.Internal())
			actor.Query(d, func(*struct{}, *actor.QueryContext, audit) (actor.None, error) { return actor.None{}, nil }, actor.Internal())
			for _, f := range more {
				f(d)
			}
		})
	}
	return []actor.Registrable{define("till"), define("vault", (*actor.Definition[struct{}]).Internal)}
}

func internalFixture(t *testing.T, cfg gateway.Config) *fixture {
	t.Helper()
	f := &fixture{client: &client{}, history: &history{}}
	cfg.History = f.history
	cfg.Knows = func(context.Context, actor.Kind) (bool, error) { return true, nil } // as the node itself has the kind
	g, err := gateway.New(f.client, internals(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.server = httptest.NewServer(g)
	t.Cleanup(f.server.Close)
	return f
}

// TestInternal_DoesNotExist: what is the application's own is answered as what nobody has
// declared, by whatever name and way, and is not described. Nothing of it is sent.
func TestInternal_DoesNotExist(t *testing.T) {
	t.Parallel()
	f := internalFixture(t, gateway.Config{})
	missing := f.do(t, "POST", "/v1/till/a/nothing", `{}`)
	missing.fails(t, 404, actor.CodeUnknownCommand)
	same := func(got, want answer) {
		t.Helper()
		got.Header.Del("Date")
		want.Header.Del("Date")
		if diff := cmp.Diff(want.Header, got.Header); got.StatusCode != want.StatusCode || got.body != want.body || diff != "" {
			t.Errorf("%s: %d %s, want %d %s; headers (-want +got):\n%s", got.Request.URL, got.StatusCode, got.body, want.StatusCode, want.body, diff)
		}
	}
	for _, name := range []string{"settle", "settleOld", "%73ettle", "settle%4fld"} {
		same(f.do(t, "POST", "/v1/till/a/"+name, `{}`), missing)
		same(f.do(t, "POST", "/v1/till/a/"+name, `{}`, "Prefer: respond-async"), missing)
		same(f.do(t, "POST", "/v1/till/a/"+name+"?lane=direct", `{`, "Idempotency-Key: k"), missing)
		same(f.do(t, "GET", "/v1/till/a/"+name, ""), missing)
	}
	same(f.do(t, "POST", "/v1/till/a/queries/audit", `{}`), missing)
	same(f.do(t, "POST", "/v1/till/a/queries/settle", `{}`), missing)
	for _, name := range []string{"Settle", "SETTLE", "settle%00", "settle%20"} { // no other spelling is a name
		f.do(t, "POST", "/v1/till/a/"+name, `{}`).fails(t, 404, actor.CodeUnknownCommand)
	}
	f.do(t, "POST", "/v1/till/a/events", `{}`).fails(t, 405, "method_not_allowed")

	noKind := f.do(t, "GET", "/v1/Nothing/a", "") // no kind's name
	noKind.fails(t, 404, actor.CodeUnknownKind)
	for _, kind := range []string{"vault", "%76ault", "v%61ult"} {
		for _, way := range []struct{ method, path string }{
			{"GET", "/a"}, {"GET", "/a?consistency=local"}, {"GET", "/a/events"}, {"POST", "/a/pay"}, {"POST", "/a/settle"}, {"POST", "/a/queries/audit"}, {"POST", "/a/events"},
		} {
			same(f.do(t, way.method, "/v1/"+kind+way.path, ""), noKind)
		}
	}
	if sent := f.client.sent(); len(sent) > 0 {
		t.Errorf("sent: %+v", sent)
	}
	if doc := strings.ToLower(f.do(t, "GET", "/openapi.json", "").body); !strings.Contains(doc, "/v1/till/{id}/pay") ||
		strings.Contains(doc, "settle") || strings.Contains(doc, "audit") || strings.Contains(doc, "vault") {
		t.Errorf("described: %s", doc)
	}
}

// TestInternal_Exposed: a gateway that is told so has it.
func TestInternal_Exposed(t *testing.T) {
	t.Parallel()
	f := internalFixture(t, gateway.Config{ExposeInternal: true})
	paths := []string{"/v1/till/a/settle", "/v1/till/a/settleOld", "/v1/till/a/queries/audit", "/v1/vault/a/pay", "/v1/till/a/events"}
	for _, path := range paths {
		if a := f.do(t, "POST", path, `{}`); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
	if n := len(f.client.sent()); n != len(paths) {
		t.Errorf("%d sent", n)
	}
	if doc := f.do(t, "GET", "/openapi.json", "").body; !strings.Contains(doc, "/v1/vault/{id}/settle") || !strings.Contains(doc, "/v1/till/{id}/queries/audit") {
		t.Errorf("described: %s", doc)
	}
}

// TestGateway_SendsAsOutside: owners know what came over HTTP, also of kinds that the gateway
// does not know.
func TestGateway_SendsAsOutside(t *testing.T) {
	t.Parallel()
	f := internalFixture(t, gateway.Config{})
	f.do(t, "POST", "/v1/till/a/pay", `{}`)
	f.do(t, "POST", "/v1/till/a/pay", `{}`, "Prefer: respond-async")
	f.do(t, "GET", "/v1/till/a", "")
	f.do(t, "POST", "/v1/elsewhere/a/settle", `{}`)
	f.do(t, "POST", "/v1/elsewhere/a/queries/audit", `{}`)
	f.do(t, "GET", "/v1/elsewhere/a", "")
	sent := f.client.sent()
	if len(sent) != 6 {
		t.Errorf("%d sent", len(sent))
	}
	for _, m := range sent {
		if !m.Outside {
			t.Errorf("sent as the application's own: %+v", m)
		}
	}
}
