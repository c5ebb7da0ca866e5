package chaos

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/testharness/mongod"
)

// unknownFailures are the ways in which a mongod is made to answer inserts so that
// the writer cannot know what has become of them.
func unknownFailures() []bson.D {
	return []bson.D{
		{{Key: "closeConnection", Value: true}}, // not carried out
		{{Key: "errorCode", Value: 8000}},       // likewise, and the error says nothing
		{{Key: "writeConcernError", Value: bson.D{ // carried out, and perhaps not on a majority
			{Key: "code", Value: 64}, {Key: "errmsg", Value: "injected"},
		}}},
	}
}

// failInserts makes a part of the inserts at one mongod fail, or none for nil.
func failInserts(ctx context.Context, m *mongod.Member, failure bson.D) error {
	command := bson.D{{Key: "configureFailPoint", Value: "failCommand"}, {Key: "mode", Value: "off"}}
	if failure != nil {
		command = bson.D{
			{Key: "configureFailPoint", Value: "failCommand"},
			{Key: "mode", Value: bson.D{{Key: "activationProbability", Value: 0.3}}},
			{Key: "data", Value: append(bson.D{{Key: "failCommands", Value: bson.A{"insert"}}}, failure...)},
		}
	}
	client, err := mongo.Connect(options.Client().SetHosts([]string{m.Addr()}).SetDirect(true).SetServerSelectionTimeout(repairTimeout))
	if err != nil {
		return err
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }()
	if err := client.Database("admin").RunCommand(ctx, command).Err(); err != nil {
		return fmt.Errorf("set a fail point of mongod %d: %w", m.Index(), err)
	}
	return nil
}
