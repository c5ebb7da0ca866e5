package page_test

import (
	"encoding/json"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

// answer is a whole one.
type answer struct {
	status int
	header http.Header
	text   string
}

func get(t *testing.T, p http.Handler, path string) answer {
	t.Helper()
	return serve(p, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
}

func serve(p http.Handler, r *http.Request) answer {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// shown returns the page of a snapshot.
func shown(t *testing.T, s page.Snapshot) string {
	t.Helper()
	r := get(t, page.New(newEngine(s)), "/")
	if r.status != http.StatusOK || !strings.HasSuffix(strings.TrimSpace(r.text), "</html>") {
		t.Fatalf("%d: %s", r.status, r.text)
	}
	return r.text
}

// element returns a fragment's text, without its markup.
func element(t *testing.T, text, id string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, `id="`+id+`"`)
	if !found {
		t.Fatalf("the page has no %s", id)
	}
	// Up to the next fragment: they are in this order on the page.
	order := []string{"pills", "load", "outcome", "say", "verdict", "picture", "controls", "compare", "tour", "views", "log", "parts"}
	if at := slices.Index(order, id); at >= 0 && at+1 < len(order) {
		rest, _, _ = strings.Cut(rest, `id="`+order[at+1]+`"`)
	}
	rest = regexp.MustCompile(`(?s)<[^>]*>`).ReplaceAllString(rest, " ")
	return strings.Join(strings.Fields(strings.ReplaceAll(rest, "\u00a0", " ")), " ")
}

// state is one of the machine, and what its page says.
type state struct {
	snapshot func(time.Time) page.Snapshot
	has      map[string][]string // by fragment
	not      map[string][]string
}

func with(base func(time.Time) page.Snapshot, change func(*page.Snapshot)) func(time.Time) page.Snapshot {
	return func(now time.Time) page.Snapshot {
		s := base(now)
		change(&s)
		return s
	}
}

func states() map[string]state {
	return map[string]state{
		"before any load": {
			snapshot: idle,
			has: map[string][]string{
				"pills": {"no load", "MongoDB 8.0 · 3 members", "NATS · 3 servers"}, "load": {"Start load", "Open the market"},
				"verdict": {"Not yet checked", "lost –", "Check now"}, "say": {"Not yet checked."}, "compare": {"Not run yet"},
				"picture": {"Two tracks, from click to disk", "128 partitions", "0 req/s", "64 partitions · 0/s", "primary mongo-1", "leads 2 streams", "meta leader"},
			},
			not: map[string][]string{"verdict": {"Nothing lost"}, "picture": {"without an owner"}},
		},
		"running": {
			snapshot: running,
			has: map[string][]string{
				"pills": {"trading for 02:14"}, "load": {"Set load", "40/s"}, "picture": {"412 req/s", "205 req/s", "p50 12 ms · p99 31 ms", "9.4 commands/write", "0 conflicts/s", "a dot is 50 requests"},
				"verdict": {"Nothing lost", "acknowledged 48,213", "stored 48,213", "lost 0", "doubled 0", "longest wait a user saw 1.2 s", "Checked 3 s ago in 40 ms, after node-2 was killed, 48,402 acknowledged by now", "node-2 1.2 s"},
				"say":     {"48,213 acknowledged, 48,213 stored, 0 lost, 0 doubled, longest wait 1.2 s."}, "log": {"✓ check: 48,213 = 48,213", "▲ node-2 was killed"},
			},
		},
		"a node is dead": {
			snapshot: killed,
			has: map[string][]string{
				"picture": {"dead for 12 s", "partitions without an owner"}, "controls": {"node-2 dead", "Kill −9, Pause, Cut off, Drain: node-2 is dead"}, "verdict": {"Checking", "acknowledged 48,213"},
			},
			not: map[string][]string{"verdict": {"Nothing lost"}},
		},
		"a node joins": {
			snapshot: with(running, func(s *page.Snapshot) { s.Tracks[1].State = page.Joining }),
			has:      map[string][]string{"picture": {"node-2 · joining"}},
		},
		"commands are lost": {
			snapshot: with(running, func(s *page.Snapshot) {
				s.Verdict.State, s.Verdict.Stored, s.Verdict.Lost, s.Verdict.Problem = page.Wrong, 48_212, 1, "command 0198 was acknowledged and is not stored"
			}),
			has: map[string][]string{"verdict": {"✗ Wrong", "lost 1", "command 0198 was acknowledged"}, "say": {"Wrong.", "1 lost"}},
			not: map[string][]string{"verdict": {"Nothing lost", "✓"}},
		},
		"the record is damaged": {
			snapshot: with(running, func(s *page.Snapshot) { s.Verdict.Changed, s.Verdict.Broken = 2, 1 }), // even if it says that it is right
			has:      map[string][]string{"verdict": {"✗ Wrong", "changed 2", "broken records 1"}, "say": {"Wrong.", "2 changed, 1 broken record,"}},
			not:      map[string][]string{"verdict": {"Nothing lost", "✓"}},
		},
		"the check failed": {
			snapshot: with(running, func(s *page.Snapshot) { s.Verdict.State, s.Verdict.Problem = page.Failed, "the store does not answer" }),
			has:      map[string][]string{"verdict": {"! Check failed", "the store does not answer"}, "say": {"Check failed."}},
			not:      map[string][]string{"verdict": {"Nothing lost", "Wrong"}},
		},
		"outcomes are open, and an audit was made": {
			snapshot: with(running, func(s *page.Snapshot) {
				s.Verdict.Unknown, s.Verdict.Audit, s.Verdict.Audited = 3, "every cent and every share is there", s.Time.Add(-time.Minute)
			}),
			has: map[string][]string{"verdict": {"Not known yet of 3 commands", "Audit at rest, 60 s ago: every cent"}},
		},
		"the store is JetStream": {
			snapshot: with(running, func(s *page.Snapshot) { s.Mongo, s.Store = nil, "JetStream" }),
			has:      map[string][]string{"pills": {"JetStream"}, "picture": {"JetStream", "the store"}},
			not:      map[string][]string{"picture": {"primary", "w: majority"}},
		},
		"the other way runs": {
			snapshot: comparing,
			has: map[string][]string{
				"compare": {"Now: balancer and database alone, turn 2 of 3, 11 s left", "Routed to one owner 412 12 ms 33 ms 0 0 0", "Balancer and database alone 96 45 ms 705 ms 3.9 11 % 21 %", "5"},
			},
		},
		"the comparison was given up": {
			snapshot: with(comparing, func(s *page.Snapshot) {
				s.Compare.Phase, s.Compare.Problem = page.Done, "the replica set has no primary"
			}),
			has: map[string][]string{"compare": {"the replica set has no primary"}},
		},
		"servers are down": {
			snapshot: with(running, func(s *page.Snapshot) {
				s.NATS[0].State, s.NATS[0].Since = page.Dead, s.Time.Add(-5*time.Second)
				s.Mongo[0].State, s.Mongo[0].Role, s.Mongo[2].Role = page.Dead, "", "primary"
			}),
			has: map[string][]string{"pills": {"2 of 3 members", "2 of 3 servers"}, "picture": {"dead for 5 s"}},
		},
		"nothing is known": {
			snapshot: func(time.Time) page.Snapshot { return page.Snapshot{} },
			has:      map[string][]string{"verdict": {"Not yet checked"}, "views": {"No view is known yet."}, "log": {"Nothing yet."}, "parts": {"No part is known yet."}},
		},
		"metrics are missing": {
			snapshot: with(running, func(s *page.Snapshot) {
				t := &s.Tracks[0]
				*t = page.Track{Name: t.Name, State: page.Up}
				s.Balancer.Rate = nil
			}),
			has: map[string][]string{"picture": {"– req/s", "– req/s", "p50 – · p99 –", "– commands/write"}},
		},
	}
}

func TestPage_SaysWhatIs(t *testing.T) {
	t.Parallel()
	for name, one := range states() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := shown(t, one.snapshot(time.Now()))
			for id, all := range one.has {
				for _, want := range all {
					if got := element(t, text, id); !strings.Contains(got, want) {
						t.Errorf("%s has no %q: %s", id, want, got)
					}
				}
			}
			for id, all := range one.not {
				for _, wrong := range all {
					if got := element(t, text, id); strings.Contains(got, wrong) {
						t.Errorf("%s has %q: %s", id, wrong, got)
					}
				}
			}
			checkMarkup(t, text)
		})
	}
}

// checkMarkup finds what the policy forbids, and figures that are none.
func checkMarkup(t *testing.T, text string) {
	t.Helper()
	for _, wrong := range []string{`\sstyle=`, `<style`, `\son[a-z]+=`, `javascript:`, `<script>`, `<script[^>]*></script[^>]*>[^<]*<script`, `\bNaN\b`, `[+-]?\bInf\b`, `ZgotmplZ`, `%!`} {
		if found := regexp.MustCompile(wrong).FindString(text); found != "" {
			t.Errorf("the page has %q", found)
		}
	}
	for _, url := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(url[1], "/static/") && url[1] != "#main" && !strings.HasPrefix(url[1], "http://127.0.0.1:8080") {
			t.Errorf("the page refers to %s", url[1])
		}
	}
	seen := map[string]bool{}
	for _, id := range regexp.MustCompile(`\sid="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if seen[id[1]] {
			t.Errorf("two elements have the id %s", id[1])
		}
		seen[id[1]] = true
	}
	for _, of := range regexp.MustCompile(`(?:aria-labelledby|for)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if !seen[of[1]] {
			t.Errorf("something refers to the id %s, which nothing has", of[1])
		}
	}
}

func TestPage_EscapesWhatComesFromOutside(t *testing.T) {
	t.Parallel()
	evil := "<script>alert(1)</script>\"'><b onclick=x>\r\nevent: show\r\ndata: x"
	s := killed(time.Now())
	s.Store, s.Market = evil, "javascript:alert(1)"
	s.Verdict.How, s.Verdict.Problem, s.Verdict.After, s.Verdict.Audit = evil, evil, evil, evil
	s.Verdict.Gaps = []page.Gap{{Track: evil}}
	s.Tracks = append(s.Tracks, page.Track{Name: evil, State: evil})
	s.Partitions[0].Owner = evil
	s.NATS[0] = page.Server{Name: evil, State: evil, Role: evil, Leads: []string{evil}}
	s.Mongo[0] = page.Server{Name: evil, State: evil, Role: evil}
	s.Views = append(s.Views, page.View{Name: evil})
	s.Log = append(s.Log, page.Entry{Text: evil, Kind: evil})
	s.Parts = append(s.Parts, page.Part{Name: evil, What: evil, Where: evil, State: evil, Command: evil})
	s.Actions = append(s.Actions, page.Action{Name: evil, Target: evil, Why: evil}, page.Action{Name: page.ActKill, Target: evil})
	s.Tour = append(s.Tour, page.Step{Name: evil, Text: evil, State: evil, Action: evil})
	s.Compare.Phase, s.Compare.Problem = evil, evil
	s.Outcome = &page.Outcome{Time: s.Time, Text: evil}
	text := strings.ReplaceAll(shown(t, s), "#ZgotmplZ", "") // in the place of the market's address
	checkMarkup(t, strings.ReplaceAll(strings.ReplaceAll(text, "onclick=x", ""), `href=""`, ""))
	if strings.Contains(text, "<b ") || strings.Count(text, "<script") != 1 || strings.Contains(text, `href="javascript`) {
		t.Error("the page has markup that came from outside")
	}
	synctest.Test(t, func(t *testing.T) {
		sent := stream(t, page.New(newEngine(s)))
		if !strings.HasPrefix(sent, "event: show\n") || strings.Count(sent, "\nevent: show\n") != 0 {
			t.Error("the stream has another event than its own")
		}
		for line := range strings.SplitSeq(sent, "\n") {
			if line != "" && !strings.HasPrefix(line, "data: ") && line != "event: show" && line != "event: beat" && line != "data:" || strings.Contains(line, "\r") {
				t.Errorf("the stream has the line %q", line)
			}
		}
	})
}

func TestPage_TakesWhatIsHugeOrOdd(t *testing.T) {
	t.Parallel()
	s := running(time.Now())
	s.Partitions = nil
	for i := range 1024 {
		s.Partitions = append(s.Partitions, page.Partition{Number: i, Owner: s.Tracks[i%2].Name, Rate: math.Pow(10, float64(i))})
	}
	s.Tracks[0].Requests, s.Tracks[0].Commands, s.Tracks[0].PerWrite = new(1e300), new(math.NaN()), new(math.Inf(1))
	s.Tracks[1].P99, s.Tracks[1].Partitions = new(time.Duration(math.MaxInt64)), math.MaxInt
	s.Balancer.Rate = new(math.Inf(1))
	s.Verdict.Acknowledged, s.Verdict.Lost, s.Verdict.LongestWait = math.MaxInt64, math.MinInt64, -time.Second
	s.Compare.Ours.Points = []page.Point{{At: -time.Hour, Orders: math.NaN()}, {At: math.MaxInt64, Orders: math.MaxFloat64, P99: math.MaxInt64, Conflicts: -1}}
	s.Compare.Ours.Failed, s.Compare.Other.Stale = new(math.NaN()), new(-1.0)
	s.Compare.Accounts, s.Compare.Max, s.Load.Max, s.Load.Wanted = -5, -1, -1, math.MaxInt
	s.Started, s.Load.Since = s.Time.Add(time.Hour), time.Time{}
	s.Tracks[0].Since = s.Time.Add(time.Hour)
	text := shown(t, s)
	checkMarkup(t, text)
	if got := element(t, text, "verdict"); strings.Contains(got, "Nothing lost") || !strings.Contains(got, "acknowledged 9,223,372,036,854,775,807") {
		t.Errorf("a verdict of huge figures: %s", got)
	}
	if n := strings.Count(text, "<rect class=\"o"); n < 2*1024 {
		t.Errorf("%d cells are drawn", n)
	}
	for range 5 { // many nodes, and none
		s.Tracks = append(s.Tracks, s.Tracks...)
	}
	checkMarkup(t, shown(t, s))
	s.Tracks, s.NATS, s.Partitions = nil, nil, nil
	checkMarkup(t, shown(t, s))
}

func TestPage_OldFiguresAreCalledSo(t *testing.T) {
	t.Parallel()
	moving := regexp.MustCompile(`data-rate="[^0]`)
	fresh, old := shown(t, running(time.Now())), shown(t, running(time.Now().Add(-time.Minute)))
	if strings.Contains(fresh, "figures are") || !moving.MatchString(fresh) {
		t.Error("fresh figures are called old, or nothing moves")
	}
	if !strings.Contains(element(t, old, "pills"), "figures are 60 s old") || moving.MatchString(old) {
		t.Error("old figures are not called so, or something moves")
	}
}

func TestPage_WhatNothingDrivesStands(t *testing.T) {
	t.Parallel()
	if moving := regexp.MustCompile(`data-rate="[^0"]`).FindString(shown(t, idle(time.Now()))); moving != "" {
		t.Errorf("a line of an idle machine has %s", moving)
	}
	rates := regexp.MustCompile(`class="flow (\w+)( gone)?" data-rate="([^"]*)"`).FindAllStringSubmatch(shown(t, killed(time.Now())), -1)
	if len(rates) != 16 {
		t.Fatalf("%d lines", len(rates))
	}
	for _, r := range rates {
		if dead := r[1] == "o2"; dead != (r[2] != "") || dead != (r[3] == "0") {
			t.Errorf("a line %q, gone %q, has %s dots a second", r[1], r[2], r[3])
		}
	}
}

func TestPage_ThePrimarysRingIsOneThatMoves(t *testing.T) {
	t.Parallel()
	ring := regexp.MustCompile(`<circle class="primary" cx="(\d+)" cy="(\d+)" r="\d+"><title>[^<]*</title></circle></g>`)
	before := ring.FindStringSubmatch(shown(t, running(time.Now())))
	after := ring.FindStringSubmatch(shown(t, with(running, func(s *page.Snapshot) {
		s.Mongo[0].Role, s.Mongo[1].Role = "secondary", "primary"
	})(time.Now())))
	if before == nil || after == nil || slices.Equal(before[1:], after[1:]) {
		t.Errorf("the last circle is %q, and after a step-down %q", before, after)
	}
	none := shown(t, with(running, func(s *page.Snapshot) { s.Mongo[0].Role = "secondary" })(time.Now()))
	if ring.MatchString(none) || !strings.Contains(element(t, none, "picture"), "no primary") {
		t.Error("a set without a primary shows one")
	}
}

func TestPage_ScriptAndStyleStaySmall(t *testing.T) {
	t.Parallel()
	size, err := os.Stat("static/stage.js")
	if err != nil {
		t.Fatal(err)
	}
	if size.Size() > 10<<10 {
		t.Errorf("the script has %d bytes", size.Size())
	}
	p := page.New(newEngine(idle(time.Now())))
	err = fs.WalkDir(os.DirFS("static"), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			if r := get(t, p, "/static/"+path); r.status != http.StatusOK {
				t.Errorf("%s: %d", path, r.status)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sheet := get(t, p, "/static/style.css").text + get(t, p, "/static/stage.css").text
	if strings.Contains(sheet, "@import") || strings.Contains(sheet, "url(") {
		t.Error("a style sheet refers to something else")
	}
	for _, name := range regexp.MustCompile(`var\((--[a-z]+)`).FindAllStringSubmatch(sheet, -1) {
		if !strings.Contains(sheet, name[1]+":") {
			t.Errorf("nothing sets %s", name[1])
		}
	}
	for _, path := range []string{"/static/", "/static/stage.html", "/templates/stage.html", "/static/../page.go", "/nothing"} {
		if r := get(t, p, path); r.status == http.StatusOK {
			t.Errorf("%s is served", path)
		}
	}
	if got := get(t, p, "/").header.Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'none'; script-src 'self'; style-src 'self';") || strings.Contains(got, "unsafe") {
		t.Errorf("the policy is %q", got)
	}
}

// post sends a form.
func post(t *testing.T, p http.Handler, path, form, accept string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", accept)
	return serve(p, r)
}

func TestPage_ActsAndSaysWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	e := newEngine(running(time.Now()))
	p := page.New(e)
	e.answer = page.Outcome{Done: true, Text: "node-2 was killed"}
	r := post(t, p, "/actions/kill", "target=node-2", "text/html")
	if r.status != http.StatusSeeOther || r.header.Get("Location") != "/" {
		t.Errorf("a form is answered %d to %q", r.status, r.header.Get("Location"))
	}
	if got := get(t, p, "/").text; !strings.Contains(element(t, got, "outcome"), "node-2 was killed") || !strings.Contains(got, `class="outcome done"`) {
		t.Error("the page does not say what became of the action")
	}
	e.answer = page.Outcome{Text: "node-2 is dead"}
	r = post(t, p, "/actions/kill", "target=node-2", "application/json")
	var got page.Outcome
	if err := json.Unmarshal([]byte(r.text), &got); err != nil || r.status != http.StatusOK || got.Done || got.Text != "node-2 is dead" || got.Time.IsZero() {
		t.Errorf("a refusal is answered %d: %+v, %v", r.status, got, err)
	}
	if got := get(t, p, "/").text; !strings.Contains(got, `class="outcome refused"`) {
		t.Error("the page does not say that the action was refused")
	}
	if r := post(t, p, "/actions/load", "rate="+strings.Repeat("9", 20<<10), "text/html"); r.status != http.StatusBadRequest {
		t.Errorf("a huge form: %d", r.status)
	}
	if r := get(t, p, "/actions/kill?target=node-2"); r.status != http.StatusMethodNotAllowed {
		t.Errorf("a link kills: %d", r.status)
	}
	if want := []string{"kill target=node-2", "kill target=node-2"}; !slices.Equal(e.acts, want) {
		t.Errorf("the engine was asked %q", e.acts)
	}
}

func TestPage_EachActionHasAForm(t *testing.T) {
	t.Parallel()
	s := killed(time.Now())
	s.Actions = append(s.Actions, page.Action{Name: page.ActKill, Target: "balancer"}, page.Action{Name: "new one", Target: "mongo-2"})
	text := shown(t, s)
	for _, a := range s.Actions {
		button := `formaction="/actions/` + strings.ReplaceAll(a.Name, " ", "%20") + `"`
		if a.Target != "" {
			button += ` name="target" value="` + a.Target + `"`
		}
		at := strings.Index(text, button)
		if at < 0 {
			t.Errorf("there is no %s", button)
			continue
		}
		tag, _, _ := strings.Cut(text[at:], ">")
		if disabled := strings.Contains(tag, " disabled"); disabled != (a.Why != "") {
			t.Errorf("%s: disabled %v, because %q", button, disabled, a.Why)
		}
	}
}

func TestPage_Snapshot(t *testing.T) {
	t.Parallel()
	s := running(time.Now())
	var got page.Snapshot
	if err := json.Unmarshal([]byte(get(t, page.New(newEngine(s)), "/snapshot").text), &got); err != nil || got.Verdict.Acknowledged != s.Verdict.Acknowledged || len(got.Partitions) != 128 {
		t.Errorf("%+v, %v", got.Verdict, err)
	}
	s.Load.Orders = math.NaN()
	if r := get(t, page.New(newEngine(s)), "/snapshot"); r.status != http.StatusInternalServerError {
		t.Errorf("a snapshot without JSON: %d", r.status)
	}
}
