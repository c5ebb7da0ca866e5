package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

func TestBody_Accepted(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, ` `, "\r\n\t", `{}`, `{"amount":1}`, ` {"amount":1} ` + "\n", `{"unknown":{"a":[1]}}`,
		`{"amount":1,"amount":2}`, `{"first":null,"more":null}`, `{"x":"\ud800"}`, `{"x":"ü😀"}`, `{"AMOUNT":3}`,
	} {
		for _, contentType := range []string{"", "application/json", "application/x-www-form-urlencoded", "text/plain; charset=x"} {
			f := setup(t)
			a := f.do(t, "POST", "/v1/account/a/Deposit", body, "Content-Type: "+contentType)
			if a.StatusCode != http.StatusOK {
				t.Fatalf("body %q of type %q: %d %s", body, contentType, a.StatusCode, a.body)
			}
			if got := string(f.client.one(t).Data); got != body {
				t.Errorf("body %q arrived as %q", body, got)
			}
		}
	}
}

func TestBody_Malformed(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{`, `}`, `[]`, `null`, `1`, `"x"`, `{} {}`, `{}x`, `{"amount":"1"}`, `{"amount":1.5}`, `{"amount":1e99}`,
		`{"more":{}}`, `{'a':1}`, `amount=1`, "{\"x\":\"\xff\"}", "\xef\xbb\xbf{}", `{"first":{"at":"yesterday"}}`,
		strings.Repeat(`{"x":`, 20_000) + "1" + strings.Repeat("}", 20_000),
	} {
		for _, path := range []string{"Deposit", "queries/Statement"} {
			if path != "Deposit" {
				body = strings.NewReplacer("amount", "limit", "more", "limit", "first", "limit").Replace(body)
			}
			f := setup(t)
			f.do(t, "POST", "/v1/account/a/"+path, body).fails(t, 400, actor.CodeMalformed)
			if sent := f.client.sent(); len(sent) != 0 {
				t.Errorf("body %.40q was sent", body)
			}
		}
	}
}

func TestBody_Limit(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *gateway.Config) { c.MaxBodyBytes = 32 })
	fits := `{"x":"` + strings.Repeat("x", 24) + `"}`
	f.do(t, "POST", "/v1/account/a/Deposit", fits).is(t, 200, `{"version":41,"reply":{"balance":5}}`)
	f.do(t, "POST", "/v1/account/a/Deposit", fits+" ").fails(t, 413, actor.CodeTooLarge)
}

// exchange writes raw bytes and reads the head of one response, all within ten
// seconds. last: the connection is not used again.
func exchange(t *testing.T, f *fixture, write func(io.Writer)) (status int, last bool) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	write(conn)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode, resp.Close
}

// The body never comes: an answer shows that nobody waits for it.
func TestBody_TooLarge_IsRefusedUnread(t *testing.T) {
	t.Parallel()
	f := setup(t)
	status, last := exchange(t, f, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "POST /v1/account/a/Deposit HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n{", 10<<20)
	})
	if status != http.StatusRequestEntityTooLarge || !last {
		t.Errorf("got %d, close %v", status, last)
	}
}

func TestBody_TooLarge_Chunked(t *testing.T) {
	t.Parallel()
	f := setup(t)
	status, last := exchange(t, f, func(w io.Writer) {
		_, _ = io.WriteString(w, "POST /v1/account/a/Deposit HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
		chunk := strings.Repeat(" ", 1<<16)
		for range 17 { // 1 MiB and 64 KiB, without an end
			_, _ = fmt.Fprintf(w, "%x\r\n%s\r\n", len(chunk), chunk)
		}
	})
	if status != http.StatusRequestEntityTooLarge || !last {
		t.Errorf("got %d, close %v", status, last)
	}
}

// As curl asks before it sends a large body.
func TestBody_TooLarge_IsNotAskedFor(t *testing.T) {
	t.Parallel()
	f := setup(t)
	status, last := exchange(t, f, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "POST /v1/account/a/Deposit HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", 10<<20)
	})
	if status != http.StatusRequestEntityTooLarge || !last {
		t.Errorf("got %d, close %v", status, last)
	}
}

func TestBody_Chunked(t *testing.T) {
	t.Parallel()
	f := setup(t)
	status, last := exchange(t, f, func(w io.Writer) {
		_, _ = io.WriteString(w, "POST /v1/account/a/Deposit HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"amo\r\n7\r\nunt\":1}\r\n0\r\n\r\n")
	})
	if got := string(f.client.one(t).Data); status != http.StatusOK || last || got != `{"amount":1}` {
		t.Errorf("got %d, close %v, body %q", status, last, got)
	}
}

func TestBody_MalformedChunk(t *testing.T) {
	t.Parallel()
	f := setup(t)
	status, last := exchange(t, f, func(w io.Writer) {
		_, _ = io.WriteString(w, "POST /v1/account/a/Deposit HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	})
	if status != http.StatusBadRequest || !last || len(f.client.sent()) != 0 {
		t.Errorf("got %d, close %v, %d sent", status, last, len(f.client.sent()))
	}
}

// A body that stops coming is given up when the request's time is over, and after
// BodyTimeout in any case, also where the server reads it only to skip it. Virtual time:
// exactly then.
func TestBody_Slow_IsGivenUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, head string
		declared   int
		status     int
		after      time.Duration
	}{
		{"too large", "POST /v1/account/a/Deposit", 2000, 413, 0},
		{"default", "POST /v1/account/a/Deposit", 100, 408, 10 * time.Second},
		{"timeout", "POST /v1/account/a/Deposit?timeout=3s", 100, 408, 3 * time.Second},
		{"longer timeout", "POST /v1/account/a/Deposit?timeout=50s", 100, 408, 10 * time.Second},
		{"longer timeout of a query", "POST /v1/account/a/queries/Statement?timeout=50s", 100, 408, 10 * time.Second},
		{"longer timeout, skipped", "GET /v1/account/a?timeout=50s", 100, 200, 10 * time.Second},
		{"query", "POST /v1/account/a/queries/Statement?timeout=3s", 100, 408, 3 * time.Second},
		{"skipped", "POST /v1/nothing/a/Deposit", 100, 404, 10 * time.Second},
		{"skipped by a read", "GET /v1/account/a", 100, 200, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := setupVirtual(t, func(c *gateway.Config) { c.MaxBodyBytes = 1000 })
				conn, err := f.dial()
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				start := time.Now()
				_, _ = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n{", c.head, c.declared)
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = resp.Body.Close() }()
				if took := time.Since(start); resp.StatusCode != c.status || took != c.after {
					t.Errorf("%d after %v, want %d after %v", resp.StatusCode, took, c.status, c.after)
				}
			})
		})
	}
}

// The read deadline of a body must end with the body. Otherwise it cancels the
// context of the connection, and so that of every later request on it.
func TestBody_DeadlineEndsWithTheBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		f.client.deliver = func(ctx context.Context, _ actor.Message) actor.Outcome {
			before := ctx.Err()
			<-time.After(20 * time.Second) // beyond the deadline, deaf to the context
			if before != nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				t.Errorf("context: %v, then %v", before, ctx.Err())
			}
			return actor.Outcome{Code: actor.CodeUnknownOutcome}
		}
		for range 3 {
			a, err := send(t.Context(), f.http, "POST", "http://x/v1/account/a/Deposit", "{}")
			if err != nil {
				t.Fatal(err)
			}
			a.fails(t, 504, actor.CodeUnknownOutcome)
		}
		if f.dials.Load() != 1 {
			t.Errorf("%d connections for three requests", f.dials.Load())
		}
	})
}

// TestBody_Slow_EndsWithTheServer: a body that is on its way when the server shuts down
// has a second left, however long its request may take.
func TestBody_Slow_EndsWithTheServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		conn, err := f.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprint(conn, "POST /v1/account/a/Deposit?timeout=50s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
		<-time.After(3 * time.Second)
		start := time.Now()
		down := make(chan error, 1)
		go func() { down <- f.server.Shutdown(t.Context()) }()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if err := <-down; err != nil || resp.StatusCode != http.StatusRequestTimeout || time.Since(start) > 3*time.Second {
			t.Errorf("%d, shut down after %v: %v", resp.StatusCode, time.Since(start), err)
		}
	})
}

// TestAnswer_NeverRead_IsGivenUp: a client that does not read holds its connection for
// ten seconds, whether the answer is small or large. One that reads slowly gets it all.
func TestAnswer_NeverRead_IsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setupVirtual(t)
		closed := make(chan time.Duration, 10)
		start := time.Now()
		f.server.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				closed <- time.Since(start)
			}
		}
		large := strings.Repeat("x", 3<<20)
		f.client.deliver = func(_ context.Context, m actor.Message) actor.Outcome {
			reply := `"small"`
			if m.Target.ID == "large" {
				reply = `"` + large + `"`
			}
			return actor.Outcome{Version: 1, Reply: []byte(reply)}
		}
		for _, id := range []string{"small", "large"} {
			conn, err := f.dial()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			start = time.Now()
			_, _ = fmt.Fprintf(conn, "GET /v1/account/%s HTTP/1.1\r\nHost: x\r\n\r\n", id)
			select {
			case took := <-closed:
				if took < 9*time.Second || took > 11*time.Second {
					t.Errorf("%s: given up after %v", id, took)
				}
			case <-time.After(time.Minute):
				t.Errorf("%s: not given up within a minute", id)
			}
		}
		conn, err := f.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprint(conn, "GET /v1/account/large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		read, buf := 0, make([]byte, 64<<10)
		for err == nil {
			<-time.After(time.Second) // 64 KiB a second at the most
			var n int
			n, err = conn.Read(buf)
			read += n
		}
		if !errors.Is(err, io.EOF) || read < len(large) {
			t.Errorf("a slow client got %d bytes: %v", read, err)
		}
	})
}
