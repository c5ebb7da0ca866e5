package pages

import (
	"bytes"
	"net/http"
	"time"
)

// Events are an answer that goes on: server-sent events. One goroutine sends them.
type Events struct {
	w        http.ResponseWriter
	out      *http.ResponseController
	patience time.Duration
}

// NewEvents begins such an answer, with the time that the client has to take each event.
func NewEvents(w http.ResponseWriter, patience time.Duration) *Events {
	w.Header().Set("Content-Type", "text/event-stream")
	return &Events{w: w, out: http.NewResponseController(w), patience: patience}
}

// Send sends an event of a name, of one line and not of the client's choice. Data may have
// any lines; a carriage return, which would end one too, goes out as a space. The error is
// that of a client that is gone or too slow: the answer ends then.
func (e *Events) Send(name string, data []byte) error {
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
	_ = e.out.SetWriteDeadline(time.Now().Add(e.patience)) // an error would be the next write's, too
	if _, err := e.w.Write(message.Bytes()); err != nil {
		return err
	}
	return e.out.Flush()
}
