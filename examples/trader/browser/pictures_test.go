//go:build manual

package browser_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

const walkSeed = 7

// TestPictures takes the pictures of README and docs from the running demonstration, and puts
// them into the folder that GANGLION_PICTURES names.
func TestPictures(t *testing.T) {
	dir := os.Getenv("GANGLION_PICTURES")
	if dir == "" {
		dir = t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := newChrome(t)
	j := begin(t, c)
	price := j.trading()
	j.ann.open(j.d.url("web-1") + j.path)
	j.ann.order("buy", "40", dollars(price-1))
	j.ann.shows(".steps .now", "trading")
	j.ann.fill("form.order [name=count]", "25")
	j.ann.fill("form.order [name=price]", dollars(price+5))
	j.ann.size(wideWidth, wideHigh)
	j.ann.shot(dir, "book")
	j.ann.open(j.d.url("web-2") + "/dashboard")
	j.ann.shot(dir, "dashboard")
	j.stage(dir)
}

// stage takes pictures of the stage while users trade, and a recording of the death of a node
// in the middle of it, up to the verdict.
func (j *journey) stage(dir string) {
	j.t.Helper()
	j.load()
	j.admin.size(stageWidth, stageHigh)
	j.admin.wait("many acknowledged orders", `+document.querySelector(".verdict").innerText.replaceAll(",", "").match(/(\d+) acknowledged by now/i)?.[1] > 200`)
	j.admin.press("#verdict button[formaction='/actions/check']")
	j.admin.shows("#verdict", "Nothing lost")
	j.admin.shot(dir, "stage")
	j.admin.scheme("light")
	j.admin.press("#controls button[formaction='/actions/kill'][value='node-2']")
	film := j.admin.record(has("#verdict", "Nothing lost", "after node-2 was killed"), lastFrame)
	film.save(j.t, filepath.Join(dir, "stage.gif"))
	j.admin.shot(dir, "stage-killed")
	j.admin.openUntil(j.d.url("admin-1")+"/dashboard/", has(".verdict", "128/128")+" && "+has("main", "node-1", "node-2"))
	j.admin.wait("rates", `!document.querySelector(".verdict").innerText.includes("–")`)
	j.admin.size(wideWidth, wideHigh)
	j.admin.shot(dir, "node")
}

const (
	stageWidth = 1280
	stageHigh  = 860
)

// press presses a button, or follows a link, of a live part, which may be replaced at any time.
func (p *tab) press(selector string) {
	p.t.Helper()
	p.wait(selector, fmt.Sprintf(`document.querySelector(%s) !== null && !document.querySelector(%s).disabled`, quote(selector), quote(selector)))
	p.do("press "+selector, script(fmt.Sprintf(`document.querySelector(%s).click()`, quote(selector))))
}

func dollars(cents int) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

// trading has the demonstration's first users trade, so that there is a market to look at, and
// returns a price, in cents, between its buyers and sellers.
func (j *journey) trading() (price int) {
	j.t.Helper()
	book := strings.TrimPrefix(j.path, "/market/")
	random := rand.New(rand.NewPCG(walkSeed, 0)) //nolint:gosec // a walk of prices
	price = 500
	start := func(side string, user, n, count, at int) {
		body := fmt.Sprintf(`{"portfolioId":"buyer%d","orderBookId":%q,"count":%d,"price":%d}`, user, book, count, at)
		j.post(fmt.Sprintf("/v1/transaction/picture-%s-%d/Start%sTransaction", strings.ToLower(side), n, side), body)
	}
	for n := range 48 {
		price += random.IntN(9) - 4
		count := 5 + random.IntN(20)
		start("Sell", 2+2*random.IntN(3), n, count, price)
		start("Buy", 1+2*random.IntN(3), n, count, price)
	}
	for n := range 24 {
		start("Sell", 2+2*random.IntN(3), 100+n, 20+random.IntN(90), price+3+2*(n/3))
		if n < 18 {
			start("Buy", 1+2*random.IntN(3), 100+n, 4+random.IntN(9), price-3-2*(n/3))
		}
	}
	j.ann.openUntil(j.d.url("web-1")+j.path, `document.querySelectorAll("[data-part=book] .lines time").length >= 20 && document.querySelectorAll(".sellers tbody tr").length >= 8`)
	return price
}

func (j *journey) post(path, body string) {
	j.t.Helper()
	ctx, cancel := context.WithTimeout(j.t.Context(), actionMax)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, j.d.url("api-1")+path, strings.NewReader(body))
	if err != nil {
		j.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		j.t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		j.t.Fatalf("%s: %s", path, answer.Status)
	}
}

// shot takes a picture of a page in both colour schemes.
func (p *tab) shot(dir, name string) {
	p.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		p.scheme(scheme)
		picture := p.capture(page.CaptureScreenshotFormatWebp)
		if err := os.WriteFile(filepath.Join(dir, name+"-"+scheme+".webp"), picture, 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *tab) capture(format page.CaptureScreenshotFormat) (picture []byte) {
	p.t.Helper()
	p.do("take a picture", chromedp.Func(func(ctx context.Context, to *chromedp.Target) error {
		shot := page.CaptureScreenshotParams{Format: format}
		if format == page.CaptureScreenshotFormatWebp {
			shot.Quality = new(int64(90))
		}
		taken, err := cdp.Call(ctx, to, page.CaptureScreenshot, shot)
		picture = taken.Data
		return err
	}))
	return picture
}
