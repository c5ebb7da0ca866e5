//go:build manual

package browser_test

import (
	"fmt"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/testenv"
)

const (
	firstPageMax = time.Minute
	aimHalf      = 200 * time.Millisecond
	aimMost      = 500 * time.Millisecond
)

// TestLatency measures how long trades take from their commit to the page of another user,
// at another web server. GANGLION_TRADES sets how many there are.
func TestLatency(t *testing.T) {
	c := newChrome(t)
	trades := testenv.Times(t, "GANGLION_TRADES", 20)
	j := begin(t, c)
	j.give("bob", bite*trades)
	j.ann.openUntil(j.d.url("web-1")+"/dashboard", has(".figures", "$ 1,000.00 free"))
	j.bob.open(j.d.url("web-2") + j.path)
	j.bob.mark()
	j.bob.order("sell", strconv.Itoa(bite*trades), "0.08")
	j.acknowledged(j.bob)
	seen := j.bob.watchTrades()
	j.ann.open(j.d.url("web-1") + j.path)
	t.Logf("%d processors, load average before: %s", goruntime.NumCPU(), loadAverage())
	began := time.Now()
	for range trades {
		j.buy()
	}
	j.bob.wait("the last trade", fmt.Sprintf("window.paintedTrades.length >= %d", trades))
	took := time.Since(began)
	arrived, painted := seen()
	t.Logf("%d trades in %v, load average after: %s", trades, took.Round(time.Second), loadAverage())
	t.Logf("from the commit until it arrives in the page: %v", arrived)
	t.Logf("from the commit until it is painted:          %v", painted)
	if painted.quantile(0.5) > aimHalf || painted.quantile(0.99) > aimMost {
		t.Errorf("the aim on an idle machine of two processors is p50 %v and p99 %v", aimHalf, aimMost)
	}
	j.bob.clean()
	j.ann.clean()
}

func loadAverage() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(data))
}

// TestDemo looks at the pages of the running demonstration, of which there is one within a
// minute of the launcher's first line.
func TestDemo(t *testing.T) {
	c := newChrome(t)
	began := time.Now()
	j := begin(t, c)
	if j.firstPage > firstPageMax {
		t.Errorf("there is a page after %v, and should be within %v", j.firstPage, firstPageMax)
	}
	t.Logf("everybody is ready to trade after %v", time.Since(began))
	j.load()
	for _, one := range []struct {
		name, address string
		by            *tab
	}{
		{"demo-market", j.d.url("balancer") + "/market", j.ann},
		{"demo-book", j.d.url("balancer") + j.path, j.ann},
		{"demo-admin", j.d.url("api-1") + "/", j.admin},
		{"stage", j.d.url("stage") + "/", j.admin},
		{"node-dashboard", j.d.url("admin-1") + "/dashboard/", j.admin},
	} {
		one.by.open(one.address)
		one.by.look(one.name)
		one.by.clean()
	}
	j.tour()
}

// tour goes through the stage's tour, by its buttons alone, and looks at the page at each step.
func (j *journey) tour() {
	j.t.Helper()
	p := j.admin
	p.open(j.d.url("stage") + "/")
	step := func(n int) string {
		return fmt.Sprintf(`document.querySelectorAll("#tour li.done").length >= %d`, n)
	}
	for n := range 5 {
		if get[bool](p, step(n+1)) { // the load has been started
			continue
		}
		p.press("#tour button.go, #tour button[formaction='/actions/tour']")
		for until := time.Now().Add(tourMax); ; {
			if p.await(5*time.Second, step(n+1)) == nil {
				break
			}
			if time.Now().After(until) {
				j.t.Fatalf("step %d of the tour is not done:\n%s", n+1, p.text())
			}
		}
		p.look(fmt.Sprintf("stage-tour-%d", n+1))
		j.t.Logf("step %d: %s", n+1, get[string](p, `document.querySelector("#verdict .word").innerText + " " + document.querySelector("#verdict .how").innerText`))
	}
	p.shows("#verdict", "Nothing lost", "every cent and every share is where it belongs")
	p.clean()
}

const tourMax = 5 * time.Minute // of a step, on a busy machine

// load has the stage trade.
func (j *journey) load() {
	j.t.Helper()
	j.admin.open(j.d.url("stage") + "/")
	j.admin.click("#load button")
	j.admin.shows("main", "acknowledged")
}
