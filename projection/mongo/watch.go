package mongo

import (
	"context"
	"fmt"
	"iter"
	"regexp"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/projection"
)

// watchAwait is how long the server waits for a change before it answers without one.
const watchAwait = time.Second

// change is an event of a change stream, as far as it matters.
type change struct {
	Operation string `bson:"operationType"`
	Namespace struct {
		Collection string `bson:"coll"`
	} `bson:"ns"`
	Document struct {
		Key string `bson:"_id"`
	} `bson:"documentKey"`
}

// Watch implements [projection.Storage] with one change stream.
func (s *Storage) Watch(ctx context.Context, name string, ready func()) iter.Seq2[projection.Change, error] {
	return func(yield func(projection.Change, error) bool) {
		pattern := "^" + regexp.QuoteMeta(prefix+name+".") + "|^" + regexp.QuoteMeta(headsName) + "$"
		pipeline := driver.Pipeline{
			{{Key: "$match", Value: bson.D{
				{Key: "operationType", Value: bson.D{{Key: "$in", Value: bson.A{"insert", "replace", "update", "delete"}}}},
				{Key: "ns.coll", Value: bson.Regex{Pattern: pattern}},
			}}},
			{{Key: "$project", Value: bson.D{{Key: "operationType", Value: 1}, {Key: "ns", Value: 1}, {Key: "documentKey", Value: 1}}}},
		}
		stream, err := s.db.Watch(ctx, pipeline, options.ChangeStream().SetMaxAwaitTime(watchAwait))
		if err != nil {
			yield(projection.Change{}, unavailable("watch "+name, err))
			return
		}
		defer closeCursor(ctx, stream)
		ready()
		for stream.Next(ctx) {
			var c change
			if err := stream.Decode(&c); err != nil {
				yield(projection.Change{}, fmt.Errorf("watch %s: %w: %w", name, projection.ErrUnavailable, err))
				return
			}
			at, key, ok := placeOf(c.Namespace.Collection, c.Document.Key)
			if !ok || at.Projection == "" && key != name {
				continue
			}
			if !yield(projection.Change{Place: at, Key: key}, nil) {
				return
			}
		}
		if err := stream.Err(); err != nil && ctx.Err() == nil {
			yield(projection.Change{}, unavailable("watch "+name, err))
		}
	}
}
