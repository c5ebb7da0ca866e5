//go:build manual

package browser_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

const (
	frameEvery  = 400 * time.Millisecond
	pictureMax  = 10 * time.Minute
	recordWide  = 920
	recordHigh  = 760
	recordScale = 0.8
	encodeMax   = 5 * time.Minute
	walkSeed    = 7
)

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
	j.trading()
	j.ann.open(j.d.url("web-1") + j.path)
	j.ann.order("buy", "40", "4.92")
	j.ann.shows(".steps .now", "trading")
	j.ann.fill("form.order [name=count]", "25")
	j.ann.fill("form.order [name=price]", "5.04")
	j.ann.shot(dir, "book")
	j.ann.open(j.d.url("web-2") + "/dashboard")
	j.ann.shot(dir, "dashboard")
	j.record(filepath.Join(dir, "trading.webp"))
}

// trading has the demonstration's first users trade, so that there is a market to look at.
func (j *journey) trading() {
	j.t.Helper()
	book := strings.TrimPrefix(j.path, "/market/")
	random := rand.New(rand.NewPCG(walkSeed, 0)) //nolint:gosec // a walk of prices
	price := 500
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
	p.size(wideWidth, wideHigh)
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

// record films two users beside each other, one of whose web servers dies.
func (j *journey) record(file string) {
	j.t.Helper()
	for _, p := range []*tab{j.ann, j.bob} {
		p.scheme("light")
		p.do("size", call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: recordWide, Height: recordHigh, DeviceScaleFactor: recordScale}))
	}
	j.ann.open(j.d.url("web-1") + j.path)
	j.bob.open(j.d.url("web-2") + j.path)
	f := &film{t: j.t, tabs: []*tab{j.ann, j.bob}, dir: j.t.TempDir()}
	stop := f.roll()
	j.bob.mark()
	j.bob.order("sell", "40", "5.05")
	j.acknowledged(j.bob)
	f.pause(2 * time.Second)
	j.ann.mark()
	j.ann.order("buy", "25", "5.05")
	j.acknowledged(j.ann)
	f.pause(2 * time.Second)
	j.ann.expectFailures(true)
	j.bob.expectFailures(true)
	former := j.d.pid("node-2")
	j.d.kill("node-2")
	j.bob.wait("the word that the connection is lost", `!document.querySelector(".lost").hidden`)
	j.ann.mark()
	j.ann.order("buy", "10", "5.05")
	j.acknowledged(j.ann)
	f.pause(time.Second)
	j.d.backAgain("node-2", former)
	j.bob.wait("the connection", `document.querySelector(".lost").hidden`)
	f.pause(3 * time.Second)
	stop()
	f.encode(file)
}

// film is a row of frames, each of all tabs beside each other.
type film struct {
	t    *testing.T
	tabs []*tab
	dir  string

	files []string
	since []time.Duration // of each frame's beginning
}

// roll takes frames until stop is called.
func (f *film) roll() (stop func()) {
	ctx, cancel := context.WithTimeout(f.t.Context(), pictureMax)
	var rolling sync.WaitGroup
	rolling.Go(func() {
		began := time.Now()
		tick := time.NewTicker(frameEvery)
		defer tick.Stop()
		var last []byte
		for {
			if frame := f.frame(); !bytes.Equal(frame, last) {
				last = frame
				name := filepath.Join(f.dir, fmt.Sprintf("%04d.png", len(f.files)))
				if err := os.WriteFile(name, frame, 0o600); err != nil {
					f.t.Error(err)
					return
				}
				f.files, f.since = append(f.files, name), append(f.since, time.Since(began))
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				f.since = append(f.since, time.Since(began))
				return
			}
		}
	})
	return func() { cancel(); rolling.Wait() }
}

// frame puts the tabs beside each other.
func (f *film) frame() []byte {
	const gap = 12
	var all []image.Image
	wide, high := 0, 0
	for _, p := range f.tabs {
		one, err := png.Decode(bytes.NewReader(p.capture(page.CaptureScreenshotFormatPng)))
		if err != nil {
			f.t.Error(err)
			return nil
		}
		all = append(all, one)
		wide, high = wide+one.Bounds().Dx()+gap, max(high, one.Bounds().Dy())
	}
	canvas := image.NewRGBA(image.Rect(0, 0, wide-gap, high))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(color.Gray{Y: 0x60}), image.Point{}, draw.Src)
	x := 0
	for _, one := range all {
		draw.Draw(canvas, one.Bounds().Add(image.Pt(x, 0)), one, image.Point{}, draw.Src)
		x += one.Bounds().Dx() + gap
	}
	var out bytes.Buffer
	if err := png.Encode(&out, canvas); err != nil {
		f.t.Error(err)
	}
	return out.Bytes()
}

// pause lets people look.
func (f *film) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.t.Context().Done():
	}
}

// encode makes an animated WebP of the frames.
func (f *film) encode(file string) {
	f.t.Helper()
	args := []string{"-loop", "0", "-mixed", "-q", "70", "-m", "6", "-min_size", "-kmax", "60"}
	for i, name := range f.files {
		args = append(args, "-d", strconv.Itoa(max(1, int((f.since[i+1]-f.since[i]).Milliseconds()))), name)
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), encodeMax)
	defer cancel()
	out, err := exec.CommandContext(ctx, "img2webp", append(args, "-o", file)...).CombinedOutput()
	if err != nil {
		f.t.Fatalf("img2webp, of Debian's package webp: %v\n%s", err, out)
	}
	info, err := os.Stat(file)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Logf("%d frames in %d bytes", len(f.files), info.Size())
}
