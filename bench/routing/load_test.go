package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

// drive puts a load on a handler, without a balancer, until it has answered so
// many requests.
func drive(t *testing.T, h http.HandlerFunc, readEvery int, commands int64) (*tally, *ledger) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c := newClient(s.URL, "", 1)
	t.Cleanup(c.close)
	l := &load{client: c, ledger: newLedger(1), inFlight: 1, readEvery: readEvery, start: time.Now(), end: time.Now().Add(time.Hour)}
	sum := newTally()
	for n := int64(1); n <= commands; n++ {
		l.command(t.Context(), sum, 0)
		if n%int64(readEvery) == 0 {
			l.read(t.Context(), sum, 0)
		}
	}
	return sum, l.ledger
}

func TestLoad_CountsEachFate(t *testing.T) {
	t.Parallel()
	answers := []int{http.StatusOK, http.StatusConflict, http.StatusOK, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusBadGateway, http.StatusTooManyRequests, http.StatusOK}
	var n, version atomic.Int64
	sum, ledger := drive(t, func(w http.ResponseWriter, r *http.Request) {
		status := answers[n.Add(1)-1]
		w.WriteHeader(status)
		if status == http.StatusOK {
			_, _ = fmt.Fprintf(w, `{"version":%d,"reply":1}`, version.Add(1))
		}
	}, 1000, int64(len(answers)))
	if sum.acknowledged != 3 || sum.gaveUp != 1 || sum.refused != 2 || sum.unknown != 2 {
		t.Errorf("acknowledged %d, gave up %d, refused %d, unknown %d; want 3, 1, 2, 2", sum.acknowledged, sum.gaveUp, sum.refused, sum.unknown)
	}
	if got := sum.times.TotalCount(); got != 3 {
		t.Errorf("%d times, want those of the 3 that were acknowledged", got)
	}
	if ledger.commands() != 3 || ledger.doubts() != 2 || ledger.floor(0) != 3 {
		t.Errorf("ledger: %d commands, %d doubts, version %d; want 3, 2, 3", ledger.commands(), ledger.doubts(), ledger.floor(0))
	}
	if sum.firstErr == nil {
		t.Error("no example of what failed")
	}
}

func TestFateOf_WhatIsNotSaidToBeNothing_IsUnknown(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]fate{
		200: acknowledged, 409: gaveUp, 429: refused, 503: refused, 400: refused, 404: refused,
		500: unknown, 502: unknown, 504: unknown, 302: unknown,
	} {
		if got := fateOf(status, nil); got != want {
			t.Errorf("status %d is fate %d, want %d", status, got, want)
		}
	}
	if got := fateOf(200, errors.New("broken body")); got != unknown {
		t.Errorf("an answer that broke off is fate %d, want unknown", got)
	}
}

// Versions 1, 2, 3 ... are acknowledged; reads show what lag says.
func TestLoad_CountsStaleReads(t *testing.T) {
	t.Parallel()
	for _, lag := range []int64{0, 3} {
		t.Run(fmt.Sprint(lag), func(t *testing.T) {
			t.Parallel()
			var version atomic.Int64
			sum, _ := drive(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					_, _ = fmt.Fprintf(w, `{"version":%d,"reply":1}`, version.Add(1))
					return
				}
				_, _ = fmt.Fprintf(w, `{"version":%d,"state":{"balance":1}}`, version.Load()-lag)
			}, 2, 10)
			wantStale := int64(0)
			if lag > 0 {
				wantStale = 5
			}
			if sum.reads != 5 || sum.stale != wantStale || sum.behind != lag {
				t.Errorf("%d reads, %d stale, %d behind; want 5, %d, %d", sum.reads, sum.stale, sum.behind, wantStale, lag)
			}
		})
	}
}

// The read begins at version 1. While it is under way, version 2 is acknowledged
// to another client. The read may show 1: it is as old as its beginning.
func TestLoad_WriteDuringARead_DoesNotMakeItStale(t *testing.T) {
	t.Parallel()
	l := &load{ledger: newLedger(1), end: time.Now().Add(time.Hour)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		l.ledger.acknowledge(0, 2, 5)
		_, _ = w.Write([]byte(`{"version":1,"state":{"balance":5}}`))
	}))
	defer s.Close()
	l.client = newClient(s.URL, "", 1)
	defer l.client.close()
	l.ledger.acknowledge(0, 1, 5)
	sum := newTally()
	if l.read(t.Context(), sum, 0); sum.reads != 1 || sum.stale != 0 {
		t.Errorf("%d reads, %d stale; want 1, 0", sum.reads, sum.stale)
	}
	if l.read(t.Context(), sum, 0); sum.stale != 1 || sum.behind != 1 {
		t.Errorf("the next read: %d stale, %d behind; want 1, 1", sum.stale, sum.behind)
	}
}

// What ends after the measured time is not measured, but it happened.
func TestLoad_AfterTheEnd_GoesIntoTheLedgerAlone(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"version":1,"reply":5}`))
	}))
	defer s.Close()
	c := newClient(s.URL, "", 1)
	defer c.close()
	l := &load{client: c, ledger: newLedger(1), end: time.Now()}
	sum := newTally()
	l.command(t.Context(), sum, 0)
	l.read(t.Context(), sum, 0)
	if sum.acknowledged != 0 || sum.reads != 0 || l.ledger.commands() != 1 {
		t.Errorf("measured %d commands and %d reads, ledger %d; want 0, 0, 1", sum.acknowledged, sum.reads, l.ledger.commands())
	}
}

func TestBalancer_TakesTurns(t *testing.T) {
	t.Parallel()
	var targets []*url.URL
	hits := make([]atomic.Int64, 4)
	for i := range hits {
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.RequestURI() == "/v1/account/a/deposit?lane=direct" {
				hits[i].Add(1)
			}
		}))
		t.Cleanup(s.Close)
		target, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, target)
	}
	b := httptest.NewServer(newBalancer(targets, 8))
	defer b.Close()
	c := newClient(b.URL, "?lane=direct", 8)
	defer c.close()
	for range 12 {
		_, _, _ = c.deposit(t.Context(), "a", 1) // the targets' answers are empty
	}
	for i := range hits {
		if got := hits[i].Load(); got != 3 {
			t.Errorf("target %d got %d of 12 requests, want 3", i, got)
		}
	}
}
