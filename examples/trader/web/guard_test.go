package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/web"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/node/nodetest"
)

// TestGuards: what strangers, and users with each other's things, must not be able to do.
func TestGuards(t *testing.T) { //nolint:tparallel // one node
	t.Parallel()
	app := &web.App{APIAddr: "127.0.0.1:0", PasswordCost: 4}
	n := nodetest.Start(t, app.Config(), web.Definitions()...)
	ask(t, n, domain.Companies.ID("shell"), domain.CreateCompany{Name: "Shell", Value: 500, Shares: 5000})
	n.AtRest()
	ann, eve := newBrowser(t, n.URL()), newBrowser(t, n.URL())
	ann.register(n, "ann")
	eve.register(n, "eve")
	t.Run("CSRF", func(t *testing.T) { csrf(t, n, ann, eve) })
	t.Run("Rights", func(t *testing.T) { rights(t, n, ann, eve) })
	t.Run("Fixation", func(t *testing.T) { fixation(t, n) })
	t.Run("Logout", func(t *testing.T) { logout(t, n) })
	t.Run("Enumeration", func(t *testing.T) { enumeration(t, n) })
	t.Run("Headers", func(t *testing.T) { headers(t, ann) })
	t.Run("Operator", func(t *testing.T) { operator(t, app, n) })
}

// csrf: a form that another site has had a browser send, or that is another user's.
func csrf(t *testing.T, n *nodetest.Node, ann, eve *browser) {
	t.Helper()
	form := ann.form("/dashboard", "/dashboard/cash", "amount", "5", "way", "in")
	others := eve.form("/dashboard", "/dashboard/cash", "amount", "5", "way", "in")
	for name, change := range map[string]func(url.Values){
		"without":   func(v url.Values) { v.Del("csrf") },
		"empty":     func(v url.Values) { v.Set("csrf", "") },
		"another's": func(v url.Values) { v.Set("csrf", others.Get("csrf")) },
	} {
		bad := url.Values{"csrf": {form.Get("csrf")}, "key": {"k"}, "amount": {"5"}, "way": {"in"}}
		change(bad)
		if got := ann.do(http.MethodPost, "/dashboard/cash", bad); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if got := newBrowser(t, n.URL()).do(http.MethodPost, "/login", url.Values{"csrf": {""}, "key": {"k"}, "username": {"ann"}, "password": {password}}); got.status != http.StatusForbidden {
		t.Errorf("a log-in without a cookie: %d", got.status)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.URL()+"/dashboard/cash", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://elsewhere.example")
	response, err := ann.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("from another origin: %s", response.Status)
	}
	form.Del("key")
	wants(t, ann.do(http.MethodPost, "/dashboard/cash", form), http.StatusBadRequest)
	wants(t, ann.get("/dashboard"), http.StatusOK, `<span class="amount">$ 0.00</span>`)
}

// rights: nobody trades from another's portfolio, or sees another's orders.
func rights(t *testing.T, n *nodetest.Node, ann, eve *browser) {
	t.Helper()
	wants(t, ann.do(http.MethodPost, "/dashboard/cash", ann.form("/dashboard", "/dashboard/cash", "amount", "50", "way", "in")), http.StatusOK, "$ 50.00")
	annsID, _, err := actor.State[struct{ Owner string }](t.Context(), n.Client(), domain.Usernames.ID("ann"))
	if err != nil {
		t.Fatal(err)
	}
	order := eve.form("/market/shell", "/market/shell/orders", "side", "buy", "count", "1", "price", "1", "portfolioId", annsID.Owner, "portfolio", annsID.Owner)
	wants(t, eve.do(http.MethodPost, "/market/shell/orders", order), http.StatusOK)
	n.AtRest()
	wants(t, ann.get("/dashboard"), http.StatusOK, "$ 50.00", "There are none yet")
	wants(t, eve.get("/transactions"), http.StatusOK, "rejected")

	got := ann.do(http.MethodPost, "/market/shell/orders", ann.form("/market/shell", "/market/shell/orders", "side", "buy", "count", "1", "price", "1"))
	wants(t, got, http.StatusOK)
	id := strings.TrimPrefix(got.path, "/market/shell?order=")
	for _, path := range []string{"/transactions/" + id, "/transactions/" + id + "/live"} {
		wants(t, eve.get(path), http.StatusNotFound)
	}
	if page := eve.get("/market/shell?order=" + id); strings.Contains(page.text, id) {
		t.Error("the page of a book shows another's order")
	}
	stolen := eve.form("/dashboard", "/dashboard/cash")
	wants(t, eve.do(http.MethodPost, "/transactions/"+id+"/cancel", stolen), http.StatusNotFound)
	wants(t, ann.get("/transactions/"+id), http.StatusOK, "Cancel the remaining 1")
	stranger := newBrowser(t, n.URL())
	for _, path := range []string{"/dashboard", "/transactions", "/transactions/" + id, "/users"} {
		if got := stranger.get(path); got.path != "/login" {
			t.Errorf("%s of nobody: %s", path, got.path)
		}
	}
	for _, path := range []string{"/v1/cluster", "/openapi.json", "/give", "/companies", "/v1/portfolio/" + annsID.Owner} {
		if got := ann.get(path); got.status != http.StatusNotFound {
			t.Errorf("%s on the users' address: %d", path, got.status)
		}
	}
}

// fixation: whoever has planted a cookie does not know the one of the session.
func fixation(t *testing.T, n *nodetest.Node) {
	t.Helper()
	planted := strings.Repeat("A", 26)
	b := newBrowser(t, n.URL())
	u, err := url.Parse(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	b.jar.SetCookies(u, []*http.Cookie{{Name: "trader_session", Value: planted, Path: "/"}})
	wants(t, b.do(http.MethodPost, "/login", b.form("/login", "/login", "username", "eve", "password", password)), http.StatusOK, "The eve")
	first := b.session()
	if first == planted || first == "" {
		t.Fatalf("the session is the one that was planted: %q", first)
	}
	b.do(http.MethodPost, "/logout", b.form("/market", "/logout"))
	wants(t, b.do(http.MethodPost, "/login", b.form("/login", "/login", "username", "eve", "password", password)), http.StatusOK, "The eve")
	if second := b.session(); second == first || second == "" {
		t.Errorf("two log-ins have one session: %q", second)
	}
}

// logout: a session that has ended is of no use, wherever its cookie is.
func logout(t *testing.T, n *nodetest.Node) {
	t.Helper()
	b := newBrowser(t, n.URL())
	b.register(n, "leaver")
	copied := b.clone(n.URL())
	wants(t, copied.get("/dashboard"), http.StatusOK, "The leaver")
	got := b.do(http.MethodPost, "/logout", b.form("/dashboard", "/logout"))
	if wants(t, got, http.StatusOK, "Log in"); b.session() != "" {
		t.Error("the browser keeps the cookie")
	}
	if got := copied.get("/dashboard"); got.path != "/login" {
		t.Errorf("with the cookie of a session that has ended: %s", got.path)
	}
}

// enumeration: an unknown user and a wrong password get the same answer, word by word, and
// after some tries the same refusal.
func enumeration(t *testing.T, n *nodetest.Node) {
	t.Helper()
	newBrowser(t, n.URL()).register(n, "known")
	pages := map[string]string{}
	var last answer
	for _, name := range []string{"known", "unknown"} {
		b := newBrowser(t, n.URL())
		form := b.form("/login", "/login", "username", name, "password", "wrong password")
		got := b.do(http.MethodPost, "/login", form)
		wants(t, got, http.StatusUnauthorized, "No user has this name with this password.")
		pages[name] = strings.ReplaceAll(hidden.ReplaceAllString(got.text, ""), name, "NAME")
		for range 10 {
			if last = b.do(http.MethodPost, "/login", form); last.status == http.StatusTooManyRequests {
				break
			}
		}
		wants(t, last, http.StatusTooManyRequests, "too many tries")
		form.Set("password", password) // the limit is not told from the password either
		wants(t, b.do(http.MethodPost, "/login", form), http.StatusTooManyRequests)
	}
	if pages["known"] != pages["unknown"] {
		t.Errorf("the answers differ:\n%s\n%s", pages["known"], pages["unknown"])
	}
}

func headers(t *testing.T, b *browser) {
	t.Helper()
	for _, path := range []string{"/market", "/market/shell", "/dashboard", "/nothing", "/static/style.css"} {
		got := b.get(path)
		if policy := got.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %q", path, policy)
		}
		if strings.Contains(got.text, " style=") || strings.Contains(got.text, "<style") || strings.Contains(got.text, "<script>") || strings.Contains(got.text, "//cdn") {
			t.Errorf("%s has something inline, which browsers refuse", path)
		}
	}
	for _, path := range []string{"/market/nothing", "/market/%ff", "/market/%00", "/market/" + strings.Repeat("a", 4000), "/transactions/%ff"} {
		wants(t, b.get(path), http.StatusNotFound, "There is no such page.")
	}
	wants(t, b.do(http.MethodPost, "/login", url.Values{"csrf": {strings.Repeat("x", 20<<10)}}), http.StatusBadRequest)
}

// operator: the second address has the command API and the administrator's page.
func operator(t *testing.T, app *web.App, n *nodetest.Node) {
	t.Helper()
	admin := newBrowser(t, app.APIURL())
	wants(t, admin.get("/v1/cluster"), http.StatusOK)
	eves, _, err := actor.State[struct{ Owner string }](t.Context(), n.Client(), domain.Usernames.ID("eve"))
	if err != nil {
		t.Fatal(err)
	}
	wants(t, admin.get("/v1/session/x"), http.StatusNotFound)
	wants(t, admin.do(http.MethodPost, "/v1/user/"+eves.Owner+"/queries/ReadPasswordHash", nil), http.StatusNotFound)
	give := admin.form("/", "/give", "portfolio", eves.Owner, "what", "shell", "amount", "70")
	for range 2 {
		wants(t, admin.do(http.MethodPost, "/give", give), http.StatusOK, "Administration")
	}
	give.Set("what", "")
	give.Set("amount", "1.50")
	wants(t, admin.do(http.MethodPost, "/give", give), http.StatusOK)
	p, _, err := actor.State[domain.PortfolioView](t.Context(), n.Client(), domain.Portfolios.ID(eves.Owner))
	if err != nil || p.Items["shell"] != 70 || p.Cash != 150 {
		t.Errorf("%+v %v", p, err)
	}
	company := admin.form("/", "/companies", "name", "Fresh & Co", "shares", "1,000")
	for range 2 {
		wants(t, admin.do(http.MethodPost, "/companies", company), http.StatusOK)
	}
	n.AtRest()
	if page := admin.get("/"); strings.Count(page.text, "Fresh &amp; Co") != 1 {
		t.Errorf("the company is not listed once: %s", page.text)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, app.APIURL()+"/give", strings.NewReader(give.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	response, err := admin.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another site: %s", response.Status)
	}
	r, err = http.NewRequestWithContext(t.Context(), http.MethodGet, app.APIURL()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "rebound.example"
	if response, err = admin.client.Do(r); err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("under another name: %s", response.Status)
	}
}

func TestApp_RefusesAnOpenAPI(t *testing.T) {
	t.Parallel()
	app := &web.App{APIAddr: "0.0.0.0:0"}
	cfg := app.Config()
	cfg.HTTPAddr, cfg.AdminAddr, cfg.DataDir = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	cfg.Partitions = 4
	n, err := node.Open(t.Context(), cfg, web.Definitions()...)
	if err == nil {
		_ = n.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "--api-open") {
		t.Error(err)
	}
}

// TestLimits_HoldOverNodes: whoever goes from node to node has no more tries than at one.
func TestLimits_HoldOverNodes(t *testing.T) {
	t.Parallel()
	n := start(t)
	other := n.Join()
	const burst, every = 5, 10 * time.Second
	began := time.Now()
	tried := 0
	for range 2 * burst {
		for _, base := range []string{n.URL(), other.URL()} {
			b := newBrowser(t, base)
			got := b.do(http.MethodPost, "/login", b.form("/login", "/login", "username", "mallory", "password", "wrong password"))
			if got.status == http.StatusUnauthorized {
				tried++
			} else {
				wants(t, got, http.StatusTooManyRequests, "too many tries")
			}
		}
	}
	if most := burst + 1 + int(time.Since(began)/every); tried < burst || tried > most {
		t.Errorf("%d passwords were looked at, at least %d and at most %d should be", tried, burst, most)
	}
}

// TestLogin_WorksAsMuch: comparing a hash takes far longer than all the rest of a log-in. A
// name that nobody has, or can have, costs one as well, of the same cost.
func TestLogin_WorksAsMuch(t *testing.T) {
	t.Parallel()
	const cost = 5
	app := &web.App{PasswordCost: cost}
	n := nodetest.Start(t, app.Config(), web.Definitions()...)
	newBrowser(t, n.URL()).register(n, "known")
	for _, name := range []string{"known", "nobody", "no body", "\x00"} {
		b := newBrowser(t, n.URL())
		form := b.form("/login", "/login", "username", name, "password", "wrong password")
		before := app.Compared()
		wants(t, b.do(http.MethodPost, "/login", form), http.StatusUnauthorized)
		if compared := app.Compared() - before; compared != 1 {
			t.Errorf("%q: %d hashes are compared", name, compared)
		}
	}
	if of, err := app.DecoyCost(); err != nil || of != cost {
		t.Errorf("the cost of nobody's password is %d, want %d: %v", of, cost, err)
	}
}
