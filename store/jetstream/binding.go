package jetstream

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/ganglion-go/ganglion/store"
)

// bindingRecord is the one message under its subject in the stream of leases.
type bindingRecord struct {
	Format     int    `json:"format"`
	Store      string `json:"store"`
	Namespace  string `json:"namespace"`
	Partitions uint32 `json:"partitions,omitempty"`
}

// Bind implements [store.Bindings].
func (s *Store) Bind(ctx context.Context, namespace string, partitions uint32) (store.Binding, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	if err := writable(ctx); err != nil {
		return store.Binding{}, fmt.Errorf("bind: %w", err)
	}
	var bound bindingRecord
	c := &conditional{subject: s.subjects.binding()}
	s.leases.writeAll(ctx, []*conditional{c}, func(ctx context.Context, _ []*conditional, _ int) (err error) {
		if bound, c.expected, err = s.readBinding(ctx, c.subject); err != nil {
			return err
		}
		complete := bound.Store != "" && (bound.Partitions != 0 || partitions == 0)
		if complete {
			c.settled = true
			return nil
		}
		if bound.Store == "" {
			bound = bindingRecord{Format: recordFormat, Store: rand.Text(), Namespace: namespace}
		}
		bound.Partitions = partitions
		c.data, err = encodeRecord(&bound)
		return err
	})
	if c.err != nil {
		return store.Binding{}, fmt.Errorf("bind: %w", c.err)
	}
	return store.Binding{Store: bound.Store, Namespace: bound.Namespace, Partitions: bound.Partitions}, nil
}

// readBinding returns the record and its place in the stream; without a record, a
// zero one and 0.
func (s *Store) readBinding(ctx context.Context, subject string) (r bindingRecord, seq uint64, err error) {
	found, err := s.leases.last(ctx, subject)
	if err != nil {
		return r, 0, err
	}
	m, ok := found[subject]
	if !ok {
		return r, 0, nil
	}
	if err := decodeRecord(m.data, &r); err != nil {
		return r, 0, fmt.Errorf("binding at %d: %w", m.seq, err)
	}
	if r.Format != recordFormat || r.Store == "" {
		return r, 0, fmt.Errorf("binding at %d has format %d: %w", m.seq, r.Format, store.ErrCorrupt)
	}
	return r, m.seq, nil
}
