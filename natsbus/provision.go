package natsbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// The metadata of a command stream.
const (
	metaFormat      = "ganglion.format"      // of subjects, headers and metadata
	metaPartitions  = "ganglion.partitions"  // P, for ever
	metaIncarnation = "ganglion.incarnation" // drawn at creation

	// Of a stream that a build made which knew one family of subjects: up to which
	// sequence the messages of callers' subjects may be the runtime's, and when, in
	// microseconds since 1970, it got the other family.
	metaEarlier = "ganglion.earlier"
	metaUpdated = "ganglion.updated"
)

const (
	// provisionRetry is the pause before the next look at a JetStream that does not
	// answer yet, as right after the start of its servers.
	provisionRetry = 250 * time.Millisecond
	// provisionAttempt bounds one look. A server does not answer for a stream that
	// has no leader, and the answer to a creation is lost with the leader that would
	// have sent it: whoever waits for it in vain asks again.
	provisionAttempt = 5 * time.Second
)

// errBeingMade says that another node is making the stream: a cluster keeps the name
// from the moment of the request on, and says that there is no such stream until its
// servers have agreed on it.
var errBeingMade = errors.New("another node is making the stream")

// commandStream is what was found out about a namespace's command stream.
type commandStream struct {
	incarnation string
	partitions  actor.Partitions
	earlier     earlier
}

// findOrMake is provision within cfg.OpenTimeout, and has a stream of an earlier build
// updated.
func findOrMake(ctx context.Context, js jetstream.JetStream, cfg Config) (commandStream, error) {
	bounded, cancel := context.WithTimeout(ctx, cfg.OpenTimeout)
	defer cancel()
	found, err := provision(bounded, js, cfg)
	if err == nil && found.earlier.outdated {
		return renew(ctx, js, cfg)
	}
	return found, err
}

// provision finds the command stream or creates it. Two nodes may do so at once:
// one of them creates it, the other finds it.
func provision(ctx context.Context, js jetstream.JetStream, cfg Config) (commandStream, error) {
	found, err := persist(ctx, func(ctx context.Context) (commandStream, error) {
		// Whose the streams are comes first: what belongs to another store is not to be
		// completed with a stream of this one.
		if _, err := unowned(ctx, js, &cfg); err != nil {
			return commandStream{}, err
		}
		found, err := lookUp(ctx, js, wire.Namespace(cfg.Namespace))
		if errors.Is(err, ErrNotProvisioned) {
			wanted := commandStream{partitions: defaultTo(cfg.Partitions, actor.DefaultPartitions)}
			if err := cfg.samePartitions(wanted); err != nil {
				return commandStream{}, err
			}
			return create(ctx, js, cfg)
		}
		return found, err
	})
	if err == nil && cfg.Partitions != 0 && cfg.Partitions != found.partitions {
		err = &PartitionsError{Configured: cfg.Partitions, Found: found.partitions}
	}
	if err == nil {
		err = cfg.samePartitions(found)
	}
	return found, err
}

// persist repeats what fails for a reason that may pass, until ctx ends.
func persist[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	for {
		attempt, cancel := context.WithTimeout(ctx, provisionAttempt)
		found, err := ask(attempt)
		cancel()
		if err == nil || !mayPass(err) || !pause(ctx, provisionRetry) {
			return found, err
		}
	}
}

// create makes the stream, and looks it up when another node was faster: that
// one drew another incarnation, so the server refuses the second creation.
func create(ctx context.Context, js jetstream.JetStream, cfg Config) (commandStream, error) {
	ns := wire.Namespace(cfg.Namespace)
	partitions := defaultTo(cfg.Partitions, actor.DefaultPartitions)
	settings := jetstream.StreamConfig{
		Name:             ns.Stream(),
		Description:      "commands on their way to the owners of their aggregates",
		Subjects:         ns.Subjects(),
		SubjectTransform: ns.Mapping(partitions),
		Storage:          jetstream.FileStorage,
		Retention:        jetstream.LimitsPolicy,
		Discard:          jetstream.DiscardNew,
		MaxBytes:         cfg.MaxBytes,
		Replicas:         cfg.Replicas,
		AllowDirect:      true,
		Metadata: cfg.owned(map[string]string{
			metaFormat:      wire.Format,
			metaPartitions:  strconv.FormatUint(uint64(partitions), 10),
			metaIncarnation: nuid.Next(),
		}),
		MaxConsumers: consumersOf(partitions),
	}
	stream, err := js.CreateStream(ctx, settings)
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == apiMaxConsumers {
		settings.MaxConsumers = 0 // the account allows fewer
		stream, err = js.CreateStream(ctx, settings)
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		found, err := findStream(ctx, js, ns.Stream())
		if errors.Is(err, ErrNotProvisioned) {
			err = fmt.Errorf("%w: %w", errBeingMade, err)
		}
		if err != nil {
			return commandStream{}, err
		}
		if err := cfg.sameStore(found.CachedInfo().Config); err != nil {
			return commandStream{}, err
		}
		return inspect(ns, found.CachedInfo())
	}
	if err != nil {
		return commandStream{}, fmt.Errorf("create stream %s: %w", ns.Stream(), err)
	}
	return inspect(ns, stream.CachedInfo())
}

// consumersOf is how many consumers the stream is to allow, in place of the
// server's default of 1,000: each partition begins with one of its own, and those of
// nodes that were killed live on for inactiveThreshold.
func consumersOf(p actor.Partitions) int { return 8*int(p) + 1000 }

// lookUp reads what the stream is from the stream itself.
func lookUp(ctx context.Context, js jetstream.JetStream, ns wire.Namespace) (commandStream, error) {
	stream, err := findStream(ctx, js, ns.Stream())
	if err != nil {
		return commandStream{}, err
	}
	return inspect(ns, stream.CachedInfo())
}

// Bounds of a look at a stream. Its leader answers, and nobody does what was under way when
// that ended, or comes before there is another: whoever waits asks again, and each time
// twice as long, as a busy server may be slow as well.
const (
	lookPatience = 500 * time.Millisecond
	lookTimeout  = 5 * time.Second // when the context has no deadline
)

// findStream asks the server; the information in the result is fresh.
func findStream(ctx context.Context, js jetstream.JetStream, name string) (jetstream.Stream, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lookTimeout)
		defer cancel()
	}
	for patience := lookPatience; ; patience *= 2 {
		stream, err := lookAt(ctx, js, name, patience)
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return stream, err
		}
	}
}

// lookAt asks once.
func lookAt(ctx context.Context, js jetstream.JetStream, name string, patience time.Duration) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrNotProvisioned, err)
	}
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", name, err)
	}
	return stream, nil
}

// inspect refuses a stream that would route commands in another way than the
// clients of this build do, or lose commands. Limits and replicas are the
// operator's to change.
func inspect(ns wire.Namespace, info *jetstream.StreamInfo) (commandStream, error) {
	foreign := func(format string, args ...any) (commandStream, error) {
		return commandStream{}, fmt.Errorf("%s: "+format+": %w", append(append([]any{ns.Stream()}, args...), ErrForeignStream)...)
	}
	cfg := info.Config
	if f := cfg.Metadata[metaFormat]; f != wire.Format {
		return foreign("metadata %s is %q, not %q", metaFormat, f, wire.Format)
	}
	n, err := strconv.ParseUint(cfg.Metadata[metaPartitions], 10, 32)
	p := actor.Partitions(n)
	if err != nil || !p.Valid() {
		return foreign("metadata %s is %q", metaPartitions, cfg.Metadata[metaPartitions])
	}
	is, subjects, want := readEarlier(cfg), ns.Subjects(), ns.Mapping(p)
	if isEarlier(ns, &cfg, p) {
		is.outdated, subjects, want = true, ns.EarlierSubjects(), ns.EarlierMapping(p)
	}
	switch {
	case cfg.Metadata[metaIncarnation] == "":
		return foreign("no metadata %s", metaIncarnation)
	case cfg.SubjectTransform == nil || *cfg.SubjectTransform != *want:
		return foreign("subject transform is not %s to %s", want.Source, want.Destination)
	case !slices.Equal(cfg.Subjects, subjects):
		return foreign("subjects are %q", cfg.Subjects)
	case cfg.Retention != jetstream.LimitsPolicy || cfg.Discard != jetstream.DiscardNew:
		return foreign("it may drop commands: retention %v, discard %v", cfg.Retention, cfg.Discard)
	case cfg.MaxAge != 0 || cfg.MaxMsgsPerSubject > 0 && !cfg.DiscardNewPerSubject:
		return foreign("it drops commands by age or subject")
	}
	return commandStream{incarnation: incarnation(info), partitions: p, earlier: is}, nil
}

// incarnation never repeats: the drawn part tells a stream from a later one of
// the same moment, the time of creation from one made of a copied configuration.
func incarnation(info *jetstream.StreamInfo) string {
	return strconv.FormatInt(info.Created.UnixNano(), 36) + "-" + info.Config.Metadata[metaIncarnation]
}

// The codes of JetStream's API that errors of natsbus are made of.
const (
	apiNoSuitablePeers   jetstream.ErrorCode = 10005 // as long as a cluster gathers
	apiReplicasInCluster jetstream.ErrorCode = 10074 // replicas asked of a single server
	apiMaxConsumers      jetstream.ErrorCode = 10026 // more consumers than the account allows
)

// mayPass reports whether an error of JetStream's API is about its state at the
// moment, and not about what was asked.
func mayPass(err error) bool {
	if errors.Is(err, errBeingMade) {
		return true
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode == apiNoSuitablePeers || api.Code >= 500 && api.ErrorCode != apiReplicasInCluster
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders)
}

// pause waits; it reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
