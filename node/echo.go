package node

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	echoEvery    = time.Second
	echoPatience = 3 * time.Second
	echoMost     = time.Minute // between two connections that are given up
)

// echo sends itself messages on a connection. That the server answers a PING does not say
// that messages arrive: one that takes away the right to subscribe ends subscriptions, and
// does not make them anew when it gives that back. A new connection does.
type echo struct {
	conn   *nats.Conn
	logger *slog.Logger
	after  time.Duration // without an echo the connection is given up

	mu    sync.Mutex
	inbox string
	heard chan *nats.Msg
	sent  int
}

func newEcho(conn *nats.Conn, logger *slog.Logger, after time.Duration) (*echo, error) {
	e := &echo{conn: conn, logger: logger, after: after, inbox: conn.NewRespInbox(), heard: make(chan *nats.Msg, 16)}
	if _, err := conn.ChanSubscribe(e.inbox, e.heard); err != nil { // ends with the connection
		return nil, fmt.Errorf("subscribe to echoes: %w", err)
	}
	return e, nil
}

// ask returns nil once a message that is sent now has come back. It is called by one at a
// time: others wait.
func (e *echo) ask(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.conn.IsConnected() {
		return fmt.Errorf("send an echo: %w", nats.ErrDisconnected)
	}
	e.sent++
	want := strconv.Itoa(e.sent)
	if err := e.conn.Publish(e.inbox, []byte(want)); err != nil {
		return fmt.Errorf("send an echo: %w", err)
	}
	for {
		select {
		case msg := <-e.heard:
			if string(msg.Data) == want {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("await an echo: %w", ctx.Err())
		}
	}
}

// run gives a connection up that brings no echo for too long, until ctx ends.
func (e *echo) run(ctx context.Context) {
	heard, after := time.Now(), e.after
	for {
		asking, cancel := context.WithTimeout(ctx, echoPatience)
		err := e.ask(asking)
		cancel()
		switch {
		case err == nil || !e.conn.IsConnected():
			heard, after = time.Now(), e.after
		case ctx.Err() == nil && time.Since(heard) >= after:
			e.logger.ErrorContext(ctx, "no messages arrive on the connection to NATS, making another one", "for", time.Since(heard), "error", err)
			if err := e.conn.ForceReconnect(); err != nil {
				e.logger.WarnContext(ctx, "no other connection to NATS", "error", err)
			}
			heard, after = time.Now(), max(e.after, min(2*after, echoMost))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(echoEvery):
		}
	}
}
