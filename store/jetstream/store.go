package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/store"
)

// Store is a [store.Store] on JetStream. Make one with [Open]. It holds nothing
// that needs closing.
type Store struct {
	cfg       Config
	subjects  subjects
	commits   *stream
	leases    *stream
	snapshots jetstream.Stream
	parked    jetstream.Stream
	js        jetstream.JetStream
	versions  *versionCache
	outcomes  *outcomeIndex
	catalogs  *catalogs
	renewals  renewals
}

var _ store.Store = (*Store)(nil)

// Open creates the streams that do not exist yet and returns the store on them.
// Two nodes may open the same namespace at the same time. It returns [ErrConfig]
// when the configuration is invalid, or differs from that of existing streams in
// replicas, storage or what the store relies on, and store.ErrUnavailable when
// the server does not answer: it asks again until ctx or cfg.OpenTimeout ends. The connection stays the caller's.
func Open(ctx context.Context, nc *nats.Conn, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	js, err := jetstream.NewWithAPIPrefix(nc, cfg.apiPrefix)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.OpenTimeout)
	defer cancel()
	s := &Store{
		cfg: cfg, subjects: subjects{cfg.Namespace}, js: js,
		versions: newVersionCache(cfg.Aggregates), outcomes: newOutcomeIndex(cfg.Outcomes), catalogs: &catalogs{kept: map[string]*catalog{}},
	}
	if err := s.openStreams(ctx, nc); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// openStreams opens all streams at once, because each that is created takes an
// election.
func (s *Store) openStreams(ctx context.Context, nc *nats.Conn) error {
	ns := s.cfg.Namespace
	mark := ns + ".store.mark"
	// A direct get may be answered by a replica that is behind; without it, the
	// leader answers.
	direct := s.cfg.Replicas == 1
	configs := []jetstream.StreamConfig{{
		Name: streamName(ns, "STORE"), Description: "commits of all aggregates", Subjects: []string{ns + ".agg.>", mark},
		Discard: jetstream.DiscardNew, MaxBytes: limitOrNone(s.cfg.MaxBytes), DenyDelete: true, DenyPurge: true,
		AllowDirect: true, AllowAtomicPublish: true,
		RePublish: &jetstream.RePublish{Source: ns + ".agg.*.*", Destination: ns + ".store.grown", HeadersOnly: true},
	}, {
		Name: streamName(ns, "LEASES"), Description: "sessions and claims", Subjects: []string{ns + ".lease.>"},
		MaxMsgsPerSubject: 1, AllowDirect: true, AllowAtomicPublish: true,
	}, {
		Name: streamName(ns, "SNAPSHOTS"), Description: "newest snapshot of each aggregate", Subjects: []string{ns + ".snap.>"},
		MaxMsgsPerSubject: 1, AllowDirect: direct,
	}, {
		Name: streamName(ns, "PARKED"), Description: "parked commands", Subjects: []string{ns + ".park.>"},
		MaxMsgsPerSubject: 1, AllowDirect: direct,
	}}
	handles, faults := make([]jetstream.Stream, len(configs)), make([]error, len(configs))
	var opening sync.WaitGroup
	for i, want := range configs {
		opening.Go(func() { handles[i], faults[i] = s.openStream(ctx, want) })
	}
	opening.Wait()
	if err := errors.Join(faults...); err != nil {
		return err
	}
	s.commits = newStream(nc, handles[0], mark, s.cfg.Timeout)
	s.commits.pages = make(chan struct{}, maxPages)
	if err := s.openLeases(ctx, nc, handles[1]); err != nil {
		return err
	}
	s.snapshots, s.parked = handles[2], handles[3]
	for _, st := range []*stream{s.commits, s.leases} {
		if err := st.writeFirstMark(ctx); err != nil {
			return err
		}
	}
	return nil
}

// openLeases takes the connection of its own, if there is one.
func (s *Store) openLeases(ctx context.Context, nc *nats.Conn, handle jetstream.Stream) error {
	if s.cfg.Leases != nil {
		nc = s.cfg.Leases
		js, err := jetstream.NewWithAPIPrefix(nc, s.cfg.apiPrefix)
		if err != nil {
			return err
		}
		own, err := js.Stream(ctx, handle.CachedInfo().Config.Name)
		for err != nil && maySoonWork(err) && pause(ctx, openPause) == nil {
			own, err = js.Stream(ctx, handle.CachedInfo().Config.Name)
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w: %w", handle.CachedInfo().Config.Name, store.ErrUnavailable, err)
		}
		handle = own
	}
	s.leases = newStream(nc, handle, s.cfg.Namespace+".lease.mark", s.cfg.Timeout)
	return nil
}

func streamName(ns, what string) string { return ns + "_" + what }

func limitOrNone(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// openStream creates a stream, or takes the one that exists if it is the same in
// all that matters. A server does not answer for a stream that has no leader, and
// the answer to a creation is lost with the leader that would have sent it, so a
// silent request is made again, until ctx ends.
func (s *Store) openStream(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	want.Replicas, want.Storage = s.cfg.Replicas, s.cfg.Storage
	want.Retention = jetstream.LimitsPolicy
	handle, err := s.findOrCreate(ctx, want)
	for err != nil && maySoonWork(err) && pause(ctx, openPause) == nil {
		handle, err = s.findOrCreate(ctx, want)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w: %w", want.Name, store.ErrUnavailable, err)
	}
	if faults := differences(handle.CachedInfo().Config, want); len(faults) > 0 {
		return nil, fmt.Errorf("stream %s exists and differs in %s: %w", want.Name, strings.Join(faults, ", "), ErrConfig)
	}
	return handle, nil
}

const (
	openAttempt = 5 * time.Second // for one request of Open
	openPause   = 250 * time.Millisecond
)

// findOrCreate is one attempt of openStream.
func (s *Store) findOrCreate(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, openAttempt)
	defer cancel()
	handle, err := s.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if handle, err = s.js.CreateStream(ctx, want); errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			// Another node was faster. A cluster says so before it says that there is such
			// a stream.
			handle, err = s.js.Stream(ctx, want.Name)
		}
	}
	return handle, err //nolint:wrapcheck // openStream does
}

// maySoonWork reports whether an error of findOrCreate is about the state of
// JetStream at the moment, and not about what was asked.
func maySoonWork(err error) bool {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return true // another node is making it
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode == codeNoSuitablePeers || api.Code >= 500 && api.ErrorCode != codeReplicasInCluster
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders)
}

// differences names the settings in which an existing stream would break what
// the store promises.
func differences(got, want jetstream.StreamConfig) []string {
	var faults []string
	check := func(same bool, what string) {
		if !same {
			faults = append(faults, what)
		}
	}
	check(got.Replicas == want.Replicas, fmt.Sprintf("replicas (%d)", got.Replicas))
	check(got.Storage == want.Storage, fmt.Sprintf("storage (%v)", got.Storage))
	check(slices.Equal(got.Subjects, want.Subjects), "subjects")
	check(got.Retention == want.Retention && got.MaxAge == 0 && got.MaxMsgs <= 0, "retention")
	check(max(got.MaxMsgsPerSubject, 0) == want.MaxMsgsPerSubject, "messages per subject")
	check(got.Discard == want.Discard, "discard policy")
	check(got.DenyDelete == want.DenyDelete && got.DenyPurge == want.DenyPurge, "deletion")
	check(got.AllowDirect == want.AllowDirect, "direct access")
	return faults
}

// bound gives ctx the deadline of the configuration.
func (s *Store) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.cfg.Timeout)
}

// Ping implements [store.Store]. It asks the leaders of commits and leases.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	for _, st := range []*stream{s.commits, s.leases} {
		if _, err := st.leaderSequence(ctx); err != nil {
			return fmt.Errorf("ping: %w", err)
		}
	}
	return nil
}
