package node

import (
	"bytes"
	"context"
	"math"
	"os"
	"strconv"
	"sync"
	"time"
)

// How much must be read between two looks to count.
const (
	startStep   = 4 << 10  // more than the looks themselves read
	clusterStep = 64 << 10 // more than servers tell each other while they wait
)

// progress tells a process that is busy reading what it has stored from one that waits
// in vain. It is safe for concurrent use.
type progress struct {
	count func() (uint64, bool)

	mu    sync.Mutex
	step  uint64
	first uint64
	seen  uint64
	lines uint64
	at    time.Time
}

// newProgress follows a count that grows with what is read, and that some systems do
// not have.
func newProgress(count func() (uint64, bool)) *progress {
	p := &progress{count: count}
	p.begin(0, startStep)
	return p
}

// begin counts from now on.
func (p *progress) begin(lines, step uint64) {
	n, _ := p.count()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.first, p.seen, p.lines, p.step, p.at = n, n, lines, step, time.Now()
}

// read is what was read since begin.
func (p *progress) read() uint64 {
	n, _ := p.count()
	p.mu.Lock()
	defer p.mu.Unlock()
	return n - min(n, p.first)
}

// idle returns for how long nothing has happened. lines is how much the server has said.
// Where nothing can be measured, something happens all the time.
func (p *progress) idle(lines uint64) time.Duration {
	n, known := p.count()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !known || n >= p.seen+p.step || lines > p.lines {
		p.at, p.lines = time.Now(), lines
	}
	p.seen = n
	return time.Since(p.at)
}

// since returns how long ago something happened.
func (p *progress) since() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.at)
}

// while returns a context that ends with the cause once nothing has happened for the
// given time, and a function that ends it.
//
// Reading counts up to the given amount: what is stored is read a few times at most.
func (p *progress) while(ctx context.Context, patience time.Duration, most uint64, cause error) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	p.begin(math.MaxUint64, clusterStep) // a server that waits in vain has much to say
	var watching sync.WaitGroup
	watching.Go(func() {
		look := time.NewTicker(startPoll)
		defer look.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
				if p.read() < most {
					p.idle(0)
				}
				if p.since() >= patience {
					cancel(cause)
				}
			}
		}
	})
	return ctx, func() {
		cancel(context.Canceled)
		watching.Wait()
	}
}

// bytesRead is how many bytes this process has read from anywhere, on Linux.
func bytesRead() (uint64, bool) {
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(data) {
		if text, ok := bytes.CutPrefix(line, []byte("rchar: ")); ok {
			n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
