package mongo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/store"
)

// parkedInline is the largest message that is kept in the document itself. One document
// takes 16 MiB; a message may be as large as NATS carries, 64 MiB at most.
const parkedInline = 8 << 20

// parked is the document of a parked command in "parked". Parts of a large message are
// in "parked_parts", in sets: one is written before the document that names it, and
// removed after that was replaced or removed. A document whose set is gone counts as
// removed, as in the moment of its removal.
type parked struct {
	ID       parkedID `bson:"_id"`
	Time     int64    `bson:"t"` // microseconds since 1970 UTC
	Name     string   `bson:"name"`
	Reason   string   `bson:"reason"`
	Stack    string   `bson:"stack"`
	Attempts int64    `bson:"attempts"`
	Message  []byte   `bson:"message"`
	Set      string   `bson:"set,omitempty"`   // of the parts
	Parts    int64    `bson:"parts,omitempty"` // how many
}

// parkedPart is a document of "parked_parts". Its _id is the set and the number.
type parkedPart struct {
	ID   string `bson:"_id"`
	Data []byte `bson:"d"`
}

func partKey(set string, n int64) string { return fmt.Sprintf("%s/%06d", set, n) }

// partsOf selects the parts of a set.
func partsOf(set string) bson.D {
	return bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: set + "/"}, {Key: "$lt", Value: set + "0"}}}}
}

type parkedID struct {
	Aggregate string `bson:"a"`
	CommandID string `bson:"id"`
}

// Park implements [store.Parking]. The time is kept in microseconds.
func (s *Store) Park(ctx context.Context, p store.Parked) error {
	what := fmt.Sprintf("park command %q of %q", p.CommandID, p.Aggregate)
	doc := parked{
		ID:   parkedID{Aggregate: string(p.Aggregate), CommandID: p.CommandID},
		Time: p.Time.UnixMicro(), Name: p.Name, Reason: p.Reason, Stack: p.Stack,
		Attempts: int64(p.Attempts), Message: p.Message,
	}
	if len(p.Message) > parkedInline {
		doc.Message, doc.Set = nil, bson.NewObjectID().Hex()
		for part := range slices.Chunk(p.Message, parkedInline) {
			if err := s.writePart(ctx, parkedPart{ID: partKey(doc.Set, doc.Parts), Data: part}); err != nil {
				return writeError(what, err)
			}
			doc.Parts++
		}
	}
	was, err := s.replaceParked(ctx, &doc)
	if duplicate(err) {
		was, err = s.replaceParked(ctx, &doc) // another one was inserted at the same moment: now there is one to replace
	}
	if err != nil {
		return writeError(what, err)
	}
	s.removeParts(ctx, was)
	return nil
}

func (s *Store) writePart(ctx context.Context, part parkedPart) error {
	return s.write(ctx, func(ctx context.Context) error {
		_, err := s.parkedParts.ReplaceOne(ctx, bson.D{{Key: "_id", Value: part.ID}}, part, options.Replace().SetUpsert(true))
		return err
	})
}

// replaceParked writes a document and returns the set of parts of the one it replaces;
// empty: none.
func (s *Store) replaceParked(ctx context.Context, doc *parked) (set string, err error) {
	err = s.write(ctx, func(ctx context.Context) error {
		var was parked
		err := s.parked.FindOneAndReplace(ctx, bson.D{{Key: "_id", Value: doc.ID}}, doc, options.FindOneAndReplace().SetUpsert(true).SetProjection(bson.D{{Key: "set", Value: 1}})).Decode(&was)
		set = was.Set
		return optional(err)
	})
	return set, err
}

// removeParts removes a set that no document names any more. If that fails, it stays:
// nobody reads it.
func (s *Store) removeParts(ctx context.Context, set string) {
	if set == "" {
		return
	}
	err := s.write(ctx, func(ctx context.Context) error {
		_, err := s.parkedParts.DeleteMany(ctx, partsOf(set))
		return err
	})
	if err != nil {
		s.cfg.Logger.WarnContext(ctx, "parts of a command that is not parked any more were not removed", "set", set, "error", err)
	}
}

// assembleDocument is assemble for a document that has yet to be decoded.
func (s *Store) assembleDocument(ctx context.Context, doc bson.Raw, p *parked) (bool, error) {
	if err := bson.Unmarshal(doc, p); err != nil {
		return false, corrupt("%w", err)
	}
	return s.assemble(ctx, p)
}

// assemble puts the parts of a message together; false: it has been removed.
func (s *Store) assemble(ctx context.Context, p *parked) (bool, error) {
	if p.Parts == 0 {
		return true, nil
	}
	n := int64(0)
	for doc, err := range s.stream(ctx, s.parkedParts, partsOf(p.Set), options.Find().SetSort(bson.D{{Key: "_id", Value: 1}})) {
		var part parkedPart
		if err == nil {
			if err = bson.Unmarshal(doc, &part); err != nil {
				err = corrupt("%w", err)
			}
		}
		if err != nil {
			return false, err
		}
		if part.ID != partKey(p.Set, n) {
			break
		}
		p.Message = append(p.Message, part.Data...)
		n++
	}
	return n == p.Parts, nil
}

// CountParked implements [store.Parking].
func (s *Store) CountParked(ctx context.Context, limit int) (n int, err error) {
	err = s.read(ctx, func(ctx context.Context) error {
		found, err := s.parked.CountDocuments(ctx, bson.D{}, options.Count().SetLimit(int64(limit)))
		n = int(found)
		return err
	})
	return n, readError("count parked commands", err)
}

// ListParked implements [store.Parking].
func (s *Store) ListParked(ctx context.Context, aggregate store.Aggregate) iter.Seq2[store.Parked, error] {
	return func(yield func(store.Parked, error) bool) {
		filter := bson.D{}
		if aggregate != "" {
			filter = bson.D{{Key: "_id.a", Value: string(aggregate)}}
		}
		oldestFirst := options.Find().SetSort(bson.D{{Key: "t", Value: 1}, {Key: "_id", Value: 1}}).SetHint(parkedIndex)
		for doc, err := range s.stream(ctx, s.parked, filter, oldestFirst) {
			var p parked
			whole := false
			if err == nil {
				whole, err = s.assembleDocument(ctx, doc, &p)
			}
			if err != nil { // behind what cannot be read, the others are read all the same
				err = readError("list parked commands", err)
				if !yield(store.Parked{Aggregate: store.Aggregate(p.ID.Aggregate), CommandID: p.ID.CommandID}, err) || !errors.Is(err, store.ErrCorrupt) {
					return
				}
				continue
			}
			if whole && !yield(p.decode(), nil) {
				return
			}
		}
	}
}

// FindParked implements [store.Parking].
func (s *Store) FindParked(ctx context.Context, aggregate store.Aggregate, commandID string) (store.Parked, bool, error) {
	what := fmt.Sprintf("find parked command %q of %q", commandID, aggregate)
	var doc bson.Raw
	err := s.read(ctx, func(ctx context.Context) (err error) {
		id := parkedID{Aggregate: string(aggregate), CommandID: commandID}
		doc, err = s.parked.FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Raw()
		return optional(err)
	})
	if err != nil || doc == nil {
		return store.Parked{}, false, readError(what, err)
	}
	var p parked
	whole, err := s.assembleDocument(ctx, doc, &p)
	if err != nil || !whole {
		return store.Parked{}, false, readError(what, err)
	}
	return p.decode(), true, nil
}

func (p *parked) decode() store.Parked {
	return store.Parked{
		Aggregate: store.Aggregate(p.ID.Aggregate), CommandID: p.ID.CommandID, Name: p.Name, Reason: p.Reason,
		Stack: p.Stack, Attempts: int(p.Attempts), Time: time.UnixMicro(p.Time).UTC(), Message: p.Message,
	}
}

// Unpark implements [store.Parking].
func (s *Store) Unpark(ctx context.Context, aggregate store.Aggregate, commandID string) error {
	var was parked
	err := s.write(ctx, func(ctx context.Context) error {
		id := parkedID{Aggregate: string(aggregate), CommandID: commandID}
		return optional(s.parked.FindOneAndDelete(ctx, bson.D{{Key: "_id", Value: id}}, options.FindOneAndDelete().SetProjection(bson.D{{Key: "set", Value: 1}})).Decode(&was))
	})
	if err != nil {
		return writeError(fmt.Sprintf("unpark command %q of %q", commandID, aggregate), err)
	}
	s.removeParts(ctx, was.Set)
	return nil
}
