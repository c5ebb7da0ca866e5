package testharness

import (
	"testing"
	"time"
)

const pollInterval = 5 * time.Millisecond

// Eventually waits until condition holds, asking every 5 ms, and ends the test
// when it does not hold within the limit. condition runs on the caller's
// goroutine and must not block for long. It works in real and in virtual time.
func Eventually(t testing.TB, limit time.Duration, condition func() bool) {
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
