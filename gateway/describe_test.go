package gateway_test

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	validationerrors "github.com/pb33f/libopenapi-validator/errors"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

var update = flag.Bool("update", false, "write the golden files")

func TestDescription_Golden(t *testing.T) {
	t.Parallel()
	a := setup(t).do(t, "GET", "/openapi.json", "")
	golden := filepath.Join("testdata", "openapi.json")
	if *update {
		if err := os.WriteFile(golden, []byte(a.body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), a.body); diff != "" {
		t.Errorf("run with -update if this is meant:\n%s", diff)
	}
}

func TestDescription_IsCached(t *testing.T) {
	t.Parallel()
	f := setup(t)
	a := f.do(t, "GET", "/openapi.json", "")
	if a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", a.Header)
	}
	f.do(t, "GET", "/openapi.json", "", "If-None-Match: "+a.Header.Get("ETag")).is(t, 304, "")
}

func TestDescription_HoldsEveryCode(t *testing.T) {
	t.Parallel()
	var doc struct {
		Components struct {
			Responses map[string]struct{ Description string }
		}
	}
	if err := json.Unmarshal([]byte(setup(t).do(t, "GET", "/openapi.json", "").body), &doc); err != nil {
		t.Fatal(err)
	}
	has := func(status string, code actor.Code) bool {
		return strings.Contains(doc.Components.Responses[status].Description, "`"+string(code)+"`")
	}
	for _, code := range declaredCodes(t) {
		status := statuses()[code]
		if code != actor.CodeOK && !has(strings.TrimSpace(jsonText(t, status)), code) {
			t.Errorf("%d does not tell of %s", status, code)
		}
	}
	if !has("404", actor.CodeDoesNotExist) || !has("404", "unknown_route") {
		t.Error("404 is not told in full")
	}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The zoo has a field of every sort that encoding/json treats in its own way.

type zoo struct {
	Base
	*Embedded
	NoTag     uint8
	Dash      int               `json:"-,"` //nolint:staticcheck // what the schema must not get wrong
	Quoted    int64             `json:"quoted,string"`
	QuotedPtr *bool             `json:"quotedPtr,string"`
	Ptr       *Base             `json:"ptr"`
	PtrOmit   *Base             `json:"ptrOmit,omitempty"`
	Self      *zoo              `json:"self"`
	Selves    []*zoo            `json:"selves"`
	Struct    Base              `json:"struct"`
	Zero      time.Time         `json:"zero,omitzero"`
	Time      time.Time         `json:"time"`
	Duration  time.Duration     `json:"duration"`
	Bytes     []byte            `json:"bytes"`
	Blob      blob              `json:"blob"`
	Array     [2]int            `json:"array"`
	Map       map[string]*Base  `json:"map"`
	IntMap    map[int]named     `json:"intMap"`
	Named     named             `json:"named"`
	List      list              `json:"list"`
	Raw       json.RawMessage   `json:"raw"`
	RawOmit   json.RawMessage   `json:"rawOmit,omitempty"`
	Any       any               `json:"any"`
	Number    json.Number       `json:"number"`
	Own       ownJSON           `json:"own"`
	Text      ownText           `json:"text"`
	TextOut   textOut           `json:"textOut"`
	Anonymous struct{ X []int } `json:"anonymous"`
	Generic   page[page[named]] `json:"generic"`
	None      actor.None        `json:"none"`
	Float     float32           `json:"float"`
}

// cage is a state with what a command or reply may not have: a field that is left out, and
// fields that are hidden by others.
type cage struct {
	zoo
	Skipped  func() `json:"-"`
	Shadowed string `json:"shadowed"`
	Deeper
}

type Deeper struct{ Late }

type (
	Base struct {
		Name     string `json:"name"`
		Shadowed int    `json:"shadowed"`
	}
	Late struct {
		Ptr string `json:"ptr"` // shadowed
	}
	Embedded struct {
		Deep string `json:"deep"`
	}
	blob    []byte
	named   int
	list    []named
	ownJSON struct{}
	ownText struct{}
	textOut struct{}

	page[T any] struct {
		Items []T `json:"items"`
	}
)

func (ownJSON) MarshalJSON() ([]byte, error) { return []byte(`[1,"x"]`), nil }
func (*ownJSON) UnmarshalJSON([]byte) error  { return nil }
func (ownText) MarshalText() ([]byte, error) { return []byte("text"), nil }
func (*ownText) UnmarshalText([]byte) error  { return nil }
func (textOut) MarshalText() ([]byte, error) { return []byte("text"), nil }

type Feed struct {
	actor.Replies[[]zoo]
	Base
	Zoo zoo `json:"zoo"`
}

type Count struct {
	actor.Replies[map[string]int]
}

type Peek struct{ actor.Replies[*zoo] }

type Anything struct{ actor.Replies[any] }

func full() zoo {
	yes := true
	return zoo{
		Base: Base{Name: "n"}, Embedded: &Embedded{Deep: "d"}, QuotedPtr: &yes, Ptr: &Base{}, PtrOmit: &Base{}, Self: &zoo{Number: "1"},
		Selves: []*zoo{{Number: "2"}}, Zero: time.Unix(1, 0), Bytes: []byte{1}, Blob: blob{2}, Map: map[string]*Base{"k": {}},
		IntMap: map[int]named{1: 2}, List: list{3}, Raw: json.RawMessage(`[1]`), RawOmit: json.RawMessage(`{}`), Any: 1.5, Number: "1.5",
		Anonymous: struct{ X []int }{[]int{1}}, Generic: page[page[named]]{[]page[named]{{[]named{1}}}}, Float: 0.5,
	}
}

func zoos() *actor.Aggregate[cage] {
	return actor.Define("zoo", func(d *actor.Definition[cage]) {
		actor.On(d, func(*cage, *actor.Context, Feed) ([]zoo, error) { return nil, nil })
		actor.On(d, func(*cage, *actor.Context, Peek) (*zoo, error) { return nil, nil })
		actor.On(d, func(*cage, *actor.Context, Anything) (any, error) { return nil, nil })
		actor.Query(d, func(*cage, *actor.QueryContext, Count) (map[string]int, error) { return nil, nil })
	})
}

// documented is a gateway whose every request and answer is checked against its
// own description.
type documented struct {
	*fixture
	views     *views
	validator validator.Validator
}

func setupDocumented(t *testing.T, registered ...actor.Registrable) *documented {
	t.Helper()
	f := &documented{fixture: setup(t), views: &views{}}
	g, err := gateway.New(f.client, registered, gateway.Config{
		History: f.history, Views: f.views,
		Cluster: clusterFunc(func(context.Context) (gateway.ClusterView, error) {
			return gateway.ClusterView{Members: []gateway.MemberView{{}}, Partitions: []gateway.PartitionView{{}}}, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.server.Config.Handler = g
	doc, err := libopenapi.NewDocument([]byte(f.do(t, "GET", "/openapi.json", "").body))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := doc.BuildV3Model(); err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	f.validator = v
	return f
}

// check sends a request, and checks both it and its answer.
func (f *documented) check(t *testing.T, status int, method, path, body string, headers ...string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	a := f.do(t, method, path, body, headers...)
	if a.StatusCode != status {
		t.Fatalf("%s %s: got %d %s, want %d", method, path, a.StatusCode, a.body, status)
	}
	if status < 400 {
		if ok, errs := f.validator.ValidateHttpRequest(r); !ok {
			t.Errorf("%s %s, request: %s", method, path, explain(errs))
		}
	}
	resp := *a.Response
	resp.Body = io.NopCloser(strings.NewReader(a.body))
	if ok, errs := f.validator.ValidateHttpResponse(r, &resp); !ok {
		t.Errorf("%s %s: %d %s: %s", method, path, a.StatusCode, a.body, explain(errs))
	}
}

func explain(errs []*validationerrors.ValidationError) string {
	var b strings.Builder
	for _, e := range errs {
		b.WriteString("\n" + e.Message + ": " + e.Reason)
		for _, s := range e.SchemaValidationErrors {
			b.WriteString("\n  " + s.FieldPath + ": " + s.Reason)
		}
	}
	return b.String()
}

func TestDescription_IsValid(t *testing.T) {
	t.Parallel()
	for _, f := range []*documented{setupDocumented(t), setupDocumented(t, accounts()), setupDocumented(t, accounts(), zoos())} {
		if ok, errs := f.validator.ValidateDocument(); !ok {
			t.Error(explain(errs))
		}
	}
}

func TestDescription_HoldsForAnswers(t *testing.T) {
	t.Parallel()
	f := setupDocumented(t, accounts())
	var out actor.Outcome
	f.client.deliver = func(context.Context, actor.Message) actor.Outcome { return out }
	receipt := []byte(`{"balance":1,"last":{"amount":1,"at":"2026-01-02T03:04:05Z"},"tags":null}`)

	out = actor.Outcome{Version: 2, Reply: receipt}
	f.check(t, 200, "POST", "/v1/account/a/Deposit?lane=direct&timeout=1s", `{"amount":5,"first":null,"more":[{}]}`,
		"Idempotency-Key: k", `If-Match: "1"`, "traceparent: "+trace, "X-Correlation-ID: c")
	f.check(t, 202, "POST", "/v1/account/a/Deposit", `{}`, "Prefer: respond-async", "If-None-Match: *")
	f.check(t, 200, "POST", "/v1/account/a/queries/Statement", `{"limit":1}`)
	out.Reply = []byte("null")
	f.check(t, 200, "POST", "/v1/account/a/Close", `{}`)
	out.Reply = []byte(`{"owner":"o","balance":1,"pending":{"x":1}}`)
	f.check(t, 200, "GET", "/v1/account/a?consistency=linearizable", "")
	f.check(t, 304, "GET", "/v1/account/a", "", `If-None-Match: "2"`)
	f.history.add(2)
	f.check(t, 200, "GET", "/v1/account/a/events?after=0&limit=5", "")
	f.check(t, 200, "GET", "/v1/account/a/events?after=5", "")
	f.check(t, 200, "GET", "/v1/cluster", "")
	f.check(t, 200, "GET", "/openapi.json", "")
	f.check(t, 400, "POST", "/v1/account/a/Deposit", `{"amount":"x"}`)
	f.check(t, 413, "POST", "/v1/account/a/Deposit", `{"x":"`+strings.Repeat("x", 1<<20)+`"}`)
	for code, status := range statuses() {
		if code == actor.CodeOK {
			continue
		}
		out = actor.Outcome{Code: code, Version: 2}
		f.check(t, status, "POST", "/v1/account/a/Deposit", `{}`)
		f.check(t, status, "POST", "/v1/account/a/queries/Statement", `{}`)
	}
	out = actor.Outcome{Code: actor.CodeRejected, Rejection: errAmount.With("least", 1)}
	f.check(t, 422, "POST", "/v1/account/a/Deposit", `{}`)
	out = actor.Outcome{Code: actor.CodeDoesNotExist}
	f.check(t, 404, "GET", "/v1/account/a", "")
}

// TestDescription_HoldsForReads: lists, the past and views.
func TestDescription_HoldsForReads(t *testing.T) {
	t.Parallel()
	f := setupDocumented(t, accounts())
	f.history.ids = []string{"a", "é/\n"}
	f.history.add(1)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	f.history.events[0].Outgoing = []gateway.Outgoing{
		{Action: gateway.ActionSend, To: "account/b", Command: "Deposit", CommandID: "c", OnRefusal: "Close"},
		{Action: gateway.ActionSetTimer, Timer: "t", Command: "Close", CommandID: "d", At: &at},
		{Action: gateway.ActionCancelTimer, Timer: "t"},
		{Action: gateway.ActionPerform, Effect: "charge", Key: "k", CommandID: "e", OnResult: "Charged", OnGivenUp: "NotCharged"},
	}
	f.history.events[0].User, f.history.events[0].CorrelationID, f.history.events[0].CausationID = "u", "talk", "cause"
	f.views.put("a", `{"cents":1}`, "é/\n", `{"cents":2}`)
	f.check(t, 200, "GET", "/v1/account/a/events", "")
	f.check(t, 200, "GET", "/v1/account", "")
	f.check(t, 200, "GET", "/v1/account?limit=1&prefix=a&after=%09", "")
	f.check(t, 200, "GET", "/v1/account/a?version=1", "")
	f.check(t, 200, "GET", "/v1/account/a?at=2026-01-02T03:04:05.6Z", "")
	f.check(t, 200, "GET", "/v1/account/a/diff?from=0&version=1", "")
	f.check(t, 200, "GET", "/v1/account/a/diff?fromAt=2026-01-02T03:04:05%2B01:00", "")
	f.check(t, 200, "GET", "/v1/account/a/diff", "")
	f.history.past = func(gateway.Moment) (gateway.PastState, error) {
		return gateway.PastState{}, &gateway.ReplayError{Max: 1}
	}
	f.check(t, 422, "GET", "/v1/account/a?version=1", "")
	f.check(t, 422, "GET", "/v1/account/a/diff?from=1", "")
	f.history.past = func(gateway.Moment) (gateway.PastState, error) { return gateway.PastState{}, &gateway.NoVersionError{} }
	f.check(t, 404, "GET", "/v1/account/a?version=1", "")
	f.check(t, 200, "GET", "/v1/views/balances/accounts?limit=1&reverse=true&wait=account/a@1&wait=account/b@2", "")
	f.check(t, 200, "GET", "/v1/views/balances/accounts/a", "")
	f.check(t, 200, "GET", "/v1/views/balances/loose", "")
	f.check(t, 404, "GET", "/v1/views/balances/accounts/none", "")
	f.history.add(101)
	f.check(t, 504, "GET", "/v1/views/balances/accounts/a?wait=account/a@101&timeout=5ms", "")
}

// What encoding/json writes for a type must be valid under the schema that the
// description has for it, and so must what it reads.
func TestDescription_HoldsForEveryType(t *testing.T) {
	t.Parallel()
	f := setupDocumented(t, zoos())
	var reply any
	f.client.deliver = func(context.Context, actor.Message) actor.Outcome {
		return actor.Outcome{Version: 1, Reply: []byte(jsonText(t, reply))}
	}
	for _, z := range []zoo{{Number: "0"}, full()} {
		reply = &cage{zoo: z, Shadowed: "s"}
		f.check(t, 200, "GET", "/v1/zoo/a", "")
		reply = &z
		f.check(t, 200, "POST", "/v1/zoo/a/Peek", "{}")
		reply = []zoo{z}
		f.check(t, 200, "POST", "/v1/zoo/a/Feed", strings.ReplaceAll(jsonText(t, Feed{Zoo: z}), `"textOut":"text",`, ""))
	}
	f.check(t, 200, "POST", "/v1/zoo/a/Feed", `{"name":"n","zoo":{"unknown":1,"ptr":null,"list":null}}`)
	reply = nil
	f.check(t, 200, "POST", "/v1/zoo/a/Feed", `{}`)
	f.check(t, 200, "POST", "/v1/zoo/a/Peek", `{}`)
	f.check(t, 200, "POST", "/v1/zoo/a/Anything", `{}`)
	f.check(t, 200, "POST", "/v1/zoo/a/queries/Count", `{}`)
	reply = map[string]int{"a": 1}
	f.check(t, 200, "POST", "/v1/zoo/a/queries/Count", `{}`)
	f.check(t, 200, "POST", "/v1/zoo/a/Anything", `{}`)
}

// A schema that admits everything would pass the test above.
func TestDescription_RefusesWrongAnswers(t *testing.T) {
	t.Parallel()
	f := setupDocumented(t, zoos())
	good := jsonText(t, cage{zoo: full(), Shadowed: "s"})
	for _, wrong := range []string{
		`1`,
		`{}`,
		strings.Replace(good, `"quoted":"0"`, `"quoted":0`, 1),
		strings.Replace(good, `"shadowed":"s"`, `"shadowed":1`, 1),
		strings.Replace(good, `"array":[0,0]`, `"array":null`, 1),
		strings.Replace(good, `"NoTag":0,`, ``, 1),
		strings.Replace(good, `"none":null`, `"none":{}`, 1),
		strings.Replace(good, `"number":1.5`, `"number":"1.5"`, 1),
		strings.Replace(good, `"generic":{"items":[{"items":[1]}]}`, `"generic":{"items":[{"items":["1"]}]}`, 1),
		strings.Replace(good, `"bytes":"AQ=="`, `"bytes":[1]`, 1),
	} {
		if wrong == good {
			t.Fatal("nothing was replaced")
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.server.URL+"/v1/zoo/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp := &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(`{"version":1,"state":` + wrong + `}`)),
		}
		if ok, _ := f.validator.ValidateHttpResponse(r, resp); ok {
			t.Errorf("valid: %s", wrong)
		}
	}
}
