package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
	"unicode/utf8"

	"github.com/ganglion-go/ganglion/actor"
)

// readBody reads the whole body, at most until the call's deadline, for BodyTimeout and
// MaxBodyBytes. After a problem the connection is not used again, so that
// nobody has to read the rest.
func (g *Gateway) readBody(c *call) ([]byte, *Problem) {
	data, err := g.readAll(c)
	if err == nil {
		if !utf8.Valid(data) {
			return nil, malformed("the body is not valid UTF-8")
		}
		return data, nil
	}
	var p *Problem
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		p = newProblem(actor.CodeTooLarge, fmt.Sprintf("the body is larger than %d bytes", g.cfg.MaxBodyBytes))
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		p = newProblem(codeRequestTimeout, "")
	} else {
		p = malformed("the body could not be read")
	}
	p.close = true
	return nil, p
}

// errBodyTaken says that a body was announced, and somebody else has read it.
var errBodyTaken = errors.New("the body was read before the gateway got the request")

func (g *Gateway) readAll(c *call) ([]byte, error) {
	if c.r.ContentLength > g.cfg.MaxBodyBytes {
		return nil, &http.MaxBytesError{Limit: g.cfg.MaxBodyBytes}
	}
	defer g.bodyRead(c)
	if err := g.readsBody(c); err != nil {
		return nil, err
	}
	// The server's own writer, which then knows not to read the rest.
	data, err := io.ReadAll(http.MaxBytesReader(innermost(c.w), c.r.Body, g.cfg.MaxBodyBytes))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if len(data) == 0 && c.r.ContentLength > 0 { // by middleware: an empty body would be another command
		return nil, errBodyTaken
	}
	c.w.bodyUntil = time.Time{}
	// The server lifts the deadline when it begins to read ahead, to learn when
	// the client goes away.
	return data, nil
}

// bodyGrace is what is left to a body that is on its way when the server shuts down.
const bodyGrace = time.Second

// bodyDeadline is until when a call's body may arrive. A client that has its command wait
// for long has no more time to send it: who sends slowly holds a connection, and would hold
// it for as long as they say.
func (g *Gateway) bodyDeadline(c *call) time.Time {
	return earlier(c.deadline, c.start.Add(g.cfg.BodyTimeout))
}

// readsBody bounds the reading of a call's body, until bodyRead.
func (g *Gateway) readsBody(c *call) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	deadline := g.bodyDeadline(c)
	select {
	case <-g.ending:
		deadline = earlier(deadline, time.Now().Add(bodyGrace))
	default:
	}
	g.bodies[c] = true
	return c.limitRead(deadline)
}

func (g *Gateway) bodyRead(c *call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.bodies, c)
}

// hurryBodies lets those who wait for a body find out soon that it does not come.
func (g *Gateway) hurryBodies() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.bodies {
		_ = c.limitRead(earlier(g.bodyDeadline(c), time.Now().Add(bodyGrace))) // what fails now fails in the read
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// limitRead bounds the reading of a body by a point in time.
// Without it the server would wait for the rest of a body, or for one that it
// must skip, as long as the client likes. Writers that have no deadline, as in
// a test with a recorder, have their whole body at hand.
func (c *call) limitRead(t time.Time) error {
	if c.r.ContentLength == 0 {
		return nil
	}
	err := http.NewResponseController(c.w).SetReadDeadline(t)
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("set read deadline: %w", err)
	}
	return nil
}
