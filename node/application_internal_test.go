package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errDown = errors.New("the provider is down")

// TestNode_Setup_Fails: each way in which code of an application can keep a node from its
// start, and how long that takes.
func TestNode_Setup_Fails(t *testing.T) {
	t.Parallel()
	stop := &signalError{}
	for name, c := range map[string]struct {
		setup func(ctx context.Context, n *Node) error
		stop  time.Duration // until a signal; 0: none
		want  string
		is    error
		after time.Duration
	}{
		"an error":            {setup: func(context.Context, *Node) error { return errDown }, want: "Config.Setup: the provider is down", is: errDown},
		"a panic":             {setup: func(context.Context, *Node) error { panic("no map") }, want: "Config.Setup: it panicked: no map"},
		"the end of all":      {setup: func(context.Context, *Node) error { goruntime.Goexit(); return nil }, want: "it ended its goroutine"},
		"it takes too long":   {setup: func(ctx context.Context, _ *Node) error { <-ctx.Done(); return ctx.Err() }, want: "not done within 1m0s", is: context.DeadlineExceeded, after: time.Minute},
		"it ignores the time": {setup: func(_ context.Context, n *Node) error { <-n.Stopping(); return nil }, want: "it goes on although its context has ended", is: context.DeadlineExceeded, after: time.Minute + setupGrace},
		"a signal":            {setup: func(ctx context.Context, _ *Node) error { <-ctx.Done(); return ctx.Err() }, stop: time.Second, is: stop, after: time.Second},
		"it ignores a signal": {setup: func(_ context.Context, n *Node) error { <-n.Stopping(); return nil }, stop: time.Second, is: stop, after: time.Second + setupGrace},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if c.stop > 0 {
					time.AfterFunc(c.stop, func() { cancel(stop) })
				}
				n := newNode(settings{Config: Config{SetupTimeout: time.Minute}})
				begin := time.Now()
				err := n.runSetup(ctx, "Config.Setup", c.setup)
				if took := time.Since(begin); err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) || took != c.after {
					t.Errorf("after %v: %v; want %q after %v", took, err, c.want, c.after)
				}
				n.stop() // what goes on has an end in a test
			})
		})
	}
}

// TestNode_OnClose: backwards, each whatever the others do, within a bound for all, and at
// once when it is too late.
func TestNode_OnClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n := newNode(settings{Config: Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}})
		var order []string
		hang := make(chan struct{})
		n.OnClose(func(context.Context) error { order = append(order, "first"); return nil })
		n.OnClose(func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("there is no bound")
			}
			<-hang
			return nil
		})
		n.OnClose(func(context.Context) error { panic("closed twice") })
		n.OnClose(func(context.Context) error {
			n.OnClose(func(context.Context) error { order = append(order, "meanwhile"); return nil })
			order = append(order, "last")
			return errDown
		})
		begin := time.Now()
		n.release()
		if took := time.Since(begin); took != closersTimeout {
			t.Errorf("it took %v, want %v", took, closersTimeout)
		}
		n.OnClose(func(context.Context) error { order = append(order, "too late"); return nil })
		close(hang)
		if got := strings.Join(order, ", "); got != "last, meanwhile, first, too late" {
			t.Errorf("closed %s", got)
		}
		for _, want := range []string{"the provider is down", "it panicked: closed twice", "were not done within 5s"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("nothing of %q in the log:\n%s", want, &log)
			}
		}
	})
}

// TestNode_Recovering: what becomes of a handler that panics, before and after its answer has
// begun; and its writer is whatever the server's is.
func TestNode_Recovering(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	n := newNode(settings{Config: Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}})
	serve := func(h http.HandlerFunc) (w *httptest.ResponseRecorder, panicked any) {
		w = httptest.NewRecorder()
		w.Header().Set("Connection", "close")
		defer func() { panicked = recover() }()
		n.recovering(h).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/pages/1", nil))
		return w, nil
	}
	w, panicked := serve(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Content-Encoding", "gzip")
		panic("no page")
	})
	if panicked != nil || w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"code":"internal"`) || strings.Contains(w.Body.String(), "no page") ||
		w.Header().Get("Content-Length") != "" || w.Header().Get("Content-Encoding") != "" || w.Header().Get("Connection") != "close" {
		t.Errorf("a panic was answered with %d %v %s, panicked %v", w.Code, w.Header(), w.Body, panicked)
	}
	if !strings.Contains(log.String(), "no page") || !strings.Contains(log.String(), "path=/pages/1") {
		t.Errorf("the log says %s", &log)
	}
	for name, h := range map[string]http.HandlerFunc{
		"written": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "half"); panic("no page") },
		"copied": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, strings.NewReader("half"))
			panic("no page")
		},
		"header alone": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK); panic("no page") },
		"flushed": func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			panic("no page")
		},
		"flusher": func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); panic("no page") },
		"meant":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		if _, panicked := serve(h); panicked != http.ErrAbortHandler { //nolint:errorlint // it is compared so by the server
			t.Errorf("%s: panicked with %v", name, panicked)
		}
	}
	if w, panicked := serve(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		panic("no page")
	}); panicked != nil || !strings.Contains(w.Body.String(), `"code":"internal"`) {
		t.Errorf("after an early hint: %d %s, panicked %v", w.Code, w.Body, panicked)
	}
}
