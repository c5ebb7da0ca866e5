package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/projection"
)

// ErrConfig says that the configuration is invalid, or not that of the stream that
// exists, or that the server is too old.
var ErrConfig = errors.New("projection storage configuration")

// Config adjusts a [Storage]. The zero value is the default throughout.
type Config struct {
	// Namespace prefixes the names of stream and subjects: 1 to 64 ASCII letters,
	// digits, '-' and '_'. Empty: "ganglion".
	Namespace string
	// Replicas of the stream, 1 to 5. 0: 1. An existing stream must have the same.
	Replicas int
	// Storage of the stream. The zero value is files. Memory is for tests.
	Storage jetstream.StorageType
	// MaxBytes bounds the stream. Nothing is discarded: beyond it commits fail.
	// 0: no bound but the server's.
	MaxBytes int64
	// Timeout bounds every call but Open, besides its context. 0: 10 s.
	Timeout time.Duration
	// OpenTimeout bounds Open, which in a cluster waits for the election of a leader.
	// 0: 60 s.
	OpenTimeout time.Duration
}

func (c Config) withDefaults() (Config, error) {
	if c.Namespace == "" {
		c.Namespace = "ganglion"
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.OpenTimeout == 0 {
		c.OpenTimeout = time.Minute
	}
	var faults []error
	if len(c.Namespace) > projection.MaxNameBytes || token(c.Namespace) != c.Namespace {
		faults = append(faults, fmt.Errorf("%w: namespace %q", ErrConfig, c.Namespace))
	}
	if c.Replicas < 1 || c.Replicas > 5 {
		faults = append(faults, fmt.Errorf("%w: %d replicas", ErrConfig, c.Replicas))
	}
	if c.MaxBytes < 0 || c.Timeout < 0 || c.OpenTimeout < 0 {
		faults = append(faults, fmt.Errorf("%w: a limit is negative", ErrConfig))
	}
	return c, errors.Join(faults...)
}

// maxBatches is how many atomic batches a storage has under way at once. A server
// allows a stream 50, of all nodes together.
const maxBatches = 6

// Storage is a [projection.Storage] on JetStream. Make it with [Open]. It holds nothing
// that needs closing.
type Storage struct {
	cfg    Config
	nc     *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
	gets   string // subject of direct gets
	group  group
	floor  atomic.Uint64 // what was read or written has no higher sequence

	mu    sync.Mutex
	tombs map[string]uint64 // sequences of deletions, by subject
}

var _ projection.Storage = (*Storage)(nil)

// Open makes the stream if there is none and returns the storage on it. Several nodes
// may open the same namespace at the same time. It asks again until ctx or
// cfg.OpenTimeout ends.
func Open(ctx context.Context, nc *nats.Conn, cfg Config) (*Storage, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open projection storage: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.OpenTimeout)
	defer cancel()
	s := &Storage{cfg: cfg, nc: nc, js: js, tombs: map[string]uint64{}}
	s.group.storage = s
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("open projection storage: %w", err)
	}
	return s, nil
}

func (s *Storage) streamName() string { return s.cfg.Namespace + "_VIEWS" }

// mark is the subject of a message that always exists, so that every answer of a
// replica tells how far it is.
func (s *Storage) mark() string { return s.cfg.Namespace + ".view.mark" }

const (
	openAttempt = 5 * time.Second
	openPause   = 250 * time.Millisecond
)

func (s *Storage) open(ctx context.Context) error {
	limit := s.cfg.MaxBytes
	if limit == 0 {
		limit = -1
	}
	want := jetstream.StreamConfig{
		Name: s.streamName(), Description: "views and checkpoints of projections", Subjects: []string{s.cfg.Namespace + ".view.>"},
		Replicas: s.cfg.Replicas, Storage: s.cfg.Storage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
		MaxBytes: limit, MaxMsgsPerSubject: 1, AllowDirect: true, AllowAtomicPublish: true, AllowMsgTTL: true,
	}
	for {
		err := s.openOnce(ctx, want)
		if err == nil || errors.Is(err, ErrConfig) {
			return err
		}
		if pause(ctx, openPause) != nil {
			return fmt.Errorf("%w: %w", projection.ErrUnavailable, err)
		}
	}
}

func (s *Storage) openOnce(ctx context.Context, want jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, openAttempt)
	defer cancel()
	handle, err := s.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		handle, err = s.js.CreateStream(ctx, want)
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", want.Name, err)
	}
	got := handle.CachedInfo().Config
	switch {
	case !got.AllowAtomicPublish:
		return fmt.Errorf("stream %s has no atomic batches, which need a server of 2.12 or later: %w", want.Name, ErrConfig)
	case got.Replicas != want.Replicas, got.Storage != want.Storage, got.MaxMsgsPerSubject != 1, !got.AllowDirect, !got.AllowMsgTTL,
		len(got.Subjects) != 1 || got.Subjects[0] != want.Subjects[0]:
		return fmt.Errorf("stream %s exists and differs: %w", want.Name, ErrConfig)
	}
	s.stream, s.gets = handle, "$JS.API.DIRECT.GET."+want.Name
	m := nats.NewMsg(s.mark())
	m.Header.Set(headerExpected, "0")
	if _, err := s.request(ctx, m); err != nil && !errors.Is(err, projection.ErrConflict) {
		return err
	}
	return nil
}

// Marshal implements [projection.Storage] with JSON.
func (*Storage) Marshal(v any) ([]byte, error) { return projection.Encode(v) }

// Unmarshal implements [projection.Storage].
func (*Storage) Unmarshal(data []byte, v any) error { return projection.Decode(data, v) }

// Transient implements [projection.Storage]: handlers get errors of this package alone.
func (*Storage) Transient(error) bool { return false }

// Drop implements [projection.Storage].
func (s *Storage) Drop(ctx context.Context, name string, generation uint64) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	filter := s.generation(name, generation) + ">"
	if err := s.stream.Purge(ctx, jetstream.WithPurgeSubject(filter)); err != nil {
		return fmt.Errorf("drop generation: %w: %w", projection.ErrUnavailable, err)
	}
	return nil
}

func (s *Storage) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.cfg.Timeout)
}

func (s *Storage) raiseFloor(seq uint64) {
	for old := s.floor.Load(); old < seq; old = s.floor.Load() {
		if s.floor.CompareAndSwap(old, seq) {
			return
		}
	}
}

// maxTombs bounds the deletions that are remembered. One that is not is a conflict for
// whoever makes the document anew, and is then found by reading.
const maxTombs = 1 << 16

func (s *Storage) buried(subject string, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq == 0 {
		delete(s.tombs, subject)
		return
	}
	if len(s.tombs) >= maxTombs {
		clear(s.tombs)
	}
	s.tombs[subject] = seq
}

func (s *Storage) tomb(subject string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tombs[subject]
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
