package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/ganglion-go/ganglion/store"
)

// SaveSnapshot implements [store.Snapshots].
func (s *Store) SaveSnapshot(ctx context.Context, snapshot store.Snapshot) error {
	what := fmt.Sprintf("save snapshot of %q at version %d", snapshot.Aggregate, snapshot.Version)
	doc, ok := encodeSnapshot(&snapshot)
	if !ok {
		return fmt.Errorf("%s: %w", what, store.ErrTooLarge)
	}
	older := bson.D{
		{Key: "_id", Value: string(snapshot.Aggregate)},
		{Key: "$or", Value: bson.A{
			bson.D{{Key: "schema", Value: bson.D{{Key: "$ne", Value: snapshot.Schema}}}},
			bson.D{{Key: "v", Value: bson.D{{Key: "$lt", Value: toInt64(uint64(snapshot.Version))}}}},
		}},
	}
	replace := func(upsert bool) error {
		return s.write(ctx, func(ctx context.Context) error {
			_, err := s.snapshots.ReplaceOne(ctx, older, doc, options.Replace().SetUpsert(upsert))
			return err
		})
	}
	err := replace(true)
	if duplicate(err) {
		// There is one already: as new as this, or older and inserted by another
		// saver after the filter was tried. The second try tells them apart.
		err = replace(false)
	}
	return writeError(what, err)
}

// encodeSnapshot makes the document of a snapshot. It is false when the document
// is too large.
func encodeSnapshot(s *store.Snapshot) (bson.Raw, bool) {
	if len(s.State)+len(s.Ring) > 4*maxDocument {
		return nil, false
	}
	for _, asText := range []bool{false, true} {
		w := writer{asText: asText, buf: make([]byte, 0, len(s.State)+len(s.Ring)+256)}
		root := w.open()
		w.text("_id", string(s.Aggregate))
		w.int64("v", toInt64(uint64(s.Version)))
		w.text("schema", s.Schema)
		w.position("pos", s.Position)
		w.int64("t", s.Time)
		w.json("state", "stateText", s.State)
		if len(s.Ring) > 0 {
			w.buf = bsoncore.AppendBinaryElement(w.buf, "ring", bson.TypeBinaryGeneric, s.Ring)
		}
		w.close(root)
		if len(w.buf) <= maxDocument {
			return w.buf, true
		}
	}
	return nil, false
}

// LoadSnapshot implements [store.Snapshots].
func (s *Store) LoadSnapshot(ctx context.Context, aggregate store.Aggregate, schema string) (_ store.Snapshot, found bool, err error) {
	what := fmt.Sprintf("load snapshot of %q", aggregate)
	filter := bson.D{{Key: "_id", Value: string(aggregate)}, {Key: "schema", Value: schema}}
	var doc bson.Raw
	err = s.read(ctx, func(ctx context.Context) (err error) {
		doc, err = s.snapshots.FindOne(ctx, filter).Raw()
		return optional(err)
	})
	if err != nil || doc == nil {
		return store.Snapshot{}, false, readError(what, err)
	}
	r := reader{arena: make([]byte, 0, len(doc))}
	snapshot := r.snapshot(doc)
	if r.err != nil {
		return store.Snapshot{}, false, readError(what, corrupt("%w", r.err))
	}
	return snapshot, true, nil
}

func (r *reader) snapshot(doc []byte) (s store.Snapshot) {
	fields := r.fields(element{kind: bsoncore.TypeEmbeddedDocument, value: doc})
	for e, ok := r.next(&fields); ok; e, ok = r.next(&fields) {
		switch string(e.key) {
		case "_id":
			s.Aggregate = store.Aggregate(r.text(e))
		case "v":
			s.Version = store.Version(r.uint64(e))
		case "schema":
			s.Schema = r.text(e)
		case "pos":
			s.Position = r.position(e)
		case "t":
			s.Time = r.int64(e)
		case "state":
			s.State = r.json(e)
		case "stateText":
			s.State = r.bytes(e)
		case "ring":
			s.Ring = r.bytes(e)
		}
	}
	return s
}
