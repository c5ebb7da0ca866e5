package gateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

func TestIDs_ArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	for segment, id := range map[string]string{
		"a":                           "a",
		".":                           ".",
		"..":                          "..",
		"%2E%2e":                      "..",
		"a%2Fb":                       "a/b",
		"a%2F%2Fb":                    "a//b",
		"%2F":                         "/",
		"%252F":                       "%2F",
		"a+b":                         "a+b",
		"a%20b":                       "a b",
		"a%00b":                       "a\x00b",
		"a;b=c":                       "a;b=c",
		"a:b@c!$&'()*,=":              "a:b@c!$&'()*,=",
		"%C3%BC%F0%9F%98%80":          "ü😀",
		"ü":                           "ü",
		"events":                      "events",
		"queries":                     "queries",
		"%3Fx%23y":                    "?x#y",
		strings.Repeat("x", 256):      strings.Repeat("x", 256),
		strings.Repeat("%C3%BC", 128): strings.Repeat("ü", 128),
	} {
		t.Run(segment, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			for _, path := range []string{"/Deposit", "/queries/Statement"} {
				f.do(t, "POST", "/v1/account/"+segment+path, "").is(t, 200, `{"version":41,"reply":{"balance":5}}`)
			}
			f.do(t, "GET", "/v1/account/"+segment, "").is(t, 200, `{"version":41,"state":{"balance":5}}`)
			f.do(t, "GET", "/v1/account/"+segment+"/events", "").is(t, 200, `{"events":[],"next":0}`)
			for _, m := range f.client.sent() {
				if m.Target != (actor.Address{Kind: "account", ID: id}) {
					t.Errorf("got id %q, want %q", m.Target.ID, id)
				}
			}
		})
	}
}

func TestRoutes_ThatFail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path string
		status       int
		code         actor.Code
		allow        string
	}{
		{"POST", "/v1/account//Deposit", 400, actor.CodeMalformed, ""},
		{"GET", "/v1/account/", 400, actor.CodeMalformed, ""},
		{"GET", "/v1/account//events", 400, actor.CodeMalformed, ""},
		{"POST", "/v1/account//queries/Statement", 400, actor.CodeMalformed, ""},
		{"GET", "/v1/account/" + strings.Repeat("x", 257), 400, actor.CodeMalformed, ""},
		{"GET", "/v1/account/%ff", 400, actor.CodeMalformed, ""},
		{"POST", "/v1/account/%C3%28/Deposit", 400, actor.CodeMalformed, ""},
		{"GET", "/v1/nothing/a", 404, actor.CodeUnknownKind, ""},
		{"POST", "/v1/nothing/a/Deposit", 404, actor.CodeUnknownKind, ""},
		{"GET", "/v1//a", 404, actor.CodeUnknownKind, ""},
		{"DELETE", "/v1/nothing/a", 404, actor.CodeUnknownKind, ""},
		{"POST", "/v1/account/a/Nothing", 404, actor.CodeUnknownCommand, ""},
		{"POST", "/v1/account/a/deposit", 404, actor.CodeUnknownCommand, ""},
		{"POST", "/v1/account/a/Statement", 404, actor.CodeUnknownCommand, ""},
		{"POST", "/v1/account/a/queries", 404, actor.CodeUnknownCommand, ""},
		{"POST", "/v1/account/a/queries/Deposit", 404, actor.CodeUnknownCommand, ""},
		{"GET", "/v1/account/a/Nothing", 404, actor.CodeUnknownCommand, ""},
		{"GET", "/", 404, "unknown_route", ""},
		{"GET", "/v1", 404, "unknown_route", ""},
		{"GET", "/v1/", 404, "unknown_route", ""},
		{"GET", "/v1/nothing", 404, actor.CodeUnknownKind, ""},
		{"PUT", "/v1/account", 405, "method_not_allowed", "GET, HEAD"},
		{"DELETE", "/v1/account/a/diff", 405, "method_not_allowed", "GET, HEAD"},
		{"POST", "/v1/account/a/diff", 405, "method_not_allowed", "GET, HEAD"},
		{"GET", "/v2/account/a", 404, "unknown_route", ""},
		{"GET", "//v1/account/a", 404, "unknown_route", ""},
		{"GET", "/v1/account/a/", 404, "unknown_route", ""},
		{"POST", "/v1/account/a/queries/", 404, "unknown_route", ""},
		{"POST", "/v1/account/a/b/Deposit", 404, "unknown_route", ""},
		{"POST", "/v1/account/a/Deposit/", 404, "unknown_route", ""},
		{"GET", "/openapi.json/", 404, "unknown_route", ""},
		{"GET", "/v1/account/a/Deposit", 405, "method_not_allowed", "POST"},
		{"PUT", "/v1/account/a/queries/Statement", 405, "method_not_allowed", "POST"},
		{"POST", "/v1/account/a", 405, "method_not_allowed", "GET, HEAD"},
		{"DELETE", "/v1/account/a", 405, "method_not_allowed", "GET, HEAD"},
		{"POST", "/v1/account/a/events", 405, "method_not_allowed", "GET, HEAD"},
		{"PATCH", "/v1/account/a/events", 405, "method_not_allowed", "GET, HEAD"},
		{"POST", "/v1/cluster", 405, "method_not_allowed", "GET, HEAD"},
		{"OPTIONS", "/openapi.json", 405, "method_not_allowed", "GET, HEAD"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			a := f.do(t, c.method, c.path, "")
			a.fails(t, c.status, c.code)
			if got := a.Header.Get("Allow"); got != c.allow {
				t.Errorf("Allow %q, want %q", got, c.allow)
			}
			if sent := f.client.sent(); len(sent) != 0 {
				t.Errorf("sent %+v", sent)
			}
		})
	}
}

func TestRoutes_WithoutCollaborators_DoNotExist(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *gateway.Config) { c.History, c.Cluster = nil, nil })
	f.do(t, "GET", "/v1/account/a/events", "").fails(t, 404, "unknown_route")
	f.do(t, "POST", "/v1/account/a/events", "").fails(t, 404, actor.CodeUnknownCommand)
	f.do(t, "GET", "/v1/cluster", "").fails(t, 404, "unknown_route")
	f.do(t, "GET", "/v1/account/a?consistency=local", "").fails(t, 400, actor.CodeMalformed)
	f.do(t, "GET", "/v1/account/a", "").is(t, 200, `{"version":41,"state":{"balance":5}}`)
}

// events is a command that shares its path with the events of the aggregate.
type events struct {
	actor.Replies[actor.None]
}

func TestRoutes_CommandNamedEvents(t *testing.T) {
	t.Parallel()
	c := &client{}
	odd := actor.Define("odd", func(d *actor.Definition[struct{}]) {
		actor.On(d, func(*struct{}, *actor.Context, events) (actor.None, error) { return actor.None{}, nil })
	})
	g, err := gateway.New(c, []actor.Registrable{odd}, gateway.Config{History: &history{}})
	if err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]string{"POST": `{"version":41,"reply":{"balance":5}}`, "GET": `{"events":[],"next":0}`} {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(method, "/v1/odd/a/events", nil))
		if got := strings.TrimSpace(w.Body.String()); w.Code != 200 || got != want {
			t.Errorf("%s: %d %s, want %s", method, w.Code, got, want)
		}
	}
}

// FuzzPath sends arbitrary request targets: whatever reaches the client is a
// valid address that says what the path said, and everything else is a problem.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"/v1/account/a/Deposit", "/v1/account/../Deposit", "/v1/account/a%2Fb/Deposit", "/v1/account//Deposit", "/v1/account/%zz/Deposit",
		"/v1/account/a/events", "/v1/account/a/queries/Statement", "/v1/cluster", "/openapi.json", "//", "*", "/v1/%61ccount/%ff", "/v1/account/a?lane=direct",
	} {
		f.Add("POST", seed)
		f.Add("GET", seed)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		c := &client{}
		g := newGateway(t, c, gateway.Config{History: &history{}})
		w := httptest.NewRecorder()
		r := (&http.Request{Method: method, URL: u, Header: http.Header{}, Body: http.NoBody}).WithContext(t.Context())
		g.ServeHTTP(w, r)
		for _, m := range c.sent() {
			if m.ID == "" {
				m.ID = "read"
			}
			if err := m.Validate(); err != nil {
				t.Errorf("%s %q sent %+v: %v", method, target, m, err)
			}
			if segments := strings.Split(u.EscapedPath(), "/"); url.PathEscape(m.Target.ID) != url.PathEscape(unescape(t, segments[3])) {
				t.Errorf("%q became id %q", target, m.Target.ID)
			}
		}
		if w.Code >= 400 && w.Header().Get("Content-Type") != "application/problem+json" || w.Code == 500 {
			t.Errorf("%s %q: %d %s", method, target, w.Code, w.Body)
		}
	})
}

func unescape(t *testing.T, segment string) string {
	t.Helper()
	s, err := url.PathUnescape(segment)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// FuzzID sends any text as an id: it arrives as it is, or is refused.
func FuzzID(f *testing.F) {
	for _, seed := range []string{"a", "", "..", "a//b", "%2F", "\xff", "\x00", strings.Repeat("ü", 129)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		var got []string
		c := &client{deliver: func(_ context.Context, m actor.Message) actor.Outcome {
			got = append(got, m.Target.ID)
			return actor.Outcome{Version: 1, Reply: []byte("{}")}
		}}
		g := newGateway(t, c, gateway.Config{})
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/account/"+url.PathEscape(id), nil))
		valid := id != "" && len(id) <= 256 && utf8.ValidString(id)
		if valid && (w.Code != 200 || len(got) != 1 || got[0] != id) || !valid && (w.Code != 400 || len(got) != 0) {
			t.Errorf("id %q: %d, arrived as %q", id, w.Code, got)
		}
	})
}
