package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// eventStream is what was found out about a namespace's event stream.
type eventStream struct {
	incarnation string // see incarnation
	drawn       string // the part of it that is in the subjects
	first, last uint64 // sequences
	whole       bool   // nothing is missing but what a limit of the stream has removed
}

// eventSettings is how an event stream is made. It has no limits: events are kept
// for ever unless an operator sets some.
func eventSettings(cfg Config, drawn string) jetstream.StreamConfig {
	ns := wire.Namespace(cfg.Namespace)
	return jetstream.StreamConfig{
		Name:               ns.EventStream(),
		Description:        "events of all aggregates in the order of their commits",
		Subjects:           []string{ns.EventsPublished(drawn)},
		SubjectTransform:   ns.EventMapping(drawn),
		Storage:            jetstream.FileStorage,
		Retention:          jetstream.LimitsPolicy,
		Discard:            jetstream.DiscardOld,
		Replicas:           cfg.Replicas,
		DenyDelete:         true,
		AllowAtomicPublish: true,
		Metadata:           cfg.owned(map[string]string{metaFormat: wire.Format, metaIncarnation: drawn}),
	}
}

// createEvents makes the event stream, or finds the one that another node has made
// meanwhile.
func createEvents(ctx context.Context, js jetstream.JetStream, cfg Config) (eventStream, error) {
	made, err := createStream(ctx, js, eventSettings(cfg, nuid.Next()))
	if err == nil {
		err = cfg.sameStore(made.CachedInfo().Config)
	}
	if err != nil {
		return eventStream{}, err
	}
	return inspectEvents(wire.Namespace(cfg.Namespace), made.CachedInfo())
}

// createStream makes a stream, and looks it up when another node was faster.
func createStream(ctx context.Context, js jetstream.JetStream, settings jetstream.StreamConfig) (jetstream.Stream, error) {
	made, err := js.CreateStream(ctx, settings)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		found, err := findStream(ctx, js, settings.Name)
		if errors.Is(err, ErrNotProvisioned) {
			err = fmt.Errorf("%w: %w", errBeingMade, err)
		}
		return found, err
	}
	if err != nil {
		return nil, fmt.Errorf("create stream %s: %w", settings.Name, err)
	}
	return made, nil
}

// inspectEvents refuses a stream that is not this namespace's event stream, or that
// could lose events from between others. How long events are kept, and replicas, are
// the operator's to set.
func inspectEvents(ns wire.Namespace, info *jetstream.StreamInfo) (eventStream, error) {
	cfg, state := info.Config, info.State
	drawn := cfg.Metadata[metaIncarnation]
	foreign := func(format string, args ...any) (eventStream, error) {
		return eventStream{}, fmt.Errorf("%s: "+format+": %w", append(append([]any{cfg.Name}, args...), ErrForeignStream)...)
	}
	want := ns.EventMapping(drawn)
	switch {
	case cfg.Metadata[metaFormat] != wire.Format:
		return foreign("metadata %s is %q, not %q", metaFormat, cfg.Metadata[metaFormat], wire.Format)
	case drawn == "":
		return foreign("no metadata %s", metaIncarnation)
	case !slices.Equal(cfg.Subjects, []string{ns.EventsPublished(drawn)}):
		return foreign("subjects are %q", cfg.Subjects)
	case cfg.SubjectTransform == nil || *cfg.SubjectTransform != *want:
		return foreign("subject transform is not %s to %s", want.Source, want.Destination)
	case cfg.Retention != jetstream.LimitsPolicy || cfg.Discard != jetstream.DiscardOld:
		return foreign("retention %v, discard %v", cfg.Retention, cfg.Discard)
	case cfg.MaxMsgsPerSubject > 0 || !cfg.DenyDelete || cfg.AllowMsgTTL || cfg.AllowRollup:
		return foreign("it may drop events from between others")
	case !cfg.AllowAtomicPublish:
		return foreign("it takes no atomic batches")
	}
	limited := cfg.MaxAge > 0 || cfg.MaxMsgs > 0 || cfg.MaxBytes > 0
	s := eventStream{incarnation: incarnation(info), drawn: drawn, first: max(state.FirstSeq, 1), last: state.LastSeq}
	s.whole = state.Msgs == state.LastSeq+1-s.first && (s.first == 1 || limited) && (state.Msgs > 0 || state.LastSeq == 0)
	return s, nil
}

// events looks the event stream up. The error wraps [ErrNotProvisioned] when there
// is none.
func (b *Bus) events(ctx context.Context) (eventStream, error) {
	found, err := findStream(ctx, b.js, b.ns.EventStream())
	if errors.Is(err, ErrNotProvisioned) {
		b.goneFor(b.ns.EventStream())
	}
	if err != nil {
		return eventStream{}, err
	}
	b.there(b.ns.EventStream())
	if err := b.cfg.sameStore(found.CachedInfo().Config); err != nil {
		return eventStream{}, err
	}
	return inspectEvents(b.ns, found.CachedInfo())
}

// RebuildEvents removes the event stream of that incarnation, so that the next
// [Bus.EventsTail] makes an empty one, to be filled from the store. It does nothing
// when there is another one already.
//
// Looking and removing are two requests. Say a node stops between them, and another
// one does the same and begins to fill the new stream, which the first one then
// removes: it is filled once more. Nothing is in the stream that is not in the store.
func (b *Bus) RebuildEvents(ctx context.Context, stream string) error {
	is, err := b.events(ctx)
	if errors.Is(err, ErrNotProvisioned) || err == nil && is.incarnation != stream {
		return nil
	}
	if err != nil {
		return fmt.Errorf("rebuild events: %w", err)
	}
	b.cfg.Logger.WarnContext(ctx, "the event stream is made anew from the store", slog.String("was", stream))
	if err := b.js.DeleteStream(ctx, b.ns.EventStream()); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("rebuild events: %w", err)
	}
	return nil
}

// provisionOutgoing finds the streams of what leaves a node, or creates them.
func (b *Bus) provisionOutgoing(ctx context.Context) error {
	if _, err := persist(ctx, b.ensureEvents); err != nil {
		return err
	}
	_, err := persist(ctx, b.ensureDeadlines)
	return err
}

func (b *Bus) ensureEvents(ctx context.Context) (eventStream, error) {
	found, err := b.events(ctx)
	if errors.Is(err, ErrNotProvisioned) {
		return createEvents(ctx, b.js, b.cfg)
	}
	return found, err
}
