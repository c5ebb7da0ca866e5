package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// ErrUnrecovered says that the embedded NATS server could not read a stream that its
// data folder has. A node that went on would make an empty one in its place.
var ErrUnrecovered = errors.New("stream cannot be recovered")

// unrecovered names the streams of the folder that a server alone did not take in: one
// that is in a cluster gets them from the others. The server only warns of them.
func unrecovered(s *server.Server, dir string, log *serverLog) error {
	var faults []error
	for _, fault := range s.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if fault.Type != server.HealthzErrorStream {
			continue
		}
		if !holdsMessages(filepath.Join(dir, server.JetStreamStoreDir, fault.Account, "streams", fault.Stream)) {
			continue // its creation was cut short: it is made anew
		}
		faults = append(faults, fmt.Errorf("%s: %w", fault.Stream, ErrUnrecovered))
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w; the server said: %s", errors.Join(faults...), log.warned())
}

// holdsMessages reports whether a stream's folder has messages, or cannot be read.
func holdsMessages(folder string) bool {
	blocks, err := os.ReadDir(filepath.Join(folder, "msgs"))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	for _, block := range blocks {
		if info, err := block.Info(); filepath.Ext(block.Name()) == ".blk" && (err != nil || info.Size() > 0) {
			return true
		}
	}
	return false
}

// storedBytes is how much the folder's streams and Raft logs have to be read.
func storedBytes(dir string) uint64 {
	var all uint64
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".blk" {
			return nil //nolint:nilerr // what cannot be read, the server will complain of
		}
		if info, err := entry.Info(); err == nil && info.Size() > 0 {
			all += uint64(info.Size())
		}
		return nil
	})
	return all
}

// frozen returns why the server does not store what it is given any more, or nil. After
// a failed write it stores nothing more in that stream, or nothing at all, until it is
// started again.
func (e *embedded) frozen() error {
	s := e.server()
	if e.ending.Load() {
		return nil
	}
	if !s.JetStreamEnabled() {
		return fmt.Errorf("JetStream has ended: %s", e.log.warned())
	}
	for _, fault := range s.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if fault.Type == server.HealthzErrorStream && writeError(fault.Error) {
			return errors.New(fault.Error)
		}
	}
	return nil
}

// writeError tells a fault of the disk from the others: the server gives only a text.
func writeError(text string) bool { return strings.Contains(text, "write error") }
