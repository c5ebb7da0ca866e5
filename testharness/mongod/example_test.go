package mongod_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/testharness/mongod"
	"github.com/ganglion-go/ganglion/testharness/netproxy"
)

// A program that runs a replica set for as long as it lives.
func ExampleStartReplicaSet() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	binary, err := mongod.Find(ctx, os.Stderr)
	if err != nil {
		fmt.Println(err) // says what was tried
		return
	}
	rs, err := mongod.StartReplicaSet(ctx, mongod.Config{Members: 3, Binary: binary})
	if err != nil {
		fmt.Println(err) // ends with the log of the member that did not start
		return
	}
	defer func() { _ = rs.Close() }()

	client, err := mongo.Connect(options.Client().ApplyURI(rs.URI()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Disconnect(ctx) }()
}

// One client is cut off while the members still see each other.
func ExampleReplicaSet_URI_clientCutOff() {
	var rs *mongod.ReplicaSet // from StartReplicaSet

	dialer := netproxy.NewDialer()
	defer func() { _ = dialer.Close() }()
	client, err := mongo.Connect(options.Client().ApplyURI(rs.URI()).SetDialer(dialer))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Disconnect(context.Background()) }()

	dialer.Cut()
	// What the client does now stalls.
	dialer.Heal()
}
