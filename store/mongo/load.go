package mongo

import (
	"context"
	"fmt"
	"iter"
	"math"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/store"
)

// Batches, in documents; the server ends one at 16 MiB, too. The first one of a load is
// smaller: who finds a long history looks for a snapshot, and reads on from there.
const (
	loadFirst = 128
	loadBatch = 1000
)

// Load implements [store.Commits]. It reads in the order of _id, which is the
// order of the clustered collection, and holds one batch of at most 16 MiB.
func (s *Store) Load(ctx context.Context, aggregate store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
	return func(yield func(store.Commit, error) bool) {
		what := fmt.Sprintf("load %q after version %d", aggregate, after)
		last := after
		first := true
		for doc, err := range s.stream(ctx, s.commits, versions(aggregate, after), byID(loadFirst)) {
			var c store.Commit
			if err == nil {
				c, err = decodeCommit(doc)
			}
			if err == nil && c.First != last+1 {
				err = s.explainGap(ctx, aggregate, last, c.First, first)
			}
			if err != nil {
				yield(store.Commit{}, readError(what, err))
				return
			}
			if !yield(c, nil) {
				return
			}
			last, first = c.Last(), false
		}
	}
}

// LastVersion implements [store.Commits]. It reads where the last commit begins, and how
// many events it has.
func (s *Store) LastVersion(ctx context.Context, aggregate store.Aggregate) (store.Version, error) {
	var doc bson.Raw
	err := s.read(ctx, func(ctx context.Context) (err error) {
		doc, err = s.commits.FindOne(ctx, versions(aggregate, 0), options.FindOne().
			SetSort(bson.D{{Key: "_id", Value: -1}}).
			SetProjection(bson.D{{Key: "_id", Value: 1}, {Key: "ev.n", Value: 1}})).Raw()
		return optional(err)
	})
	if err != nil || doc == nil {
		return 0, readError(fmt.Sprintf("last version of %q", aggregate), err)
	}
	c, err := decodeCommit(doc)
	if err != nil {
		return 0, err
	}
	return c.Last(), nil
}

// versions selects the commits of an aggregate with First > after.
func versions(aggregate store.Aggregate, after store.Version) bson.D {
	return bson.D{{Key: "_id", Value: bson.D{
		{Key: "$gt", Value: idOf(aggregate, toInt64(uint64(after)))},
		{Key: "$lte", Value: idOf(aggregate, math.MaxInt64)},
	}}}
}

func idOf(aggregate store.Aggregate, version int64) bson.D {
	return bson.D{{Key: "a", Value: string(aggregate)}, {Key: "v", Value: version}}
}

func byID(batch int32) *options.FindOptionsBuilder {
	return options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetBatchSize(batch)
}

// explainGap returns nil if the first commit that was found follows on the one
// that has version last in its middle, and otherwise that the history has a gap.
func (s *Store) explainGap(ctx context.Context, aggregate store.Aggregate, last, found store.Version, first bool) error {
	gap := &store.GapError{Aggregate: aggregate, After: last, Found: found}
	if !first || last == 0 {
		return gap
	}
	var doc bson.Raw
	err := s.read(ctx, func(ctx context.Context) (err error) {
		filter := bson.D{{Key: "_id", Value: bson.D{
			{Key: "$gt", Value: idOf(aggregate, 0)},
			{Key: "$lte", Value: idOf(aggregate, toInt64(uint64(last)))},
		}}}
		doc, err = s.commits.FindOne(ctx, filter, options.FindOne().SetSort(bson.D{{Key: "_id", Value: -1}})).Raw()
		return optional(err)
	})
	if err != nil || doc == nil {
		return orElse(err, gap)
	}
	c, err := decodeCommit(doc)
	if err != nil || c.Last()+1 == found {
		return err
	}
	if c.Last() < found {
		gap.After = c.Last()
	}
	return gap
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// stream yields the documents of a query as they arrive. A document is valid
// until the next one. Only what waits for the server is bounded by ReadTimeout:
// the consumer may take its time.
func (s *Store) stream(
	ctx context.Context, from *driver.Collection, filter bson.D, opts *options.FindOptionsBuilder,
) iter.Seq2[bson.Raw, error] {
	return func(yield func(bson.Raw, error) bool) {
		session, err := s.readSession()
		if err != nil {
			yield(nil, err)
			return
		}
		defer session.EndSession(ctx)
		ctx := driver.NewSessionContext(ctx, session)
		cursor, err := bounded(ctx, s.cfg.ReadTimeout, func(ctx context.Context) (*driver.Cursor, error) {
			return from.Find(ctx, filter, opts)
		})
		if err != nil {
			yield(nil, err)
			return
		}
		defer closeCursor(ctx, cursor)
		for s.nextDocument(ctx, cursor) {
			if !yield(cursor.Current, nil) {
				return
			}
		}
		if err := cursor.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// nextDocument pays for a timer only when the next document is not here yet.
func (s *Store) nextDocument(ctx context.Context, cursor *driver.Cursor) bool {
	if cursor.RemainingBatchLength() > 0 {
		return cursor.Next(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()
	cursor.SetBatchSize(loadBatch)
	return cursor.Next(ctx)
}

// closeCursor lets the server forget a cursor that was not read to its end. If
// that fails, the server does so in time.
func closeCursor(ctx context.Context, cursor interface{ Close(context.Context) error }) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = cursor.Close(ctx) // nothing depends on it
}
