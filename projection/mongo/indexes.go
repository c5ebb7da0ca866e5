package mongo

import (
	"context"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/projection"
)

var _ projection.Indexer = (*Storage)(nil)

// EnsureIndexes implements [projection.Indexer]: fields are those below d. Documents that
// are kept as text are not in an index. A majority of the replica set is enough.
func (s *Storage) EnsureIndexes(ctx context.Context, at projection.Place, indexes ...projection.Index) error {
	h := homeOf(at)
	if err := s.ensure(ctx, at, h); err != nil {
		return err
	}
	models := make([]driver.IndexModel, len(indexes))
	for i, fields := range indexes {
		keys := bson.D{}
		for _, field := range fields {
			path, descending := strings.CutPrefix(field, "-")
			order := 1
			if descending {
				order = -1
			}
			keys = append(keys, bson.E{Key: fieldValue + "." + path, Value: order})
		}
		models[i].Keys = keys
	}
	if _, err := s.collection(h).Indexes().CreateMany(ctx, models, options.CreateIndexes().SetCommitQuorumMajority()); err != nil {
		if s.Transient(err) {
			err = fmt.Errorf("%w: %w", projection.ErrUnavailable, err)
		}
		return fmt.Errorf("index %s: %w", h.collection, err)
	}
	return nil
}
