package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gofrs/flock"
)

// ErrDataDirInUse says that another process has the data folder open.
var ErrDataDirInUse = errors.New("data folder in use by another process")

// dataDir is the folder of one process. The lock proves that no other process
// uses it, however the last one ended.
type dataDir struct {
	path string
	lock *flock.Flock

	mu       sync.Mutex
	sessions []string // that processes have opened which had this folder here, the newest last
}

func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock := flock.New(filepath.Join(path, "lock"))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, ErrDataDirInUse)
	}
	d := &dataDir{path: path, lock: lock}
	if err := d.recall(); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return d, nil
}

func (d *dataDir) close() error { return d.lock.Unlock() }

// name returns the name that the folder's node keeps over restarts, and makes
// one if there is none.
func (d *dataDir) name() (string, error) {
	file := filepath.Join(d.path, "name")
	switch data, err := os.ReadFile(file); {
	case err == nil && namePattern.MatchString(strings.TrimSpace(string(data))):
		return strings.TrimSpace(string(data)), nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("node name: %w", err)
	}
	host, err := os.Hostname()
	if err != nil || !namePattern.MatchString(host) || len(host) > 40 {
		host = "node"
	}
	name := host + "-" + strings.ToLower(rand.Text()[:6])
	if err := os.WriteFile(file, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("node name: %w", err)
	}
	return name, nil
}
