package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// feedQuiet is how long the store must bring nothing new to count as read to its end.
const feedQuiet = 2 * time.Second

// Keep leaves evidence in a new folder in parent (empty: the system's temporary
// directory), and returns its path: the logs of all processes, and the given texts by
// file name. It keeps what it can; the error tells the rest.
func (c *Cluster) Keep(parent string, seed uint64, texts map[string]string) (dir string, err error) {
	if parent == "" {
		parent = os.TempDir()
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp(parent, fmt.Sprintf("ganglion-chaos-seed-%d-*", seed)); err != nil {
		return "", err
	}
	var errs []error
	for name, text := range texts {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	for _, path := range c.logs() {
		errs = append(errs, copyFile(path, dir))
	}
	return dir, errors.Join(errs...)
}

// WriteCommits writes everything that the store has, a JSON document in a line for each
// commit, in the order of the feed. Nobody may write meanwhile: it has read to the end
// when nothing new comes for 2 s.
func (c *Cluster) WriteCommits(ctx context.Context, out io.Writer) error {
	s, done, err := c.openStore(ctx)
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	defer done()
	lines := json.NewEncoder(out)
	for item, err := range store.FollowUntilQuiet(ctx, s, feedQuiet, nil) {
		if err == nil {
			err = item.Unreadable
		}
		if err != nil {
			return fmt.Errorf("read the store: %w", err)
		}
		if err := lines.Encode(describeCommit(&item.Commit)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// copyFile copies a log.
func copyFile(from, dir string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, filepath.Base(from)), data, 0o600)
}

// describeCommit makes the bytes in a commit readable.
func describeCommit(c *store.Commit) any {
	type outcome struct {
		ID        string          `json:"id"`
		Events    int             `json:"events"`
		Reply     json.RawMessage `json:"reply,omitempty"`
		Rejection json.RawMessage `json:"rejection,omitempty"`
	}
	type event struct {
		Name string          `json:"name"`
		Data json.RawMessage `json:"data"`
	}
	d := struct {
		Aggregate store.Aggregate `json:"aggregate"`
		First     store.Version   `json:"first"`
		Partition store.Partition `json:"partition"`
		Position  store.Position  `json:"position"`
		Time      time.Time       `json:"time"`
		Outcomes  []outcome       `json:"outcomes"`
		Events    []event         `json:"events"`
	}{Aggregate: c.Aggregate, First: c.First, Partition: c.Partition, Position: c.Position, Time: time.UnixMicro(c.Time).UTC()}
	for _, o := range c.Outcomes {
		d.Outcomes = append(d.Outcomes, outcome{o.CommandID, o.Events, o.Reply, o.Rejection})
	}
	for _, e := range c.Events {
		d.Events = append(d.Events, event{e.Name, e.Data})
	}
	return d
}
