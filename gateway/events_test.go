package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

func TestEvents_Page(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const path = "/v1/account/a-1/events"
	f.do(t, "GET", path, "").is(t, 200, `{"events":[],"next":0}`)
	f.do(t, "GET", path+"?after=7", "").is(t, 200, `{"events":[],"next":7}`)
	f.history.add(3)
	one := func(v int) string {
		return fmt.Sprintf(`{"version":%d,"type":"opened.v1","data":{"owner":"<o>"},"commandId":"c-1","time":"2026-01-02T02:04:05Z"}`, v)
	}
	a := f.do(t, "GET", path, "", "Accept: application/json, */*")
	a.is(t, 200, `{"events":[`+one(1)+","+one(2)+","+one(3)+`],"next":3}`)
	if a.Header.Get("Vary") != "Accept" {
		t.Error("Vary is missing: caches would mix pages and streams")
	}
	f.do(t, "GET", path+"?after=1&limit=1", "").is(t, 200, `{"events":[`+one(2)+`],"next":2}`)
	f.do(t, "GET", path+"?after=3", "").is(t, 200, `{"events":[],"next":3}`)
	f.do(t, "GET", path+"?after=9223372036854775807", "").is(t, 200, `{"events":[],"next":9223372036854775807}`)
}

func TestEvents_Limit(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.history.add(1100)
	for query, want := range map[string]int{"": 100, "?limit=1": 1, "?limit=1000": 1000} {
		if got := strings.Count(f.do(t, "GET", "/v1/account/a/events"+query, "").body, `"version"`); got != want {
			t.Errorf("%q: %d events, want %d", query, got, want)
		}
	}
}

func TestEvents_Malformed(t *testing.T) {
	t.Parallel()
	for _, query := range []string{
		"after=-1", "after=x", "after=", "after=1&after=2", "after=9223372036854775808", "after=1.0",
		"after=18446744073709551617", "after=1e3", "after=0x1", "after=%2B1", "after=+1", "after=1%20", "after=NaN",
		"limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "limit=1&limit=1", "limit=%2B1", "limit=%FF", "after=1%00",
	} {
		for _, accept := range []string{"*/*", "text/event-stream"} {
			setup(t).do(t, "GET", "/v1/account/a/events?"+query, "", "Accept: "+accept).fails(t, 400, actor.CodeMalformed)
		}
	}
	for _, id := range []string{"x", "-1", "9223372036854775808", "1.0", "", "1, 2", "\xff"} {
		for _, accept := range []string{"*/*", "text/event-stream"} {
			setup(t).do(t, "GET", "/v1/account/a/events", "", "Accept: "+accept, "Last-Event-ID: "+id).fails(t, 400, actor.CodeMalformed)
		}
	}
}

func TestEvents_HistoryFails(t *testing.T) {
	t.Parallel()
	for _, accept := range []string{"*/*", "text/event-stream"} {
		f := setup(t)
		f.history.fail(errors.New("host secret:1 is down"))
		a := f.do(t, "GET", "/v1/account/a/events", "", "Accept: "+accept)
		a.fails(t, 503, "unavailable")
		if strings.Contains(a.body, "secret") {
			t.Error("the problem tells the inside of the node")
		}
		f.history.fail(actor.ErrOverloaded)
		f.do(t, "GET", "/v1/account/a/events", "", "Accept: "+accept).fails(t, 429, actor.CodeOverloaded)
		if n := f.history.watchers(); n != 0 {
			t.Errorf("%d watchers are left", n)
		}
	}
}

func TestEvents_Accept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		for accept, streams := range map[string]bool{
			"":                                    false,
			"*/*":                                 false,
			"text/*":                              false,
			"text/event-stream":                   true,
			"Text/Event-Stream;q=0.5":             true,
			"application/json, text/event-stream": true,
			"application/json, text/event-stream;q=0":       false,
			"text/event-stream; q=0.000, x/y":               false,
			`x/y; p="text/event-stream, text/event-stream"`: false,
		} {
			ctx, cancel := context.WithCancel(t.Context())
			resp := f.get(ctx, t, "GET", "", "Accept: "+accept)
			if got := resp.Header.Get("Content-Type") == "text/event-stream"; got != streams {
				t.Errorf("Accept %q: %s", accept, resp.Header.Get("Content-Type"))
			}
			cancel()
			_ = resp.Body.Close()
		}
		// HEAD has no body to stream.
		resp := f.get(t.Context(), t, "HEAD", "", "Accept: text/event-stream")
		_ = resp.Body.Close()
	})
}

// get sends a request for the events of account a-1 and returns the response
// unread.
func (f *virtual) get(ctx context.Context, t *testing.T, method, query string, headers ...string) *http.Response {
	t.Helper()
	return f.getPath(ctx, t, method, "/v1/account/a-1/events"+query, headers...)
}

// getPath is get for any path.
func (f *virtual) getPath(ctx context.Context, t *testing.T, method, path string, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, "http://x"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := f.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// follower reads a stream in a goroutine of its own.
type follower struct {
	resp  *http.Response
	lines chan string // closed at the end of the stream
}

func (f *virtual) follow(t *testing.T, query string, headers ...string) *follower {
	t.Helper()
	return f.followPath(t, "/v1/account/a-1/events"+query, headers...)
}

func (f *virtual) followPath(t *testing.T, path string, headers ...string) *follower {
	t.Helper()
	resp := f.getPath(t.Context(), t, "GET", path, append(headers, "Accept: text/event-stream")...)
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("got %d %v", resp.StatusCode, resp.Header)
	}
	s := &follower{resp: resp, lines: make(chan string, 10_000)}
	go func() {
		defer close(s.lines)
		in := bufio.NewScanner(resp.Body)
		for in.Scan() {
			if in.Text() != "" {
				s.lines <- in.Text()
			}
		}
	}()
	return s
}

// now returns the lines that have come and were not yet taken, once nothing
// moves any more, and whether the stream has ended.
func (s *follower) now() (lines []string, ended bool) {
	synctest.Wait()
	for {
		select {
		case line, open := <-s.lines:
			if !open {
				return lines, true
			}
			lines = append(lines, line)
		default:
			return lines, false
		}
	}
}

func (s *follower) expect(t *testing.T, want ...string) {
	t.Helper()
	got, ended := s.now()
	if diff := cmp.Diff(want, got); diff != "" || ended {
		t.Fatalf("ended %v, %s", ended, diff)
	}
}

func message(from, to int) (lines []string) {
	for v := from; v <= to; v++ {
		lines = append(lines, fmt.Sprintf("id: %d", v), fmt.Sprintf(
			`data: {"version":%d,"type":"opened.v1","data":{"owner":"<o>"},"commandId":"c-1","time":"2026-01-02T02:04:05Z"}`, v))
	}
	return lines
}

func TestStream_Follows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		f.history.add(2)
		s := f.follow(t, "")
		s.expect(t, append([]string{"retry: 1000"}, message(1, 2)...)...)
		f.history.add(1)
		s.expect(t, message(3, 3)...) // at once: no time has passed
		f.history.add(700)            // more than a page
		s.expect(t, message(4, 703)...)
		s.expect(t)
	})
}

func TestStream_Resumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		f.history.add(5)
		f.follow(t, "?after=3").expect(t, append([]string{"retry: 1000"}, message(4, 5)...)...)
		f.follow(t, "?after=1", "Last-Event-ID: 4").expect(t, append([]string{"retry: 1000"}, message(5, 5)...)...)
		f.follow(t, "?after=9").expect(t, "retry: 1000")
	})
}

func TestStream_HistoryInSmallPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		f.history.pageOf = 3
		f.history.add(10)
		f.follow(t, "").expect(t, append([]string{"retry: 1000"}, message(1, 10)...)...)
	})
}

func TestStream_MissedWakeUp_IsFoundByPolling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		f.history.deaf = true
		s := f.follow(t, "")
		s.expect(t, "retry: 1000")
		f.history.add(1)
		s.expect(t)
		<-time.After(5 * time.Second)
		s.expect(t, message(1, 1)...)
	})
}

func TestStream_Heartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		s := f.follow(t, "")
		s.expect(t, "retry: 1000")
		for range 4 {
			<-time.After(14 * time.Second)
			s.expect(t)
			<-time.After(time.Second)
			s.expect(t, ": keep-alive")
		}
	})
}

// A body that a GET has for no reason, and that is never read, must not leave
// its deadline to the stream. The server does not read ahead then: that the
// client has gone is found with the next heartbeat.
func TestStream_OutlivesABody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		conn, err := f.dial()
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		_, _ = io.WriteString(conn, "GET /v1/account/a-1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nContent-Length: 1\r\n\r\nx")
		<-time.After(time.Hour)
		synctest.Wait()
		if f.open.Load() != 1 {
			t.Errorf("%d streams", f.open.Load())
		}
		_ = conn.Close()
		<-time.After(15 * time.Second)
		synctest.Wait()
		if f.open.Load() != 0 {
			t.Errorf("%d streams after the client has gone", f.open.Load())
		}
	})
}

func TestStream_EndsAtShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		s := f.follow(t, "")
		s.expect(t, "retry: 1000")
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f.server.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		if _, ended := s.now(); !ended || f.open.Load() != 0 || f.history.watchers() != 0 {
			t.Errorf("ended %v, %d streams, %d watchers", ended, f.open.Load(), f.history.watchers())
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("shutdown took %v", took)
		}
	})
}

func TestStream_NoneAfterEndStreams(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.gateway.EndStreams()
	f.gateway.EndStreams()
	f.do(t, "GET", "/v1/account/a/events", "", "Accept: text/event-stream").fails(t, 503, "unavailable")
	f.do(t, "GET", "/v1/account/a/events", "").is(t, 200, `{"events":[],"next":0}`)
}

func TestStream_EndsWithTheClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		s := f.follow(t, "")
		s.expect(t, "retry: 1000")
		_ = s.resp.Body.Close()
		synctest.Wait()
		if f.open.Load() != 0 || f.history.watchers() != 0 {
			t.Errorf("%d streams, %d watchers", f.open.Load(), f.history.watchers())
		}
	})
}

func TestStream_EndsWhenTheHistoryFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		f.history.add(1)
		s := f.follow(t, "")
		s.expect(t, append([]string{"retry: 1000"}, message(1, 1)...)...)
		f.history.fail(errors.New("down"))
		<-time.After(5 * time.Second)
		if lines, ended := s.now(); len(lines) != 0 || !ended {
			t.Errorf("ended %v, %v", ended, lines)
		}
	})
}

// A client that does not read blocks the stream's writes, as net.Pipe has no
// buffer, and must not keep its place.
func TestStream_StuckClient_IsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		f.history.add(1000)
		resp := f.get(t.Context(), t, "GET", "", "Accept: text/event-stream")
		defer func() { _ = resp.Body.Close() }()
		synctest.Wait()
		if f.open.Load() != 1 {
			t.Fatalf("%d streams", f.open.Load())
		}
		<-time.After(10*time.Second + time.Millisecond)
		synctest.Wait()
		if f.open.Load() != 0 {
			t.Errorf("%d streams", f.open.Load())
		}
	})
}

func TestStream_Bound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t, func(c *gateway.Config) { c.MaxStreams = 2 })
		first := f.follow(t, "")
		f.follow(t, "")
		full := f.get(t.Context(), t, "GET", "", "Accept: text/event-stream")
		_ = full.Body.Close()
		if full.StatusCode != http.StatusTooManyRequests || full.Header.Get("Retry-After") == "" {
			t.Errorf("got %d %v", full.StatusCode, full.Header)
		}
		_ = first.resp.Body.Close()
		synctest.Wait()
		f.follow(t, "").expect(t, "retry: 1000")
	})
}

// Events that hold outcomes alone are passed over, however many, also by Next.
func TestEvents_OutcomesAlone_ArePassedOver(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const path = "/v1/account/a-1/events"
	f.history.hide(3)
	f.do(t, "GET", path, "").is(t, 200, `{"events":[],"next":3}`)
	f.history.add(1)
	f.history.hide(2500)
	f.history.add(1)
	f.history.hide(1)
	one := func(v int) string {
		return fmt.Sprintf(`{"version":%d,"type":"opened.v1","data":{"owner":"<o>"},"commandId":"c-1","time":"2026-01-02T02:04:05Z"}`, v)
	}
	f.do(t, "GET", path+"?limit=1", "").is(t, 200, `{"events":[`+one(4)+`],"next":1001}`)
	f.do(t, "GET", path+"?limit=2", "").is(t, 200, `{"events":[`+one(4)+`],"next":1002}`)
	f.do(t, "GET", path+"?after=4&limit=7", "").is(t, 200, `{"events":[`+one(2505)+`],"next":2506}`)
	f.do(t, "GET", path+"?after=2505", "").is(t, 200, `{"events":[],"next":2506}`)
}

func TestStream_OutcomesAlone_ArePassedOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		f.history.hide(1)
		s := f.follow(t, "")
		s.expect(t, "retry: 1000")
		f.history.add(1)
		s.expect(t, message(2, 2)...)
		f.history.hide(2500)
		s.expect(t)
		reads := f.history.count()
		f.history.hide(1)
		s.expect(t)
		if n := f.history.count() - reads; n > 3 {
			t.Errorf("%d reads for one event: what was passed over is read again", n)
		}
		f.history.add(1)
		s.expect(t, message(2504, 2504)...)
	})
}
