package provider

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// journal is a file with one [Entry] a line.
type journal struct {
	file *os.File
}

// Open is [New] with a file, which is made if there is none: the provider knows all that
// one before it has charged, and was asked for, on the same file. What it charges is there
// before the answer leaves, so that a provider that is killed has charged, afterwards, what
// it had said, and perhaps what it did not come to say. The operating system's own end may
// cost what it had not written yet. A last line that was cut off is no entry. A file
// belongs to one provider at a time. Close it when done.
func Open(cfg Config, file string) (*Provider, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	p := New(cfg)
	if err := p.replay(f); err != nil {
		return nil, errors.Join(fmt.Errorf("read the journal: %w", err), f.Close())
	}
	p.journal = &journal{f}
	return p, nil
}

// Close closes the file of [Open]. What is asked for after it is out of order.
func (p *Provider) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.journal == nil {
		return nil
	}
	return p.journal.file.Close()
}

// replay takes in the entries of a file, and cuts off what was not written to its end.
func (p *Provider) replay(f *os.File) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines, whole := bufio.NewReader(f), int64(0)
	for {
		line, err := lines.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF):
			return f.Truncate(whole)
		case err != nil:
			return err
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("no entry at byte %d: %w", whole, err)
		}
		if e.Key == "" {
			return fmt.Errorf("no entry at byte %d: %w", whole, errNoKey)
		}
		p.noteLocked(&e)
		whole += int64(len(line))
	}
}

var errNoKey = errors.New("it has no key")

// write adds an entry. Of one that fails, nothing is left behind.
func (j *journal) write(e *Entry) error {
	if j == nil {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return errors.Join(err, j.file.Truncate(info.Size()))
	}
	return nil
}
