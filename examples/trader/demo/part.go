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

	"github.com/ganglion-go/ganglion/examples/trader/stage"
	"github.com/ganglion-go/ganglion/testharness/netproxy"
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
	role  stage.Role
	what  string
	where string // it listens
	args  []string
	env   []string
	ready func(ctx context.Context) error

	egress *netproxy.Egress // of a node; nil: nobody can cut it off
	others []string         // addresses that it is cut off from

	path    string // of the binary
	logPath string
	say     func(format string, args ...any)

	mu       sync.Mutex
	current  *process
	wanted   *process      // whose end was asked for, so that it is no failed start
	paused   bool          // the current process
	cut      bool          // the part, over all its lives
	stopped  chan struct{} // closed when it is not to start again
	stopping sync.Once
	kept     chan struct{} // closed when nobody starts it any more
	gaveUp   chan struct{} // closed when it has ended right after its start too often
	givingUp sync.Once
	wake     chan struct{} // has it start at once
}

// begin starts the part, and has it started again whenever it ends.
func (p *part) begin() error {
	p.stopped, p.kept, p.gaveUp, p.wake = make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
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
	running, err := start(p.path, p.args, p.env, true, log)
	if err == nil {
		p.current, p.paused = running, false
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
		switch failed++; {
		case p.asked(running):
			failed = 0
		case time.Since(running.began) > soonAfter:
			failed = 1
		}
		again, ok := p.restart(running, failed)
		if !ok {
			return
		}
		running = again
		p.say("%s runs again: kill -9 %d", p.name, running.pid())
	}
}

// restart waits and starts the process again. One that has failed too often waits until
// somebody asks for it. ok is false when it is to stop.
func (p *part) restart(ended *process, failed int) (again *process, ok bool) {
	for {
		wait := againAfter
		if failed >= startsMax {
			p.say("%s has ended %d times right after its start (%s) and stays down; its log: %s", p.name, failed, reason(ended.err), p.logPath)
			p.givingUp.Do(func() { close(p.gaveUp) })
			wait = 0
		} else {
			p.say("%s has ended (%s), and starts again in %v", p.name, reason(ended.err), againAfter)
		}
		if !p.rest(wait) {
			return nil, false
		}
		again, err := p.launch()
		switch {
		case err == nil:
			return again, true
		case errors.Is(err, errStopped):
			return nil, false
		}
		p.say("%s cannot be started again: %v", p.name, err)
		failed = startsMax
	}
}

// rest waits until the part is to start, at the latest after some time; 0: until somebody
// asks for it. It returns false when it is to stop.
func (p *part) rest(wait time.Duration) bool {
	var due <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-p.wake:
	case <-p.stopped:
		return false
	}
	return true
}

// asked reports whether somebody has asked for the end of a process.
func (p *part) asked(of *process) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wanted == of
}

func reason(err error) string {
	if err == nil {
		return "by itself"
	}
	return err.Error()
}

// pid returns that of the process, or of the last one; 0: there was none.
func (p *part) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return 0
	}
	return p.current.pid()
}

// up reports whether the process is there.
func (p *part) up() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.runningLocked()
	return err == nil
}

func (p *part) runningLocked() (*process, error) {
	if p.current == nil {
		return nil, errDown
	}
	select {
	case <-p.current.exited:
		return nil, errDown
	default:
		return p.current, nil
	}
}

var (
	errDown     = errors.New("it does not run")
	errNoEgress = errors.New("its network cannot be cut")
)

// kill ends the process at once. It is started again as after any end.
func (p *part) kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	running, err := p.runningLocked()
	if err != nil {
		return err
	}
	p.wanted = running
	return running.cmd.Process.Kill()
}

// expect says that the process is about to end in order, as somebody has asked it to.
func (p *part) expect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = p.current
}

// pause stops the process until resume.
func (p *part) pause() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	running, err := p.runningLocked()
	if err != nil {
		return err
	}
	err = running.pause()
	p.paused = err == nil
	return err
}

// resume lets a paused process go on. It is idempotent.
func (p *part) resume() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	running, err := p.runningLocked()
	if err != nil {
		return err
	}
	if !p.paused {
		return nil
	}
	p.paused = false
	return running.resume()
}

// setCut cuts the part off from the servers that it uses, or ends that.
func (p *part) setCut(cut bool) error {
	if p.egress == nil {
		return errNoEgress
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	if !cut {
		p.egress.Heal()
		return nil
	}
	for _, address := range p.others {
		p.egress.Link(address).Cut()
	}
	return nil
}

// startNow has a part that is down start at once.
func (p *part) startNow() {
	if p.up() {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default: // somebody has asked already
	}
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
		case <-p.gaveUp: // it has been started again and again
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
