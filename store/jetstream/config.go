package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config adjusts a [Store]. The zero value is the default throughout.
type Config struct {
	// Namespace prefixes the names of streams and subjects: 1 to 64 ASCII
	// letters, digits, '-' and '_'. Empty: "ganglion".
	Namespace string
	// Replicas of every stream, 1 to 5. 0: 1. Existing streams must have the same.
	Replicas int
	// Storage of every stream. The zero value is files. Memory is for tests.
	Storage jetstream.StorageType
	// MaxBytes bounds the stream of commits; beyond it Append fails with
	// [ErrFull]. Nothing is ever discarded. 0: no bound but the server's.
	MaxBytes int64
	// Leases is the connection for sessions and claims, which then wait behind nothing
	// that is read or written of aggregates. nil: that of the store. It stays the
	// caller's.
	Leases *nats.Conn
	// Timeout bounds every call but Open, besides its context. 0: 10 s.
	Timeout time.Duration
	// OpenTimeout bounds Open, which in a cluster waits for the election of a leader
	// for each stream, each of them seldom more than 9 s. 0: 60 s.
	OpenTimeout time.Duration
	// Aggregates is of how many aggregates the store remembers the last version,
	// which saves a read before an append; about 200 bytes each. 0: 100,000.
	Aggregates int
	// Outcomes is how many outcomes the store remembers for FindOutcome; about
	// 50 bytes each. 0: 200,000.
	Outcomes int

	// Logger gets what the feed passes over. nil: nothing is logged.
	Logger *slog.Logger

	apiPrefix string // of JetStream's API; tests put themselves in between
}

const (
	maxNamespace = 64
	maxReplicas  = 5
)

func (c Config) withDefaults() Config {
	if c.Namespace == "" {
		c.Namespace = "ganglion"
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.apiPrefix == "" {
		c.apiPrefix = jetstream.DefaultAPIPrefix
	}
	if c.OpenTimeout == 0 {
		c.OpenTimeout = time.Minute
	}
	if c.Aggregates == 0 {
		c.Aggregates = 100_000
	}
	if c.Outcomes == 0 {
		c.Outcomes = 200_000
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate reports all faults at once.
func (c Config) validate() error {
	var faults []error
	if len(c.Namespace) > maxNamespace || encodeToken(c.Namespace) != c.Namespace {
		faults = append(faults, fmt.Errorf("%w: namespace %q", ErrConfig, c.Namespace))
	}
	if c.Replicas < 1 || c.Replicas > maxReplicas {
		faults = append(faults, fmt.Errorf("%w: %d replicas", ErrConfig, c.Replicas))
	}
	if c.Storage != jetstream.FileStorage && c.Storage != jetstream.MemoryStorage {
		faults = append(faults, fmt.Errorf("%w: storage %v", ErrConfig, c.Storage))
	}
	if c.MaxBytes < 0 || c.Timeout < 0 || c.OpenTimeout < 0 || c.Aggregates < 0 || c.Outcomes < 0 {
		faults = append(faults, fmt.Errorf("%w: a limit is negative", ErrConfig))
	}
	return errors.Join(faults...)
}
