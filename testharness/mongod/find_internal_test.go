package mongod

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"
)

var errFake = errors.New("fake failure")

// fakeSource is a source that needs no network.
type fakeSource struct {
	name    string
	err     error
	fetches *atomic.Int32
}

func (s fakeSource) version() string { return s.name }

func (s fakeSource) fetch(_ context.Context, dir string, _ io.Writer) (string, error) {
	s.fetches.Add(1)
	if s.err != nil {
		return "", s.err
	}
	path := filepath.Join(dir, "fetched")
	return path, os.WriteFile(path, []byte(s.name), fileMode)
}

// newFinder knows no binary but those of the sources.
func newFinder(cache string, sources ...source) finder {
	return finder{
		getenv:   func(string) string { return "" },
		lookPath: func(string) (string, error) { return "", errFake },
		cacheDir: func() (string, error) { return cache, nil },
		probe:    func(context.Context, string) error { return nil },
		sources:  sources,
		progress: io.Discard,
	}
}

func TestFinder_EnvironmentAndPathComeFirst(t *testing.T) {
	t.Parallel()
	onPath := func(string) (string, error) { return "/path/mongod", nil }
	named := func(string) string { return "/named/mongod" }

	f := newFinder(t.TempDir())
	f.lookPath = onPath
	if got, err := f.find(t.Context()); got != "/path/mongod" || err != nil {
		t.Errorf("from PATH: %q, %v", got, err)
	}
	f.getenv = named
	if got, err := f.find(t.Context()); got != "/named/mongod" || err != nil {
		t.Errorf("from the environment: %q, %v", got, err)
	}
	f.probe = func(context.Context, string) error { return errFake }
	if got, err := f.find(t.Context()); got != "" || !errors.Is(err, ErrNotFound) || !errors.Is(err, errFake) {
		t.Errorf("a named binary that does not run gives %q, %v", got, err)
	}
}

func TestFinder_DownloadsOnceIntoCache(t *testing.T) {
	t.Parallel()
	var broken, good atomic.Int32
	f := newFinder(t.TempDir(), fakeSource{"broken", errFake, &broken}, fakeSource{"good", nil, &good})
	cache, _ := f.cacheDir()
	dir := filepath.Join(cache, "ganglion", "mongod")
	if err := os.MkdirAll(filepath.Join(dir, ".download-of-a-killed-process"), dirMode); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			path, err := f.find(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if text, err := os.ReadFile(path); string(text) != "good" || err != nil {
				t.Errorf("found %q, %v", text, err)
			}
		})
	}
	wg.Wait()
	if broken.Load() != 1 || good.Load() != 1 {
		t.Errorf("fetched %d and %d times, want once each", broken.Load(), good.Load())
	}
	left, err := filepath.Glob(filepath.Join(dir, scratchMatch))
	if len(left) != 0 || err != nil {
		t.Errorf("scratch directories are left: %v, %v", left, err)
	}
}

func TestFinder_NotFound_SaysWhatWasTried(t *testing.T) {
	t.Parallel()
	var fetches atomic.Int32
	sum := &ChecksumError{File: "x.tgz", Want: "aa", Got: "bb"}
	f := newFinder("/nowhere-that-exists", fakeSource{"good", nil, &fetches})
	f.cacheDir = func() (string, error) { return "", errFake }
	if _, err := f.find(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("without a cache directory: %v", err)
	}

	cache := t.TempDir()
	f = newFinder(cache, fakeSource{"a", errFake, &fetches}, fakeSource{"b", sum, &fetches})
	_, err := f.find(t.Context())
	notFound, ok := errors.AsType[*NotFoundError](err)
	if !ok || !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v, want a NotFoundError", err)
	}
	var where []string
	for _, attempt := range notFound.Tried {
		where = append(where, attempt.Where)
	}
	want := []string{"mongod on PATH", filepath.Join(cache, "ganglion", "mongod"), "download of a", "download of b"}
	if diff := cmp.Diff(want, where); diff != "" {
		t.Errorf("tried (-want +got):\n%s", diff)
	}
	if got, ok := errors.AsType[*ChecksumError](err); !ok || got != sum {
		t.Errorf("the cause is lost: %v", err)
	}
	if !strings.Contains(err.Error(), EnvBinary) || !strings.Contains(err.Error(), "sha256 of x.tgz is bb") {
		t.Errorf("message does not help: %v", err)
	}
}

func TestFinder_UnusableDownloadIsNotCached(t *testing.T) {
	t.Parallel()
	var fetches atomic.Int32
	f := newFinder(t.TempDir(), fakeSource{"a", nil, &fetches})
	f.probe = func(context.Context, string) error { return errFake }
	for range 2 {
		if _, err := f.find(t.Context()); !errors.Is(err, errFake) {
			t.Fatalf("got %v", err)
		}
	}
	if fetches.Load() != 2 {
		t.Errorf("%d fetches, want 2: the first must not have been kept", fetches.Load())
	}
}

func TestFinder_WaitForLock_EndsWithContext(t *testing.T) {
	t.Parallel()
	var fetches atomic.Int32
	f := newFinder(t.TempDir(), fakeSource{"a", nil, &fetches})
	cache, _ := f.cacheDir()
	dir := filepath.Join(cache, "ganglion", "mongod")
	if err := os.MkdirAll(dir, dirMode); err != nil {
		t.Fatal(err)
	}
	other := flock.New(filepath.Join(dir, lockName))
	if err := other.Lock(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*lockRetry)
	defer cancel()
	if _, err := f.find(ctx); !errors.Is(err, context.DeadlineExceeded) || fetches.Load() != 0 {
		t.Errorf("got %v and %d fetches under somebody else's lock", err, fetches.Load())
	}
	time.AfterFunc(lockRetry, func() { _ = other.Unlock() })
	if _, err := f.find(t.Context()); err != nil {
		t.Errorf("after the lock was free: %v", err)
	}
}

func TestCheckVersion(t *testing.T) {
	t.Parallel()
	for out, ok := range map[string]bool{
		"db version v6.0.5\nBuild Info: {":  true,
		"db version v10.1.0":                true,
		"db version v5.0.31\nBuild Info: {": false,
		"bash 5.2":                          false,
		"":                                  false,
	} {
		if err := checkVersion(out); (err == nil) != ok {
			t.Errorf("checkVersion(%q) = %v", out, err)
		}
	}
}

func TestFileTail(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(strings.Repeat("a line\n", 5000)+"the end\n"), fileMode); err != nil {
		t.Fatal(err)
	}
	got, err := fileTail(path)
	if err != nil || len(got) > tailBytes || !strings.HasPrefix(got, "a line\n") || !strings.HasSuffix(got, "the end\n") {
		t.Errorf("%d bytes, %v: %q", len(got), err, got)
	}
}
