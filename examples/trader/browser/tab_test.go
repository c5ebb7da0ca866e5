package browser_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const (
	actionMax = time.Minute // for one action of the browser, on a busy machine
	waitMax   = 2 * time.Minute
	waitPoll  = 50 * time.Millisecond
)

// tabContext is what chromedp finds its tab by.
type tabContext struct{ context.Context } //nolint:containedctx // chromedp's handle of a tab is a context

// tab is a page of one user.
type tab struct {
	t    *testing.T
	name string
	ctx  tabContext

	mu     sync.Mutex
	hosts  []string // that it may ask
	faults []string // that no test expects
	outage bool     // requests may fail
	failed int      // that have, meanwhile
}

// user returns the first tab of somebody who has no cookies yet. hosts are the addresses,
// host:port, that its pages may be from.
func (c *chrome) user(t *testing.T, name string, hosts ...string) *tab {
	t.Helper()
	return newTab(t, name, c.root, hosts, chromedp.WithNewBrowserContext())
}

func newTab(t *testing.T, name string, parent tabContext, hosts []string, options ...chromedp.ContextOption) *tab {
	t.Helper()
	p := &tab{t: t, name: name, hosts: hosts}
	ctx, closing := chromedp.NewContext(parent, append(options, chromedp.WithListener(p.watch))...)
	t.Cleanup(closing)
	p.ctx = tabContext{ctx}
	// The first call makes the tab, and is to have the tab's own context.
	err := chromedp.Do(ctx, call(network.Enable, network.EnableParams{}), call(log.Enable, cdp.Empty{}),
		call(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	p.size(wideWidth, wideHigh)
	return p
}

// another returns a further tab of the same user.
func (p *tab) another(t *testing.T) *tab {
	t.Helper()
	return newTab(t, p.name+"'s other tab", p.ctx, p.hosts)
}

// step is something that a tab does.
type step = chromedp.Action[chromedp.Void]

// call is a command of the protocol whose result is of no use.
func call[P, R any](command cdp.Command[P, R], params P) step {
	return chromedp.Func(func(ctx context.Context, to *chromedp.Target) error {
		_, err := cdp.Call(ctx, to, command, params)
		return err
	})
}

// script runs a script.
func script(text string, options ...chromedp.EvaluateOption) step {
	return chromedp.Func(func(ctx context.Context, to *chromedp.Target) error {
		_, err := chromedp.Evaluate[*int]("void (0, "+text+")", options...)(ctx, to)
		if errors.Is(err, chromedp.ErrJSUndefined) {
			return nil
		}
		return err
	})
}

// watch keeps what no page should do.
func (p *tab) watch(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			p.faults = append(p.faults, fmt.Sprintf("console.%s: %s", e.Type, arguments(e.Args)))
		}
	case *runtime.EventExceptionThrown:
		p.faults = append(p.faults, "exception: "+thrown(e.ExceptionDetails))
	case *log.EventEntryAdded:
		p.entry(e.Entry)
	case *network.EventRequestWillBeSent:
		p.request(e.Request.URL)
	case *page.EventJavascriptDialogOpening:
		p.faults = append(p.faults, "dialog: "+e.Message)
	}
}

// entry looks at a line of the browser's own log, where violations of the policy are, and
// requests that have failed.
func (p *tab) entry(e *log.Entry) {
	switch {
	case e.Level != log.EntryLevelError && e.Level != log.EntryLevelWarning:
	case e.Source == log.EntrySourceNetwork && p.outage:
		p.failed++
	default:
		p.faults = append(p.faults, fmt.Sprintf("log, %s: %s %s", e.Source, e.Text, e.URL))
	}
}

func (p *tab) request(to string) {
	u, err := url.Parse(to)
	if err == nil && (u.Scheme == "data" || u.Scheme == "about" || slices.Contains(p.hosts, u.Host)) {
		return
	}
	p.faults = append(p.faults, "request to "+to)
}

func arguments(all []*runtime.RemoteObject) string {
	texts := make([]string, 0, len(all))
	for _, one := range all {
		texts = append(texts, strings.TrimSpace(string(one.Value)+" "+one.Description))
	}
	return strings.Join(texts, " ")
}

// expectFailures has requests fail, or not, without being a fault: a server is killed.
func (p *tab) expectFailures(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outage = yes
}

// take returns the faults so far, and forgets them.
func (p *tab) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	faults := p.faults
	p.faults = nil
	return faults
}

// clean ends the test if something was seen that no page should do.
func (p *tab) clean() {
	p.t.Helper()
	if faults := p.take(); len(faults) > 0 {
		p.t.Errorf("%s: %s", p.name, strings.Join(faults, "\n\t"))
	}
}

// try runs actions in the tab.
func (p *tab) try(actions ...step) error {
	ctx, cancel := context.WithTimeout(p.ctx, actionMax)
	defer cancel()
	return chromedp.Do(ctx, actions...)
}

// do runs actions, and ends the test if they cannot be.
func (p *tab) do(what string, actions ...step) {
	p.t.Helper()
	if err := p.try(actions...); err != nil {
		p.t.Fatalf("%s: %s: %v\n%s", p.name, what, err, p.text())
	}
}

// open goes to an address.
func (p *tab) open(address string) {
	p.t.Helper()
	p.do("open "+address, chromedp.Navigate(address))
	p.wait("the page", `document.readyState === "complete"`)
}

// size changes the window.
func (p *tab) size(width, high int64) {
	p.t.Helper()
	p.do("size", call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: high, DeviceScaleFactor: 1}))
}

// scheme asks for light or dark.
func (p *tab) scheme(name string) {
	p.t.Helper()
	p.do("scheme", call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}}))
}

// evaluate returns what an expression comes to.
func evaluate[T any](p *tab, expression string) (value T, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, actionMax)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression))
}

// get is evaluate in a test that has no use for an error.
func get[T any](p *tab, expression string) T {
	p.t.Helper()
	value, err := evaluate[T](p, expression)
	if err != nil {
		p.t.Fatalf("%s: %s: %v", p.name, expression, err)
	}
	return value
}

// wait waits until an expression is true. While a page goes and the next one comes, there
// is nothing that could be asked.
func (p *tab) wait(what, expression string) {
	p.t.Helper()
	if err := p.await(waitMax, expression); err != nil {
		p.t.Fatalf("%s waits for %s: %v\n%s", p.name, what, err, p.text())
	}
}

var errNotSeen = errors.New("it has not come")

func (p *tab) await(most time.Duration, expression string) error {
	patience := time.NewTimer(most)
	defer patience.Stop()
	tick := time.NewTicker(waitPoll)
	defer tick.Stop()
	for {
		if is, err := evaluate[bool](p, expression); err == nil && is {
			return nil
		}
		select {
		case <-tick.C:
		case <-patience.C:
			return fmt.Errorf("%w within %v: %s", errNotSeen, most, expression)
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
}

// shows waits until the elements that a selector finds have all these texts, in any order.
func (p *tab) shows(selector string, texts ...string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("%q in %s", texts, selector), has(selector, texts...))
}

// has is the expression of shows. Blanks of all kinds are one.
func has(selector string, texts ...string) string {
	return fmt.Sprintf(`(() => { const all = [...document.querySelectorAll(%s)].map((e) => e.innerText).join("\n").replaceAll(/\s+/g, " "); return %s.every((one) => all.includes(one)); })()`,
		quote(selector), quote(texts))
}

func quote(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, and slices of them
	}
	return string(text)
}

// at waits until the page of a path is there.
func (p *tab) at(path string) {
	p.t.Helper()
	p.wait("the page "+path, fmt.Sprintf(`document.readyState === "complete" && location.pathname === %s`, quote(path)))
}

// fill types into a field, in the place of what it has.
func (p *tab) fill(selector, text string) {
	p.t.Helper()
	p.do("type into "+selector, chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// click presses the mouse's button on an element.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.do("click "+selector, chromedp.ScrollIntoView(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
}

// text is what the page shows, for failures.
func (p *tab) text() string {
	text, err := evaluate[string](p, `location.href + "\n" + document.body.innerText`)
	if err != nil {
		return err.Error()
	}
	return text
}

// mark notes that this very page is there; marked reports whether it still is.
func (p *tab) mark() { p.t.Helper(); p.do("mark", script(`window.seenByTest = true`)) }

func (p *tab) marked() bool { p.t.Helper(); return get[bool](p, `window.seenByTest === true`) }

// session returns the token of the tab's user.
func (p *tab) session() (token string) {
	p.t.Helper()
	p.do("cookies", chromedp.Func(func(ctx context.Context, to *chromedp.Target) error {
		all, err := cdp.Call(ctx, to, network.GetCookies, network.GetCookiesParams{})
		for _, c := range all.Cookies {
			if c.Name == "trader_session" {
				token = c.Value
			}
		}
		return err
	}))
	return token
}

// register registers somebody with the name of the tab.
func (p *tab) register(base string) {
	p.t.Helper()
	p.open(base + "/register")
	p.fill("[name=name]", "The "+p.name)
	p.fill("[name=username]", p.name)
	p.fill("[name=password]", password)
	p.click("main button")
	p.at("/dashboard")
	p.shows("header .who", "The "+p.name)
}

const password = "correct horse"

// order fills the form of an order book's page, and presses the button.
func (p *tab) order(side string, count, price string) {
	p.t.Helper()
	p.click("form.order label." + side)
	p.fill("form.order [name=count]", count)
	p.fill("form.order [name=price]", price)
	p.click("form.order button")
}

func thrown(e *runtime.ExceptionDetails) string {
	if e.Exception != nil {
		return e.Text + " " + e.Exception.Description
	}
	return e.Text
}
