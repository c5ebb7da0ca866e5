package memory_test

import (
	"testing"

	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/memory"
	"github.com/ganglion-go/ganglion/projection/projectiontest"
)

func TestStorage(t *testing.T) {
	t.Parallel()
	projectiontest.Run(t, func(*testing.T) func() projection.Storage {
		s := memory.New()
		return func() projection.Storage { return s }
	})
}
