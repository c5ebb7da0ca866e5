package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

// names authenticates by a token that is the principal's name itself.
type names struct {
	err     error
	expires time.Time
	panics  any
}

func (n names) Authenticate(r *http.Request) (gateway.Principal, error) {
	if n.panics != nil {
		panic(n.panics)
	}
	token, err := gateway.BearerToken(r.Header, 1000)
	switch {
	case err != nil:
		return gateway.Principal{}, err
	case n.err != nil:
		return gateway.Principal{}, n.err
	case token == "bad":
		return gateway.Principal{}, &gateway.CredentialsError{Reason: `the "token" is bad`}
	}
	return gateway.Principal{Name: token, Expires: n.expires, Claims: map[string]any{"scope": "a b"}}, nil
}

func (names) Schemes() []gateway.Scheme { return []gateway.Scheme{gateway.BearerScheme("")} }

// rules keeps what it was asked, and says what it is told to.
type rules struct {
	mu    sync.Mutex
	asked []gateway.Access
	err   error
	do    func(context.Context)
}

func (r *rules) Authorize(ctx context.Context, a gateway.Access) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, a)
	if r.do != nil {
		r.do(ctx)
	}
	return r.err
}

func (r *rules) take() []gateway.Access {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

const ann = "Authorization: Bearer ann"

func guarded(a gateway.Authenticator, r gateway.Authorizer) func(*gateway.Config) {
	return func(c *gateway.Config) { c.Authenticate, c.Authorize = a, r }
}

// everyRequest is one request for each operation of the description, and for what is not
// in it.
func everyRequest(t *testing.T, description string) [][2]string {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(description), &doc); err != nil {
		t.Fatal(err)
	}
	requests := [][2]string{}
	for path, operations := range doc.Paths {
		for method := range operations {
			path := strings.NewReplacer("{id}", "a-1", "{key}", "k").Replace(path)
			if strings.Contains(path, "{") {
				t.Fatalf("the test has no value for a parameter of %s", path)
			}
			requests = append(requests, [2]string{strings.ToUpper(method), path})
		}
	}
	return requests
}

// TestRights_EveryOperationIsGuarded walks the description: whoever does not say who they
// are gets 401, who has no right gets 403, at every operation, and nobody reads, sends or
// stores anything for them.
func TestRights_EveryOperationIsGuarded(t *testing.T) {
	t.Parallel()
	may := &rules{}
	v := &views{}
	f := setup(t, func(c *gateway.Config) { c.Views = v }, guarded(names{}, may))
	requests := everyRequest(t, f.do(t, "GET", "/openapi.json", "", ann).body)
	if len(requests) < 7 {
		t.Fatalf("%d operations", len(requests))
	}
	may.take()
	may.err = fmt.Errorf("not today: %w", gateway.ErrForbidden)
	for _, r := range requests {
		for _, credentials := range []string{"X: y", "Authorization: Basic YTpi", "Authorization: Bearer bad", "Authorization: Bearer  "} {
			a := f.do(t, r[0], r[1], `{"owner":"o"}`, credentials)
			p := a.fails(t, 401, "unauthenticated")
			if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), `Bearer realm="ganglion"`) || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %v", r[0], r[1], a.Header)
			}
			if bad := strings.HasSuffix(credentials, "bad"); bad != strings.Contains(p.Detail, "is bad") ||
				bad && !strings.HasSuffix(a.Header.Get("WWW-Authenticate"), `error="invalid_token", error_description="the token is bad"`) {
				t.Errorf("%s %s: %s, %v", r[0], r[1], a.body, a.Header)
			}
		}
		if asked := may.take(); len(asked) > 0 {
			t.Errorf("%s %s: asked for a right of nobody: %+v", r[0], r[1], asked)
		}
		if p := f.do(t, r[0], r[1], `{"owner":"o"}`, ann).fails(t, 403, "forbidden"); strings.Contains(p.Detail, "today") {
			t.Errorf("the caller is told %q", p.Detail)
		}
		if asked := may.take(); len(asked) != 1 || asked[0].Action == "" || asked[0].Principal.Name != "ann" {
			t.Errorf("%s %s: asked %+v", r[0], r[1], asked)
		}
	}
	if looks, _ := v.count(); looks > 0 {
		t.Errorf("%d reads of views", looks)
	}
	if sent, reads := f.client.sent(), f.history.count(); len(sent) > 0 || reads > 0 {
		t.Errorf("%d messages were sent, %d reads made", len(sent), reads)
	}
}

// TestRights_WhatIsAsked: an authorizer sees the action and its target, whether they
// exist or not, and is asked once.
func TestRights_WhatIsAsked(t *testing.T) {
	t.Parallel()
	may := &rules{}
	v := &views{}
	f := setup(t, func(c *gateway.Config) { c.Views = v }, guarded(names{}, may))
	v.put("a/b", "{}")
	for _, c := range []struct {
		method, path string
		status       int
		want         gateway.Access
	}{
		{"POST", "/v1/account/a%2F1/Deposit", 200, gateway.Access{Action: "command", Kind: "account", ID: "a/1", Name: "Deposit"}},
		{"POST", "/v1/account/Open", 201, gateway.Access{Action: "command", Kind: "account", Name: "Open"}},
		{"POST", "/v1/account/a/Deposit?timeout=x", 400, gateway.Access{Action: "command", Kind: "account", ID: "a", Name: "Deposit"}},
		{"POST", "/v1/account/a/queries/Statement", 200, gateway.Access{Action: "query", Kind: "account", ID: "a", Name: "Statement"}},
		{"GET", "/v1/account/a", 200, gateway.Access{Action: "state", Kind: "account", ID: "a"}},
		{"HEAD", "/v1/account/a", 200, gateway.Access{Action: "state", Kind: "account", ID: "a"}},
		{"GET", "/v1/account/a?consistency=local", 404, gateway.Access{Action: "state", Kind: "account", ID: "a"}},
		{"GET", "/v1/account/a/events", 200, gateway.Access{Action: "events", Kind: "account", ID: "a"}},
		{"POST", "/v1/account/a/events", 405, gateway.Access{Action: "command", Kind: "account", ID: "a", Name: "events"}},
		{"GET", "/v1/account", 200, gateway.Access{Action: "list", Kind: "account"}},
		{"GET", "/v1/account/a/diff", 200, gateway.Access{Action: "state", Kind: "account", ID: "a"}},
		{"GET", "/v1/views/balances/accounts", 200, gateway.Access{Action: "view", Name: "balances", Collection: "accounts"}},
		{"GET", "/v1/views/balances/accounts/a%2Fb", 200, gateway.Access{Action: "view", Name: "balances", Collection: "accounts", Key: "a/b"}},
		{"GET", "/v1/views/none/none", 404, gateway.Access{Action: "view", Name: "none", Collection: "none"}},
		{"GET", "/v1/cluster", 200, gateway.Access{Action: "cluster"}},
		{"GET", "/openapi.json", 200, gateway.Access{Action: "description"}},
		{"POST", "/v1/nothing/a/Deposit", 404, gateway.Access{Action: "command", Kind: "nothing", ID: "a", Name: "Deposit"}},
		{"POST", "/v1/account/a/Nothing", 404, gateway.Access{Action: "command", Kind: "account", ID: "a", Name: "Nothing"}},
		{"DELETE", "/v1/account/a", 405, gateway.Access{Action: "state", Kind: "account", ID: "a"}},
	} {
		a := f.do(t, c.method, c.path, "", ann)
		if a.StatusCode != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.StatusCode, a.body)
		}
		asked := may.take()
		if diff := cmp.Diff([]gateway.Access{c.want}, asked, cmpopts.IgnoreFields(gateway.Access{}, "Principal")); diff != "" {
			t.Errorf("%s %s: %s", c.method, c.path, diff)
		}
	}
	for _, path := range []string{"/", "/v2/x", "/v1/account//Deposit", "/v1/No%20kind/a", "/v1/nothing/" + strings.Repeat("x", 257)} {
		if a := f.do(t, "GET", path, "", ann); a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
		if asked := may.take(); len(asked) > 0 {
			t.Errorf("%s: asked %+v", path, asked)
		}
		f.do(t, "GET", path, "").fails(t, 401, "unauthenticated")
	}
}

// TestRights_ForbiddenTellsNothing: who has no right cannot find out which kinds,
// commands, aggregates and keys there are.
func TestRights_ForbiddenTellsNothing(t *testing.T) {
	t.Parallel()
	knows := 0
	f := setup(t, guarded(names{}, &rules{err: gateway.ErrForbidden}), func(c *gateway.Config) {
		c.Knows = func(context.Context, actor.Kind) (bool, error) { knows++; return true, nil }
	})
	first := f.do(t, "POST", "/v1/account/a/Open", `{}`, ann)
	first.fails(t, 403, "forbidden")
	for _, r := range [][2]string{
		{"POST", "/v1/account/a/Nothing"},
		{"POST", "/v1/nothing/a/Open"},
		{"GET", "/v1/account/a"},
		{"GET", "/v1/nothing/a"},
		{"GET", "/v1/account/a/events"},
		{"POST", "/v1/account/a/queries/No"},
		{"PUT", "/v1/account/a/Open"},
		{"PUT", "/v1/account/a/Nothing"},
		{"POST", "/v1/account/a/Open?timeout=x"},
		{"POST", "/v1/account/a/ganglion.deadline"},
	} {
		if a := f.do(t, r[0], r[1], `not JSON`, ann, "Idempotency-Key: k"); a.StatusCode != http.StatusForbidden || a.body != first.body {
			t.Errorf("%s %s: %d %s", r[0], r[1], a.StatusCode, a.body)
		}
	}
	if knows > 0 {
		t.Error("the cluster was asked for a kind")
	}
}

// TestRights_BeforeTheBody: nobody waits for the body of whom they do not let in.
func TestRights_BeforeTheBody(t *testing.T) {
	t.Parallel()
	f := setup(t, guarded(names{}, &rules{err: gateway.ErrForbidden}))
	for _, headers := range [][]string{{"Expect: 100-continue"}, {"Expect: 100-continue", ann}} {
		r := httptest.NewRequest(http.MethodPost, "/v1/account/a/Open", nil)
		r.Body, r.ContentLength = unreadable{t}, 10
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		f.gateway.ServeHTTP(w, r)
		if w.Code != 401 && w.Code != 403 {
			t.Errorf("%v: %d", headers, w.Code)
		}
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, errors.New("read")
}
func (unreadable) Close() error { return nil }

// TestRights_NeverOpenByAccident: whatever becomes of the check itself, nobody gets in.
func TestRights_NeverOpenByAccident(t *testing.T) {
	t.Parallel()
	boom := errors.New("host secret:1 is down")
	for name, c := range map[string]struct {
		authenticate names
		authorize    *rules
		status       int
		code         actor.Code
	}{
		"the authenticator fails":            {names{err: boom}, &rules{}, 503, "unavailable"},
		"the authenticator is cut off":       {names{err: gateway.ErrAuthenticatorUnavailable}, &rules{}, 503, "unavailable"},
		"it refuses without a reason":        {names{err: gateway.ErrInvalidCredentials}, &rules{}, 401, "unauthenticated"},
		"the authenticator panics":           {names{panics: "x"}, &rules{}, 500, "internal"},
		"it panics with an error":            {names{panics: boom}, &rules{}, 500, "internal"},
		"the authorizer fails":               {names{}, &rules{err: boom}, 503, "unavailable"},
		"the authorizer panics":              {names{}, &rules{do: func(context.Context) { panic(boom) }}, 500, "internal"},
		"its time is over":                   {names{}, &rules{err: context.DeadlineExceeded}, 503, "unavailable"},
		"both say no":                        {names{}, &rules{err: errors.Join(boom, gateway.ErrForbidden)}, 403, "forbidden"},
		"the name is a fault of the program": {names{}, &rules{}, 401, "unauthenticated"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			f := setup(t, guarded(c.authenticate, c.authorize), func(g *gateway.Config) { g.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			credentials := ann
			if strings.HasPrefix(name, "the name") {
				credentials = "Authorization: Bearer " + strings.Repeat("x", 257)
			}
			a := f.do(t, "POST", "/v1/account/a/Open", `{"owner":"o"}`, credentials)
			p := a.fails(t, c.status, c.code)
			if strings.Contains(a.body, "secret") || c.status >= 500 && (p.Incident == "" || !strings.Contains(log.String(), p.Incident)) {
				t.Errorf("%s\n%s", a.body, log.String())
			}
			if retry := a.Header.Get("Retry-After") != ""; retry != (c.status == 503) {
				t.Errorf("%v", a.Header)
			}
			if sent := f.client.sent(); len(sent) > 0 {
				t.Errorf("sent %+v", sent)
			}
		})
	}
}

// TestRights_Deadline: an authorizer has the time of its request, and no more.
func TestRights_Deadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t, guarded(names{}, &rules{do: func(ctx context.Context) { <-ctx.Done() }, err: context.DeadlineExceeded}))
		begin := time.Now()
		a, err := send(t.Context(), f.http, "GET", "http://x/v1/account/a?timeout=3s", "", ann)
		if err != nil {
			t.Fatal(err)
		}
		a.fails(t, 503, "unavailable")
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("it had %v", took)
		}
	})
}

// TestRights_User: the principal is the user of what is sent, in every way to send, and no
// header of the caller's can be it.
func TestRights_User(t *testing.T) {
	t.Parallel()
	headers := []string{"User: eve", "X-User: eve", "Gn-User: eve", "X-Correlation-ID: c", "Ganglion-User: eve"}
	for _, credentials := range []string{ann, "X: y"} {
		f, want := setup(t), ""
		if credentials == ann {
			f, want = setup(t, guarded(names{}, nil)), "ann"
		}
		all := append([]string{credentials}, headers...)
		f.do(t, "POST", "/v1/account/a/Open", `{"owner":"o","user":"eve"}`, all...)
		f.do(t, "POST", "/v1/account/a/Open", `{"owner":"o"}`, append([]string{"Prefer: respond-async"}, all...)...)
		f.do(t, "POST", "/v1/account/a/queries/Statement", `{}`, all...)
		f.do(t, "GET", "/v1/account/a", ``, all...)
		sent := f.client.sent()
		if len(sent) != 4 {
			t.Fatalf("%d were sent", len(sent))
		}
		for _, m := range sent {
			if m.Metadata != (actor.Metadata{User: want, Correlation: "c"}) {
				t.Errorf("%s: %+v", m.Name, m.Metadata)
			}
		}
	}
}

// TestRights_FormerName: a rule about a command holds under every name that it had.
func TestRights_FormerName(t *testing.T) {
	t.Parallel()
	type former struct{ actor.Replies[actor.None] }
	kind := actor.Define("book", func(d *actor.Definition[account]) {
		actor.On(d, (*account).close, actor.From("Shut", func(former) Close { return Close{} }))
		actor.Query(d, (*account).statement, actor.From("List", func(former) Statement { return Statement{} }))
	})
	may := &rules{}
	g, err := gateway.New(&client{}, []actor.Registrable{kind}, gateway.Config{Authenticate: names{}, Authorize: may})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/v1/book/a/Shut": "Close", "/v1/book/a/Close": "Close", "/v1/book/a/queries/List": "Statement", "/v1/book/a/List": "List",
	} {
		r := httptest.NewRequest(http.MethodPost, path, nil)
		r.Header.Set("Authorization", "Bearer ann")
		g.ServeHTTP(httptest.NewRecorder(), r)
		if asked := may.take(); len(asked) != 1 || asked[0].Name != want {
			t.Errorf("%s: %+v", path, asked)
		}
	}
}

// TestRights_Description: it says what to show, and how it is refused.
func TestRights_Description(t *testing.T) {
	t.Parallel()
	two := gateway.AnyOf(names{}, certificates{})
	for name, c := range map[string]struct {
		configure []func(*gateway.Config)
		has, not  []string
	}{
		"nobody asks": {nil, nil, []string{"securitySchemes", `"401"`, `"403"`}},
		"both":        {[]func(*gateway.Config){guarded(two, &rules{})}, []string{`"bearer"`, `"mutualTLS"`, `"401"`, `"403"`, "WWW-Authenticate", "`forbidden`"}, nil},
		"no rights":   {[]func(*gateway.Config){guarded(names{}, nil)}, []string{`"401"`}, []string{`"403"`}},
		"public":      {[]func(*gateway.Config){guarded(names{}, &rules{err: gateway.ErrForbidden}), func(c *gateway.Config) { c.PublicDescription = true }}, []string{`"401"`, `"security": []`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, c.configure...)
			var headers []string
			if name != "public" {
				headers = append(headers, ann)
			} else {
				f.do(t, "GET", "/v1/cluster", "").fails(t, 401, "unauthenticated")
			}
			a := f.do(t, "GET", "/openapi.json", "", headers...)
			if a.StatusCode != http.StatusOK {
				t.Fatal(a.body)
			}
			checkDocument(t, a.body)
			for _, text := range c.has {
				if !strings.Contains(a.body, text) {
					t.Errorf("no %s", text)
				}
			}
			for _, text := range c.not {
				if strings.Contains(a.body, text) {
					t.Errorf("has %s", text)
				}
			}
		})
	}
}

type certificates struct{}

func (certificates) Authenticate(*http.Request) (gateway.Principal, error) {
	return gateway.Principal{Name: "cert"}, nil
}

func (certificates) Schemes() []gateway.Scheme {
	return []gateway.Scheme{{Name: "certificate", Challenge: "Certificate", OpenAPI: map[string]any{"type": "mutualTLS"}}}
}

// TestAnyOf: the first that finds credentials decides, also if they are bad.
func TestAnyOf(t *testing.T) {
	t.Parallel()
	f := setup(t, guarded(gateway.AnyOf(names{}, certificates{}), nil))
	for credentials, want := range map[string]string{ann: "ann", "X: y": "cert", "Authorization: Bearer bad": ""} {
		before := len(f.client.sent())
		a := f.do(t, "GET", "/v1/account/a", "", credentials)
		if want == "" {
			a.fails(t, 401, "unauthenticated")
			if challenges := a.Header.Values("WWW-Authenticate"); len(challenges) != 2 {
				t.Errorf("%v", challenges)
			}
			continue
		}
		if sent := f.client.sent(); len(sent) != before+1 || sent[before].Metadata.User != want {
			t.Errorf("%s: %+v", credentials, sent)
		}
	}
	if _, err := gateway.AnyOf().Authenticate(httptest.NewRequest(http.MethodGet, "/", nil)); !errors.Is(err, gateway.ErrNoCredentials) {
		t.Errorf("%v", err)
	}
	if _, err := gateway.New(&client{}, nil, gateway.Config{Authenticate: gateway.AnyOf()}); err == nil {
		t.Error("an authenticator that takes nothing is taken")
	}
}

func TestPrincipal_Strings(t *testing.T) {
	t.Parallel()
	p := gateway.Principal{Claims: map[string]any{"a": "x  y", "b": []any{"x", 1, "y"}, "c": []string{"x", "y"}, "d": 1, "e": nil}}
	for _, claim := range []string{"a", "b", "c"} {
		if got := p.Strings(claim); !slices.Equal(got, []string{"x", "y"}) {
			t.Errorf("%s: %q", claim, got)
		}
	}
	for _, claim := range []string{"d", "e", "f"} {
		if got := p.Strings(claim); len(got) > 0 {
			t.Errorf("%s: %q", claim, got)
		}
	}
}

// TestStream_EndsWithItsCredentials: it says why, and a new one with the same token is
// refused, though a request may still be let in.
func TestStream_EndsWithItsCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		v := &views{}
		v.put("a", "{}")
		f := setupVirtual(t, guarded(names{expires: begin.Add(time.Minute)}, nil), func(c *gateway.Config) { c.Views = v })
		f.history.add(1)
		const url = "http://x/v1/account/a/events"
		viewed := make(chan answer, 1)
		go func() {
			a, err := send(t.Context(), f.http, "GET", "http://x/v1/views/balances/accounts", "", ann, "Accept: text/event-stream")
			if err != nil {
				t.Error(err)
			}
			viewed <- a
		}()
		a, err := send(t.Context(), f.http, "GET", url, "", ann, "Accept: text/event-stream")
		if err != nil {
			t.Fatal(err)
		}
		if live := <-viewed; !strings.Contains(live.body, "event: put\n") || !strings.Contains(live.body, "\n\nevent: unauthenticated\ndata: {") {
			t.Errorf("a view said %q", live.body)
		}
		if took := time.Since(begin); took < time.Minute || took > time.Minute+time.Second {
			t.Errorf("it ended after %v", took)
		}
		const last = "\n\nevent: unauthenticated\ndata: {\"title\":\"Unauthorized\",\"status\":401,\"detail\":\"the credentials have expired\",\"code\":\"unauthenticated\"}\n\n"
		if !strings.Contains(a.body, "id: 1\n") || !strings.HasSuffix(a.body, last) {
			t.Errorf("it said %q", a.body)
		}
		again, err := send(t.Context(), f.http, "GET", url, "", ann, "Accept: text/event-stream", "Last-Event-ID: 1")
		if err != nil {
			t.Fatal(err)
		}
		again.fails(t, 401, "unauthenticated")
		page, err := send(t.Context(), f.http, "GET", url, "", ann)
		if err != nil {
			t.Fatal(err)
		}
		if page.StatusCode != http.StatusOK {
			t.Errorf("%d", page.StatusCode)
		}
		if open := f.open.Load(); open != 0 {
			t.Errorf("%d streams are open", open)
		}
	})
}

// TestStream_EndsWithItsCredentials_Busy: also one that never comes to rest, whose client
// does not read, or whose history hangs.
func TestStream_EndsWithItsCredentials_Busy(t *testing.T) {
	t.Parallel()
	for name, hang := range map[string]bool{"events without end": false, "a history that hangs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				f := setupVirtual(t, guarded(names{expires: begin.Add(7 * time.Second)}, nil), func(c *gateway.Config) {
					c.History = &restless{history: c.History.(*history), hang: hang}
				})
				a, err := send(t.Context(), f.http, "GET", "http://x/v1/account/a/events", "", ann, "Accept: text/event-stream")
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took < 7*time.Second || took > 8*time.Second {
					t.Errorf("it ended after %v", took)
				}
				if !strings.Contains(a.body, "event: unauthenticated\n") {
					t.Errorf("it said %q", a.body[max(0, len(a.body)-200):])
				}
			})
		})
	}
}

// restless has one more event each time somebody reads, or hangs from the second reading on.
type restless struct {
	*history
	hang bool
}

func (r *restless) Events(ctx context.Context, a actor.Address, after actor.Version, limit int) ([]gateway.Event, error) {
	if after > 0 && r.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.add(1)
	return r.history.Events(ctx, a, after, limit)
}

// TestStream_EndsWithItsCredentials_Unread: a client that reads nothing cannot hold it.
func TestStream_EndsWithItsCredentials_Unread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := setupVirtual(t, guarded(names{expires: begin.Add(3 * time.Second)}, nil))
		f.history.add(1000)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/v1/account/a/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer ann")
		r.Header.Set("Accept", "text/event-stream")
		resp, err := f.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		for f.open.Load() > 0 && time.Since(begin) < time.Minute {
			<-time.After(100 * time.Millisecond)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("it ended after %v", took)
		}
	})
}

func BenchmarkRights(b *testing.B) {
	for name, configure := range map[string]func(*gateway.Config){
		"none":                            func(*gateway.Config) {},
		"an authorizer that says yes":     guarded(nil, gateway.AuthorizerFunc(func(context.Context, gateway.Access) error { return nil })),
		"both, by the name of the header": guarded(names{}, gateway.AuthorizerFunc(func(context.Context, gateway.Access) error { return nil })),
	} {
		b.Run(name, func(b *testing.B) {
			cfg := gateway.Config{}
			configure(&cfg)
			g := newGateway(b, answering{}, cfg)
			r := httptest.NewRequest(http.MethodPost, "/v1/account/a/Deposit", nil)
			r.Header.Set("Authorization", "Bearer ann")
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				g.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}

// answering answers at once, and keeps nothing.
type answering struct{}

func (answering) Deliver(context.Context, actor.Message) actor.Outcome {
	return actor.Outcome{Version: 41, Reply: []byte(`{"balance":5}`)}
}
func (answering) Enqueue(context.Context, actor.Message) error { return nil }

// checkDocument checks that a text is an OpenAPI document.
func checkDocument(t *testing.T, text string) {
	t.Helper()
	doc, err := libopenapi.NewDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, errs := v.ValidateDocument(); !ok {
		t.Error(explain(errs))
	}
}
