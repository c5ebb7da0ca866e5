package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const (
	// envAxe names the file axe.min.js of axe-core. Without it, pages are not tried with it.
	envAxe = "GANGLION_AXE"
	// envLook names a folder for pictures of all pages.
	envLook = "GANGLION_LOOK"
)

// TestPages looks at each page of the application, and uses its forms in the ways in which
// people do.
func TestPages(t *testing.T) { //nolint:tparallel // one node and one browser
	t.Parallel()
	c := newChrome(t)
	m := newMarket(t)
	t.Run("Each", func(t *testing.T) { eachPage(t, c, m) })
	t.Run("Keyboard", func(t *testing.T) { keyboard(t, c, m) })
	t.Run("WithoutScript", func(t *testing.T) { withoutScript(t, c, m) })
	t.Run("Once", func(t *testing.T) { once(t, c, m) })
	t.Run("Watched", func(t *testing.T) { watched(t, c) })
}

// eachPage opens every page, as it is for nobody and for somebody with orders, in light and
// dark, wide and on a phone.
func eachPage(t *testing.T, c *chrome, m *market) {
	t.Helper()
	nobody, ann := c.user(t, "nobody", m.hosts()...), m.trader(t, c, "looker")
	ann.open(m.node.URL() + "/market/" + shell)
	ann.order("buy", "25", "5.50")
	ann.at("/market/" + shell)
	ann.shows(".steps .now", "trading")
	order := orderID.FindStringSubmatch(get[string](ann, "location.search"))[1]
	for _, one := range []struct {
		name, address string
		by            *tab
	}{
		{"market", m.node.URL() + "/market", nobody},
		{"book-nobody", m.node.URL() + "/market/" + shell, nobody},
		{"book-empty", m.node.URL() + "/market/long", nobody},
		{"login", m.node.URL() + "/login", nobody},
		{"register", m.node.URL() + "/register", nobody},
		{"nothing", m.node.URL() + "/nothing", nobody},
		{"admin", m.app.APIURL() + "/", nobody},
		{"book", m.node.URL() + "/market/" + shell, ann},
		{"dashboard", m.node.URL() + "/dashboard", ann},
		{"transactions", m.node.URL() + "/transactions", ann},
		{"transaction", m.node.URL() + "/transactions/" + order, ann},
		{"users", m.node.URL() + "/users", ann},
	} {
		one.by.expectFailures(one.name == "nothing") // its status is an entry of the log
		one.by.open(one.address)
		one.by.look(one.name)
	}
	for _, p := range []*tab{nobody, ann} {
		p.clean()
	}
}

// look checks the page that is open in both colour schemes, wide and at 360 pixels.
func (p *tab) look(name string) {
	p.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		p.scheme(scheme)
		for _, size := range []struct {
			name        string
			width, high int64
		}{{"wide", wideWidth, wideHigh}, {"slim", slimWidth, slimHigh}} {
			p.size(size.width, size.high)
			if sideways := get[int](p, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); sideways > 0 {
				p.t.Errorf("%s, %s: it scrolls sideways by %d pixels: %s", name, size.name, sideways, get[string](p, widest))
			}
			p.picture(fmt.Sprintf("%s-%s-%s", name, scheme, size.name))
			p.axe(fmt.Sprintf("%s, %s, %s", name, scheme, size.name))
		}
	}
	p.size(wideWidth, wideHigh)
}

// widest names what sticks out.
const widest = `[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.outerHTML.slice(0, 200)).slice(0, 3).join("\n")`

// picture keeps a picture of the page, if somebody wants to look at it.
func (p *tab) picture(name string) {
	p.t.Helper()
	dir := os.Getenv(envLook)
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, actionMax)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		p.t.Error(err)
	}
}

// finding is what axe has to say.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML, FailureSummary string }
}

// axe tries a page with axe-core, where there is one. A finding that is serious or critical
// is an error.
func (p *tab) axe(name string) {
	p.t.Helper()
	file := os.Getenv(envAxe)
	if file == "" {
		return
	}
	source, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.ctx, actionMax)
	defer cancel()
	text := ""
	if _, err = chromedp.Run(ctx, chromedp.Evaluate[int](string(source)+"\n;0")); err == nil {
		text, err = chromedp.Run(ctx, chromedp.Evaluate[string](
			`axe.run(document, { resultTypes: ["violations"] }).then((r) => JSON.stringify(r.violations))`, chromedp.EvalAwaitPromise))
	}
	if err != nil {
		p.t.Fatalf("axe: %v", err)
	}
	var all []finding
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		p.t.Fatalf("axe: %v: %s", err, text)
	}
	for _, one := range all {
		if one.Impact == "serious" || one.Impact == "critical" {
			p.t.Errorf("%s: %s, %s: %s %+v", name, one.Impact, one.ID, one.Help, one.Nodes)
		}
	}
}

// keyboard has somebody register, buy and cancel without a mouse, and always see where they
// are.
func keyboard(t *testing.T, c *chrome, m *market) {
	t.Helper()
	p := c.user(t, "typist", m.hosts()...)
	p.open(m.node.URL() + "/market")
	p.tabTo(`a[href="/register"]`)
	p.keys(kb.Enter)
	p.at("/register")
	p.tabTo("[name=name]")
	p.keys("The typist")
	p.tabTo("[name=username]")
	p.keys("typist")
	p.tabTo("[name=password]")
	p.keys(password + kb.Enter)
	p.at("/dashboard")
	p.tabTo("header form button")
	p.keys(kb.Enter)
	p.at("/market")
	p.tabTo(`a[href="/login"]`)
	p.keys(kb.Enter)
	p.at("/login")
	p.tabTo("[name=username]")
	p.keys("typist")
	p.tabTo("[name=password]")
	p.keys(password + kb.Enter)
	p.at("/dashboard")
	p.tabTo("[name=amount]")
	p.keys("100")
	p.tabTo("[name=way][value=in]")
	p.keys(" ")
	p.shows(".figures", "$ 100.00 free")
	p.tabTo(`header a[href="/market"]`)
	p.keys(kb.Enter)
	p.at("/market")
	p.tabTo(`main a[href="/market/` + shell + `"]`)
	p.keys(kb.Enter)
	p.at("/market/" + shell)
	p.tabTo("[name=side]:checked")
	p.keys(kb.ArrowRight)
	p.shows("form.order", "Sell")
	p.keys(kb.ArrowLeft)
	p.tabTo("form.order [name=count]")
	p.keys("3")
	p.tabTo("form.order [name=price]")
	p.keys("1.50")
	p.shows("form.order", "$ 4.50", "Buy 3 Shell")
	p.tabTo("form.order button")
	p.keys(kb.Enter)
	p.shows(".steps .now", "trading")
	p.tabTo("#cancel")
	p.keys(kb.Enter)
	p.shows("main", "It was cancelled")
	p.clean()
}

// tabsMax is how often somebody presses the tab key at most to get anywhere on a page.
const tabsMax = 60

// tabTo presses the tab key until an element has the focus, and looks at each on the way:
// it can be seen where the focus is.
func (p *tab) tabTo(selector string) {
	p.t.Helper()
	p.wait(selector, fmt.Sprintf(`document.readyState === "complete" && document.querySelector(%s) !== null`, quote(selector)))
	for range tabsMax {
		p.keys(kb.Tab)
		if !get[bool](p, focusShows) {
			p.t.Errorf("it cannot be seen that this has the focus: %s", get[string](p, `document.activeElement.outerHTML`))
		}
		if get[bool](p, fmt.Sprintf(`document.activeElement.matches(%s)`, quote(selector))) {
			return
		}
	}
	p.t.Fatalf("%s: the tab key does not get to %s\n%s", p.name, selector, p.text())
}

// focusShows reports whether what has the focus, or its label, has an outline.
const focusShows = `(() => {
	const e = document.activeElement;
	return e === document.body || [e, e.closest("label")].some((one) => one && getComputedStyle(one).outlineStyle !== "none" && parseFloat(getComputedStyle(one).outlineWidth) >= 2);
})()`

func (p *tab) keys(keys string) {
	p.t.Helper()
	p.do("keys", chromedp.KeyEvent(keys))
}

// withoutScript has somebody do everything in a browser that runs no scripts.
func withoutScript(t *testing.T, c *chrome, m *market) {
	t.Helper()
	p := c.user(t, "plain", m.hosts()...)
	p.do("no scripts", call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	p.register(m.node.URL())
	p.fill("[name=amount]", "50")
	p.click("[name=way][value=in]")
	p.shows(".figures", "$ 50.00 free")
	p.open(m.node.URL() + "/market/" + shell)
	if get[string](p, `document.querySelector("form.order button").innerText`) != "Place the order" {
		t.Error("the script runs")
	}
	p.order("buy", "2", "5")
	p.shows("main", "Your last order here", "Buy 2 Shell at $ 5.00")
	m.node.AtRest()
	p.do("reload", chromedp.Reload())
	p.shows(".steps .now", "trading")
	p.click("#cancel")
	p.shows("main", "Your last order here")
	m.node.AtRest()
	p.do("reload", chromedp.Reload())
	p.shows("main", "It was cancelled")
	p.click("header form button")
	p.at("/market")
	p.shows("header", "Log in")
	p.clean()
}

// once has somebody click twice, reload, and go back and forth: each order is one.
func once(t *testing.T, c *chrome, m *market) {
	t.Helper()
	p := m.trader(t, c, "hasty")
	p.open(m.node.URL() + "/market/" + shell)
	for i, scripts := range []bool{true, false} {
		p.do("scripts", call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripts}))
		p.open(m.node.URL() + "/market/" + shell)
		p.fill("form.order [name=count]", "1")
		p.fill("form.order [name=price]", "1.50")
		p.do("click twice", chromedp.DoubleClick(chromedp.CSS("form.order button")))
		p.wait("the order", `location.search.startsWith("?order=t-") && document.readyState === "complete"`)
		p.do("reload", chromedp.Reload())
		p.back()
		p.do("forward", script(`history.forward()`))
		p.wait("the order", `location.search.startsWith("?order=t-") && document.readyState === "complete"`)
		p.back()
		p.do("press again", script(`document.querySelector("form.order button").click()`))
		m.node.AtRest()
		p.open(m.node.URL() + "/transactions")
		if n := get[int](p, `document.querySelectorAll("main a[href^='/transactions/']").length`); n != i+1 {
			t.Errorf("scripts %v: %d orders, want %d\n%s", scripts, n, i+1, p.text())
		}
	}
	p.clean()
}

// back goes back to the page before the order.
func (p *tab) back() {
	p.t.Helper()
	p.do("back", script(`history.back()`))
	p.wait("the page before", `location.search === "" && document.readyState === "complete"`)
}

// watched: a page that does what none should is found out, or the other tests would see
// nothing.
func watched(t *testing.T, c *chrome) {
	t.Helper()
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; img-src *")
		if r.URL.Path == "/script.js" {
			_, _ = fmt.Fprint(w, `console.error("said"); null.nothing;`)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><body style="color:red"><script src="/script.js"></script><img src="%s/image.png">`, other.URL)
	}))
	t.Cleanup(bad.Close)
	p := c.user(t, "watched", strings.TrimPrefix(bad.URL, "http://"))
	p.open(bad.URL)
	wanted := []string{"console.error: \"said\"", "exception", "Content Security Policy", "request to " + other.URL}
	var faults []string
	_ = p.await(waitMax, `document.readyState === "complete"`)
	for until := time.Now().Add(waitMax); time.Now().Before(until); { // events come a little later
		faults = append(faults, p.take()...)
		if len(missing(faults, wanted)) == 0 {
			return
		}
		_ = p.try(script(`new Promise(requestAnimationFrame)`, chromedp.EvalAwaitPromise))
	}
	t.Errorf("%q was not seen, but %q", missing(faults, wanted), faults)
}

// missing returns the texts that are in none of the lines.
func missing(lines, texts []string) (rest []string) {
	for _, text := range texts {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, text) }) {
			rest = append(rest, text)
		}
	}
	return rest
}
