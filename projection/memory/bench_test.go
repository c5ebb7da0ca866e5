package memory_test

import (
	"testing"

	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/memory"
	"github.com/ganglion-go/ganglion/projection/projectiontest"
)

func BenchmarkFill(b *testing.B) {
	projectiontest.Bench(b, func(*testing.B) projection.Storage { return memory.New() })
}
