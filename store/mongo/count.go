package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// CountEvents returns how many events all commits hold that a majority has. It reads all
// of them: it is for tests and small systems.
func (s *Store) CountEvents(ctx context.Context) (uint64, error) {
	var found []struct {
		Events int64 `bson:"events"`
	}
	err := s.read(ctx, func(ctx context.Context) error {
		size := bson.D{{Key: "$size", Value: bson.D{{Key: "$ifNull", Value: bson.A{"$ev", bson.A{}}}}}}
		cursor, err := s.commits.Aggregate(ctx, bson.A{bson.D{{Key: "$group", Value: bson.D{
			{Key: "_id", Value: nil}, {Key: "events", Value: bson.D{{Key: "$sum", Value: size}}},
		}}}})
		if err != nil {
			return err
		}
		return cursor.All(ctx, &found)
	})
	if err != nil || len(found) == 0 {
		return 0, readError("count events", err)
	}
	return uint64(max(found[0].Events, 0)), nil
}
