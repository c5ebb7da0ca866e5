package web

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/ganglion-go/ganglion/projection"
)

const (
	livePace   = 100 * time.Millisecond // between two looks
	liveBeat   = time.Second            // a look without a change, and a sign of life
	liveWrite  = 10 * time.Second       // for a client to take what was sent
	liveRead   = 5 * time.Second
	streamsMax = 1024 // at one node
)

// follow sends a part of a page as server-sent events, anew whenever it is another one,
// until the browser goes or the node stops. Changes of the view wake it up; it also looks
// each second, for what the view does not have.
func (s *site) follow(w http.ResponseWriter, r *http.Request, of *projection.Projection, what projection.Interest, render func(context.Context) ([]byte, error)) {
	if s.streams.Add(1) > streamsMax {
		s.streams.Add(-1)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "Too many pages are followed at this node.", http.StatusServiceUnavailable)
		return
	}
	defer s.streams.Add(-1)
	notices, stop, err := s.node.Subscribe(of, what)
	if err != nil {
		http.Error(w, "The view cannot be followed.", http.StatusInternalServerError)
		return
	}
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	out := &events{w: w, out: http.NewResponseController(w)}
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	pace := time.NewTimer(0)
	defer pace.Stop()
	for due, rested := true, false; ; {
		select {
		case <-r.Context().Done():
			return
		case <-s.node.Stopping():
			return
		case <-notices:
			due = true
		case <-beat.C:
			due = true
			if out.send("beat", nil) != nil {
				return
			}
		case <-pace.C:
			rested = true
		}
		if !due || !rested {
			continue
		}
		due, rested = false, false
		if out.look(r.Context(), render) != nil {
			return
		}
		pace.Reset(livePace)
	}
}

// events is a stream of server-sent events.
type events struct {
	w    http.ResponseWriter
	out  *http.ResponseController
	last []byte
}

// look sends what is to be seen now, if it is not what was sent last. What cannot be read
// is looked at again.
func (e *events) look(ctx context.Context, render func(context.Context) ([]byte, error)) error {
	reading, cancel := context.WithTimeout(ctx, liveRead)
	defer cancel()
	text, err := render(reading)
	if err != nil || bytes.Equal(text, e.last) {
		return ctx.Err()
	}
	e.last = text
	return e.send("show", text)
}

// send writes one event.
func (e *events) send(name string, data []byte) error {
	var message bytes.Buffer
	message.WriteString("event: " + name + "\n")
	for line := range bytes.Lines(data) {
		message.WriteString("data: ")
		message.Write(bytes.TrimRight(line, "\r\n"))
		message.WriteByte('\n')
	}
	if len(data) == 0 {
		message.WriteString("data:\n")
	}
	message.WriteByte('\n')
	_ = e.out.SetWriteDeadline(time.Now().Add(liveWrite)) // an error would be the next write's, too
	if _, err := e.w.Write(message.Bytes()); err != nil {
		return err
	}
	return e.out.Flush()
}
