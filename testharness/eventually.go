package testharness

import (
	"testing"
	"time"
)

const (
	pollInterval = 5 * time.Millisecond
	busyFactor   = 4
)

// Eventually waits until condition holds, asking every 5 ms, and ends the test when it does
// not. limit is what a machine with nothing else to do needs at most. A busy one is slower,
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
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("testharness: condition not met within %v", limit)
		}
	}
}
