package browser_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/ganglion-go/ganglion/internal/chromium"
	"github.com/ganglion-go/ganglion/testharness"
)

func TestMain(m *testing.M) { testharness.Main(m) }

const (
	startMax  = 2 * time.Minute // for the browser, on a busy machine
	wideWidth = 1280
	wideHigh  = 900
	slimWidth = 360
	slimHigh  = 740
)

// chrome is a running browser without a window.
type chrome struct{ root tabContext }

// newChrome starts a browser, which ends with the test.
func newChrome(t *testing.T) *chrome {
	t.Helper()
	binary, err := chromium.Find(t.Context(), os.Stderr)
	switch {
	case errors.Is(err, chromium.ErrNotFound) && os.Getenv("CI") == "":
		t.Skipf("NO CHROMIUM, the pages are not looked at: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(binary), chromedp.WindowSize(wideWidth, wideHigh), chromedp.WSURLReadTimeout(startMax),
		chromedp.Flag("lang", "en-US"), chromedp.DisableGPU)
	allocator, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	root, closing := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(closing)
	if err := chromedp.Do(root); err != nil {
		t.Fatalf("start %s: %v", binary, err)
	}
	return &chrome{root: tabContext{root}}
}
