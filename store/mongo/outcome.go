package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/ganglion-go/ganglion/store"
)

// FindOutcome implements [store.Commits]. A keyed id is found through an index
// that holds only such ids. For others the server reads the aggregate's history,
// and sends the commit that has the id.
func (s *Store) FindOutcome(
	ctx context.Context, aggregate store.Aggregate, commandID string, keyed bool,
) (found store.Recorded, ok bool, err error) {
	what := fmt.Sprintf("find outcome of command %q of %q", commandID, aggregate)
	opts := options.FindOne().SetProjection(bson.D{{Key: "cmd", Value: 1}})
	filter := append(versions(aggregate, 0), bson.E{Key: "cmd.id", Value: commandID})
	if keyed {
		filter = bson.D{{Key: "_id.a", Value: string(aggregate)}, {Key: "keys", Value: commandID}}
		opts.SetHint(keysIndex)
	}
	var doc bson.Raw
	err = s.read(ctx, func(ctx context.Context) (err error) {
		doc, err = s.commits.FindOne(ctx, filter, opts).Raw()
		return optional(err)
	})
	if err != nil || doc == nil {
		return store.Recorded{}, false, readError(what, err)
	}
	c, err := decodeOutcomes(doc)
	if err != nil {
		return store.Recorded{}, false, readError(what, err)
	}
	c.OutcomeVersions(func(o *store.Outcome, v store.Version) {
		if o.CommandID == commandID && !ok {
			found, ok = store.Recorded{Outcome: *o, Version: v}, true
		}
	})
	if !ok {
		return store.Recorded{}, false, readError(what, corrupt("version %d has the id among its keys alone", c.First))
	}
	return found, true, nil
}

// decodeOutcomes reads the version and the outcomes of a commit.
func decodeOutcomes(doc []byte) (c store.Commit, err error) {
	var r reader
	fields := r.fields(element{kind: bsoncore.TypeEmbeddedDocument, value: doc})
	for e, ok := r.next(&fields); ok; e, ok = r.next(&fields) {
		switch string(e.key) {
		case "_id":
			c.Aggregate, c.First = r.commitID(e)
		case "cmd":
			c.Outcomes = list(&r, e, r.outcome)
		}
	}
	if r.err != nil {
		return store.Commit{}, fmt.Errorf("%w: commit %q version %d: %w", store.ErrCorrupt, c.Aggregate, c.First, r.err)
	}
	return c, nil
}
