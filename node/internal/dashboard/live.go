package dashboard

import (
	"bytes"
	"context"
	"net/http"
	"time"
)

const (
	liveBeat   = time.Second      // between two looks, each with a sign of life
	liveWrite  = 10 * time.Second // for a browser to take what was sent
	streamsMax = 256              // at one node
)

// follow sends the live part of a page as server-sent events, anew whenever it is another
// one, until the browser goes, its session ends or the node stops.
func (d *Dashboard) follow(w http.ResponseWriter, r *http.Request, v visitor, s Source, p *page, build building) {
	defer d.streams.Add(-1)
	if d.streams.Add(1) > streamsMax {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "Too many pages are followed at this node.", http.StatusServiceUnavailable)
		return
	}
	p.Visitor = v
	out := &events{w: w, out: http.NewResponseController(w)}
	_ = out.out.SetReadDeadline(time.Time{}) // of the request, which is read; an error would be the first write's, too
	w.Header().Set("Content-Type", "text/event-stream")
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	for beats := 0; ; beats++ {
		if !d.access.stands(v) {
			_ = out.send("over", nil) // the page is loaded anew, and asks for the token
			return
		}
		if out.send("beat", nil) != nil || beats%max(p.Pace, 1) == 0 && d.look(r, s, p, build, out) != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-d.cfg.Stopping:
			return
		case <-beat.C:
		}
	}
}

// look sends what is to be seen now, if it is not what was sent last. What cannot be read is
// looked at again.
func (d *Dashboard) look(r *http.Request, s Source, p *page, build building, out *events) error {
	ctx, cancel := context.WithTimeout(r.Context(), readMax)
	defer cancel()
	_, body, err := build(ctx, r, s)
	if err != nil {
		return r.Context().Err()
	}
	p.Body = body
	text, err := d.text(ctx, p, "live")
	if err != nil || bytes.Equal(text, out.last) {
		return r.Context().Err()
	}
	out.last = text
	return out.send("show", text)
}

// events is a stream of server-sent events.
type events struct {
	w    http.ResponseWriter
	out  *http.ResponseController
	last []byte
}

// send writes one event. A carriage return would end a line, too, and what follows it would be
// taken for a field: it goes out as a space.
func (e *events) send(name string, data []byte) error {
	var message bytes.Buffer
	message.WriteString("event: " + name + "\n")
	for line := range bytes.Lines(bytes.ReplaceAll(data, []byte{'\r'}, []byte{' '})) {
		message.WriteString("data: ")
		message.Write(bytes.TrimRight(line, "\n"))
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
