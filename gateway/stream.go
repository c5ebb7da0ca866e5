package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

const (
	heartbeatEvery  = 15 * time.Second
	pollEvery       = 5 * time.Second  // wake-ups may be missed
	streamWriteTime = 10 * time.Second // for a client to take what was written
	expiryWriteTime = time.Second      // for it to take the last of it when its credentials end
	streamPage      = 256              // events read at a time
	streamRetry     = 1000             // ms that a browser waits before it reconnects
)

// stream is one client that follows an aggregate's events.
type stream struct {
	g     *Gateway
	c     *call
	out   *http.ResponseController
	after actor.Version // the last version that was written, or passed over
}

// serveStream follows the aggregate's events until the client goes away, the
// server shuts down, or the history cannot be read.
func (g *Gateway) serveStream(ctx context.Context, c *call, after actor.Version) *Problem {
	if !flushes(c.w.ResponseWriter) {
		g.cfg.Logger.LogAttrs(ctx, slog.LevelError, "stream_cannot_be_flushed",
			slog.String("writer", fmt.Sprintf("%T", c.w.ResponseWriter)), slog.String("hint", "writers of middleware around the gateway need a method Unwrap"))
		return newProblem(codeInternal, "")
	}
	if p := g.expired(c); p != nil {
		return p // a request may be let in for a moment longer, a stream that begins may not
	}
	leave, p := g.enterStream()
	if p != nil {
		return p
	}
	defer leave()
	// Watch before the first read: an event between the two then wakes us.
	wake, stop := g.cfg.History.Watch(ctx, c.route.target)
	defer stop()
	page, p := g.readEvents(ctx, c, after, streamPage)
	if p != nil {
		return p
	}
	s := &stream{g: g, c: c, out: http.NewResponseController(c.w), after: after}
	err := s.begin()
	if err == nil {
		err = s.follow(ctx, page, wake)
	}
	g.written(ctx, err)
	return nil
}

// enterStream takes one of the places for streams.
func (g *Gateway) enterStream() (leave func(), p *Problem) {
	select {
	case <-g.ending:
		return nil, newProblem(codeUnavailable, "the server shuts down")
	default:
	}
	open := g.streams.Add(1)
	if open > int64(g.cfg.MaxStreams) {
		g.streams.Add(-1)
		return nil, newProblem(actor.CodeOverloaded, "too many event streams are open")
	}
	g.streamsChanged(open)
	return func() { g.streamsChanged(g.streams.Add(-1)) }, nil
}

func (g *Gateway) streamsChanged(open int64) {
	if g.cfg.Listener.StreamsChanged != nil {
		g.cfg.Listener.StreamsChanged(int(open))
	}
}

func (s *stream) begin() error {
	if ends := s.c.principal.Expires; !ends.IsZero() {
		s.c.w.lastly = ends.Add(expiryWriteTime)
	}
	h := s.c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies must not collect the stream
	h.Set("Connection", "close")     // its write deadlines are not for a later request
	return s.write(fmt.Appendf(nil, "retry: %d\n\n", streamRetry))
}

// follow writes the given page and all later events.
func (s *stream) follow(ctx context.Context, page pageBody, wake <-chan struct{}) error {
	heartbeat := time.NewTicker(heartbeatEvery)
	defer heartbeat.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	expiry, stop := s.c.expiry()
	defer stop()
	if err := s.catchUp(ctx, page); err != nil {
		return err
	}
	for {
		// Also by the clock, each time: a timer does not count the time for which the
		// machine was suspended, and who reads a long history may never wait here.
		if p := s.g.expired(s.c); p != nil {
			return s.writeEnd(p)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.g.ending:
			return nil
		case <-expiry:
			expiry = nil // a clock that was set back meanwhile is looked at by and by
		case <-heartbeat.C:
			if err := s.write([]byte(": keep-alive\n\n")); err != nil {
				return err
			}
		case _, open := <-wake:
			if !open {
				wake = nil // the watcher gave up; polling goes on
			}
			if err := s.catchUp(ctx, pageBody{Next: s.after}); err != nil {
				return err
			}
		case <-poll.C:
			if err := s.catchUp(ctx, pageBody{Next: s.after}); err != nil {
				return err
			}
		}
	}
}

var errHistory = errors.New("the history cannot be read")

// catchUp writes a page that was read, and further pages until one goes no further, the
// streams are to end or the principal's credentials have ended.
func (s *stream) catchUp(ctx context.Context, page pageBody) error {
	for {
		if s.g.expired(s.c) != nil {
			return nil // also what has been read is not for them any more
		}
		if err := s.writeEvents(page.Events); err != nil {
			return err
		}
		s.after = page.Next
		select {
		case <-s.g.ending:
			return nil
		default:
		}
		var p *Problem
		if page, p = s.read(ctx); p != nil {
			if s.g.expired(s.c) != nil {
				return nil
			}
			return errHistory
		}
		if page.Next == s.after {
			return nil
		}
	}
}

// reading bounds a look at what is followed, also by the end of the principal's
// credentials.
func (s *stream) reading(ctx context.Context) (context.Context, context.CancelFunc) {
	until := time.Now().Add(s.c.deadline.Sub(s.c.start))
	if ends := s.c.principal.Expires; !ends.IsZero() {
		until = earlier(until, ends)
	}
	return context.WithDeadline(ctx, until)
}

// read reads on.
func (s *stream) read(ctx context.Context) (pageBody, *Problem) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	return s.g.readEvents(ctx, s.c, s.after, streamPage)
}

func (s *stream) writeEvents(events []Event) error {
	if len(events) == 0 {
		return nil
	}
	var text []byte
	for _, e := range events {
		data, err := encode(e) // one line, with a newline at its end
		if err != nil {
			return err
		}
		text = fmt.Appendf(text, "id: %d\ndata: %s\n", e.Version, data)
	}
	return s.write(text)
}

// writeEnd tells the client why the stream ends here: a last message, of a type of its
// own, that has the problem which a new request would get.
func (s *stream) writeEnd(p *Problem) error {
	data, err := encode(p)
	if err != nil {
		return err
	}
	s.c.w.lastly = time.Now().Add(expiryWriteTime)
	return s.write(fmt.Appendf(nil, "event: %s\ndata: %s\n", p.Code, data))
}

// write sends text to the client, which has a bounded time to take it.
func (s *stream) write(text []byte) error {
	if err := s.out.SetWriteDeadline(time.Now().Add(streamWriteTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if _, err := s.c.w.Write(text); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	if err := s.out.Flush(); err != nil {
		return fmt.Errorf("flush events: %w", err)
	}
	return nil
}
