package gateway_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestCommand_BecomesAMessage(t *testing.T) {
	t.Parallel()
	f := setup(t)
	before := time.Now()
	a := f.do(t, "POST", "/v1/account/a-1/Deposit", ` {"amount":5,"unknown":true} `,
		"Idempotency-Key:   key ü \"1\" ", `If-Match: "41"`, "Ganglion-Timeout: 20s", "Ganglion-Lane: direct",
		"traceparent: "+trace, "X-Correlation-ID: conversation", "X-Causation-ID: cause")
	after := time.Now()
	a.is(t, 200, `{"version":41,"reply":{"balance":5}}`)
	if got := a.Header.Get("ETag"); got != `"41"` {
		t.Errorf("ETag %s", got)
	}
	if got := a.Header.Get("Ganglion-Command-ID"); got != "" {
		t.Errorf("Ganglion-Command-ID %s for an id that the caller chose", got)
	}
	m := f.client.one(t)
	want := actor.Message{
		Type: actor.TypeCommand, Lane: actor.LaneDirect, Target: actor.Address{Kind: "account", ID: "a-1"},
		ID: `key ü "1"`, Name: "Deposit", Data: []byte(` {"amount":5,"unknown":true} `),
		Expect:   actor.Expectation{Exact: true, Version: 41},
		Metadata: actor.Metadata{Trace: trace, Correlation: "conversation", Causation: "cause"},
		Outside:  true,
	}
	if diff := cmp.Diff(want, m, cmpopts.IgnoreFields(actor.Message{}, "Time", "Deadline")); diff != "" {
		t.Error(diff)
	}
	if m.Time.Before(before.Round(0)) || m.Time.After(after) {
		t.Errorf("time %v", m.Time)
	}
	givesUpAfter(t, m, before, 20*time.Second)
	if err := m.Validate(); err != nil {
		t.Error(err)
	}
}

func TestCommand_WithoutOptions(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var left time.Duration
	f.client.deliver = func(ctx context.Context, m actor.Message) actor.Outcome {
		deadline, _ := ctx.Deadline()
		left = deadline.Sub(m.Deadline)
		return actor.Outcome{Version: 1, Reply: []byte("null")}
	}
	before := time.Now()
	a := f.do(t, "POST", "/v1/account/a-1/Close", "")
	a.is(t, 200, `{"version":1,"reply":null}`)
	m := f.client.one(t)
	if m.Lane != actor.LaneDurable || m.Expect != (actor.Expectation{}) || m.Metadata != (actor.Metadata{}) || len(m.Data) != 0 {
		t.Errorf("message %+v", m)
	}
	givesUpAfter(t, m, before, 10*time.Second)
	if left.Round(time.Millisecond) != 0 {
		t.Errorf("the context's deadline is off by %v", left)
	}
	made := a.Header.Get("Ganglion-Command-ID")
	ms, ok := actor.CommandID(made).Stamped()
	if made != string(m.ID) || !ok || ms != m.Time.UnixMilli() || m.Attempt != 1 {
		t.Errorf("id %q is told as %q, made at %d and sent at %d, attempt %d", m.ID, made, ms, m.Time.UnixMilli(), m.Attempt)
	}
}

func TestCommand_IDsDiffer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	seen := map[string]bool{}
	for range 50 {
		seen[f.do(t, "POST", "/v1/account/a-1/Close", "").Header.Get("Ganglion-Command-ID")] = true
	}
	if len(seen) != 50 {
		t.Errorf("%d ids for 50 commands", len(seen))
	}
}

func TestCommand_RespondAsync(t *testing.T) {
	t.Parallel()
	for _, prefer := range []string{"respond-async", "wait=10, Respond-Async ; x=\"a,b\"", `foo="a, b", respond-async`} {
		f := setup(t)
		f.client.deliver = func(context.Context, actor.Message) actor.Outcome { panic("waits for the outcome") }
		a := f.do(t, "POST", "/v1/account/a-1/Deposit", `{}`, "Prefer: "+prefer, "Idempotency-Key: k")
		a.is(t, 202, `{"commandId":"k"}`)
		if a.Header.Get("Preference-Applied") != "respond-async" {
			t.Error("Preference-Applied is missing")
		}
		if m := f.client.one(t); m.ID != "k" || !m.Deadline.IsZero() {
			t.Errorf("message %+v: what was accepted must have no deadline", m)
		}
	}
	f := setup(t)
	a := f.do(t, "POST", "/v1/account/a-1/Deposit", `{}`, "Prefer: respond-async")
	if id := string(f.client.one(t).ID); id == "" || a.Header.Get("Ganglion-Command-ID") != id || !strings.Contains(a.body, id) {
		t.Errorf("id %q, answer %s", id, a.body)
	}
}

func TestCommand_OtherPreferences_AreIgnored(t *testing.T) {
	t.Parallel()
	for _, prefer := range []string{"return=minimal", `foo="a, respond-async, b"`, "respond-async-not"} {
		f := setup(t)
		f.do(t, "POST", "/v1/account/a-1/Deposit", `{}`, "Prefer: "+prefer).is(t, 200, `{"version":41,"reply":{"balance":5}}`)
	}
}

func TestQuery_BecomesAMessage(t *testing.T) {
	t.Parallel()
	f := setup(t)
	a := f.do(t, "POST", "/v1/account/a-1/queries/Statement", `{"limit":3}`, "Idempotency-Key: k", "Prefer: respond-async", "If-Match: *")
	a.is(t, 200, `{"version":41,"reply":{"balance":5}}`)
	m := f.client.one(t)
	if m.Type != actor.TypeQuery || m.Lane != actor.LaneDirect || m.ID != "" || m.Name != "Statement" ||
		m.Deadline.IsZero() || m.Expect.Creation != actor.MustExist {
		t.Errorf("message %+v", m)
	}
}

func TestState_IsRead(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.client.deliver = func(context.Context, actor.Message) actor.Outcome {
		return actor.Outcome{Version: 41, Reply: []byte(`{"owner":"<o>"}`)}
	}
	a := f.do(t, "GET", "/v1/account/a-1?consistency=linearizable", "")
	a.is(t, 200, `{"version":41,"state":{"owner":"<o>"}}`)
	if a.Header.Get("ETag") != `"41"` || a.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("headers %v", a.Header)
	}
	m := f.client.one(t)
	if m.Type != actor.TypeState || m.Lane != actor.LaneDirect || m.Name != "" || m.ID != "" || m.Deadline.IsZero() {
		t.Errorf("message %+v", m)
	}
	head := f.do(t, "HEAD", "/v1/account/a-1", "")
	if head.StatusCode != http.StatusOK || head.Header.Get("ETag") != `"41"` || head.body != "" {
		t.Errorf("HEAD: %d %v %q", head.StatusCode, head.Header, head.body)
	}
}

func TestState_Conditions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header string
		status int
	}{
		{`If-None-Match: "41"`, 304},
		{`If-None-Match: W/"41"`, 304},
		{`If-None-Match: "x,y", "41"`, 304},
		{`If-None-Match: *`, 304},
		{`If-None-Match: "4"`, 200},
		{`If-None-Match: 41`, 200},
		{`If-Match: "41"`, 200},
		{`If-Match: *`, 200},
		{`If-Match: "40"`, 412},
		{`If-Match: W/"41"`, 400},
	} {
		t.Run(c.header, func(t *testing.T) {
			t.Parallel()
			a := setup(t).do(t, "GET", "/v1/account/a-1", "", c.header)
			if a.StatusCode != c.status {
				t.Fatalf("got %d %s, want %d", a.StatusCode, a.body, c.status)
			}
			if c.status == 304 && (a.body != "" || a.Header.Get("ETag") != `"41"`) {
				t.Errorf("304 with body %q, ETag %q", a.body, a.Header.Get("ETag"))
			}
		})
	}
}

func TestState_Local(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.do(t, "GET", "/v1/account/a-1?consistency=local", "").fails(t, 404, actor.CodeDoesNotExist)
	f.history.add(3)
	a := f.do(t, "GET", "/v1/account/a-1?consistency=local", "")
	a.is(t, 200, `{"version":3,"state":{"owner":"local"}}`)
	f.do(t, "GET", "/v1/account/a-1?consistency=local", "", `If-None-Match: "3"`).is(t, 304, "")
	f.history.fail(actor.ErrUnloadable)
	f.do(t, "GET", "/v1/account/a-1?consistency=local", "").fails(t, 500, actor.CodeUnloadable)
	f.history.fail(actor.ErrDoesNotExist)
	f.do(t, "GET", "/v1/account/a-1?consistency=local", "").fails(t, 404, actor.CodeDoesNotExist)
	f.history.fail(context.DeadlineExceeded)
	down := f.do(t, "GET", "/v1/account/a-1?consistency=local", "")
	down.fails(t, 503, "unavailable")
	if down.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if sent := f.client.sent(); len(sent) != 0 {
		t.Errorf("a local read asked the owner: %+v", sent)
	}
}

func TestConditions_OfCommands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		headers []string
		want    actor.Expectation
		bad     bool
		never   bool
	}{
		{headers: []string{`If-Match: "0"`}, want: actor.Expectation{Exact: true}},
		{headers: []string{`If-Match: "18446744073709551615"`}, want: actor.Expectation{Exact: true, Version: 1<<64 - 1}},
		{headers: []string{`If-Match: *`}, want: actor.Expectation{Creation: actor.MustExist}},
		{headers: []string{`If-None-Match: *`}, want: actor.Expectation{Creation: actor.MustBeNew}},
		{headers: []string{`If-Match: 41`}, bad: true},
		{headers: []string{`If-Match: W/"41"`}, bad: true},
		{headers: []string{`If-Match: "41", "42"`}, bad: true},
		{headers: []string{`If-Match: "41"`, `If-Match: "42"`}, bad: true},
		{headers: []string{`If-Match: "041"`}, bad: true},
		{headers: []string{`If-Match: "+41"`}, bad: true},
		{headers: []string{`If-Match: "-1"`}, bad: true},
		{headers: []string{`If-Match: ""`}, bad: true},
		{headers: []string{`If-Match: ""41""`}, bad: true},
		{headers: []string{`If-Match: "18446744073709551616"`}, bad: true},
		{headers: []string{`If-Match: `}, bad: true},
		{headers: []string{`If-None-Match: "41"`}, bad: true},
		{headers: []string{`If-None-Match: *, *`}, bad: true},
		{headers: []string{`If-None-Match: `}, bad: true},
		{headers: []string{`If-None-Match: *`, `If-None-Match: *`}, bad: true},
		// Both are well formed, and a schema cannot forbid them together.
		{headers: []string{`If-Match: *`, `If-None-Match: *`}, never: true},
		{headers: []string{`If-Match: "1"`, `If-None-Match: *`}, never: true},
		{headers: []string{`If-Match: "0"`, `If-None-Match: *`}, want: actor.Expectation{Creation: actor.MustBeNew}},
	} {
		t.Run(strings.Join(c.headers, " & "), func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			a := f.do(t, "POST", "/v1/account/a-1/Deposit", "", c.headers...)
			if c.bad || c.never {
				if c.bad {
					a.fails(t, 400, actor.CodeMalformed)
				} else {
					a.fails(t, 412, actor.CodeVersionMismatch)
				}
				if sent := f.client.sent(); len(sent) != 0 {
					t.Errorf("sent %+v", sent)
				}
				return
			}
			if diff := cmp.Diff(c.want, f.client.one(t).Expect); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOptions_Malformed(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 257)
	for name, headers := range map[string][]string{
		"an id of the runtime": {"Idempotency-Key: ganglion.0190a1b2-0000-7000-8000-000000000000"},
		"empty key":            {"Idempotency-Key: "},
		"blank key":            {"Idempotency-Key:  \t "},
		"long key":             {"Idempotency-Key: " + long},
		"control in key":       {"Idempotency-Key: a\tb"},
		"key not UTF-8":        {"Idempotency-Key: a\xffb"},
		"C1 control in key":    {"Idempotency-Key: a\u0085b"},
		"two keys":             {"Idempotency-Key: a", "Idempotency-Key: b"},
		"lane":                 {"Ganglion-Lane: fast"},
		"two lanes":            {"Ganglion-Lane: direct", "Ganglion-Lane: durable"},
		"async and direct":     {"Ganglion-Lane: direct", "Prefer: respond-async"},
		"timeout":              {"Ganglion-Timeout: soon"},
		"timeout of no unit":   {"Ganglion-Timeout: 5"},
		"timeout of 0":         {"Ganglion-Timeout: 0s"},
		"negative timeout":     {"Ganglion-Timeout: -1s"},
		"timeout over max":     {"Ganglion-Timeout: 60.001s"},
		"long correlation":     {"X-Correlation-ID: " + long},
		"correlation control":  {"X-Correlation-ID: a\tb"},
		"long causation":       {"X-Causation-ID: " + long},
		"causation not UTF-8":  {"X-Causation-ID: \xc3"},
		"empty correlation":    {"X-Correlation-ID: "},
		"empty causation":      {"X-Causation-ID: "},
		"two correlations":     {"X-Correlation-ID: a", "X-Correlation-ID: a"},
		"empty lane":           {"Ganglion-Lane: "},
		"empty timeout":        {"Ganglion-Timeout: "},
		"same key twice":       {"Idempotency-Key: a", "Idempotency-Key: a"},
		"same lane twice":      {"Ganglion-Lane: direct", "Ganglion-Lane: direct"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.do(t, "POST", "/v1/account/a-1/Deposit", "{}", headers...).fails(t, 400, actor.CodeMalformed)
			if sent := f.client.sent(); len(sent) != 0 {
				t.Errorf("sent %+v", sent)
			}
		})
	}
	for _, query := range []string{"lane=fast", "lane=direct&lane=durable", "timeout=x", "lane=%zz", "a;b", "lane=", "timeout=", "lane", "lane=durable&lane=durable", "timeout=1s&timeout=1s", "timeout=+1s", "lane=direct%20", "lane=%ff"} {
		t.Run("?"+query, func(t *testing.T) {
			t.Parallel()
			setup(t).do(t, "POST", "/v1/account/a-1/Deposit?"+query, "{}").fails(t, 400, actor.CodeMalformed)
		})
	}
	for _, query := range []string{"consistency=eventual", "consistency=local&consistency=local", "timeout=61s", "consistency=", "consistency=local%00", "timeout="} {
		t.Run("GET ?"+query, func(t *testing.T) {
			t.Parallel()
			setup(t).do(t, "GET", "/v1/account/a-1?"+query, "").fails(t, 400, actor.CodeMalformed)
		})
	}
}

func TestOptions_InTheQuery(t *testing.T) {
	t.Parallel()
	f := setup(t)
	before := time.Now()
	f.do(t, "POST", "/v1/account/a-1/Deposit?lane=direct&timeout=1500ms&foreign=1", "{}", "Ganglion-Lane: direct").is(t, 200, `{"version":41,"reply":{"balance":5}}`)
	m := f.client.one(t)
	if m.Lane != actor.LaneDirect {
		t.Errorf("lane %d", m.Lane)
	}
	givesUpAfter(t, m, before, 1500*time.Millisecond)
}

func TestTraceparent_ThatIsInvalid_IsIgnored(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value string
		kept  bool
	}{
		{trace, true},
		{"01" + trace[2:] + "-more", true},
		{trace + "-more", false},
		{"ff" + trace[2:], false},
		{"00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
		{"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false},
		{strings.ToUpper(trace), false},
		{trace[:54], false},
		{"", false},
		{"01" + trace[2:] + "-" + strings.Repeat("x", 300), false},
	} {
		f := setup(t)
		f.do(t, "POST", "/v1/account/a-1/Deposit", "", "traceparent: "+c.value)
		if got := f.client.one(t).Metadata.Trace; got != "" != c.kept {
			t.Errorf("traceparent %q became %q", c.value, got)
		}
	}
}

func TestListener_AndLog(t *testing.T) {
	t.Parallel()
	var done []gateway.RequestInfo
	var text bytes.Buffer
	f := setup(t, func(c *gateway.Config) {
		c.Listener.RequestDone = func(i gateway.RequestInfo) { done = append(done, i) }
		c.Logger = slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelInfo}))
	})
	for _, r := range [][2]string{
		{"POST", "/v1/account/x/Deposit"},
		{"POST", "/v1/account/x/queries/Statement"},
		{"GET", "/v1/account/x"},
		{"GET", "/v1/account/x/events"},
		{"GET", "/v1/cluster"},
		{"HEAD", "/openapi.json"},
		{"GET", "/v1/secret/x"},
		{"POST", "/v1/account/x/Secret"},
		{"BREW", "/pot"},
	} {
		f.do(t, r[0], r[1], "")
	}
	f.server.Close() // waits for the handlers
	want := []gateway.RequestInfo{
		{Method: "POST", Route: "/v1/{kind}/{id}/{command}", Kind: "account", Name: "Deposit", Status: 200},
		{Method: "POST", Route: "/v1/{kind}/{id}/queries/{query}", Kind: "account", Name: "Statement", Status: 200},
		{Method: "GET", Route: "/v1/{kind}/{id}", Kind: "account", Status: 200},
		{Method: "GET", Route: "/v1/{kind}/{id}/events", Kind: "account", Status: 200},
		{Method: "GET", Route: "/v1/cluster", Status: 200},
		{Method: "HEAD", Route: "/openapi.json", Status: 200},
		{Method: "GET", Route: "/v1/{kind}/{id}", Status: 404},
		{Method: "POST", Route: "/v1/{kind}/{id}/{command}", Kind: "account", Status: 404},
		{Method: "other", Status: 404},
	}
	if diff := cmp.Diff(want, done, cmpopts.IgnoreFields(gateway.RequestInfo{}, "Duration")); diff != "" {
		t.Error(diff)
	}
	if text.Len() != 0 {
		t.Errorf("requests are logged above Debug: %s", text.String())
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	var fault error
	f := setup(t, func(c *gateway.Config) {
		c.Cluster = clusterFunc(func(context.Context) (gateway.ClusterView, error) {
			return gateway.ClusterView{
				Namespace: "ns", Node: "n-1",
				Members:    []gateway.MemberView{{Name: "n-1", State: gateway.MemberLive, Partitions: 1}},
				Partitions: []gateway.PartitionView{{Partition: 7, Owner: "n-1", Epoch: 3, Watermark: 8, Lag: 2}},
			}, fault
		})
	})
	f.do(t, "GET", "/v1/cluster", "").is(t, 200, `{"namespace":"ns","node":"n-1",`+
		`"members":[{"name":"n-1","incarnation":"","state":"live","address":"","build":"","kinds":[],"partitions":1}],`+
		`"partitions":[{"partition":7,"owner":"n-1","epoch":3,"watermark":8,"lag":2}]}`)
	fault = context.DeadlineExceeded
	f.do(t, "GET", "/v1/cluster", "").fails(t, 503, "unavailable")
}
