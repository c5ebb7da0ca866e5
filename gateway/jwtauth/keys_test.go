package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/gateway/jwtauth"
)

// provider is an issuer's server of keys, without a network.
type provider struct {
	fetches atomic.Int64
	mu      sync.Mutex
	answer  func(*http.Request) (*http.Response, error)
}

func (p *provider) serve(status int, body []byte) {
	p.set(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Body: io.NopCloser(strings.NewReader(string(body)))}, nil
	})
}

func (p *provider) set(answer func(*http.Request) (*http.Response, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.fetches.Add(1)
	p.mu.Lock()
	answer := p.answer
	p.mu.Unlock()
	return answer(r)
}

func (p *provider) config(c *jwtauth.Config) {
	c.JWKS, c.Client = "https://id.example/keys", &http.Client{Transport: p}
}

// long is a token that outlasts the test.
func long(t testing.TB, key string) string {
	t.Helper()
	return token(t, key, map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()})
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

// TestKeys_Rotation: a token with a new key has the keys fetched, made-up keys do not
// more often than every 10 s, and a key that was withdrawn goes with the next fetch.
func TestKeys_Rotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.serve(200, set(t, "ec"))
		a := open(t, p.config)
		first, second := long(t, "ec"), long(t, "ed")
		want := func(text string, fetches int64, is error) {
			t.Helper()
			if _, err := ask(t, a, "Bearer "+text); !errors.Is(err, is) {
				t.Errorf("%v, want %v", err, is)
			}
			if n := p.fetches.Load(); n != fetches {
				t.Errorf("%d fetches, want %d", n, fetches)
			}
		}
		if p.fetches.Load() != 0 {
			t.Error("fetched before anybody asked")
		}
		want(first, 1, nil)
		p.serve(200, set(t, "ed"))
		want(second, 1, gateway.ErrInvalidCredentials) // just fetched
		pass(9 * time.Second)
		for i := range 10 {
			made := keys()["other"]
			made.id = fmt.Sprint("made-up-", i)
			want(made.sign(t, good()), 1, gateway.ErrInvalidCredentials)
		}
		pass(time.Second)
		want(second, 2, nil)
		want(first, 2, gateway.ErrInvalidCredentials) // withdrawn
		p.serve(200, set(t, "ed", "ec"))
		pass(jwtauth.DefaultRefreshEvery)
		want(second, 3, nil)
		want(first, 3, nil)
		want(second, 3, nil)
	})
}

// TestKeys_Unavailable: the last keys are good for an hour after they were fetched, then
// nobody can say, until they are there again.
func TestKeys_Unavailable(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*http.Request) (*http.Response, error){
		"refused": func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") },
		"hangs":   func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
		"500": func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusInternalServerError, Body: http.NoBody}, nil
		},
		"no JSON": func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("<html>"))}, nil
		},
		"never ends": func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(slow{r.Context()})}, nil
		},
		"too large": func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(endless{})}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				p.serve(200, set(t, "ec"))
				var log strings.Builder
				a := open(t, p.config, func(c *jwtauth.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				text := long(t, "ec")
				want := func(text string, is error) {
					t.Helper()
					begin := time.Now()
					if _, err := ask(t, a, "Bearer "+text); !errors.Is(err, is) {
						t.Errorf("%v, want %v", err, is)
					}
					if took := time.Since(begin); took > 5*time.Second {
						t.Errorf("it took %v", took)
					}
				}
				p.set(fail)
				want(text, gateway.ErrAuthenticatorUnavailable) // never had any
				p.serve(200, set(t, "ec"))
				pass(time.Second)
				want(text, nil)
				loaded := time.Now()
				p.set(fail)
				for time.Since(loaded) < 59*time.Minute {
					want(text, nil)
					pass(time.Minute / 2)
				}
				want(long(t, "other"), gateway.ErrAuthenticatorUnavailable) // it may be a new key
				pass(time.Minute)
				want(text, gateway.ErrAuthenticatorUnavailable)
				if strings.Count(log.String(), "cannot be fetched") < 2 || strings.Contains(log.String(), text) {
					t.Errorf("log %s", log.String())
				}
				p.serve(200, set(t, "ec"))
				pass(time.Second)
				want(text, nil)
			})
		})
	}
}

// slow has a byte a second, until its request ends.
type slow struct{ ctx context.Context } //nolint:containedctx // of the request whose body it is

func (s slow) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = ' '
		return 1, nil
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestKeys_OneFetchForAll: a crowd that comes first, or with a new key, fetches once; who
// has a key does not wait for those who have none; and who leaves does not take the
// fetch with them.
func TestKeys_OneFetchForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		slowly := func(data []byte) {
			p.set(func(r *http.Request) (*http.Response, error) {
				select {
				case <-time.After(2 * time.Second):
					return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(data)))}, nil
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
			})
		}
		slowly(set(t, "ec"))
		a := open(t, p.config)
		crowd := func(text string) {
			t.Helper()
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					if _, err := ask(t, a, "Bearer "+text); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		leaving, leave := context.WithCancel(t.Context())
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = a.Verify(leaving, long(t, "ec")) // the one who fetches
		}()
		synctest.Wait()
		leave()
		crowd(long(t, "ec"))
		<-gone
		if n := p.fetches.Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		pass(time.Minute)
		slowly(set(t, "ec", "ed"))
		var all sync.WaitGroup
		all.Go(func() { crowd(long(t, "ed")) })
		synctest.Wait()
		begin := time.Now()
		if _, err := ask(t, a, "Bearer "+long(t, "ec")); err != nil || time.Since(begin) > 0 {
			t.Errorf("a known key waited %v: %v", time.Since(begin), err)
		}
		all.Wait()
		if n := p.fetches.Load(); n != 2 {
			t.Errorf("%d fetches", n)
		}
	})
}

// TestKeys_Run: with it no request fetches keys that could have been there.
func TestKeys_Run(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.serve(200, set(t, "ec"))
		a := open(t, p.config)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		synctest.Wait()
		text := long(t, "ec")
		for range 20 {
			before := p.fetches.Load()
			if _, err := ask(t, a, "Bearer "+text); err != nil || p.fetches.Load() != before || before == 0 {
				t.Fatalf("%v, %d fetches", err, p.fetches.Load())
			}
			pass(5 * time.Minute)
			synctest.Wait()
		}
		if n := p.fetches.Load(); n > 25 {
			t.Errorf("%d fetches", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestKeys_File: it is read again when it changes, and what is half written, or gone,
// does not count for an hour.
func TestKeys_File(t *testing.T) {
	t.Parallel()
	path := file(t, set(t, "ec"))
	synctest.Test(t, func(t *testing.T) {
		a := open(t, func(c *jwtauth.Config) { c.JWKS = path })
		first, second := long(t, "ec"), long(t, "ed")
		want := func(text string, is error) {
			t.Helper()
			pass(time.Second)
			if _, err := ask(t, a, "Bearer "+text); !errors.Is(err, is) {
				t.Errorf("%v, want %v", err, is)
			}
		}
		write := func(data []byte) {
			t.Helper()
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want(first, nil)
		want(second, gateway.ErrInvalidCredentials)
		write(set(t, "ed"))
		want(second, nil)
		want(first, gateway.ErrInvalidCredentials)
		write([]byte(`{"keys":[`))
		want(second, nil)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		want(second, nil)
		pass(time.Hour)
		want(second, gateway.ErrAuthenticatorUnavailable)
		write(set(t, "ec", "ed"))
		want(second, nil)
		want(first, nil)
		write([]byte(`{"keys":[]}`)) // all are withdrawn
		want(first, gateway.ErrInvalidCredentials)
	})
}
