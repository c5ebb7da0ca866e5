package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/store"
)

// The collections.
const (
	commitsName   = "commits"
	snapshotsName = "snapshots"
	nodesName     = "nodes"
	claimsName    = "claims"
	parkedName    = "parked"
	partsName     = "parked_parts"
	bindingName   = "binding"
)

// The indexes besides _id.
const (
	keysIndex   = "keys"   // caller-chosen command ids; only commits that have some are in it
	parkedIndex = "parked" // all by time
)

const minWireVersion = 17 // MongoDB 6.0

const (
	prepareBackoff = 200 * time.Millisecond
	prepareLeast   = 5 * time.Second // for a node that is to give up writes sooner than it can open
)

// prepare checks the server and creates what is missing. The driver does not
// repeat such commands after a fail-over, so this does, until WriteTimeout, or for 5 s if that is shorter.
func (s *Store) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(s.cfg.WriteTimeout, prepareLeast))
	defer cancel()
	if err := s.checkServer(ctx); err != nil {
		return err
	}
	for {
		err := s.ensureSchema(ctx)
		if !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		select {
		case <-time.After(prepareBackoff):
		case <-ctx.Done():
			return err
		}
	}
}

// ensureSchema creates the collections and indexes.
//
// Snapshots are not clustered: over a clustered string _id with a NUL in it,
// MongoDB 6.0 fails to word the duplicate key error, and with it to tell of the
// duplicate. The documents that commits have as _id are not concerned.
func (s *Store) ensureSchema(ctx context.Context) error {
	for _, c := range []struct {
		name      string
		clustered bool
	}{
		{commitsName, true}, {snapshotsName, false}, {nodesName, false}, {claimsName, false}, {parkedName, false}, {bindingName, false},
	} {
		if err := s.ensureCollection(ctx, c.name, c.clustered); err != nil {
			return fmt.Errorf("mongo: prepare collection %q: %w", c.name, err)
		}
	}
	return s.ensureIndexes(ctx)
}

func (s *Store) checkServer(ctx context.Context) error {
	var hello struct {
		SetName string `bson:"setName"`
		Message string `bson:"msg"`
		Wire    int32  `bson:"maxWireVersion"`

		Hosts    []string `bson:"hosts"`
		Passives []string `bson:"passives"`
	}
	err := s.client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
	const router = "isdbgrid" // what a mongos says
	switch {
	case err != nil:
		return readError("mongo: reach server", err)
	case hello.SetName == "" && hello.Message != router:
		return ErrStandalone
	case hello.Wire < minWireVersion:
		return ErrServerVersion
	case s.cfg.direct && len(hello.Hosts)+len(hello.Passives) > 1:
		return ErrDirect
	case s.cfg.direct:
		s.cfg.Logger.WarnContext(ctx, "the connection string has directConnection=true: leave it out before the replica set gets a second member")
	}
	return nil
}

// ensureCollection creates a collection, or finds that it exists as it should.
// Several nodes may do so at once: one creates it, the others are told that it
// exists.
func (s *Store) ensureCollection(ctx context.Context, name string, clustered bool) error {
	exists, err := s.checkCollection(ctx, name, clustered)
	if exists || err != nil {
		return err
	}
	create := bson.D{{Key: "create", Value: name}}
	if clustered {
		create = append(create, bson.E{Key: "clusteredIndex", Value: bson.D{
			{Key: "key", Value: bson.D{{Key: "_id", Value: 1}}}, {Key: "unique", Value: true},
		}})
	}
	create = append(create, bson.E{Key: "writeConcern", Value: bson.D{{Key: "w", Value: "majority"}}})
	err = s.db.RunCommand(ctx, create).Err()
	if hasCode(err, codeNamespaceExists) {
		_, err = s.checkCollection(ctx, name, clustered)
		return err
	}
	return readError("create", err)
}

func (s *Store) checkCollection(ctx context.Context, name string, clustered bool) (exists bool, err error) {
	found, err := s.db.ListCollectionSpecifications(ctx, bson.D{{Key: "name", Value: name}})
	if err != nil || len(found) == 0 {
		return false, readError("list", err)
	}
	if _, err := found[0].Options.LookupErr("clusteredIndex"); (err == nil) != clustered || found[0].Type != "collection" {
		return true, fmt.Errorf("%w: it exists, but not as a collection that is clustered=%v", ErrSchema, clustered)
	}
	return true, nil
}

// ensureIndexes creates the indexes that are missing. Creating one that another
// node has just created does nothing.
func (s *Store) ensureIndexes(ctx context.Context) error {
	for _, x := range []struct {
		collection *driver.Collection
		name       string
		keys       bson.D
		options    *options.IndexOptionsBuilder
	}{
		{
			s.commits, keysIndex,
			bson.D{{Key: "_id.a", Value: 1}, {Key: "keys", Value: 1}},
			options.Index().SetPartialFilterExpression(bson.D{{Key: "keys", Value: bson.D{{Key: "$exists", Value: true}}}}),
		},
		{s.parked, parkedIndex, bson.D{{Key: "t", Value: 1}, {Key: "_id", Value: 1}}, options.Index()},
	} {
		existing, err := x.collection.Indexes().ListSpecifications(ctx)
		if err == nil && !slices.ContainsFunc(existing, func(i driver.IndexSpecification) bool { return i.Name == x.name }) {
			_, err = x.collection.Indexes().CreateOne(ctx, driver.IndexModel{Keys: x.keys, Options: x.options.SetName(x.name)})
		}
		if err != nil {
			return readError(fmt.Sprintf("mongo: prepare indexes of %q", x.collection.Name()), err)
		}
	}
	return nil
}
