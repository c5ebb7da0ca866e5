package jetstream

import (
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/store"
)

// AggregateTokens lets the fuzz test see the encoding of addresses.
var AggregateTokens = aggregateTokens

// RedirectGets makes s send its direct gets to prefix and the stream's name.
func RedirectGets(s *Store, prefix string) {
	for _, st := range []*stream{s.commits, s.leases} {
		st.gets = prefix + st.name
	}
}

// WithAPIPrefix is cfg with another prefix of JetStream's API.
func WithAPIPrefix(cfg Config, prefix string) Config {
	cfg.apiPrefix = prefix
	return cfg
}

// CommitsSubject returns where the aggregate's commits are, and the way to publish there.
func (s *Store) CommitsSubject(a store.Aggregate) (string, jetstream.JetStream) {
	return s.subjects.commits(a), s.js
}

// ParkedSubject returns where what is parked is, and the way to publish there.
func (s *Store) ParkedSubject(a store.Aggregate, commandID string) (string, jetstream.JetStream) {
	return s.subjects.parked(a, commandID), s.js
}
