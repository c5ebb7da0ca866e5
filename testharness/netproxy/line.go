package netproxy

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

const (
	chunkBytes  = 32 << 10
	queueChunks = 128 // a direction holds at most 4 MiB, then the sender is stalled
)

// line is the state of one direction, shared by all connections.
type line struct {
	mu    sync.Mutex
	open  chan struct{} // closed while the line works
	delay time.Duration
}

func newLine() *line {
	open := make(chan struct{})
	close(open)
	return &line{open: open}
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if isClosed(l.open) {
		l.open = make(chan struct{})
	}
}

func (l *line) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !isClosed(l.open) {
		close(l.open)
	}
}

func (l *line) setDelay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

func (l *line) state() (open chan struct{}, delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open, l.delay
}

// pass blocks until the time due has come and the line is not cut.
func (l *line) pass(ctx context.Context, due time.Time) error {
	if wait := time.Until(due); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	open, _ := l.state()
	for !isClosed(open) {
		select {
		case <-open:
		case <-ctx.Done():
			return ctx.Err()
		}
		open, _ = l.state() // it may have been cut again
	}
	return ctx.Err()
}

// chunk is what one read brought, and when it may leave. A nil data ends the
// stream.
type chunk struct {
	data []byte
	due  time.Time
}

// carry copies src to dst until src ends or dst fails. Reading and writing are
// two goroutines so that a delay does not slow the reading down.
func (l *line) carry(ctx context.Context, dst, src net.Conn) {
	queue := make(chan chunk, queueChunks)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { l.read(ctx, src, queue) })
	l.write(ctx, dst, queue)
	// Whatever ended the writing, the reader must not wait for more: half of the
	// connection is of no use once its receiver is gone.
	cancel()
	_ = src.SetReadDeadline(time.Now())
	wg.Wait()
}

func (l *line) read(ctx context.Context, src io.Reader, queue chan<- chunk) {
	for {
		buf := make([]byte, chunkBytes)
		n, err := src.Read(buf)
		_, delay := l.state()
		c := chunk{data: buf[:n], due: time.Now().Add(delay)}
		if n > 0 && !send(ctx, queue, c) {
			return
		}
		if err != nil {
			send(ctx, queue, chunk{due: c.due})
			return
		}
	}
}

func (l *line) write(ctx context.Context, dst net.Conn, queue <-chan chunk) {
	for {
		var c chunk
		select {
		case c = <-queue:
		case <-ctx.Done():
			return
		}
		if l.pass(ctx, c.due) != nil {
			return
		}
		if c.data == nil {
			closeWrite(dst)
			return
		}
		if _, err := dst.Write(c.data); err != nil {
			return
		}
	}
}

// closeWrite passes the end of a stream on and leaves the other direction open.
func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

func send(ctx context.Context, queue chan<- chunk, c chunk) bool {
	select {
	case queue <- c:
		return true
	case <-ctx.Done():
		return false
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
