package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// gauge is an aggregate that can be brought to every outcome.
type gauge struct{ Level int64 }

type (
	raise struct {
		actor.Replies[int64]
		By int64 `json:"by"`
	}
	found   struct{ actor.Replies[actor.None] }
	stall   struct{ actor.Replies[actor.None] }
	explode struct{ actor.Replies[actor.None] }
	swell   struct {
		actor.Replies[actor.None]
		Bytes int `json:"bytes"`
	}
	level   struct{ actor.Replies[int64] }
	raised  struct{ By int64 }
	swollen struct{ Fill string }
	renamed struct{ By int64 }
)

func (raise) WireName() string   { return "Raise" }
func (found) WireName() string   { return "Found" }
func (stall) WireName() string   { return "Stall" }
func (explode) WireName() string { return "Explode" }
func (swell) WireName() string   { return "Swell" }
func (level) WireName() string   { return "Level" }

var errLow = actor.Reject("too_low", "the level would be negative")

func (g *gauge) raise(ctx *actor.Context, c raise) (int64, error) {
	if g.Level+c.By < 0 {
		return 0, errLow.With("level", g.Level)
	}
	ctx.Raise(raised{By: c.By})
	return g.Level, nil
}

// gauges returns the definition. Stall waits for gate, at most a minute.
func gauges(gate <-chan struct{}) *actor.Aggregate[gauge] {
	return actor.Define("gauge", func(d *actor.Definition[gauge]) {
		actor.On(d, (*gauge).raise)
		actor.On(d, func(g *gauge, ctx *actor.Context, _ found) (actor.None, error) {
			ctx.Raise(raised{By: 1})
			return actor.None{}, nil
		}, actor.NewOnly())
		actor.On(d, func(*gauge, *actor.Context, stall) (actor.None, error) {
			select {
			case <-gate:
			case <-time.After(time.Minute):
			}
			return actor.None{}, nil
		})
		actor.On(d, func(*gauge, *actor.Context, explode) (actor.None, error) { panic("out of range") })
		actor.On(d, func(_ *gauge, ctx *actor.Context, c swell) (actor.None, error) {
			ctx.Raise(swollen{Fill: strings.Repeat("x", c.Bytes)})
			return actor.None{}, nil
		})
		actor.Query(d, func(g *gauge, _ *actor.QueryContext, _ level) (int64, error) { return g.Level, nil })
		actor.Apply(d, func(g *gauge, e raised) { g.Level += e.By })
		actor.Apply(d, func(*gauge, swollen) {})
		d.Rejections(errLow)
	})
}

// answer is a response as a caller sees it.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) code(t *testing.T) string {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q of %s", got, a.body)
	}
	var p struct{ Code string }
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return p.Code
}

type caller struct {
	t    *testing.T
	base string
}

// do sends one request. headers are pairs of name and value.
func (c caller) do(method, path, body string, headers ...string) answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, io.NopCloser(strings.NewReader(body)))
	if err != nil {
		c.t.Fatal(err)
	}
	req.ContentLength = int64(len(body))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, bytes.TrimSpace(data)}
}

func (c caller) post(path, body string, headers ...string) answer {
	c.t.Helper()
	return c.do(http.MethodPost, path, body, headers...)
}

// expect fails unless the answer has the status and, where code is not empty,
// the problem's code.
func (c caller) expect(what string, a answer, status int, code string) {
	c.t.Helper()
	if a.status != status {
		c.t.Errorf("%s: status %d, want %d: %s", what, a.status, status, a.body)
		return
	}
	if code != "" {
		if got := a.code(c.t); got != code {
			c.t.Errorf("%s: code %q, want %q: %s", what, got, code, a.body)
		}
	}
}

// onEachStore runs a test against a node on the embedded store, and on MongoDB, that
// answers by its lease, and by the store's word.
func onEachStore(t *testing.T, test func(t *testing.T, cfg node.Config)) {
	t.Helper()
	names := map[runtime.Answers]string{runtime.AnswersByLease: "lease", runtime.AnswersVerified: "verified"}
	for _, answers := range []runtime.Answers{runtime.AnswersByLease, runtime.AnswersVerified} {
		t.Run("embedded/"+names[answers], func(t *testing.T) {
			t.Parallel()
			test(t, node.Config{DataDir: t.TempDir(), Answers: answers})
		})
		t.Run("mongo/"+names[answers], func(t *testing.T) {
			t.Parallel()
			rs := testharness.SharedMongo(t, 1)
			test(t, node.Config{DataDir: t.TempDir(), MongoURI: rs.URI(), MongoDatabase: testharness.DatabaseName(t), Answers: answers})
		})
	}
}

func TestNode_Outcomes_HaveTheirStatusAndCode(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, cfg node.Config) {
		gate := make(chan struct{})
		t.Cleanup(sync.OnceFunc(func() { close(gate) }))
		cfg.Limits = runtime.Config{MailboxMax: 4}
		n := nodes.Start(t, cfg, gauges(gate))
		c := caller{t, n.URL()}

		ok := c.post("/v1/gauge/a/Raise", `{"by":3}`)
		c.expect("success", ok, 200, "")
		if string(ok.body) != `{"version":1,"reply":3}` || ok.header.Get("ETag") != `"1"` {
			t.Errorf("success: %s, ETag %s", ok.body, ok.header.Get("ETag"))
		}
		state := c.do("GET", "/v1/gauge/a", "")
		if string(state.body) != `{"version":1,"state":{"Level":3}}` || state.header.Get("ETag") != `"1"` {
			t.Errorf("state: %s, ETag %s", state.body, state.header.Get("ETag"))
		}
		local := c.do("GET", "/v1/gauge/a?consistency=local", "")
		if string(local.body) != string(state.body) {
			t.Errorf("local state: %s", local.body)
		}
		c.expect("query", c.post("/v1/gauge/a/queries/Level", `{}`), 200, "")
		c.expect("async", c.post("/v1/gauge/later/Raise", `{"by":1}`, "Prefer", "respond-async"), 202, "")
		c.expect("bad JSON", c.post("/v1/gauge/a/Raise", `{"by":`), 400, "malformed")
		c.expect("wrong type", c.post("/v1/gauge/a/Raise", `{"by":"x"}`), 400, "malformed")
		c.expect("unknown field", c.post("/v1/gauge/a/Raise", `{"by":0,"colour":"red"}`), 200, "")
		c.expect("unknown kind", c.post("/v1/nothing/a/Raise", `{}`), 404, "unknown_kind")
		c.expect("unknown command", c.post("/v1/gauge/a/Lower", `{}`), 404, "unknown_command")
		c.expect("no history", c.do("GET", "/v1/gauge/nobody", ""), 404, "does_not_exist")
		c.expect("exists already", c.post("/v1/gauge/a/Found", `{}`), 409, "already_exists")
		c.expect("must be new", c.post("/v1/gauge/a/Raise", `{"by":1}`, "If-None-Match", "*"), 409, "already_exists")
		c.expect("must exist", c.post("/v1/gauge/nobody/Raise", `{"by":1}`, "If-Match", "*"), 409, "does_not_exist")
		c.expect("old version", c.post("/v1/gauge/a/Raise", `{"by":1}`, "If-Match", `"1"`), 412, "version_mismatch")
		c.expect("right version", c.post("/v1/gauge/a/Raise", `{"by":1}`, "If-Match", `"2"`), 200, "")
		c.expect("rejected", c.post("/v1/gauge/a/Raise", `{"by":-100}`), 422, "too_low")
		c.expect("event too large", c.post("/v1/gauge/a/Swell", `{"bytes":3000000}`), 413, "too_large")
		c.expect("panic", c.post("/v1/gauge/b/Explode", `{}`), 500, "parked")
		c.expect("after a panic", c.post("/v1/gauge/b/Raise", `{"by":1}`), 200, "")
		if parked := (caller{t, n.AdminURL()}).do("GET", "/parked?aggregate=gauge/b", ""); !strings.Contains(string(parked.body), "out of range") {
			t.Errorf("parked: %s", parked.body)
		}
		stalled(t, c)
	})
}

// stalled brings an aggregate to a halt and looks at what others are told.
func stalled(t *testing.T, c caller) {
	t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		c.expect("outcome unknown", c.post("/v1/gauge/s/Stall?lane=direct&timeout=1s", `{}`), 504, "outcome_unknown")
	})
	testharness.Eventually(t, 10*time.Second, func() bool {
		a := c.post("/v1/gauge/s/Raise?lane=direct&timeout=300ms", `{"by":1}`)
		return a.status == 429 || a.status == 504
	})
	overloaded := false
	for range 12 {
		a := c.post("/v1/gauge/s/Raise?lane=direct&timeout=250ms", `{"by":1}`)
		if a.status == 429 {
			overloaded = true
			c.expect("overloaded", a, 429, "overloaded")
			if a.header.Get("Retry-After") == "" {
				t.Error("overloaded: no Retry-After")
			}
		}
	}
	if !overloaded {
		t.Error("a full mailbox never said so")
	}
	c.expect("another aggregate", c.post("/v1/gauge/free/Raise", `{"by":1}`), 200, "")
}

// TestNode_Expired_IsToldAsNotExecuted lets a command reach its aggregate after
// its own deadline and before its caller's. A busy machine can miss that moment: the caller
// then hears that the outcome is unknown, or what it came to in time. So there are some tries.
func TestNode_Expired_IsToldAsNotExecuted(t *testing.T) {
	t.Parallel()
	gates := make(chan struct{})
	n := nodes.Start(t, node.Config{Limits: runtime.Config{WatermarkEvery: 10 * time.Millisecond}}, gauges(gates))
	c := caller{t, n.URL()}
	for try := range 8 {
		path := fmt.Sprintf("/v1/gauge/late-%d", try)
		var wg sync.WaitGroup
		wg.Go(func() { c.post(path+"/Stall?lane=direct&timeout=8s", `{}`) })
		testharness.Eventually(t, 10*time.Second, func() bool { return n.Status().Activations == int64(try+1) })
		time.AfterFunc(1600*time.Millisecond, func() { gates <- struct{}{} }) // its own deadline is at 80 % of the caller's
		a := c.post(path+"/Raise?timeout=1900ms", `{"by":1}`)
		wg.Wait()
		if a.status == http.StatusGatewayTimeout || a.status == http.StatusOK {
			continue
		}
		c.expect("expired", a, 503, "deadline_exceeded")
		c.expect("its aggregate", c.do("GET", path, ""), 404, "does_not_exist")
		return
	}
	t.Error("an expired command was never told as such")
}

func TestNode_SameKey_HasOneEffectAndOneAnswer(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, cfg node.Config) {
		cfg.Name = "same-key"
		cfg.Lease = 500 * time.Millisecond
		n := nodes.Start(t, cfg, gauges(nil))
		c := caller{t, n.URL()}
		c.expect("first", c.post("/v1/gauge/k/Raise", `{"by":10}`), 200, "")
		accepted := hundredTimes(t, c, "/v1/gauge/k/Raise", `{"by":5}`, "key-accepted")
		rejected := hundredTimes(t, c, "/v1/gauge/k/Raise", `{"by":-1000}`, "key-rejected")
		mismatch := hundredTimes(t, c, "/v1/gauge/k/Raise", `{"by":1}`, "key-mismatch", "If-Match", `"1"`)
		c.expect("a commit after the rejections", c.post("/v1/gauge/k/Raise", `{"by":2000}`), 200, "")
		n.Stop(t)

		n = nodes.Start(t, cfg, gauges(nil))
		c = caller{t, n.URL()}
		for _, again := range []struct {
			first answer
			body  string
			key   string
		}{{accepted, `{"by":5}`, "key-accepted"}, {rejected, `{"by":-1000}`, "key-rejected"}, {mismatch, `{"by":1}`, "key-mismatch"}} {
			a := hundredTimes(t, c, "/v1/gauge/k/Raise", again.body, again.key)
			if a.status != again.first.status || !bytes.Equal(a.body, again.first.body) {
				t.Errorf("%s after a restart: %d %s, before: %d %s", again.key, a.status, a.body, again.first.status, again.first.body)
			}
		}
		if got := c.do("GET", "/v1/gauge/k", ""); string(got.body) != `{"version":5,"state":{"Level":2015}}` { // two refusals had places of their own
			t.Errorf("state: %s", got.body)
		}
	})
}

// TestNode_KeyReused: the same key with another command or another body is refused and
// not executed, on both lanes, whatever the first came to, also after a restart. A
// repetition says that it is one. Events name the commands that caused them, and nothing
// of this moves the version that an If-Match names.
func TestNode_KeyReused(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, cfg node.Config) {
		cfg.Name, cfg.Lease = "key-reused", 500*time.Millisecond
		n := nodes.Start(t, cfg, gauges(nil))
		c := caller{t, n.URL()}
		const path = "/v1/gauge/k/"
		c.expect("first", c.post(path+"Raise", `{"by":10}`), 200, "")
		firsts := map[string]answer{}
		bodies := map[string]string{"done": `{"by":5}`, "refused": `{"by":-1000}`}
		for key, body := range bodies {
			firsts[key] = c.post(path+"Raise", body, "Idempotency-Key", key)
			if got := firsts[key].header.Get("Ganglion-Replayed"); got != "" {
				t.Errorf("%s: the first answer is told as a repetition", key)
			}
		}
		check := func(when string) {
			t.Helper()
			for key, first := range firsts {
				for _, lane := range []string{"durable", "direct"} {
					c.expect(when+", another body", c.post(path+"Raise?lane="+lane, `{"by":7}`, "Idempotency-Key", key), 422, "key_reused")
					c.expect(when+", another command", c.post(path+"Found?lane="+lane, bodies[key], "Idempotency-Key", key), 422, "key_reused")
					again := c.post(path+"Raise?lane="+lane, " "+bodies[key]+" ", "Idempotency-Key", key)
					if again.status != first.status || !bytes.Equal(again.body, first.body) || again.header.Get("Ganglion-Replayed") != "true" {
						t.Errorf("%s, %s again: %d %s %v", when, key, again.status, again.body, again.header)
					}
				}
			}
			c.expect(when+", the same key elsewhere", c.post("/v1/gauge/"+strings.ReplaceAll(when, " ", "-")+"/Raise", `{"by":7}`, "Idempotency-Key", "done"), 200, "")
		}
		check("at once")
		n.Stop(t)
		n = nodes.Start(t, cfg, gauges(nil))
		c = caller{t, n.URL()}
		check("after a restart")
		read := c.do("GET", "/v1/gauge/k", "")
		if !bytes.Contains(read.body, []byte(`{"Level":15}`)) {
			t.Errorf("state: %s", read.body)
		}
		c.expect("refused once more", c.post(path+"Raise", `{"by":-1000}`), 422, "too_low")
		if now := c.do("GET", "/v1/gauge/k", ""); now.header.Get("ETag") != read.header.Get("ETag") {
			t.Errorf("a refusal has moved the ETag from %s to %s", read.header.Get("ETag"), now.header.Get("ETag"))
		}
		c.expect("as it was read", c.post(path+"Raise", `{"by":1}`, "If-Match", read.header.Get("ETag")), 200, "")
		page := c.do("GET", "/v1/gauge/k/events", "")
		if bytes.Contains(page.body, []byte("ganglion.")) || bytes.Count(page.body, []byte(`"command":"Raise"`)) != 3 {
			t.Errorf("events: %s", page.body)
		}
	})
}

// hundredTimes sends a command 100 times at once, on both lanes, under one key,
// and returns the one answer that all must have got.
func hundredTimes(t *testing.T, c caller, path, body, key string, headers ...string) answer {
	t.Helper()
	answers := make([]answer, 100)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			lane := "durable"
			if i%2 == 0 {
				lane = "direct"
			}
			answers[i] = c.post(path+"?lane="+lane, body, append([]string{"Idempotency-Key", key}, headers...)...)
		})
	}
	wg.Wait()
	for _, a := range answers[1:] {
		if a.status != answers[0].status || !bytes.Equal(a.body, answers[0].body) {
			t.Errorf("%s: %d %s, and %d %s", key, answers[0].status, answers[0].body, a.status, a.body)
		}
	}
	return answers[0]
}

func TestNode_HostileInput_StoresNothingAndIsToldSo(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, cfg node.Config) {
		n := nodes.Start(t, cfg, gauges(nil))
		c := caller{t, n.URL()}
		for i, id := range []string{
			"a b", "a.b", "*", ">", "a/b", "..", ".", "%", "💹", "ü", "$x", strings.Repeat("i", 256), strings.Repeat("💹", 64), "a\x00b", "CON", "a\nb",
		} {
			path := "/v1/gauge/" + url.PathEscape(id)
			if id == "." || id == ".." {
				path = "/v1/gauge/" + strings.ReplaceAll(id, ".", "%2E")
			}
			a := c.post(path+"/Raise", fmt.Sprintf(`{"by":%d}`, i+1))
			c.expect(fmt.Sprintf("id %q", id), a, 200, "")
			got := c.do("GET", path, "")
			if want := fmt.Sprintf(`{"version":1,"state":{"Level":%d}}`, i+1); string(got.body) != want {
				t.Errorf("id %q: %s, want %s", id, got.body, want)
			}
		}
		for _, path := range []string{"/v1/gauge//Raise", "/v1/gauge/" + strings.Repeat("i", 257) + "/Raise", "/v1/gauge/" + strings.Repeat("i", 10_000) + "/Raise", "/v1/gauge/%FF/Raise"} {
			c.expect("id "+path[:min(len(path), 40)], c.post(path, `{"by":1}`), 400, "malformed")
		}
		big := `{"by":1,"x":"` + strings.Repeat("x", 10<<20) + `"}`
		c.expect("10 MB", c.post("/v1/gauge/big/Raise", big), 413, "too_large")
		for _, body := range []string{`[]`, `"x"`, `1`, `{"by":1}}`, `{"by":1e400}`, "{\"by\":1,\"x\":\"\xff\"}x", `{`} {
			c.expect("body "+body, c.post("/v1/gauge/big/Raise", body), 400, "malformed")
		}
		c.expect("nothing stored", c.do("GET", "/v1/gauge/big", ""), 404, "does_not_exist")
	})
}

func TestNode_UndecodableHistory_IsToldAndKept(t *testing.T) {
	t.Parallel()
	cfg := node.Config{DataDir: t.TempDir()}
	n := nodes.Start(t, cfg, gauges(nil))
	c := caller{t, n.URL()}
	c.expect("old build", c.post("/v1/gauge/u/Raise", `{"by":1}`), 200, "")
	n.Stop(t)

	other := actor.Define("gauge", func(d *actor.Definition[gauge]) {
		actor.On(d, func(_ *gauge, ctx *actor.Context, c raise) (int64, error) {
			ctx.Raise(renamed(raised{By: c.By}))
			return 0, nil
		})
		actor.Apply(d, func(g *gauge, e renamed) { g.Level += e.By })
	})
	cfg.SchemaCheck = node.SchemaCheckWarn // it would be refused
	n = nodes.Start(t, cfg, other)
	c = caller{t, n.URL()}
	c.expect("new build", c.post("/v1/gauge/u/Raise", `{"by":1}`), 500, "unloadable")
	c.expect("another aggregate", c.post("/v1/gauge/v/Raise", `{"by":1}`), 200, "")
}
