package mongo

import (
	"context"
	"crypto/rand"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/store"
)

// binding is the one document in the collection of that name.
type binding struct {
	ID         string `bson:"_id"` // theBinding
	Store      string `bson:"store"`
	Namespace  string `bson:"ns"`
	Partitions int64  `bson:"p"`
}

const theBinding = "binding"

// Bind implements [store.Bindings]. Each of the two updates is one of a document that
// others may update at the same time: of two insertions under one _id the server
// carries out one, and who completes the number of partitions compares it.
func (s *Store) Bind(ctx context.Context, namespace string, partitions uint32) (store.Binding, error) {
	const what = "bind"
	byID := bson.D{{Key: "_id", Value: theBinding}}
	err := s.write(ctx, func(ctx context.Context) error {
		_, err := s.binding.UpdateOne(ctx, byID, bson.D{{Key: "$setOnInsert", Value: bson.D{
			{Key: "store", Value: rand.Text()}, {Key: "ns", Value: namespace}, {Key: "p", Value: int64(partitions)},
		}}}, options.UpdateOne().SetUpsert(true))
		if duplicate(err) {
			err = nil // somebody else was first
		}
		if err == nil && partitions != 0 {
			_, err = s.binding.UpdateOne(ctx, append(byID, bson.E{Key: "p", Value: int64(0)}),
				bson.D{{Key: "$set", Value: bson.D{{Key: "p", Value: int64(partitions)}}}})
		}
		return err
	})
	if err != nil {
		return store.Binding{}, writeError(what, err)
	}
	all, err := readAll[binding](ctx, s, s.binding)
	if err != nil {
		return store.Binding{}, readError(what, err)
	}
	if len(all) != 1 || all[0].Store == "" || all[0].Partitions < 0 || all[0].Partitions > 1<<32-1 {
		return store.Binding{}, readError(what, corrupt("%d bindings, %+v", len(all), all))
	}
	return store.Binding{Store: all[0].Store, Namespace: all[0].Namespace, Partitions: uint32(all[0].Partitions)}, nil
}
