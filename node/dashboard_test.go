package node_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// dashboardOf returns a page of a node's dashboard.
func dashboardOf(t *testing.T, n *nodes.Local, path string) string {
	t.Helper()
	status, text := request(t.Context(), t, http.MethodGet, n.AdminURL()+"/dashboard/"+path)
	if status != http.StatusOK {
		t.Fatalf("%s is answered with %d: %s", path, status, text)
	}
	return text
}

// formOf returns the form of a page that goes to a path, with what it holds for an action.
func formOf(t *testing.T, page, action string, with ...string) url.Values {
	t.Helper()
	for _, part := range strings.Split(page, `action="`+action+`"`)[1:] {
		part, _, _ = strings.Cut(part, "</form>")
		form := url.Values{}
		for _, m := range regexp.MustCompile(`name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(part, -1) {
			form.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
		}
		if len(with) == 0 || form.Get(with[0]) == with[1] {
			return form
		}
	}
	t.Fatalf("no form goes to %s with %v in %s", action, with, page)
	return nil
}

func postForm(t *testing.T, n *nodes.Local, path string, form url.Values) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.AdminURL()+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestNode_Dashboard_AllNodes: the page of kinds at one node has what both execute, and says
// of a third one, which is of an earlier build, and of one that does not answer that their
// figures are missing.
func TestNode_Dashboard_AllNodes(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t, testharness.WithListener())
	one := nodes.Start(t, node.Config{Name: "one", NATSURL: s.URL(), Partitions: 8}, gauges(nil))
	two := nodes.Start(t, node.Config{Name: "two", NATSURL: s.URL()}, gauges(nil))
	c := caller{t, one.URL()}
	sent := 0
	row := regexp.MustCompile(`<td>(one|two)</td><td class="num">([0-9.,]+)</td>`)
	testharness.Eventually(t, 30*time.Second, func() bool {
		for range 20 {
			c.expect("raise", c.post(fmt.Sprintf("/v1/gauge/g%d/Raise", sent), `{"by":1}`), 200, "")
			sent++
		}
		rates := map[string]string{}
		for _, m := range row.FindAllStringSubmatch(dashboardOf(t, one, "kinds"), -1) {
			rates[m[1]] = m[2]
		}
		return rates["one"] != "" && rates["one"] != "0" && rates["two"] != "" && rates["two"] != "0"
	})
	total := regexp.MustCompile(`(?s)<tr><td>Raise</td>.*?<td class="num">([0-9]+)</td></tr>`)
	testharness.Eventually(t, 10*time.Second, func() bool {
		m := total.FindStringSubmatch(dashboardOf(t, one, "kinds"))
		return m != nil && m[1] == fmt.Sprint(sent)
	})
	for _, p := range []string{"", "partitions", "kinds/gauge", "projections", "effects", "parked", "actions"} {
		testharness.Eventually(t, 10*time.Second, func() bool { return !strings.Contains(dashboardOf(t, one, p), "silent") })
	}
	testharness.Eventually(t, 10*time.Second, func() bool {
		text := dashboardOf(t, one, "partitions")
		return strings.Contains(text, "Partition 7: ") && !strings.Contains(text, "no owner")
	})
	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	st, err := jetstream.Open(t.Context(), nc, jetstream.Config{Namespace: "ganglion"})
	if err != nil {
		t.Fatal(err)
	}
	// A node whose process stands still: it has a session, and does not answer.
	if err := st.OpenSession(t.Context(), store.Session{Name: "deaf", Incarnation: "still", Kinds: []string{"gauge"}, Lease: time.Minute}, nil); err != nil {
		t.Fatal(err)
	}
	testharness.Eventually(t, 10*time.Second, func() bool {
		text := dashboardOf(t, two, "kinds")
		return regexp.MustCompile(`<td>deaf</td><td colspan="5" class="text"><span class="state s-silent">silent</span> <span class="soft">no answer within`).MatchString(text)
	})
	// An earlier build looks at nothing that it is asked, and tells its lag alone.
	if _, err := nc.Subscribe("ganglion.standing.deaf", func(msg *nats.Msg) {
		old, _ := json.Marshal(map[string]any{"incarnation": "still", "lag": map[string]int{}})
		_ = msg.Respond(old)
	}); err != nil {
		t.Fatal(err)
	}
	testharness.Eventually(t, 10*time.Second, func() bool {
		return strings.Contains(dashboardOf(t, two, "kinds"), "an older build, which gives no figures")
	})
}

// TestNode_Dashboard_RetriesParked: what is parked is retried from its page, once that was
// confirmed, and the log and the page of actions say by whom.
func TestNode_Dashboard_RetriesParked(t *testing.T) {
	t.Parallel()
	var log lockedLog
	broken, executed := &atomic.Bool{}, &atomic.Int64{}
	purses := spenders(broken, executed)
	n := nodes.Start(t, node.Config{Partitions: 4, Logger: slog.New(slog.NewTextHandler(&log, nil))}, purses)
	ask := func(m actor.Client, id actor.CommandID, want error) {
		if _, err := actor.Ask(t.Context(), m, purses.ID("p"), spend{}, actor.WithCommandID(id)); !errors.Is(err, want) {
			t.Fatalf("%s: %v, want %v", id, err, want)
		}
	}
	broken.Store(true)
	ask(n.Client(), "x", actor.ErrParked)
	ask(n.Client(), "y", actor.ErrParked)
	broken.Store(false)
	list := dashboardOf(t, n, "parked")
	if !strings.Contains(list, "Retry 2") || !strings.Contains(list, "no change") {
		t.Fatalf("the page is %s", list)
	}
	cause := regexp.MustCompile(`/dashboard/parked/cause\?cause=([0-9a-f]+)`).FindStringSubmatch(list)[1]
	of := dashboardOf(t, n, "parked/cause?cause="+cause)
	if one := dashboardOf(t, n, "parked/one?aggregate=purse/p&id=x"); !strings.Contains(one, "&#34;cents&#34;: 0") || !strings.Contains(one, "parked_test.go") {
		t.Errorf("one of it is %s", one)
	}
	question := postForm(t, n, "/dashboard/ask", formOf(t, of, "/dashboard/ask", "id", "x"))
	if executed.Load() != 0 || !strings.Contains(dashboardOf(t, n, "parked"), "Retry 2") {
		t.Fatal("it was executed before it was confirmed")
	}
	if done := postForm(t, n, "/dashboard/do", formOf(t, question, "/dashboard/do")); !strings.Contains(done, "Done: finished, ok") || executed.Load() != 1 {
		t.Fatalf("executed %d times: %s", executed.Load(), done)
	}
	question = postForm(t, n, "/dashboard/ask", formOf(t, list, "/dashboard/ask", "act", "cause.retry"))
	job := postForm(t, n, "/dashboard/do", formOf(t, question, "/dashboard/do"))
	path := regexp.MustCompile(`data-live="/dashboard/(jobs/[^"?]*)\?`).FindStringSubmatch(job)[1]
	testharness.Eventually(t, 10*time.Second, func() bool { return strings.Contains(dashboardOf(t, n, path), "Done") })
	if executed.Load() != 2 {
		t.Errorf("executed %d times: %s", executed.Load(), dashboardOf(t, n, path))
	}
	if text := dashboardOf(t, n, "parked"); !strings.Contains(text, "Nothing is parked") {
		t.Errorf("parked still: %s", text)
	}
	if text := log.text(); !strings.Contains(text, `action="/parked/retry?aggregate=purse%2Fp&id=x" who=dashboard from=127.0.0.1:`) || !strings.Contains(text, "outcome=done") {
		t.Errorf("the log has %s", text)
	}
	testharness.Eventually(t, 10*time.Second, func() bool {
		text := dashboardOf(t, n, "actions")
		return strings.Contains(text, "POST /parked/retry?aggregate=purse%2Fp&amp;id=y") && strings.Contains(text, "dashboard")
	})
}

// TestNode_Dashboard_Doors: the pages ask for the token themselves, and take it in no other
// way than the server's door does; a link elsewhere may lead to them, and nothing else.
func TestNode_Dashboard_Doors(t *testing.T) {
	t.Parallel()
	file, token := secretFile(t)
	n := nodes.Start(t, node.Config{Partitions: 4, AdminAddr: "0.0.0.0:0", AdminTokenFile: file}, gauges(nil))
	admin := port(t, n.AdminAddr())
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	bearer := []string{"Authorization", "Bearer " + token}
	link := []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	for _, c := range []struct {
		what, method, path, host string
		want                     int
		headers                  []string
	}{
		{"the root", "GET", "/", "", 302, nil},
		{"no token", "GET", "/dashboard/", "", 401, nil},
		{"the log-in page", "GET", "/dashboard/login", "", 200, nil},
		{"the bearer", "GET", "/dashboard/kinds", "", 200, bearer},
		{"another host", "GET", "/dashboard/login", "evil.example", 421, nil},
		{"a link", "GET", "/dashboard/", "", 401, link},
		{"a link with the bearer", "GET", "/dashboard/", "", 200, append(link, bearer...)},
		{"a frame", "GET", "/dashboard/", "", 403, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}},
		{"a script", "GET", "/dashboard/static/live.js", "", 403, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}},
		{"a form elsewhere", "POST", "/dashboard/login", "", 403, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}},
		{"a link to what is for programs", "GET", "/parked", "", 403, link},
		{"programs have no cookie", "GET", "/parked", "", 401, nil},
		{"a path that only looks like it", "GET", "/dashboards", "", 401, nil},
		{"a way out", "GET", "/dashboard/../parked", "", 307, bearer},
	} {
		if got := ask(t, client, c.method, admin+c.path, c.host, c.headers...); got != c.want {
			t.Errorf("%s: %s %s is answered with %d, want %d", c.what, c.method, c.path, got, c.want)
		}
	}
}
