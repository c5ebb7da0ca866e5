package mongo

import (
	"context"
	"fmt"
	"iter"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/store"
)

// parked is the document of a parked command in "parked".
type parked struct {
	ID       parkedID `bson:"_id"`
	Time     int64    `bson:"t"` // microseconds since 1970 UTC
	Name     string   `bson:"name"`
	Reason   string   `bson:"reason"`
	Stack    string   `bson:"stack"`
	Attempts int64    `bson:"attempts"`
	Message  []byte   `bson:"message"`
}

type parkedID struct {
	Aggregate string `bson:"a"`
	CommandID string `bson:"id"`
}

// Park implements [store.Parking]. The time is kept in microseconds.
func (s *Store) Park(ctx context.Context, p store.Parked) error {
	what := fmt.Sprintf("park command %q of %q", p.CommandID, p.Aggregate)
	doc, err := bson.Marshal(parked{
		ID:   parkedID{Aggregate: string(p.Aggregate), CommandID: p.CommandID},
		Time: p.Time.UnixMicro(), Name: p.Name, Reason: p.Reason, Stack: p.Stack,
		Attempts: int64(p.Attempts), Message: p.Message,
	})
	if err != nil {
		return fmt.Errorf("%s: encode: %w", what, err)
	}
	if len(doc) > maxDocument {
		return fmt.Errorf("%s: %w", what, store.ErrTooLarge)
	}
	replace := func() error {
		return s.write(ctx, func(ctx context.Context) error {
			filter := bson.D{{Key: "_id", Value: parkedID{Aggregate: string(p.Aggregate), CommandID: p.CommandID}}}
			_, err := s.parked.ReplaceOne(ctx, filter, bson.Raw(doc), options.Replace().SetUpsert(true))
			return err
		})
	}
	err = replace()
	if duplicate(err) {
		err = replace() // another one was inserted at the same moment: now there is one to replace
	}
	return writeError(what, err)
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
			if err == nil {
				if err = bson.Unmarshal(doc, &p); err != nil {
					err = corrupt("%w", err)
				}
			}
			if err != nil {
				yield(store.Parked{}, readError("list parked commands", err))
				return
			}
			if !yield(p.decode(), nil) {
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
	if err := bson.Unmarshal(doc, &p); err != nil {
		return store.Parked{}, false, readError(what, corrupt("%w", err))
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
	err := s.write(ctx, func(ctx context.Context) error {
		id := parkedID{Aggregate: string(aggregate), CommandID: commandID}
		_, err := s.parked.DeleteOne(ctx, bson.D{{Key: "_id", Value: id}})
		return err
	})
	return writeError(fmt.Sprintf("unpark command %q of %q", commandID, aggregate), err)
}
