package jetstream_test

import (
	"testing"

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
