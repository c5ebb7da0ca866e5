package web_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/web"
	"github.com/ganglion-go/ganglion/node/nodetest"
	"github.com/ganglion-go/ganglion/testharness"
)

func TestMain(m *testing.M) { testharness.Main(m) }

const password = "correct horse"

// start starts a node with a company, whose book is shell.
func start(t *testing.T) *nodetest.Node {
	t.Helper()
	n := nodetest.Start(t, (&web.App{PasswordCost: 4}).Config(), web.Definitions()...)
	ask(t, n, domain.Companies.ID("shell"), domain.CreateCompany{Name: "Shell", Value: 500, Shares: 5000})
	n.AtRest()
	return n
}

func ask[C actor.Asking[R], R any](t *testing.T, n *nodetest.Node, to actor.Address, command C) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := actor.Ask[R](ctx, n.Client(), to, command); err != nil {
		t.Fatalf("%s: %v", to, err)
	}
}

// browser is a browser without scripts.
type browser struct {
	t      *testing.T
	client *http.Client
	base   string
	jar    *cookiejar.Jar
}

func newBrowser(t *testing.T, base string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, base: base, jar: jar, client: &http.Client{Jar: jar, Timeout: time.Minute}}
}

// clone returns a browser with the same cookies, which then changes none of b's.
func (b *browser) clone(base string) *browser {
	b.t.Helper()
	c := newBrowser(b.t, base)
	for _, of := range []string{b.base, base} {
		u, err := url.Parse(of)
		if err != nil {
			b.t.Fatal(err)
		}
		c.jar.SetCookies(u, b.jar.Cookies(u))
	}
	return c
}

// answer is a page, after redirects.
type answer struct {
	status int
	path   string
	text   string
	header http.Header
}

// do sends a request, and again for as long as the answer is that it should be: on a machine
// that has much else to do, a node does without its lease now and then.
func (b *browser) do(method, path string, form url.Values) (got answer) {
	b.t.Helper()
	testharness.Eventually(b.t, 2*time.Minute, func() bool {
		got = b.try(method, path, form)
		return got.status != http.StatusServiceUnavailable
	})
	return got
}

func (b *browser) try(method, path string, form url.Values) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Request.URL.RequestURI(), string(text), response.Header}
}

func (b *browser) get(path string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, path, nil)
}

var hidden = regexp.MustCompile(`name="(csrf|key)" value="([^"]*)"`)

// form returns what a form on a page has before anybody types: that which goes to action.
func (b *browser) form(path, action string, fields ...string) url.Values {
	b.t.Helper()
	page := b.get(path)
	_, rest, ok := strings.Cut(page.text, `action="`+action+`"`)
	if !ok {
		b.t.Fatalf("%s: %d, no form for %s: %s", path, page.status, action, page.text)
	}
	rest, _, _ = strings.Cut(rest, "</form>")
	values := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(rest, -1) {
		values.Set(m[1], m[2])
	}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return values
}

// register registers somebody, who then is logged in, and returns the id of the user.
func (b *browser) register(n *nodetest.Node, username string) string {
	b.t.Helper()
	got := b.do(http.MethodPost, "/register", b.form("/register", "/register", "name", "The "+username, "username", username, "password", password))
	if got.path != "/dashboard" || got.status != http.StatusOK {
		b.t.Fatalf("%d %s: %s", got.status, got.path, got.text)
	}
	held, _, err := actor.State[struct{ Owner string }](b.t.Context(), n.Client(), domain.Usernames.ID(username))
	if err != nil {
		b.t.Fatal(err)
	}
	return held.Owner
}

func (b *browser) session() string {
	u, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.jar.Cookies(u) {
		if c.Name == "trader_session" {
			return c.Value
		}
	}
	return ""
}

func wants(t *testing.T, got answer, status int, parts ...string) {
	t.Helper()
	if got.status != status {
		t.Fatalf("%s: %d, want %d: %s", got.path, got.status, status, got.text)
	}
	for _, part := range parts {
		if !strings.Contains(got.text, part) {
			t.Fatalf("%s lacks %q: %s", got.path, part, got.text)
		}
	}
}

// TestJourney has two users trade over the web servers of two nodes, one of which dies.
func TestJourney(t *testing.T) {
	t.Parallel()
	n := start(t)
	other := n.Join()
	ann, bob := newBrowser(t, n.URL()), newBrowser(t, other.URL())
	ann.register(n, "ann")
	seller := bob.register(n, "bob")
	wants(t, ann.do(http.MethodPost, "/dashboard/cash", ann.form("/dashboard", "/dashboard/cash", "amount", "1,000.00", "way", "in")), http.StatusOK, "$\u00a01,000.00")
	ask(t, n, domain.Portfolios.ID(seller), domain.AddItems{OrderBookID: "shell", Count: 100})

	live := follow(t, ann, "/market/shell/live")
	placed := bob.do(http.MethodPost, "/market/shell/orders", bob.form("/market/shell", "/market/shell/orders", "side", "sell", "count", "40", "price", "0.08"))
	wants(t, placed, http.StatusOK, "Sell 40 Shell", "Your last order here")
	live.await("Sellers</h2>", "$\u00a00.08")
	wants(t, ann.do(http.MethodPost, "/market/shell/orders", ann.form("/market/shell", "/market/shell/orders", "side", "buy", "count", "25", "price", "0.10")), http.StatusOK, "Buy 25 Shell")
	live.await("<td>25</td><td>$\u00a00.08</td><td>$\u00a02.00</td>")
	n.AtRest()
	wants(t, ann.get("/dashboard"), http.StatusOK, "$\u00a0998.00", `Shell</a></td><td>25</td>`, "executed")
	wants(t, bob.get("/transactions"), http.StatusOK, "25 of 40", "partially executed")

	// Bob cancels the rest, after the node that he has logged in at is gone.
	other.Kill()
	bob.base = n.URL()
	page := bob.get("/dashboard")
	wants(t, page, http.StatusOK, "The bob", "$\u00a02.00")
	id := regexp.MustCompile(`/transactions/(t-[a-z0-9]+)`).FindString(page.text)
	wants(t, bob.get(id), http.StatusOK, "Cancel the remaining 15", `class="now" aria-current="step">trading`)
	cancel := bob.form(id, id+"/cancel")
	for range 2 {
		wants(t, bob.do(http.MethodPost, id+"/cancel", cancel), http.StatusOK)
	}
	n.AtRest()
	wants(t, bob.get(id), http.StatusOK, "It was cancelled")
	wants(t, bob.get("/dashboard"), http.StatusOK, `Shell</a></td><td>75</td><td>0</td>`)
	wants(t, bob.get("/market/shell"), http.StatusOK, "nobody", "$\u00a00.08")
	wants(t, bob.get("/users"), http.StatusOK, "The ann")
}

// stream is a part of a page that follows what happens.
type stream struct {
	t    *testing.T
	text chan string
}

func follow(t *testing.T, b *browser, path string) *stream {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{t: t, text: make(chan string, 1024)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		response, err := (&http.Client{Jar: b.jar}).Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = response.Body.Close() }()
		if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Error(got)
		}
		buffer := make([]byte, 64<<10)
		for {
			n, err := response.Body.Read(buffer)
			select {
			case s.text <- string(buffer[:n]):
			default: // nobody waits any more
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { <-ended }) // with the test's context
	return s
}

// await waits until all parts have come, in this order.
func (s *stream) await(parts ...string) {
	s.t.Helper()
	patience := time.NewTimer(30 * time.Second)
	defer patience.Stop()
	var all strings.Builder
	for {
		select {
		case text := <-s.text:
			all.WriteString(text)
		case <-patience.C:
			s.t.Fatalf("%q has not come, but %s", parts, all.String())
		}
		rest, found := all.String(), true
		for _, part := range parts {
			if _, rest, found = strings.Cut(rest, part); !found {
				break
			}
		}
		if found {
			return
		}
	}
}

// A form that is sent twice, at two nodes, is one order; with another count it is another.
func TestForms_Twice(t *testing.T) {
	t.Parallel()
	n := start(t)
	other := n.Join()
	b := newBrowser(t, n.URL())
	registration := b.form("/register", "/register", "name", "Ann", "username", "ann", "password", password)
	for _, base := range []string{n.URL(), other.URL()} {
		wants(t, b.clone(base).do(http.MethodPost, "/register", registration), http.StatusOK, "<h1>Ann</h1>")
	}
	b = newBrowser(t, n.URL())
	b.do(http.MethodPost, "/login", b.form("/login", "/login", "username", "ann", "password", password))
	again := &browser{t: t, base: other.URL(), client: b.client, jar: b.jar}
	cash := b.form("/dashboard", "/dashboard/cash", "amount", "10", "way", "in")
	order := b.form("/market/shell", "/market/shell/orders", "side", "buy", "count", "2", "price", "1")
	for _, one := range []*browser{b, again, b} {
		wants(t, one.do(http.MethodPost, "/dashboard/cash", cash), http.StatusOK)
		wants(t, one.do(http.MethodPost, "/market/shell/orders", order), http.StatusOK)
	}
	n.AtRest()
	page := b.get("/dashboard")
	wants(t, page, http.StatusOK, "$\u00a08.00", "$\u00a02.00")
	if count := strings.Count(page.text, "/transactions/t-"); count != 1 {
		t.Errorf("%d orders: %s", count, page.text)
	}
	order.Set("count", "3")
	wants(t, b.do(http.MethodPost, "/market/shell/orders", order), http.StatusOK)
	n.AtRest()
	if count := strings.Count(b.get("/transactions").text, "/transactions/t-"); count != 2 {
		t.Errorf("%d orders with another count", count)
	}
	order.Set("count", "1.5")
	wants(t, b.do(http.MethodPost, "/market/shell/orders", order), http.StatusUnprocessableEntity, "Nothing was ordered", `value="1.5"`)
}
