package memory

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/ganglion-go/ganglion/store"
)

// Bind implements [store.Bindings].
func (s *Store) Bind(ctx context.Context, namespace string, partitions uint32) (store.Binding, error) {
	if err := writable(ctx); err != nil {
		return store.Binding{}, fmt.Errorf("bind: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.binding.Store == "" {
		s.binding = store.Binding{Store: rand.Text(), Namespace: namespace}
	}
	if s.binding.Partitions == 0 {
		s.binding.Partitions = partitions
	}
	return s.binding, nil
}
