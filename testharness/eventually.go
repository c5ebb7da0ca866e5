package testharness

import (
	"testing"
	"time"
)

const (
	pollFirst  = 5 * time.Millisecond
	pollLast   = 50 * time.Millisecond
	pollShare  = 20
	busyFactor = 4
)

// Eventually waits until condition holds, and ends the test when it does not. It asks every 5 ms,
// and every 50 ms when it has waited for a second, as many tests that wait keep a machine busy by
// asking. limit is what a machine with nothing else to do needs at most. A busy one is slower,
// which is no failure: Eventually waits for four times as long. A test that is about the
// time uses [Within]. condition runs on the caller's goroutine and must not block for long.
// It works in real and in virtual time.
func Eventually(t testing.TB, limit time.Duration, condition func() bool) {
	t.Helper()
	Within(t, busyFactor*limit, condition)
}

// Within is [Eventually] for a limit that is what the test is about.
func Within(t testing.TB, limit time.Duration, condition func() bool) {
	t.Helper()
	began := time.Now()
	for !condition() {
		waited := time.Since(began)
		if waited >= limit {
			t.Fatalf("testharness: condition not met within %v", limit)
		}
		<-time.After(min(max(waited/pollShare, pollFirst), pollLast, limit-waited))
	}
}
