package dashboard_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/node/internal/dashboard"
)

const token = "0123456789abcdef0123"

// fake is a source without a cluster.
type fake struct {
	dashboard.Inspector // of pages that are tested over a node

	mu      sync.Mutex
	cluster dashboard.Cluster
	parked  []dashboard.ParkedItem
	one     dashboard.ParkedDetail
	fault   error
	acted   []string
	by      []dashboard.Operator
	refuse  map[string]bool // targets
	jobs    sync.WaitGroup
}

func (f *fake) Cluster(context.Context) dashboard.Cluster {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cluster
}

func (f *fake) Projections(context.Context, int, int) (dashboard.Projections, error) {
	return dashboard.Projections{Total: 2, All: []dashboard.Projection{
		{Name: "books<b>", Started: true, Head: 100, Done: 40, Rebuild: &dashboard.Rebuild{Phase: "building", Done: 30, Total: 100}}, {Name: "still", Router: true, Head: 100, Done: 7, Err: "no answer"},
	}}, f.fault
}

func (f *fake) PendingEffects(context.Context, int) (dashboard.PendingEffects, error) {
	return dashboard.PendingEffects{Complete: true, All: []dashboard.PendingEffect{{Effect: "mail", Aggregate: "order/1", Key: "k1", State: "waiting", Error: "<script>"}}}, f.fault
}

func (f *fake) Parked(_ context.Context, limit int) (dashboard.Parked, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(limit, len(f.parked))
	return dashboard.Parked{Items: f.parked[:n], More: n < len(f.parked)}, f.fault
}

func (f *fake) ParkedOne(context.Context, dashboard.ParkedRef) (dashboard.ParkedDetail, error) {
	return f.one, f.fault
}

func (f *fake) Act(_ context.Context, by dashboard.Operator, target string) dashboard.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acted, f.by = append(f.acted, target), append(f.by, by)
	if f.refuse[target] {
		return dashboard.Result{Status: http.StatusConflict, Text: "parked: it fails still"}
	}
	return dashboard.Result{OK: true, Status: http.StatusOK, Text: "finished"}
}

func (f *fake) Start(job func(ctx context.Context)) bool {
	f.jobs.Go(func() { job(context.Background()) })
	return true
}

func (f *fake) done() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.acted...)
}

// clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// desk is a dashboard with a browser before it.
type desk struct {
	t      *testing.T
	source *fake
	clock  *clock
	dash   *dashboard.Dashboard
	server *httptest.Server
	client *http.Client
}

func setup(t *testing.T, token string) *desk {
	t.Helper()
	d := &desk{t: t, source: &fake{}, clock: &clock{now: time.Now()}}
	d.source.cluster = dashboard.Cluster{
		Self: "n1", Namespace: "test", Store: dashboard.Store{Kind: "memory"}, Parked: 3, ParkedMost: 100,
		Members:    []dashboard.Member{{Name: "n1", State: dashboard.MemberLive, Build: "v1", Partitions: 2, Figures: &dashboard.Figures{Process: "p1", Uptime: time.Minute}}},
		Partitions: []dashboard.Partition{{Number: 0, Owner: "n1"}, {Number: 1, Owner: "n1"}},
	}
	d.dash = dashboard.New(dashboard.Config{Node: "n1", Namespace: "test", Token: token, Now: d.clock.time, Waits: func() string { return "starting for 2s: connects to NATS" }})
	d.dash.Open(d.source)
	d.server = httptest.NewServer(d.dash)
	t.Cleanup(d.server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d.client = &http.Client{Jar: jar}
	return d
}

// answer is what a browser got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (d *desk) send(method, path string, form url.Values, headers ...string) answer {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		d.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := d.client.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func (d *desk) get(path string, headers ...string) answer {
	d.t.Helper()
	return d.send(http.MethodGet, path, nil, headers...)
}

func (d *desk) post(path string, form url.Values, headers ...string) answer {
	d.t.Helper()
	return d.send(http.MethodPost, path, form, headers...)
}

// hidden are the hidden fields of the form of a page that goes to a path.
func hidden(t *testing.T, body, action string) url.Values {
	t.Helper()
	_, rest, ok := strings.Cut(body, `action="`+action+`"`)
	if !ok {
		t.Fatalf("no form goes to %s in %s", action, body)
	}
	rest, _, _ = strings.Cut(rest, "</form>")
	form := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(rest, -1) {
		form.Add(m[1], unescaped(m[2]))
	}
	return form
}

func unescaped(s string) string {
	return strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&#34;", `"`, "&#39;", "'", "&#43;", "+").Replace(s)
}

func has(t *testing.T, what string, a answer, status int, parts ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: answered with %d, want %d: %.400s", what, a.status, status, a.body)
	}
	for _, p := range parts {
		if !strings.Contains(a.body, p) {
			t.Errorf("%s: %q is missing in %s", what, p, a.body)
		}
	}
}

// paths are all pages.
func paths() []string {
	return []string{
		"/dashboard/", "/dashboard/partitions", "/dashboard/kinds", "/dashboard/kinds/order", "/dashboard/projections", "/dashboard/effects", "/dashboard/parked",
		"/dashboard/parked/cause?cause=x", "/dashboard/parked/one?aggregate=a/b&id=c", "/dashboard/actions", "/dashboard/jobs/x", "/dashboard/nothing", "/dashboard/?live=1", "/dashboard/kinds?live=1",
	}
}

// TestDashboard_WithoutALogIn: where a token is due, nobody sees or does anything without it.
func TestDashboard_WithoutALogIn(t *testing.T) {
	t.Parallel()
	d := setup(t, token)
	d.source.cluster.Members[0].Name = "secret-name"
	for _, path := range paths() {
		a := d.get(path)
		if strings.Contains(path, "live=1") && a.body == "event: over\ndata:\n\n" {
			continue // has the page loaded anew
		}
		if a.status != http.StatusUnauthorized || strings.Contains(a.body, "secret-name") || len(a.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s is answered with %d and %s", path, a.status, a.body)
		}
	}
	for _, path := range []string{"/dashboard/ask", "/dashboard/do", "/dashboard/jobs/x"} {
		has(t, path, d.post(path, url.Values{"act": {"node.drain"}}), http.StatusUnauthorized)
	}
	has(t, "a cookie of somebody's own making", d.get("/dashboard/", "Cookie", cookieName(t, d)+"=x"), http.StatusUnauthorized)
	has(t, "a wrong bearer", d.get("/dashboard/", "Authorization", "Bearer "+token+"x"), http.StatusUnauthorized)
	has(t, "the bearer", d.get("/dashboard/", "Authorization", "Bearer "+token), http.StatusOK, "secret-name")
	has(t, "the style sheet", d.get("/dashboard/static/style.css"), http.StatusOK, "light-dark")
	has(t, "the folder", d.get("/dashboard/static/"), http.StatusNotFound)
	if len(d.source.done()) > 0 {
		t.Errorf("something was done: %v", d.source.done())
	}
}

// cookieName logs in with a browser of its own, and returns the cookie's name.
func cookieName(t *testing.T, d *desk) string {
	t.Helper()
	return logIn(t, d, "/dashboard/", "").Name
}

// logIn returns the cookie of a new session.
func logIn(t *testing.T, d *desk, next string, proto string) *http.Cookie {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	form := url.Values{"token": {token}, "next": {next}, "who": {"Ada"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.server.URL+"/dashboard/login", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Forwarded-Proto", proto)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) != 1 {
		t.Fatalf("the log-in is answered with %d and %v", resp.StatusCode, resp.Cookies())
	}
	c := resp.Cookies()[0]
	c.Path = resp.Header.Get("Location") // for whoever looks where it leads
	return c
}

// TestDashboard_LogIn: the cookie is strict and not the token, leads to a page of ours alone,
// and holds for 12 hours or until the log-out.
func TestDashboard_LogIn(t *testing.T) {
	t.Parallel()
	d := setup(t, token)
	for next, want := range map[string]string{
		"/dashboard/kinds?offset=50": "/dashboard/kinds?offset=50", "": "/dashboard/", "https://evil.example/dashboard/": "/dashboard/", "//evil.example/dashboard/": "/dashboard/",
	} {
		d.clock.add(time.Minute)
		c := logIn(t, d, next, "https")
		if c.Path != want || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || !c.Secure || strings.Contains(c.Value, token) || len(c.Value) < 26 {
			t.Errorf("%q leads to %s with %v", next, c.Path, c)
		}
	}
	for _, next := range []string{"/dashboard/../drain", "/dashboard//evil", "/dashboard/\\evil", "/drain"} {
		d.clock.add(time.Minute)
		if c := logIn(t, d, next, ""); c.Path != "/dashboard/" || c.Secure {
			t.Errorf("%q leads to %s with %v", next, c.Path, c)
		}
	}
	d.clock.add(time.Minute)
	a := d.post("/dashboard/login", url.Values{"token": {" " + token + "\n"}, "who": {"Ada"}, "next": {"/dashboard/partitions"}})
	has(t, "the page behind", a, http.StatusOK, "Partitions", "Ada", "Log out")
	has(t, "the log-in page when logged in", d.get("/dashboard/login"), http.StatusOK, "Overview")
	d.clock.add(12*time.Hour + time.Second)
	has(t, "after 12 hours", d.get("/dashboard/"), http.StatusUnauthorized)
	has(t, "again", d.post("/dashboard/login", url.Values{"token": {token}}), http.StatusOK, "Overview")
	page := d.get("/dashboard/")
	has(t, "a log-out of another page", d.post("/dashboard/logout", url.Values{"form": {"x"}}), http.StatusForbidden)
	has(t, "still", d.get("/dashboard/"), http.StatusOK)
	has(t, "the log-out", d.post("/dashboard/logout", hidden(t, page.body, "/dashboard/logout")), http.StatusOK, "Token of this node")
	has(t, "after it", d.get("/dashboard/"), http.StatusUnauthorized)
}

// TestDashboard_LogIn_Tries: an address has five tries at once, and then one in ten seconds;
// also one with the right token waits.
func TestDashboard_LogIn_Tries(t *testing.T) {
	t.Parallel()
	d := setup(t, token)
	for i := range 5 {
		has(t, fmt.Sprint("try ", i), d.post("/dashboard/login", url.Values{"token": {"wrong"}}), http.StatusUnauthorized, "not the token")
	}
	a := d.post("/dashboard/login", url.Values{"token": {token}})
	has(t, "the sixth", a, http.StatusTooManyRequests, "Too many tries")
	if a.header.Get("Retry-After") != "10" {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
	d.clock.add(10 * time.Second)
	has(t, "later", d.post("/dashboard/login", url.Values{"token": {token}}), http.StatusOK, "Overview")
}

// TestDashboard_OtherOrigins: a page elsewhere has nothing done, with the cookie or on an
// address without a token.
func TestDashboard_OtherOrigins(t *testing.T) {
	t.Parallel()
	d := setup(t, "")
	page := d.get("/dashboard/")
	ask := hidden(t, page.body, "/dashboard/ask")
	for _, from := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		has(t, strings.Join(from, " "), d.post("/dashboard/ask", ask, from...), http.StatusForbidden)
	}
	ask.Set("form", "x")
	has(t, "a form that no page has shown", d.post("/dashboard/ask", ask), http.StatusForbidden, "Nothing was done")
	ask.Del("form")
	has(t, "a form without its mark", d.post("/dashboard/ask", ask), http.StatusForbidden)
	for name, want := range map[string]string{"X-Frame-Options": "DENY", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := page.header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if policy := page.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("the policy is %q", policy)
	}
}

// TestDashboard_Acts: an action is done when its own question was answered, once, on behalf
// of whoever is logged in.
func TestDashboard_Acts(t *testing.T) {
	t.Parallel()
	d := setup(t, token)
	d.post("/dashboard/login", url.Values{"token": {token}, "who": {"Ada"}})
	page := d.get("/dashboard/")
	ask := hidden(t, page.body, "/dashboard/ask")
	ask.Set("act", "projection.pause")
	ask.Set("name", "a b/c?d")
	has(t, "do without a question", d.post("/dashboard/do", ask), http.StatusConflict, "nobody was asked")
	question := d.post("/dashboard/ask", ask)
	has(t, "the question", question, http.StatusOK, "Pause a b/c?d", "Readers see what it has", "Do nothing")
	if done := d.source.done(); len(done) > 0 {
		t.Fatalf("done before it was confirmed: %v", done)
	}
	do := hidden(t, question.body, "/dashboard/do")
	other := url.Values{}
	for name := range do {
		other.Set(name, do.Get(name))
	}
	other.Set("name", "another")
	has(t, "another thing than was asked", d.post("/dashboard/do", other), http.StatusConflict, "nobody was asked")
	has(t, "the answer", d.post("/dashboard/do", do), http.StatusOK, "Done: finished")
	has(t, "the answer again", d.post("/dashboard/do", do), http.StatusConflict, "done already")
	d.clock.add(time.Hour)
	question = d.post("/dashboard/ask", ask)
	do = hidden(t, question.body, "/dashboard/do")
	d.clock.add(31 * time.Minute)
	has(t, "an old question", d.post("/dashboard/do", do), http.StatusConflict, "too old")
	has(t, "no such action", d.post("/dashboard/ask", url.Values{"form": ask["form"], "act": {"node.explode"}}), http.StatusBadRequest, "no such action")
	if done := d.source.done(); len(done) != 1 || done[0] != "/projections/a%20b%2Fc%3Fd/pause" || d.source.by[0].Who != "Ada (dashboard)" || !strings.HasPrefix(d.source.by[0].From, "127.0.0.1:") {
		t.Errorf("done: %v by %v", done, d.source.by)
	}
}

// TestDashboard_Parked: what is parked is grouped by what it has in common, and a group is
// retried as a whole, with the result of each.
func TestDashboard_Parked(t *testing.T) {
	t.Parallel()
	d := setup(t, "")
	for i := range 60 {
		d.source.parked = append(d.source.parked, dashboard.ParkedItem{
			ParkedRef: dashboard.ParkedRef{Aggregate: fmt.Sprintf("order/%d", i), CommandID: fmt.Sprintf("id-%d", i)}, Name: "Pay",
			Reason: fmt.Sprintf(`handler panicked: no rate for "C%d" in order/%d, line %d`, i, i, 100+i), Since: time.Now(),
		})
	}
	d.source.parked = append(d.source.parked, dashboard.ParkedItem{
		ParkedRef: dashboard.ParkedRef{Aggregate: "order/<img src=x onerror=alert(1)>", CommandID: "x"}, Name: "Pay", Reason: "<script>alert(1)</script>\u202egnp.exe",
	})
	d.source.refuse = map[string]bool{"/parked/retry?aggregate=order%2F7&id=id-7": true}
	a := d.get("/dashboard/parked")
	has(t, "the list", a, http.StatusOK, ">60<", "Retry 60", "Skip 60", "&lt;script&gt;alert(…)&lt;/script&gt;\ufffdgnp.exe")
	if strings.Contains(a.body, "<script>alert") {
		t.Error("a reason is part of the page")
	}
	cause := regexp.MustCompile(`parked/cause\?cause=([0-9a-f]+)">order Pay</a></h2> <span class="tag num">60<`).FindStringSubmatch(a.body)
	if cause == nil {
		t.Fatalf("no link to the cause in %s", a.body)
	}
	has(t, "the cause", d.get("/dashboard/parked/cause?cause="+cause[1]), http.StatusOK, "order/0", "order/24", "25 of 60", "offset=25")
	has(t, "its last page", d.get("/dashboard/parked/cause?cause="+cause[1]+"&offset=50"), http.StatusOK, "order/59")
	form := hidden(t, a.body, "/dashboard/ask")
	form.Set("act", "cause.retry")
	form.Set("cause", cause[1])
	question := d.post("/dashboard/ask", form)
	has(t, "the question", question, http.StatusOK, "Retry 60 entries")
	if len(d.source.done()) > 0 {
		t.Fatalf("done before it was confirmed: %v", d.source.done())
	}
	job := d.post("/dashboard/do", hidden(t, question.body, "/dashboard/do"))
	has(t, "the job", job, http.StatusOK, "/60")
	d.source.jobs.Wait()
	live := regexp.MustCompile(`data-live="([^"?]*)\?`).FindStringSubmatch(job.body)
	has(t, "its end", d.get(live[1]), http.StatusOK, "Done", ">59<", "order/7<", "failed: parked: it fails still", "finished")
	if done := d.source.done(); len(done) != 60 || done[0] != "/parked/retry?aggregate=order%2F0&id=id-0" {
		t.Errorf("done: %v", done)
	}
}

// TestDashboard_Texts: texts of users are escaped and cut on every page, and an error of one
// part does not take the others away.
func TestDashboard_Texts(t *testing.T) {
	t.Parallel()
	d := setup(t, "")
	evil := `"><script>alert(1)</script>` + strings.Repeat("x", 100_000)
	name := `"><script>alert(1)</script>`
	c := &d.source.cluster
	c.Problems, c.Store.Err, c.NATS.Err, c.ParkedErr = []string{evil}, evil, evil, evil
	c.NATS.Streams = []dashboard.Stream{{Name: evil, Replicas: 3, Live: 1, Gone: []string{evil}}}
	f := c.Members[0].Figures
	f.Faults, f.Warnings = []string{evil}, []string{evil}
	f.Commands = []dashboard.CommandFigures{{Kind: "order", Command: evil}}
	f.Projections = []dashboard.ProjectionFigures{{Name: "books<b>", Error: evil, ErrorAt: time.Now()}}
	f.Effects = []dashboard.EffectFigures{{Effect: name, Error: evil}}
	f.Actions = []dashboard.ActionRecord{{Who: evil, Action: evil, Detail: evil, From: evil}}
	c.Members = append(c.Members, dashboard.Member{Name: evil, State: dashboard.MemberLive, Build: evil, Silent: evil, Address: evil})
	c.Partitions[1].Owner = evil
	d.source.one = dashboard.ParkedDetail{ParkedItem: dashboard.ParkedItem{ParkedRef: dashboard.ParkedRef{Aggregate: name}, Reason: evil}, Stack: evil, Data: evil}
	for _, path := range paths() {
		if strings.Contains(path, "live=1") {
			continue
		}
		a := d.get(path)
		if strings.Contains(a.body, "<script>alert") || len(a.body) > 60<<10 {
			t.Errorf("%s has %d bytes, a script: %v", path, len(a.body), strings.Contains(a.body, "<script>alert"))
		}
		if strings.Contains(a.body, "<b></h2>") {
			t.Errorf("%s has a name as markup", path)
		}
	}
	has(t, "the projections", d.get("/dashboard/projections"), http.StatusOK, "30 %", "books&lt;b&gt;", "still", "no answer")
	d.source.fault = io.ErrUnexpectedEOF
	has(t, "the effects without a store", d.get("/dashboard/effects"), http.StatusOK, "cannot be read now", "What aggregates ask")
	has(t, "the parked without a store", d.get("/dashboard/parked"), http.StatusOK, "cannot be read now")
	has(t, "the projections without a store", d.get("/dashboard/projections"), http.StatusServiceUnavailable, "cannot be read now")
	has(t, "the overview without a store", d.get("/dashboard/"), http.StatusOK, "The store does not answer", "v1")
}

// TestDashboard_Opening: while the node opens, its pages say what it waits for, to those who
// are let in.
func TestDashboard_Opening(t *testing.T) {
	t.Parallel()
	d := dashboard.New(dashboard.Config{Node: "n1", Waits: func() string { return "starting for 2s: <connects>" }})
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/dashboard/kinds", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "starting for 2s: &lt;connects&gt;") || w.Header().Get("Refresh") != "2" {
		t.Errorf("answered with %d, %v: %s", w.Code, w.Header(), w.Body)
	}
	w = httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusFound || w.Header().Get("Location") != "/dashboard/" {
		t.Errorf("/ is answered with %d, %v", w.Code, w.Header())
	}
}

// TestDashboard_Live: the live part comes as an event, a sign of life each second, and the
// stream ends with the session.
func TestDashboard_Live(t *testing.T) {
	t.Parallel()
	d := setup(t, token)
	page := d.post("/dashboard/login", url.Values{"token": {token}})
	path := regexp.MustCompile(`data-live="([^"]*)"`).FindStringSubmatch(page.body)
	if path == nil {
		t.Fatalf("the page follows nothing: %s", page.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.server.URL+unescaped(path[1]), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	until := func(want string) (seen string) {
		t.Helper()
		for lines.Scan() {
			if seen += lines.Text() + "\n"; lines.Text() == want {
				return seen
			}
		}
		t.Fatalf("%q does not come after %s: %v", want, seen, lines.Err())
		return ""
	}
	until("event: show")
	until("event: beat")
	d.source.mu.Lock()
	d.source.cluster.Problems = []string{"it\n\nis <odd>"}
	d.source.mu.Unlock()
	d.clock.add(2 * time.Second)
	until("event: show")
	if text := until("event: beat"); !strings.Contains(text, "\ndata: is &lt;odd&gt;") {
		t.Errorf("the change is %s", text)
	}
	d.post("/dashboard/logout", hidden(t, page.body, "/dashboard/logout"))
	until("event: over")
	if lines.Scan(); lines.Text() != "data:" {
		t.Errorf("after the end: %q", lines.Text())
	}
}
