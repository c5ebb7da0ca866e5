package testharness

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"
)

// virtualTimeReady is true once [VirtualTime] ran. It is a global because what
// it mirrors is one: the access-time service of nats-server lives once a binary.
var virtualTimeReady atomic.Bool

// bubbleEpochYear is the year in which the clock of every synctest bubble starts.
const bubbleEpochYear = 2000

// VirtualTime lets embedded NATS servers run inside a testing/synctest bubble.
// Call it from TestMain, before any test runs; [Main] does so for you. It is
// idempotent.
//
// nats-server keeps one access-time service a binary, fed by one ticker
// goroutine that the first file store starts. Started inside a bubble, that
// goroutine belongs to the bubble but waits on a channel from outside, so the
// bubble never counts as idle, its clock stands still, and the test hangs.
// Started here, it belongs to no bubble.
func VirtualTime() {
	if virtualTimeReady.CompareAndSwap(false, true) {
		ats.Register()
	}
}

// inBubble reports whether the caller runs under synctest. There is no official
// question to ask; the bubble's clock gives it away, since it starts at midnight
// UTC on 2000-01-01.
func inBubble() bool {
	year := time.Now().UTC().Year()
	return year >= bubbleEpochYear && year < bubbleEpochYear+10
}

func requireVirtualTime(t testing.TB) {
	t.Helper()
	if inBubble() && !virtualTimeReady.Load() {
		t.Fatal("testharness: NATS in a synctest bubble needs `func TestMain(m *testing.M) { testharness.Main(m) }` " +
			"(or testharness.VirtualTime() in your own TestMain); without it the bubble's clock would never advance")
	}
}

func forbidBubble(t testing.TB, what string) {
	t.Helper()
	if inBubble() {
		t.Fatalf("testharness: %s uses sockets and cannot run in a synctest bubble", what)
	}
}
