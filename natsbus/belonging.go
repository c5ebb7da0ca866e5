package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// The metadata that says to which store a stream belongs.
const (
	metaStore     = "ganglion.store"      // its identity
	metaStoreName = "ganglion.store-name" // what it is, for people
)

// owned returns metadata of a stream together with the store's.
func (c *Config) owned(metadata map[string]string) map[string]string {
	if c.Store == "" {
		return metadata
	}
	metadata = maps.Clone(metadata)
	metadata[metaStore] = c.Store
	if c.StoreName != "" {
		metadata[metaStoreName] = c.StoreName
	}
	return metadata
}

// sameStore refuses a stream that says that it belongs to another store. One that
// says nothing was made by a build that recorded nothing, and is adopted by [Open].
func (c *Config) sameStore(found jetstream.StreamConfig) error {
	is := found.Metadata[metaStore]
	if c.Store == "" || is == "" || is == c.Store {
		return nil
	}
	return &StoreError{
		Stream: found.Name, Found: is, FoundName: found.Metadata[metaStoreName], Configured: c.Store, ConfiguredName: c.StoreName,
	}
}

// samePartitions refuses a number of partitions that the store is not divided into.
func (c *Config) samePartitions(found commandStream) error {
	if c.StorePartitions != 0 && c.StorePartitions != found.partitions {
		return &PartitionsError{Configured: found.partitions, Found: c.StorePartitions, InStore: true}
	}
	return nil
}

// ownStreams are the streams that belong to one store, the one that decides who makes
// the others last: if that says whose it is, so do all.
func ownStreams(ns wire.Namespace) []string {
	return []string{ns.EventStream(), ns.DeadlineStream(), ns.Stream()}
}

// unowned returns the streams that exist and do not say whose they are, or an error if
// one is another store's.
func unowned(ctx context.Context, js jetstream.JetStream, cfg *Config) (all []jetstream.Stream, err error) {
	if cfg.Store == "" {
		return nil, nil
	}
	for _, name := range ownStreams(wire.Namespace(cfg.Namespace)) {
		found, err := findStream(ctx, js, name)
		if errors.Is(err, ErrNotProvisioned) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := cfg.sameStore(found.CachedInfo().Config); err != nil {
			return nil, err
		}
		if found.CachedInfo().Config.Metadata[metaStore] == "" {
			all = append(all, found)
		}
	}
	return all, nil
}

// adopt has streams that do not say whose they are say it. A stream's metadata cannot
// be compared and set; a stream is created by one only. So whoever adopts creates a
// stream that says who does, and removes it when all the others say so, too:
//
//	store A                         store B
//	finds streams of nobody         finds streams of nobody
//	creates ADOPTION: A             ADOPTION is A's: refused
//	looks again: still of nobody
//	writes A into each
//	removes ADOPTION                creates ADOPTION: B
//	                                looks again: they are A's. Removes ADOPTION, refused
//
// A node that ends in between leaves ADOPTION to the next one of its store, as what
// it has sent last may still take effect.
func adopt(ctx context.Context, js jetstream.JetStream, cfg *Config) error {
	free, err := unowned(ctx, js, cfg)
	if err != nil || len(free) == 0 {
		return err
	}
	ns := wire.Namespace(cfg.Namespace)
	lock, err := createStream(ctx, js, jetstream.StreamConfig{
		Name: ns.AdoptionStream(), Description: "who writes into this namespace's streams whose they are", Subjects: []string{ns.Adoption()},
		Storage: jetstream.FileStorage, Replicas: cfg.Replicas, Metadata: cfg.owned(map[string]string{metaFormat: wire.Format}),
	})
	if err != nil {
		return err
	}
	if err := cfg.sameStore(lock.CachedInfo().Config); err != nil {
		// B may have created it after another node of A had adopted all: not yet B's loss.
		if free, again := unowned(ctx, js, cfg); again == nil && len(free) == 0 {
			return nil
		}
		return err
	}
	free, err = unowned(ctx, js, cfg)
	if other := (*StoreError)(nil); err != nil && !errors.As(err, &other) {
		return err
	}
	for _, stream := range free {
		settings := stream.CachedInfo().Config
		settings.Metadata = cfg.owned(settings.Metadata)
		if _, err := js.UpdateStream(ctx, settings); err != nil {
			return fmt.Errorf("write into %s whose it is: %w", settings.Name, err)
		}
		cfg.Logger.InfoContext(ctx, "stream now says to which store it belongs", slog.String("stream", settings.Name), slog.String("store", cfg.Store))
	}
	if gone := js.DeleteStream(ctx, ns.AdoptionStream()); gone != nil && !errors.Is(gone, jetstream.ErrStreamNotFound) {
		return errors.Join(err, fmt.Errorf("remove %s: %w", ns.AdoptionStream(), gone))
	}
	return err
}

// adoptAll is adopt, again and again while JetStream does not answer.
func adoptAll(ctx context.Context, js jetstream.JetStream, cfg *Config) error {
	_, err := persist(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, adopt(ctx, js, cfg) })
	return err
}
