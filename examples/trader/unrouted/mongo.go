package unrouted

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// Commits is the collection of commits, Kind the kind in its keys.
const (
	Commits = "commits"
	Kind    = "account"
)

// Mongo is a [Storage] on a replica set. Its documents have the form of
// Ganglion's, without the place in the command stream, with the state, and under
// the same key.
type Mongo struct {
	client  *mongo.Client
	commits *mongo.Collection
}

var _ Storage = (*Mongo)(nil)

type key struct {
	Aggregate string `bson:"a"`
	Version   int64  `bson:"v"`
}

type commit struct {
	ID       key       `bson:"_id"`
	Time     int64     `bson:"t"` // microseconds
	Kind     string    `bson:"k"`
	Commands []command `bson:"cmd"`
	Events   []event   `bson:"ev"`
	State    state     `bson:"st"`
}

type command struct {
	ID     string `bson:"id"`
	Events int32  `bson:"n"`
	Reply  int64  `bson:"r"`
}

type event struct {
	Name string  `bson:"n"`
	Data Deposit `bson:"d"`
}

type state struct {
	Balance int64 `bson:"balance"`
}

// Prepare creates the collection, before the first server opens it.
func Prepare(ctx context.Context, db *mongo.Database) error {
	clustered := options.CreateCollection().SetClusteredIndex(bson.D{
		{Key: "key", Value: bson.D{{Key: "_id", Value: 1}}}, {Key: "unique", Value: true},
	})
	if err := db.CreateCollection(ctx, Commits, clustered); err != nil {
		return fmt.Errorf("create collection: %w", err)
	}
	return nil
}

// OpenMongo connects a server to the replica set: writes are acknowledged by a
// majority's journals, reads go to the primary, both with the driver's defaults
// otherwise.
func OpenMongo(uri, database string) (*Mongo, error) {
	journal := true
	client, err := mongo.Connect(options.Client().ApplyURI(uri).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &Mongo{client: client, commits: client.Database(database).Collection(Commits)}, nil
}

// Close disconnects, and waits for what is under way until ctx ends.
func (m *Mongo) Close(ctx context.Context) error { return m.client.Disconnect(ctx) }

// Load implements [Storage]: the aggregate's last commit, one step from the end of
// its range of the clustered collection.
func (m *Mongo) Load(ctx context.Context, id string) (Account, error) {
	address := Kind + "/" + id
	filter := bson.D{{Key: "_id", Value: bson.D{
		{Key: "$gt", Value: key{Aggregate: address}},
		{Key: "$lte", Value: key{Aggregate: address, Version: math.MaxInt64}},
	}}}
	newest := options.FindOne().SetSort(bson.D{{Key: "_id", Value: -1}}).
		SetProjection(bson.D{{Key: "_id", Value: 1}, {Key: "st", Value: 1}})
	var c commit
	err := m.commits.FindOne(ctx, filter, newest).Decode(&c)
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return Account{}, nil
	case err != nil:
		return Account{}, fmt.Errorf("load account: %w", err)
	}
	return Account{Version: c.ID.Version, Balance: c.State.Balance}, nil
}

// Append implements [Storage].
func (m *Mongo) Append(ctx context.Context, id, commandID string, d Deposit, next Account) error {
	name := "deposited.v1"
	if d.Amount < 0 {
		name, d.Amount = "withdrawn.v1", -d.Amount
	}
	_, err := m.commits.InsertOne(ctx, commit{
		ID:       key{Aggregate: Kind + "/" + id, Version: next.Version},
		Time:     time.Now().UnixMicro(),
		Kind:     Kind,
		Commands: []command{{ID: commandID, Events: 1, Reply: next.Balance}},
		Events:   []event{{Name: name, Data: d}},
		State:    state{Balance: next.Balance},
	})
	return appendError(err)
}

// appendError translates the driver's error. A duplicate counts only with a
// majority behind it.
func appendError(err error) error {
	if err == nil {
		return nil
	}
	failed, ok := errors.AsType[mongo.WriteException](err)
	if ok && failed.WriteConcernError == nil && mongo.IsDuplicateKeyError(err) {
		return fmt.Errorf("append commit: %w: %w", ErrConflict, err)
	}
	return fmt.Errorf("append commit: %w: %w", ErrUnknown, err)
}
