package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
	"github.com/ganglion-go/ganglion/gateway"
)

// The definition whose commands make aggregates, and validate themselves.

type ticket struct{ Title string }

type (
	file struct {
		actor.Replies[string]
		Title string `json:"title"`
	}
	rename struct {
		actor.Replies[actor.None]
		Title string `json:"title"`
	}
	ponder   struct{ actor.Replies[actor.None] }
	backfill struct{ actor.Replies[actor.None] }
	seek     struct {
		actor.Replies[string]
		Word string `json:"word"`
	}
	filed struct {
		Title string `json:"title"`
	}
)

var errRude = actor.Reject("rude", "mind your language")

func (f file) Validate() error {
	switch f.Title {
	case "":
		return errors.New("a title is required")
	case "damn":
		return errRude
	case "panic":
		panic("title")
	}
	return nil
}

func (s seek) Validate() error {
	if s.Word == "" {
		return errors.New("a word is required")
	}
	return nil
}

func (*ticket) file(ctx *actor.Context, c file) (string, error) {
	if c.Title == "fail" {
		return "", errors.New("out of order")
	}
	ctx.Raise(filed{c.Title})
	return ctx.Address().ID, nil
}

func (*ticket) rename(ctx *actor.Context, c rename) (actor.None, error) {
	ctx.Raise(c.bare())
	return actor.None{}, nil
}

func (c rename) bare() filed                                          { return filed{c.Title} }
func (*ticket) ponder(*actor.Context, ponder) (actor.None, error)     { return actor.None{}, nil }
func (*ticket) backfill(*actor.Context, backfill) (actor.None, error) { return actor.None{}, nil }
func (t *ticket) seek(_ *actor.QueryContext, q seek) (string, error)  { return t.Title + q.Word, nil }
func (t *ticket) filed(e filed)                                       { t.Title = e.Title }
func tickets(kind actor.Kind, strict bool) *actor.Aggregate[ticket] {
	return actor.Define(kind, func(d *actor.Definition[ticket]) {
		if strict {
			d.Strict()
		}
		actor.On(d, (*ticket).file)
		actor.On(d, (*ticket).rename, actor.ExistingOnly())
		actor.On(d, (*ticket).ponder)
		actor.On(d, (*ticket).backfill, actor.Internal())
		actor.Query(d, (*ticket).seek)
		actor.Apply(d, (*ticket).filed)
	})
}

// office is a gateway over aggregates in memory.
type office struct {
	*fixture
	scenario *actortest.Scenario
}

func newOffice(t *testing.T, mounted string) *office {
	t.Helper()
	defs := []actor.Registrable{tickets("ticket", false), tickets("form", true)}
	o := &office{fixture: &fixture{}, scenario: actortest.New(t, defs...)}
	g, err := gateway.New(o.scenario.Client(), defs, gateway.Config{})
	if err != nil {
		t.Fatal(err)
	}
	o.server = httptest.NewServer(http.StripPrefix(mounted, g))
	t.Cleanup(o.server.Close)
	return o
}

// made is the answer to a command that makes an aggregate.
type made struct {
	ID        string          `json:"id"`
	Version   int             `json:"version"`
	Reply     json.RawMessage `json:"reply"`
	CommandID string          `json:"commandId"`
}

func (a answer) made(t *testing.T, status int) made {
	t.Helper()
	var m made
	if err := json.Unmarshal([]byte(a.body), &m); err != nil || a.StatusCode != status {
		t.Fatalf("%d %s: %v", a.StatusCode, a.body, err)
	}
	return m
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-([78])[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestCreate_WithoutKey(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	a := o.do(t, "POST", "/v1/ticket/file", `{"title":"one"}`)
	m := a.made(t, 201)
	if v := uuid.FindStringSubmatch(m.ID); v == nil || v[1] != "7" || string(m.Reply) != `"`+m.ID+`"` || m.Version != 1 {
		t.Errorf("%+v", m)
	}
	if a.Header.Get("Location") != "/v1/ticket/"+m.ID || a.Header.Get("ETag") != `"1"` || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", a.Header)
	}
	o.do(t, "GET", a.Header.Get("Location"), "").is(t, 200, `{"version":1,"state":{"Title":"one"}}`)
	if other := o.do(t, "POST", "/v1/ticket/file", `{"title":"one"}`).made(t, 201); other.ID == m.ID {
		t.Error("two commands made one aggregate")
	}
	// Who did not hear of it asks again, with the id that was told.
	again := o.do(t, "POST", "/v1/ticket/file", `{"title":"one"}`, "Idempotency-Key: "+a.Header.Get("Ganglion-Command-Id"))
	if m2 := again.made(t, 201); m2.ID != m.ID || m2.Version != 1 || again.Header.Get("Ganglion-Replayed") != "true" || again.Header.Get("Location") != a.Header.Get("Location") {
		t.Errorf("%+v %v", m2, again.Header)
	}
}

func TestCreate_WithKey(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	first := o.do(t, "POST", "/v1/ticket/file", `{"title":"one"}`, "Idempotency-Key: k 1")
	m := first.made(t, 201)
	if v := uuid.FindStringSubmatch(m.ID); v == nil || v[1] != "8" || first.Header.Get("Ganglion-Command-Id") != "" {
		t.Errorf("%+v %v", m, first.Header)
	}
	again := o.do(t, "POST", "/v1/ticket/file", ` { "title" : "one" } `, "Idempotency-Key: k 1", "If-None-Match: *", `If-Match: "0"`)
	if m2 := again.made(t, 201); m2.ID != m.ID || m2.Version != 1 || again.Header.Get("Ganglion-Replayed") != "true" {
		t.Errorf("%+v %v", m2, again.Header)
	}
	o.do(t, "POST", "/v1/ticket/file", `{"title":"two"}`, "Idempotency-Key: k 1").fails(t, 422, actor.CodeKeyReused)
	o.do(t, "POST", "/v1/ticket/ponder", `{}`, "Idempotency-Key: k 1").fails(t, 422, actor.CodeKeyReused)
	o.do(t, "POST", "/v1/ticket/"+m.ID+"/rename", `{"title":"x"}`, "Idempotency-Key: k 1").fails(t, 422, actor.CodeKeyReused)
	if other := o.do(t, "POST", "/v1/form/file", `{"title":"one"}`, "Idempotency-Key: k 1").made(t, 201); other.ID == m.ID {
		t.Error("the aggregates of two kinds have one id")
	}
	if n := len(o.scenario.Events()); n != 2 {
		t.Errorf("%d events", n)
	}
}

// TestCreate_KeyThatTellsTime: the id of the aggregate tells it, too.
func TestCreate_KeyThatTellsTime(t *testing.T) {
	t.Parallel()
	m := newOffice(t, "").do(t, "POST", "/v1/ticket/file", `{"title":"one"}`, "Idempotency-Key: 01890a5d-ac96-774b-bcce-b302099a8057").made(t, 201)
	if !strings.HasPrefix(m.ID, "01890a5d-ac96-7") {
		t.Error(m.ID)
	}
}

func TestCreate_NothingComesOfIt(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	a := o.do(t, "POST", "/v1/ticket/ponder", ``)
	if m := a.made(t, 200); m.ID == "" || m.Version != 0 || string(m.Reply) != "null" || a.Header.Get("Location") != "" {
		t.Errorf("%+v %v", m, a.Header)
	}
}

func TestCreate_Async(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	a := o.do(t, "POST", "/v1/ticket/file", `{"title":"one"}`, "Prefer: respond-async")
	m := a.made(t, 202)
	if a.Header.Get("Location") != "/v1/ticket/"+m.ID || m.CommandID == "" || m.CommandID != a.Header.Get("Ganglion-Command-Id") {
		t.Errorf("%+v %v", m, a.Header)
	}
	o.do(t, "GET", "/v1/ticket/"+m.ID, "").is(t, 200, `{"version":1,"state":{"Title":"one"}}`)
	if again := o.do(t, "POST", "/v1/ticket/file", `{"title":"one"}`, "Prefer: respond-async", "Idempotency-Key: "+m.CommandID).made(t, 202); again.ID != m.ID {
		t.Errorf("%+v", again)
	}
	if n := len(o.scenario.Events()); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestCreate_Mounted(t *testing.T) {
	t.Parallel()
	a := newOffice(t, "/api/x").do(t, "POST", "/api/x/v1/ticket/file?timeout=5s", `{"title":"one"}`)
	if m := a.made(t, 201); a.Header.Get("Location") != "/api/x/v1/ticket/"+m.ID {
		t.Errorf("%v", a.Header)
	}
}

func TestCreate_ThatFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path, body string
		headers            []string
		status             int
		code               actor.Code
		allow              string
	}{
		{"POST", "/v1/ticket/file", `{}`, nil, 422, "invalid", ""},
		{"POST", "/v1/ticket/file", `{"title":"damn"}`, nil, 422, "rude", ""},
		{"POST", "/v1/ticket/file", `{"title":"panic"}`, nil, 500, actor.CodeParked, ""},
		{"POST", "/v1/ticket/file", `{"title":"fail"}`, nil, 500, actor.CodeParked, ""},
		{"POST", "/v1/ticket/file", `{"title":1}`, nil, 400, actor.CodeMalformed, ""},
		{"POST", "/v1/form/file", `{"titel":"x"}`, nil, 400, actor.CodeMalformed, ""},
		{"POST", "/v1/ticket/file", `{"title":"x"}`, []string{`If-Match: "1"`}, 412, actor.CodeVersionMismatch, ""},
		{"POST", "/v1/ticket/file", `{"title":"x"}`, []string{"If-Match: *"}, 412, actor.CodeVersionMismatch, ""},
		{"POST", "/v1/ticket/file", `{"title":"x"}`, []string{"If-Match: 1"}, 400, actor.CodeMalformed, ""},
		{"POST", "/v1/ticket/file", `{"title":"x"}`, []string{"Idempotency-Key: "}, 400, actor.CodeMalformed, ""},
		{"POST", "/v1/ticket/file", `{"title":"x"}`, []string{"Idempotency-Key: ganglion.x"}, 400, actor.CodeMalformed, ""},
		{"POST", "/v1/nothing/file", `{}`, nil, 404, actor.CodeUnknownKind, ""},
		{"POST", "/v1/ticket/rename", `{}`, nil, 405, "method_not_allowed", "GET, HEAD"},   // of an existing one
		{"POST", "/v1/ticket/seek", `{}`, nil, 405, "method_not_allowed", "GET, HEAD"},     // a query
		{"POST", "/v1/ticket/backfill", `{}`, nil, 405, "method_not_allowed", "GET, HEAD"}, // the application's own
		{"PUT", "/v1/ticket/backfill", `{}`, nil, 405, "method_not_allowed", "GET, HEAD"},
		{"POST", "/v1/ticket/FILE", `{}`, nil, 405, "method_not_allowed", "GET, HEAD"},
		{"POST", "/v1/ticket/ganglion.skip", `{}`, nil, 405, "method_not_allowed", "GET, HEAD"},
		{"PUT", "/v1/ticket/file", `{}`, nil, 405, "method_not_allowed", "GET, HEAD, POST"},
		{"DELETE", "/v1/ticket/other", ``, nil, 405, "method_not_allowed", "GET, HEAD"},
		{"GET", "/v1/ticket/file", ``, nil, 404, actor.CodeDoesNotExist, ""}, // an id
	} {
		t.Run(c.method+" "+c.path+" "+c.body, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, "")
			a := o.do(t, c.method, c.path, c.body, c.headers...)
			a.fails(t, c.status, c.code)
			if got := a.Header.Get("Allow"); got != c.allow || a.Header.Get("Location") != "" {
				t.Errorf("%v, want Allow %q", a.Header, c.allow)
			}
			if n := len(o.scenario.Events()); n != 0 {
				t.Errorf("%d events", n)
			}
		})
	}
}

// TestInvalid_IsTheSameEverywhere: from the gateway, which looks first at what has no key,
// from the owner, and with respond-async.
func TestInvalid_IsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct {
		status int
		code   actor.Code
		detail string
	}{
		`{}`:               {422, "invalid", "a title is required"},
		`{"title":"damn"}`: {422, "rude", "mind your language"},
		`{"titel":"x"}`:    {400, actor.CodeMalformed, `unknown field "titel"`},
	} {
		o := newOffice(t, "")
		for _, headers := range [][]string{nil, {"Idempotency-Key: k"}, {"Prefer: respond-async"}, {"Prefer: respond-async", "Idempotency-Key: k"}, {"Ganglion-Lane: direct"}} {
			if p := o.do(t, "POST", "/v1/form/a/file", body, headers...).fails(t, want.status, want.code); p.Detail != want.detail || p.Version != 0 {
				t.Errorf("%s %v: %+v", body, headers, p)
			}
		}
	}
	o := newOffice(t, "")
	for range 2 {
		o.do(t, "POST", "/v1/ticket/a/queries/seek", `{}`).fails(t, 422, "invalid")
	}
	o.do(t, "POST", "/v1/ticket/a/queries/seek", `{"word":"x"}`).is(t, 200, `{"version":0,"reply":"x"}`)
}

// TestInvalid_RecordedOutcomeComesFirst: what was decided under other rules is answered
// from the record, and no rule of today is asked.
func TestInvalid_RecordedOutcomeComesFirst(t *testing.T) {
	t.Parallel()
	f := setup(t)
	g, err := gateway.New(f.client, []actor.Registrable{tickets("form", true)}, gateway.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f.server = httptest.NewServer(g)
	t.Cleanup(f.server.Close)
	f.client.deliver = func(context.Context, actor.Message) actor.Outcome {
		return actor.Outcome{Version: 7, Reply: []byte(`"x"`), Replayed: true}
	}
	for _, body := range []string{`{}`, `{"titel":""}`} {
		for _, prefer := range []string{"x", "respond-async"} {
			f.do(t, "POST", "/v1/form/a/file", body, "Idempotency-Key: k", "Prefer: "+prefer).is(t, 200, `{"version":7,"reply":"x"}`)
		}
	}
}
