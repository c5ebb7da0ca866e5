package node

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime/debug"

	"github.com/ganglion-go/ganglion/gateway"
)

// codeInternal is the code of what a handler of the application has failed to answer.
const codeInternal = "internal"

// recovering answers 500 for a handler of the application that panics, and logs it. An
// answer that has begun is cut, so that nobody takes it for whole.
func (n *Node) recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := &tracked{ResponseWriter: w}
		defer func() {
			if v := recover(); v != nil {
				n.answerPanic(t, r, v)
			}
		}()
		next.ServeHTTP(t, r)
	})
}

// answerPanic answers for a handler that has panicked with v.
func (n *Node) answerPanic(t *tracked, r *http.Request, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	incident := rand.Text()[:12]
	n.cfg.Logger.ErrorContext(r.Context(), "the application's HTTP handler panicked", "incident", incident,
		"method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	if t.begun {
		panic(http.ErrAbortHandler)
	}
	for name := range t.Header() { // they were of another answer
		if name != "Connection" {
			t.Header().Del(name)
		}
	}
	answerWith(t, gateway.Problem{
		Title: http.StatusText(http.StatusInternalServerError), Status: http.StatusInternalServerError,
		Code: codeInternal, Incident: incident,
	})
}

// tracked knows whether an answer has begun. It is whatever the writer below it is: for
// [http.ResponseController], and for handlers that ask for interfaces.
type tracked struct {
	http.ResponseWriter
	begun bool
}

// Unwrap gives [http.ResponseController] its way to the server's writer.
func (t *tracked) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// WriteHeader sends the header.
func (t *tracked) WriteHeader(status int) {
	t.begun = t.begun || status >= http.StatusOK
	t.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (t *tracked) Write(data []byte) (int, error) {
	t.begun = true
	return t.ResponseWriter.Write(data)
}

// ReadFrom sends a part of the body, in the best way that the server has.
func (t *tracked) ReadFrom(r io.Reader) (int64, error) {
	t.begun = true
	return io.Copy(t.ResponseWriter, r)
}

// FlushError sends what was written.
func (t *tracked) FlushError() error {
	t.begun = true
	return http.NewResponseController(t.ResponseWriter).Flush()
}

// Flush implements [http.Flusher].
func (t *tracked) Flush() { _ = t.FlushError() }

// Hijack implements [http.Hijacker].
func (t *tracked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	t.begun = t.begun || err == nil
	return conn, rw, err
}
