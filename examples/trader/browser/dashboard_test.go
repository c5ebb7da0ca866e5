//go:build manual

package browser_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/views"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/node/nodetest"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// fuse is an aggregate whose handler fails as long as it is wet.
type (
	fuse  struct{ Lit int }
	light struct {
		actor.Replies[actor.None]
		Times int `json:"times"`
	}
	wasLit struct{ Times int }
	ring   struct{ actor.Replies[actor.None] }
	rung   struct {
		actor.Replies[actor.None]
		actor.Performed[string]
	}
	wasRung struct{}
)

func fuses(wet *atomic.Bool, alarm *actor.Effect[string, string]) *actor.Aggregate[fuse] {
	return actor.Define("fuse", func(d *actor.Definition[fuse]) {
		d.Effects(alarm)
		actor.On(d, func(_ *fuse, ctx *actor.Context, _ ring) (actor.None, error) {
			ctx.Raise(wasRung{})
			alarm.Perform(ctx, ctx.Address().ID, rung{}, nil)
			return actor.None{}, nil
		})
		actor.On(d, func(*fuse, *actor.Context, rung) (actor.None, error) { return actor.None{}, nil })
		actor.Apply(d, func(*fuse, wasRung) {})
		actor.On(d, func(_ *fuse, ctx *actor.Context, c light) (actor.None, error) {
			if wet.Load() {
				panic("the fuse is wet")
			}
			ctx.Raise(wasLit{Times: c.Times})
			return actor.None{}, nil
		})
		actor.Apply(d, func(f *fuse, e wasLit) { f.Lit += e.Times })
	})
}

// operated is a node with a market and three fuses, whose commands are parked.
type operated struct {
	*tab
	node  *nodetest.Node
	wet   *atomic.Bool
	fuses *actor.Aggregate[fuse]
}

func newOperated(t *testing.T, c *chrome) *operated {
	t.Helper()
	o := &operated{wet: &atomic.Bool{}}
	alarm := actor.DefineEffect[string, string]("alarm", actor.EffectPolicy{FirstRetry: time.Hour})
	o.fuses = fuses(o.wet, alarm)
	o.wet.Store(true)
	cfg := node.Config{Projections: views.All(), DashboardCommands: true, Effects: []*actor.Performer{alarm.By(func(context.Context, actor.Call, string) (string, error) {
		return "", errUnheard
	})}}
	o.node = nodetest.Start(t, cfg, append(domain.Definitions(), o.fuses)...)
	m := &market{t: t, node: o.node}
	tell(m, domain.Companies.ID(shell), domain.CreateCompany{Name: "Shell", Value: 500, Shares: 5000})
	tell(m, domain.Portfolios.ID("maker"), domain.CreatePortfolio{UserID: "maker"})
	for i := range 20 {
		tell(m, domain.Portfolios.ID("maker"), domain.DepositCash{Amount: int64(100 + i)})
	}
	for i := range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if _, err := actor.Ask[actor.None](ctx, o.node.Client(), o.fuses.ID(fmt.Sprint("f-", i)), light{Times: 1}); err == nil {
			t.Errorf("fuse %d was lit", i)
		}
		cancel()
	}
	o.node.AtRest()
	for i := range 2 {
		tell(m, o.fuses.ID(fmt.Sprint("bell-", i)), ring{})
	}
	o.tab = c.user(t, "operator", strings.TrimPrefix(o.node.AdminURL(), "http://"))
	return o
}

var errUnheard = errors.New("nobody hears the alarm")

// TestDashboard looks at each page of a node's dashboard, and has an operator do there what
// may be done: each action asks first, and is in the log of actions then.
func TestDashboard(t *testing.T) {
	c := newChrome(t)
	o := newOperated(t, c)
	o.eachPage()
	o.projections()
	o.sends()
	o.parked()
	o.effects()
	o.clean()
}

func (o *operated) visit(path string) {
	o.t.Helper()
	o.open(o.node.AdminURL() + "/dashboard/" + path)
}

// eachPage looks at all pages, with something on each.
func (o *operated) eachPage() {
	o.t.Helper()
	const of = "of=portfolio%2Fmaker"
	for name, path := range map[string]string{
		"overview": "", "partitions": "partitions", "kinds": "kinds", "kind": "kinds/portfolio", "projections": "projections", "effects": "effects", "parked": "parked",
		"actions": "actions", "aggregates": "aggregates?kind=portfolio", "aggregate": "aggregate?" + of, "state": "state?" + of + "&version=12", "command": "command?" + of + "&version=12",
		"send": "send?" + of + "&command=DepositCash", "tail": "tail", "one": "parked", "cause": "parked",
	} {
		o.visit(path)
		switch name {
		case "cause":
			o.press(".card h2 a")
			o.at("/dashboard/parked/cause")
		case "one":
			o.press(".card h2 a")
			o.at("/dashboard/parked/cause")
			o.press("td a")
			o.at("/dashboard/parked/one")
		case "effects":
			o.shows("main", "fuse/bell-0", "nobody hears the alarm")
		case "tail":
			o.shows("main", "portfolio/maker")
		}
		o.look("dashboard-" + name)
	}
	o.expectFailures(true) // its status is an entry of the log
	o.visit("nothing")
	o.look("dashboard-nothing")
	o.expectFailures(false)
	o.clean()
}

// asks presses a button, sees the page that asks, does nothing, presses it again and does it.
func (o *operated) asks(page, button, does string) {
	o.t.Helper()
	for _, really := range []bool{false, true} {
		o.visit(page)
		o.press(button)
		o.at("/dashboard/ask")
		o.shows("main", does)
		if !really {
			o.look("dashboard-asks")
			o.click(`main a.button`)
			o.wait("the page before", `document.readyState === "complete" && location.pathname !== "/dashboard/ask"`)
			continue
		}
		o.click(`main form button`)
		o.wait("the answer", `document.readyState === "complete" && (location.pathname === "/dashboard/do" || location.pathname.startsWith("/dashboard/jobs/"))`)
	}
}

// logged waits until the log of actions has one as often as it should.
func (o *operated) logged(action string, times int) {
	o.t.Helper()
	o.visit("actions")
	o.wait(fmt.Sprintf("%d times %q in the log", times, action),
		fmt.Sprintf(`[...document.querySelectorAll("tbody tr")].filter((e) => e.innerText.includes(%s)).length === %d`, quote(action), times))
}

// projections pauses, resumes and rebuilds a view.
func (o *operated) projections() {
	o.t.Helper()
	name := views.All()[0].Name()
	card := func(text string) string {
		return fmt.Sprintf(`[...document.querySelectorAll(".card")].some((e) => e.innerText.includes(%s) && e.innerText.includes(%s))`, quote(name), quote(text))
	}
	o.asks("projections", "#pause-"+name, "stop applying events")
	o.shows("main", "Done")
	o.visit("projections")
	o.wait("the word that it is paused", card("paused"))
	o.look("dashboard-paused")
	o.logged("/pause", 1)
	o.asks("projections", "#resume-"+name, "go on applying")
	o.visit("projections")
	o.wait("the button", fmt.Sprintf(`document.querySelector(%s) !== null`, quote("#pause-"+name)))
	o.asks("projections", "#rebuild-"+name, "A new view")
	o.shows("main", "Done")
	o.logged("/rebuild", 1)
	o.do("reload", chromedp.Reload())
}

// effects pauses and resumes an effect, retries one that failed, and gives both up.
func (o *operated) effects() {
	o.t.Helper()
	o.asks("effects", "#pause-alarm", "No node begins an attempt")
	o.shows("main", "Done")
	o.visit("effects")
	o.shows("main", "paused")
	o.look("dashboard-effects-paused")
	o.asks("effects", "#resume-alarm", "Nodes attempt")
	o.asks("effects", "button[id^=retry-]", "is made now")
	o.shows("main", "Done")
	o.logged("/effects/retry", 1)
	for n := range 2 {
		o.asks("effects", "button[id^=give-up-]", "No more attempts")
		o.shows("main", "Done")
		o.logged("/effects/give-up", n+1)
		o.visit("effects")
		o.wait("one less", fmt.Sprintf(`document.querySelectorAll("button[id^=give-up-]").length === %d`, 1-n))
	}
}

// sends sends a command by the form that is made from its schema.
func (o *operated) sends() {
	o.t.Helper()
	o.visit("send?of=portfolio%2Fmaker&command=DepositCash")
	o.fill(`main form [name="/amount"]`, "7")
	o.click("main form.column button")
	o.at("/dashboard/send/review")
	o.shows("main", "It cannot be taken back", "7")
	o.look("dashboard-review")
	before := o.deposits()
	o.click("main form button")
	o.at("/dashboard/send/do")
	o.shows("main", "Carried out")
	o.look("dashboard-sent")
	if n := o.deposits(); n != before+1 {
		o.t.Errorf("%d commands more, want 1", n-before)
	}
	o.logged("DepositCash", 1)
}

// deposits returns the version of the portfolio.
func (o *operated) deposits() (version int) {
	o.t.Helper()
	answer, err := o.node.HTTP().Get(o.node.URL() + "/v1/portfolio/maker")
	if err != nil {
		o.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if version, err = strconv.Atoi(strings.Trim(answer.Header.Get("ETag"), `"`)); err != nil {
		o.t.Fatal(err)
	}
	return version
}

// parked retries in vain, retries one that can be carried out now, and gives the rest up.
func (o *operated) parked() {
	o.t.Helper()
	o.asks("parked", ".row .act:first-child button", "tried again")
	o.shows("main", "3/3", "failed")
	o.look("dashboard-job")
	o.logged("/parked/retry", 3)
	o.wet.Store(false)
	one := o.firstParked()
	o.asks(one, ".row .act:first-child button", "executed at most once")
	o.shows("main", "Done")
	o.logged("/parked/retry", 4)
	o.asks(o.firstParked(), ".row .act:nth-child(2) button", "refused for good")
	o.shows("main", "Done")
	o.logged("/parked/skip", 1)
	o.asks("parked", ".row .act:nth-child(2) button", "given up for good")
	o.shows("main", "1/1")
	o.logged("/parked/skip", 2)
	o.visit("parked")
	o.shows("main", "Nothing is parked")
}

// firstParked returns the page of the first of what is parked.
func (o *operated) firstParked() string {
	o.t.Helper()
	o.visit("parked")
	o.press(".card h2 a")
	o.at("/dashboard/parked/cause")
	return strings.TrimPrefix(get[string](o.tab, `document.querySelector("td.id a").getAttribute("href")`), "/dashboard/")
}

// TestDashboard_LogIn has an operator log in by keyboard where there is a token, with a wrong
// one first, act under their name, and log out.
func TestDashboard_LogIn(t *testing.T) {
	c := newChrome(t)
	file := filepath.Join(t.TempDir(), "token")
	const token = "a token that nobody guesses 4711"
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := nodes.Start(t, node.Config{AdminTokenFile: file, Projections: views.All(), DataDir: testharness.TempDir(t)}, domain.Definitions()...)
	p := c.user(t, "operator", strings.TrimPrefix(n.AdminURL(), "http://"))
	p.expectFailures(true) // the status of what asks for a token is an entry of the log
	p.open(n.AdminURL() + "/dashboard/projections")
	p.look("dashboard-login")
	for _, try := range []string{"a wrong one", token} {
		p.tabTo("#token")
		p.mark()
		p.keys(try)
		p.tabTo("#who")
		p.keys("Olga" + kb.Enter)
		p.wait("the answer", `document.readyState === "complete" && !window.seenByTest`)
		if try != token {
			p.shows("main", "token")
			p.look("dashboard-login-again")
			p.do("clear", script(`document.querySelector("#who").value = ""`))
		}
	}
	p.at("/dashboard/projections")
	p.shows("header", "Olga")
	p.expectFailures(false)
	p.take()
	p.press("#pause-portfolios")
	p.at("/dashboard/ask")
	p.tabTo("main form button")
	p.keys(kb.Enter)
	p.at("/dashboard/do")
	p.shows("main", "Done")
	p.look("dashboard-done")
	p.open(n.AdminURL() + "/dashboard/actions")
	p.shows("tbody", "Olga", "/projections/portfolios/pause")
	p.press("header form button")
	p.wait("the log-in page", `document.querySelector("#token") !== null`)
	p.expectFailures(true)
	p.open(n.AdminURL() + "/dashboard/actions")
	p.shows("main", "Token of this node's admin server")
}
