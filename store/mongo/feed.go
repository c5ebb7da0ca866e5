package mongo

import (
	"context"
	"fmt"
	"iter"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/ganglion-go/ganglion/store"
)

const (
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 2 * time.Second
	feedAwait    = time.Second // how long the server waits for an event before it answers without one
	feedBatch    = 1000
)

// Follow implements [store.Feed]. Every commit comes exactly once. The order is
// that of the oplog; what is older than the call comes first when it starts at
// the beginning, ordered by aggregate.
//
// It survives fail-overs, and ends with store.ErrUnavailable when the server
// could not be read for FollowTimeout. A token expires when the oplog has moved
// on beyond it. The token of an item does not move while no commits come: a feed
// that is idle for longer than the oplog reaches back must start anew.
func (s *Store) Follow(ctx context.Context, after store.Token) iter.Seq2[store.FeedItem, error] {
	return func(yield func(store.FeedItem, error) bool) {
		p, err := parsePlace(after)
		if err != nil {
			yield(store.FeedItem{}, fmt.Errorf("follow feed: %w", err))
			return
		}
		f := &follower{store: s, place: p, yield: yield, lastSuccess: time.Now(), backoff: firstBackoff}
		for {
			err := f.run(ctx)
			if f.stopped || ctx.Err() != nil {
				return
			}
			if err = f.survive(ctx, err); err != nil {
				if ctx.Err() == nil {
					yield(store.FeedItem{}, readError("follow feed", err))
				}
				return
			}
		}
	}
}

// Now implements [store.Feed].
func (s *Store) Now(ctx context.Context) (store.Token, error) {
	t, err := s.confirmedTime(ctx)
	if err != nil {
		return "", readError("end of feed", err)
	}
	p := place{Start: pack(t)}
	return p.token(), nil
}

// follower is one reader of the feed.
type follower struct {
	store   *Store
	place   place
	yield   func(store.FeedItem, error) bool
	stopped bool // yield has returned false

	// resume is how far the change stream has got, also without events.
	resume bson.Raw

	lastSuccess time.Time
	backoff     time.Duration
}

// run follows until the consumer stops or something fails.
func (f *follower) run(ctx context.Context) error {
	if f.place.scanning() {
		if err := f.scan(ctx); err != nil || f.stopped {
			return err
		}
		f.place.scanned()
	}
	return f.tail(ctx)
}

func (f *follower) succeeded() {
	f.lastSuccess = time.Now()
	f.backoff = firstBackoff
}

func (f *follower) emit(item store.FeedItem) {
	item.Token = f.place.token()
	f.stopped = !f.yield(item, nil)
	f.succeeded() // the time the consumer took is not the server's
}

// survive waits before the next try. It returns an error when there should be none.
func (f *follower) survive(ctx context.Context, err error) error {
	switch {
	case placeLost(err):
		return fmt.Errorf("%w: %w", store.ErrTokenExpired, err)
	case isFinal(err):
		return err
	case time.Since(f.lastSuccess) > f.store.cfg.FollowTimeout:
		return err
	}
	f.store.cfg.Logger.WarnContext(ctx, "feed interrupted", "error", err, "retry_in", f.backoff)
	timer := time.NewTimer(f.backoff)
	defer timer.Stop()
	f.backoff = min(2*f.backoff, maxBackoff)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tail yields the events of the change stream.
func (f *follower) tail(ctx context.Context) error {
	s := f.store
	stream, err := bounded(ctx, s.cfg.ReadTimeout, f.openStream)
	if err != nil {
		return err
	}
	defer closeCursor(ctx, stream)
	for !f.stopped {
		event, err := s.nextEvent(ctx, stream)
		if err != nil {
			return err
		}
		f.resume = stream.ResumeToken()
		if event == nil {
			f.succeeded()
			continue
		}
		if err := f.take(ctx, event); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) openStream(ctx context.Context) (*driver.ChangeStream, error) {
	opts := options.ChangeStream().SetBatchSize(feedBatch).SetMaxAwaitTime(feedAwait)
	switch {
	case f.resume != nil:
		opts.SetResumeAfter(f.resume)
	case f.place.Event != "":
		token, err := f.place.Event.bson()
		if err != nil {
			return nil, err
		}
		opts.SetResumeAfter(token)
	default:
		next := unpack(f.place.Start)
		next.I++
		opts.SetStartAtOperationTime(&next)
	}
	inserts := driver.Pipeline{{{Key: "$match", Value: bson.D{{Key: "operationType", Value: "insert"}}}}}
	return f.store.commits.Watch(ctx, inserts, opts)
}

// nextEvent returns nil without an error when no event has come for a while.
func (s *Store) nextEvent(ctx context.Context, stream *driver.ChangeStream) (bson.Raw, error) {
	if stream.RemainingBatchLength() == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.cfg.ReadTimeout)
		defer cancel()
	}
	if stream.TryNext(ctx) {
		return stream.Current, nil
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	if stream.ID() == 0 {
		return nil, errStreamClosed
	}
	return nil, nil
}

// take yields the commit of an event, unless the scan has shown it.
func (f *follower) take(ctx context.Context, event bson.Raw) error {
	var r, key reader
	var token eventToken
	var at bson.Timestamp
	var id commitID
	var full []byte
	fields := r.fields(element{kind: bsoncore.TypeEmbeddedDocument, value: event})
	for e, ok := r.next(&fields); ok; e, ok = r.next(&fields) {
		switch string(e.key) {
		case "_id":
			token = r.eventToken(e)
		case "clusterTime":
			at.T, at.I, _, _ = bsoncore.ReadTimestamp(e.value)
		case "documentKey":
			id = key.documentKey(e)
		case "fullDocument":
			full = e.value
		}
	}
	if r.err != nil {
		return corrupt("change event: %w", r.err)
	}
	if f.place.event(token, pack(at), id) {
		return nil
	}
	f.emitDocument(ctx, full)
	return nil
}

// emitDocument yields the commit of a document, or that it cannot be read. What is not
// under the address and the version of a commit is none: nothing loads it.
func (f *follower) emitDocument(ctx context.Context, doc []byte) {
	c, err := decodeCommit(doc)
	if err == nil {
		f.emit(store.FeedItem{Commit: c})
		return
	}
	id, count, known := identify(doc)
	if !known {
		f.store.cfg.Logger.ErrorContext(ctx, "a document among the commits is not one, and is passed over", "error", err)
		return
	}
	item := store.FeedItem{Commit: store.Commit{Aggregate: store.Aggregate(id.Aggregate), First: store.Version(id.Version)}, Unreadable: err} //nolint:gosec // greater than 0
	if count > 0 {
		item.Last = item.Commit.First + store.Version(count) - 1
	}
	f.emit(item)
}

func (r *reader) documentKey(e element) (id commitID) {
	fields := r.fields(e)
	for e, ok := r.next(&fields); ok; e, ok = r.next(&fields) {
		if string(e.key) == "_id" {
			a, v := r.commitID(e)
			id = commitID{Aggregate: []byte(a), Version: toInt64(uint64(v))}
		}
	}
	return id
}
