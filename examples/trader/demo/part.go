package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	againAfter  = 5 * time.Second  // before a part that has ended starts again
	soonAfter   = 10 * time.Second // of its start: an end by then counts as a failed start
	startsMax   = 3                // failed ones in a row
	pollEvery   = 100 * time.Millisecond
	logTail     = 3 << 10
	privateMode = 0o700
	fileMode    = 0o600
)

// part is one process of the demonstration, over all its lives.
type part struct {
	name  string
	what  string
	where string // it listens
	args  []string
	ready func(ctx context.Context) error

	path    string // of the binary
	logPath string
	say     func(format string, args ...any)

	mu       sync.Mutex
	current  *process
	stopped  chan struct{} // closed when it is not to start again
	stopping sync.Once
	kept     chan struct{} // closed when nobody starts it any more
}

// begin starts the part, and has it started again whenever it ends.
func (p *part) begin() error {
	p.stopped, p.kept = make(chan struct{}), make(chan struct{})
	first, err := p.launch()
	if err != nil {
		close(p.kept)
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		defer close(p.kept)
		p.keep(first)
	}()
	return nil
}

// launch starts the process once. It starts none that is to stop.
func (p *part) launch() (*process, error) {
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, fileMode)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.stopped:
		return nil, errStopped
	default:
	}
	running, err := start(p.path, p.args, true, log)
	if err == nil {
		p.current = running
	}
	return running, err
}

var errStopped = errors.New("it is to stop")

// keep starts the part again whenever it ends.
func (p *part) keep(running *process) {
	failed := 0
	for {
		select {
		case <-running.exited:
		case <-p.stopped:
			return
		}
		if failed++; time.Since(running.began) > soonAfter {
			failed = 1
		}
		if failed >= startsMax {
			p.say("%s has ended %d times right after its start (%s) and stays down; its log: %s", p.name, startsMax, reason(running.err), p.logPath)
			return
		}
		p.say("%s has ended (%s), and starts again in %v", p.name, reason(running.err), againAfter)
		timer := time.NewTimer(againAfter)
		select {
		case <-timer.C:
		case <-p.stopped:
			timer.Stop()
			return
		}
		again, err := p.launch()
		switch {
		case errors.Is(err, errStopped):
			return
		case err != nil:
			p.say("%s cannot be started again: %v", p.name, err)
			return
		}
		running = again
		p.say("%s runs again: kill -9 %d", p.name, running.pid())
	}
}

func reason(err error) string {
	if err == nil {
		return "by itself"
	}
	return err.Error()
}

// pid returns that of the process; 0: there was none.
func (p *part) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return 0
	}
	return p.current.pid()
}

// stop ends the part for good.
func (p *part) stop(patience time.Duration, cut <-chan struct{}) {
	if p.stopped == nil {
		return // it was never begun
	}
	p.mu.Lock()
	p.stopping.Do(func() { close(p.stopped) })
	running := p.current
	p.mu.Unlock()
	if running != nil {
		running.end(patience, cut)
	}
	<-p.kept
}

// await waits until the part is ready. It fails with the end of its log.
func (p *part) await(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.kept: // it has been started again and again
			return p.failed(err)
		case <-ctx.Done():
			return p.failed(errors.Join(context.Cause(ctx), err))
		}
	}
}

func (p *part) failed(err error) error {
	data, readErr := os.ReadFile(p.logPath)
	if readErr != nil {
		data = []byte(readErr.Error())
	}
	return fmt.Errorf("%s is not ready: %w; the end of %s:\n%s", p.name, err, filepath.Base(p.logPath), strings.TrimSpace(string(data[max(0, len(data)-logTail):])))
}
