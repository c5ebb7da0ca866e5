package browser_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const (
	company  = "Shell"
	lot      = 100 // shares that bob sells, at 0.08
	bite     = 5   // that ann buys at once
	startSum = 100_000
	biteSum  = bite * 8
)

// TestJourney has two users trade on two web servers, the book move live for both, and the
// node that serves them die in the middle of an order: nobody is logged out, and nothing
// that was acknowledged is lost, or there twice.
func TestJourney(t *testing.T) {
	t.Parallel()
	c := newChrome(t)
	j := begin(t, c)
	j.ann.open(j.d.url("web-1") + j.path)
	j.ann.mark()
	j.bob.open(j.d.url("web-2") + j.path)
	j.sell()
	j.ann.shows(".sellers tbody", j.left()) // what bob offers at the other web server
	if !j.ann.marked() {
		t.Error("ann's page was loaded anew")
	}
	j.bob.mark()
	seen := j.bob.watchTrades()
	for range 3 {
		j.buy()
		j.bob.shows(".sellers tbody", j.left())
		j.bob.shows(".price", "$ 0.08")
	}
	j.killed()
	if !j.bob.marked() {
		t.Error("bob's page was loaded anew")
	}
	_, painted := seen()
	t.Logf("from the commit of a trade to bob's page: %v", painted)
	j.settled()
	j.checked()
	for _, p := range []*tab{j.ann, j.bob, j.bobs, j.admin} {
		p.clean()
	}
}

// journey is two users and a market.
type journey struct {
	t    *testing.T
	d    *demo
	path string // of the book's page

	ann, bob, bobs, admin *tab // bobs is another tab of bob

	bought    []string      // ids of ann's orders that were acknowledged
	firstPage time.Duration // from the launcher's start until a browser shows a page
}

// begin starts the demonstration and gives two new users what they trade with.
func begin(t *testing.T, c *chrome, flags ...string) *journey {
	t.Helper()
	d := startDemo(t, flags...)
	j := &journey{t: t, d: d}
	store, _ := d.plan()
	began := time.Now()
	j.ann, j.bob, j.admin = c.user(t, "ann", d.hosts()...), c.user(t, "bob", d.hosts()...), c.user(t, "admin", d.hosts()...)
	j.ann.open(d.url("balancer"))
	j.ann.shows("main", "Market", company)
	j.firstPage = (d.ready + time.Since(began)).Round(time.Millisecond)
	t.Logf("the store is %s; there is a page %v after the launcher's start", store, j.firstPage)
	j.path = get[string](j.ann, fmt.Sprintf(`[...document.querySelectorAll("main a")].find((a) => a.innerText === %s).getAttribute("href")`, quote(company)))
	j.ann.register(d.url("web-1"))
	j.bob.register(d.url("web-2"))
	j.ann.fill("[name=amount]", "1,000.00")
	j.ann.click("[name=way][value=in]")
	j.ann.at("/dashboard")
	j.ann.shows(".figures", "$ 1,000.00 free")
	j.give("bob", lot)
	return j
}

// give has the administrator give shares to a user, who may not be in the list yet.
func (j *journey) give(user string, shares int) {
	j.t.Helper()
	option := fmt.Sprintf(`[...document.querySelectorAll("[name=portfolio] option")].find((o) => o.text.includes("(%s)"))`, user)
	j.admin.openUntil(j.d.url("api-1")+"/", option+" !== undefined")
	choose := fmt.Sprintf(`document.querySelector("[name=portfolio]").value = %s.value, document.querySelector("[name=what]").value = %s`,
		option, quote(strings.TrimPrefix(j.path, "/market/")))
	j.admin.do("choose", script(choose))
	j.admin.fill("[name=amount]", strconv.Itoa(shares))
	j.admin.mark()
	j.admin.click("[action='/give'] button")
	j.admin.wait("the answer", `document.readyState === "complete" && !window.seenByTest`)
	j.admin.shows("main", "Administration")
}

// openUntil opens a page until an expression is true in it.
func (p *tab) openUntil(address, expression string) {
	p.t.Helper()
	for until := time.Now().Add(waitMax); ; {
		p.open(address)
		if p.await(time.Second, expression) == nil {
			return
		}
		// A page and its stream are two requests, and the balancer has two nodes: without one
		// more it would be the same node each time.
		p.do("one request more", script(`fetch(location.href, {cache: "no-store"})`))
		if time.Now().After(until) {
			p.t.Fatalf("%s: %s at %s does not become true\n%s", p.name, expression, address, p.text())
		}
	}
}

// left is bob's offer in the book.
func (j *journey) left() string { return fmt.Sprintf("$ 0.08 %d 1", lot-bite*len(j.bought)) }

func (j *journey) sell() {
	j.t.Helper()
	j.bob.mark()
	j.bob.order("sell", strconv.Itoa(lot), "0.08")
	j.acknowledged(j.bob)
	j.bob.shows(".steps .now", "trading")
}

// buy has ann place an order, which trades at once.
func (j *journey) buy() {
	j.t.Helper()
	j.press()
	j.bought = append(j.bought, j.acknowledged(j.ann))
}

func (j *journey) press() {
	j.t.Helper()
	j.ann.mark()
	j.ann.order("buy", strconv.Itoa(bite), "0.08")
}

var orderID = regexp.MustCompile(`[?&]order=(t-[a-z0-9]+)`)

// acknowledged waits until the answer to an order says that it is stored, and returns its
// id. Where no server could answer, the page asks to send the form again, which a reload does.
func (j *journey) acknowledged(p *tab) (id string) {
	j.t.Helper()
	for until := time.Now().Add(waitMax); ; {
		text := ""
		if p.await(5*time.Second, `document.readyState === "complete" && !window.seenByTest`) == nil {
			text, _ = evaluate[string](p, `location.href + "\n" + document.body.innerText`)
		}
		if m := orderID.FindStringSubmatch(text); m != nil && strings.Contains(text, "Your last order here") {
			return m[1]
		}
		if text != "" {
			j.t.Logf("%s sends the form again: %s", p.name, text)
			p.do("reload", chromedp.Reload())
		}
		if time.Now().After(until) {
			j.t.Fatalf("%s: the order is not acknowledged: %s", p.name, text)
		}
	}
}

// killed kills the node that serves ann and bob, while ann's order is on its way.
func (j *journey) killed() {
	j.t.Helper()
	const victim = "node-2"
	j.ann.openUntil(j.d.url("balancer")+j.path, has(".served", victim))
	sessions := []string{j.ann.session(), j.bob.session()}
	for _, p := range []*tab{j.ann, j.bob} {
		p.expectFailures(true)
	}
	former := j.d.pid(victim)
	j.press()
	j.d.kill(victim)
	killed := time.Now()
	j.bob.wait("the word that the connection is lost", `!document.querySelector(".lost").hidden`)
	j.t.Logf("bob's page says so %v after the kill", time.Since(killed).Round(time.Millisecond))
	j.bought = append(j.bought, j.acknowledged(j.ann))
	j.t.Logf("ann's order was acknowledged %v after the kill", time.Since(killed).Round(time.Millisecond))

	j.bobs = j.bob.another(j.t)
	j.bobs.open(j.d.url("web-1") + j.path)
	j.bobs.mark()
	for range 2 {
		j.buy()
		j.bobs.shows(".sellers tbody", j.left())
	}
	for i, p := range []*tab{j.ann, j.bobs} {
		p.shows("header .who", []string{"The ann", "The bob"}[i])
		if p.session() != sessions[i] {
			j.t.Errorf("%s has another session", p.name)
		}
	}
	if !j.bobs.marked() {
		j.t.Error("bob's other page was loaded anew")
	}
	j.d.backAgain(victim, former)
	j.bob.wait("the connection", `document.querySelector(".lost").hidden`)
	j.bob.shows(".sellers tbody", j.left())
	for _, p := range []*tab{j.ann, j.bob} {
		p.expectFailures(false)
	}
	j.buy()
	j.bob.shows(".sellers tbody", j.left())
}

// settled waits until everybody has what they should, and bob has his remaining shares back.
func (j *journey) settled() {
	j.t.Helper()
	j.bobs.openUntil(j.d.url("balancer")+j.path, has(".steps .now", "trading")+" && "+has("main", fmt.Sprintf("%d of %d traded", bite*len(j.bought), lot)))
	j.bobs.click("#cancel")
	j.bobs.shows("main", "It was cancelled")
	n := len(j.bought)
	cash := startSum - biteSum*n
	j.ann.openUntil(j.d.url("balancer")+"/dashboard", has(".figures", fmt.Sprintf("$ %d.%02d free", cash/100, cash%100), "$ 0.00 reserved")+" && "+has("main", fmt.Sprintf("%s %d 0", company, bite*n)))
	j.bobs.openUntil(j.d.url("balancer")+"/dashboard", has(".figures", fmt.Sprintf("$ %d.%02d free", biteSum*n/100, biteSum*n%100))+" && "+has("main", fmt.Sprintf("%s %d 0", company, lot-bite*n)))
}

// checked compares what was acknowledged with what is stored.
func (j *journey) checked() {
	j.t.Helper()
	j.ann.open(j.d.url("balancer") + "/transactions")
	shown := get[[]string](j.ann, `[...document.querySelectorAll("main a[href^='/transactions/']")].map((a) => a.getAttribute("href").replace("/transactions/", ""))`)
	if lost, more := compare(j.bought, shown); len(lost)+len(more) > 0 {
		j.t.Errorf("of %d acknowledged orders %v are lost, and nobody has placed %v", len(j.bought), lost, more)
	}
	report, err := j.d.audit()
	trades := fmt.Sprintf(" %d trades,", len(j.bought))
	if err != nil || !strings.Contains(report, trades) || !strings.Contains(report, "\n0 violations") {
		j.t.Errorf("the audit should find%s: %v\n%s", trades, err, report)
	}
	j.t.Logf("acknowledged %d, lost 0, doubled 0; the audit: %s", len(j.bought), report)
}

// compare returns the acknowledged orders that are not stored, and the stored ones that were
// not acknowledged, or are there twice.
func compare(acknowledged, stored []string) (lost, more []string) {
	rest := slices.Clone(stored)
	for _, one := range acknowledged {
		if i := slices.Index(rest, one); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		} else {
			lost = append(lost, one)
		}
	}
	return lost, rest
}

func TestCompare(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ acknowledged, stored, lost, more string }{
		{"a b", "b a", "", ""},
		{"a b", "a", "b", ""},
		{"a", "a a", "", "a"},
		{"a b", "b c", "a", "c"},
	} {
		lost, more := compare(strings.Fields(test.acknowledged), strings.Fields(test.stored))
		if strings.Join(lost, " ") != test.lost || strings.Join(more, " ") != test.more {
			t.Errorf("%s, %s: %v %v", test.acknowledged, test.stored, lost, more)
		}
	}
}
