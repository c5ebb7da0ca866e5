package jetstream_test

import (
	"fmt"
	"testing"

	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/jetstream"
	"github.com/ganglion-go/ganglion/projection/projectiontest"
	"github.com/ganglion-go/ganglion/testharness"
)

func BenchmarkFill(b *testing.B) {
	server := testharness.NATS(b, testharness.WithSyncAlways())
	n := 0
	projectiontest.Bench(b, func(b *testing.B) projection.Storage {
		b.Helper()
		n++
		s, err := jetstream.Open(b.Context(), server.Connect(b), jetstream.Config{Namespace: fmt.Sprint("bench", b.N, "-", n)})
		if err != nil {
			b.Fatal(err)
		}
		return s
	})
}
