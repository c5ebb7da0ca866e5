package chromium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// EnvBinary is the environment variable that names the binary to use.
const EnvBinary = "GANGLION_CHROMIUM"

const (
	probeMax   = 30 * time.Second // the first start on a busy machine reads much from disk
	installMax = 10 * time.Minute
)

// ErrNotFound is what every [*NotFoundError] is.
var ErrNotFound = errors.New("no Chromium was found")

// NotFoundError says that there is no Chromium, and what was tried.
type NotFoundError struct{ Tried []error }

// Error lists what was tried.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("%v: %v; install one (Debian: apt-get install chromium), or name it in %s", ErrNotFound, errors.Join(e.Tried...), EnvBinary)
}

// Unwrap returns [ErrNotFound] and the reasons.
func (e *NotFoundError) Unwrap() []error { return append([]error{ErrNotFound}, e.Tried...) }

// Find returns the path of a browser that answers to --version: the one that [EnvBinary]
// names and no other, one on PATH or where systems install it, or, with CI set, for root on a system with
// apt-get, the package chromium, which it installs. progress, which may be nil, is told of
// that. Find blocks until it is done or ctx ends.
func Find(ctx context.Context, progress io.Writer) (string, error) {
	if progress == nil {
		progress = io.Discard
	}
	f := finder{getenv: os.Getenv, lookPath: exec.LookPath, probe: probe}
	if os.Geteuid() == 0 && os.Getenv("CI") != "" {
		f.install = func(ctx context.Context) error { return aptGet(ctx, progress) }
	}
	return f.find(ctx)
}

// finder is [Find] with its surroundings as parameters.
type finder struct {
	getenv   func(string) string
	lookPath func(string) (string, error)
	probe    func(ctx context.Context, path string) error
	install  func(ctx context.Context) error // nil: this process may not
}

// names are those of the binaries, on PATH and elsewhere.
func names() []string {
	return []string{
		"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless-shell",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
		"/Applications/Chromium.app/Contents/MacOS/Chromium",
		filepath.Join(os.Getenv("ProgramFiles"), `Google\Chrome\Application\chrome.exe`),
	}
}

func (f finder) find(ctx context.Context) (string, error) {
	if named := f.getenv(EnvBinary); named != "" {
		if err := f.probe(ctx, named); err != nil {
			return "", &NotFoundError{Tried: []error{fmt.Errorf("%s=%s: %w", EnvBinary, named, err)}}
		}
		return named, nil
	}
	path, tried := f.installed(ctx)
	if path != "" {
		return path, nil
	}
	if f.install == nil {
		return "", &NotFoundError{Tried: tried}
	}
	if err := f.install(ctx); err != nil {
		return "", &NotFoundError{Tried: append(tried, err)}
	}
	if path, tried = f.installed(ctx); path == "" {
		return "", &NotFoundError{Tried: tried}
	}
	return path, nil
}

// installed returns the first of the names that runs; empty: there is none.
func (f finder) installed(ctx context.Context) (path string, tried []error) {
	for _, name := range names() {
		path, err := f.lookPath(name)
		if err != nil {
			continue
		}
		if err = f.probe(ctx, path); err == nil {
			return path, nil
		}
		tried = append(tried, fmt.Errorf("%s: %w", path, err))
	}
	return "", tried
}

// probe runs a browser for a moment: on some systems the name is a stub.
func probe(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, probeMax)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version", "--no-sandbox").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// aptGet installs Debian's package. A list of packages that is too old, or not there, is
// renewed first.
func aptGet(ctx context.Context, progress io.Writer) error {
	path, err := exec.LookPath("apt-get")
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(progress, "installing Chromium with apt-get")
	ctx, cancel := context.WithTimeout(ctx, installMax)
	defer cancel()
	install := []string{"install", "--yes", "--quiet=2", "--no-install-recommends", "chromium"}
	for _, args := range [][]string{install, {"update", "--quiet=2"}, install} {
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		var out []byte
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("apt-get %s: %w: %s", args[0], err, out[max(0, len(out)-1<<10):])
		} else if args[0] == "install" {
			return nil
		}
	}
	return err
}
