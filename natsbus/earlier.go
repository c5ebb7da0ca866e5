package natsbus

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// Builds before this one published everything on the subjects of callers, and gave
// what the runtime sends ids that a caller could use, too. Their stream is updated by
// the first node of this build: it gets the runtime's own family of subjects, and its
// metadata say up to which sequence a message of a caller's subject may be the
// runtime's. What is stored stays where it is: consumers, backlog and purges cover
// both families (docs/adr/0031-ids-and-subjects-of-the-runtime.md).
//
// A node of an earlier build would not see the new family, and its watermark would
// pass over what is in it. So the stream is updated only once there is none: see
// [Config.BeforeUpdate]. Such a node refuses to start afterwards, as it finds a stream
// that is not of its making.

// earlier is what of a stream was, or may have been, made by such builds.
type earlier struct {
	outdated bool      // it has one family of subjects still
	upTo     uint64    // sequence up to which messages of callers' subjects may be the runtime's
	updated  time.Time // when it got the other family; zero: it has had it from the beginning
}

// earlierSkew bounds how far the clocks of nodes of earlier builds were ahead of that
// of the node which has updated the stream.
const earlierSkew = time.Hour

// formerly returns the id under which an earlier build may have sent a command of the
// runtime; empty if none can have, as the stream is not of one, or the command is of a
// later time than the update. (The time of an id is that of the event or command which
// caused it.)
func (e earlier) formerly(id actor.CommandID) actor.CommandID {
	ms, timed := id.UnixMilli()
	if !id.Internal() || !timed || e.updated.IsZero() || time.UnixMilli(ms).After(e.updated.Add(earlierSkew)) {
		return ""
	}
	return id.Formerly()
}

// isEarlier reports whether a stream is as an earlier build has made it.
func isEarlier(ns wire.Namespace, cfg *jetstream.StreamConfig, p actor.Partitions) bool {
	return cfg.SubjectTransform != nil && *cfg.SubjectTransform == *ns.EarlierMapping(p) && slices.Equal(cfg.Subjects, ns.EarlierSubjects())
}

func readEarlier(cfg jetstream.StreamConfig) (e earlier) {
	e.upTo, _ = strconv.ParseUint(cfg.Metadata[metaEarlier], 10, 64)
	if us, err := strconv.ParseInt(cfg.Metadata[metaUpdated], 10, 64); err == nil {
		e.updated = time.UnixMicro(us)
	}
	return e
}

// renew brings a stream of an earlier build into the present form once no node of such
// a build is there. The wait for that is bounded by the caller alone.
func renew(ctx context.Context, js jetstream.JetStream, cfg Config) (commandStream, error) {
	ns := wire.Namespace(cfg.Namespace)
	var others error
	if cfg.BeforeUpdate != nil {
		others = cfg.BeforeUpdate(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.OpenTimeout)
	defer cancel()
	return persist(ctx, func(ctx context.Context) (commandStream, error) {
		is, err := lookUp(ctx, js, ns)
		switch {
		case err != nil || !is.earlier.outdated: // another node was faster: the others are of this build
			return is, err
		case others != nil:
			return is, fmt.Errorf("stream %s is of an earlier build, and cannot be changed yet: %w", ns.Stream(), others)
		}
		return update(ctx, js, cfg)
	})
}

// update does it. Two nodes may do so at once, with a slightly different sequence;
// either is right.
func update(ctx context.Context, js jetstream.JetStream, cfg Config) (commandStream, error) {
	ns := wire.Namespace(cfg.Namespace)
	stream, err := findStream(ctx, js, ns.Stream())
	if err != nil {
		return commandStream{}, err
	}
	is, err := inspect(ns, stream.CachedInfo())
	if err != nil || !is.earlier.outdated {
		return is, err
	}
	settings := stream.CachedInfo().Config
	settings.Subjects, settings.SubjectTransform = ns.Subjects(), ns.Mapping(is.partitions)
	settings.Metadata = maps.Clone(settings.Metadata)
	settings.Metadata[metaEarlier] = strconv.FormatUint(stream.CachedInfo().State.LastSeq, 10)
	settings.Metadata[metaUpdated] = strconv.FormatInt(time.Now().UnixMicro(), 10)
	updated, err := js.UpdateStream(ctx, settings)
	if err != nil {
		return is, fmt.Errorf("update stream %s: %w", ns.Stream(), err)
	}
	cfg.Logger.InfoContext(ctx, "the command stream was of an earlier build and has been updated",
		slog.String("stream", ns.Stream()), slog.String("earlier_up_to", settings.Metadata[metaEarlier]))
	return inspect(ns, updated.CachedInfo())
}
