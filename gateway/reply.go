package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// recorder remembers the status of an answer, and bounds the time that the client has
// to take it.
type recorder struct {
	http.ResponseWriter
	status int // 0: not yet written

	// bodyUntil is until when the server may wait for a body that the handler has not
	// read, which it skips before it sends the answer; zero: it has read all of it.
	bodyUntil time.Time

	lastly time.Time // when nothing is written any more; zero: there is no such time
}

const (
	answerWriteTime = 10 * time.Second // for a client to take a piece of an answer
	answerPiece     = 128 << 10        // bytes; slower clients than this in that time are cut
)

// WriteHeader sends the header.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.limitWrite(answerWriteTime)
	w.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body, piece by piece: a client that takes none of it for a
// while is given up. What the server still has to send after the last piece has that
// piece's time.
func (w *recorder) Write(data []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	written := 0
	for {
		w.limitWrite(answerWriteTime)
		n, err := w.ResponseWriter.Write(data[:min(len(data), answerPiece)])
		written += n
		if data = data[n:]; err != nil || len(data) == 0 {
			return written, err
		}
	}
}

// limitWrite bounds the writing of what follows. Writers without deadlines take it all
// at once.
func (w *recorder) limitWrite(d time.Duration) {
	from := time.Now()
	if from.Before(w.bodyUntil) {
		from = w.bodyUntil
	}
	until := from.Add(d)
	if !w.lastly.IsZero() {
		until = earlier(until, w.lastly)
	}
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(until) // an error would be the next write's, too
}

// Unwrap gives [http.ResponseController] its way to the server's writer.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// encode returns v as one line of JSON.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return buf.Bytes(), nil
}

func writeBody(w http.ResponseWriter, status int, data []byte) error {
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

// reply answers with v. The problem is that v has no JSON form; an answer that
// cannot be written is no problem of the request's.
func (c *call) reply(status int, v any) *Problem {
	data, err := encode(v)
	if err != nil {
		return newProblem(codeInternal, "the answer is not valid JSON")
	}
	c.w.Header().Set("Content-Type", "application/json")
	_ = writeBody(c.w, status, data) // fails when the client has gone
	return nil
}

// notModified answers with 304 if the caller's copy, of which tag is the entity
// tag, is still good.
func (c *call) notModified(tag string) bool {
	h := c.w.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache") // a cache may keep it, and must ask each time
	if matchesNone(c.r.Header, tag) {
		return false
	}
	c.w.WriteHeader(http.StatusNotModified)
	return true
}

// Answers of commands, queries and reads.
type (
	replyBody struct {
		Version actor.Version   `json:"version"`
		Reply   json.RawMessage `json:"reply"`
	}
	stateBody struct {
		Version actor.Version   `json:"version"`
		State   json.RawMessage `json:"state"`
	}
	acceptedBody struct {
		CommandID actor.CommandID `json:"commandId"`
	}
	createdBody struct {
		ID string `json:"id"`
		replyBody
	}
	createAcceptedBody struct {
		ID string `json:"id"`
		acceptedBody
	}
	pageBody struct {
		Events []Event       `json:"events"`
		Next   actor.Version `json:"next"`
	}
)
