package jetstream_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/store/storetest"
	"github.com/ganglion-go/ganglion/testharness"
)

// tooLarge is beyond the max_payload of 1 MiB that a server has by default.
const tooLarge = 2 << 20

func TestStore(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t, testharness.WithSyncAlways())
	fresh, peer := openers(func(t *testing.T) *nats.Conn {
		t.Helper()
		return server.Connect(t)
	}, jetstream.Config{})
	storetest.Config{Peer: peer, TooLarge: tooLarge}.Run(t, fresh)
}

// The store works on a server in virtual time: a follower that sleeps for hours
// hears of a commit at once.
func TestStore_VirtualTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, testharness.NATS(t).Connect(t), jetstream.Config{})
		appendAll(t, s, commit("account/a", 1))
		heard := make(chan time.Time, 2)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for _, err := range s.Follow(ctx, "") {
				if err != nil {
					t.Errorf("follow: %v", err)
					return
				}
				heard <- time.Now()
			}
		}()
		<-heard
		time.Sleep(3*time.Hour + feedPollMiddle)
		start := time.Now()
		appendAll(t, s, commit("account/a", 2))
		if took := (<-heard).Sub(start); took > 100*time.Millisecond {
			t.Errorf("the follower heard of the commit after %v", took)
		}
		cancel()
		<-done
	})
}

// feedPollMiddle is a moment between two polls of a follower, so that a poll
// cannot be what wakes it.
const feedPollMiddle = 300 * time.Millisecond
