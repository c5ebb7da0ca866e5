package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// echo is a raw peer: inserts that are waited for at a change stream, which is what
// whoever keeps a read model or a process by himself builds on.
type echo struct {
	e       *environment
	steps   int // inserts one after another, each begun when the one before has come
	changes *mongo.ChangeStream
}

// begin opens the change stream.
func (o *echo) begin(ctx context.Context) (end func(), err error) {
	o.changes, err = o.e.raw.Watch(ctx, mongo.Pipeline{{{Key: "$match", Value: bson.D{{Key: "operationType", Value: "insert"}}}}})
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	return func() { _ = o.changes.Close(context.WithoutCancel(ctx)) }, nil
}

// once returns the time from the start of the first insert until the last one has come
// in the change stream, decoded. That may be before the insert is acknowledged, so
// that is waited for afterwards.
func (o *echo) once(ctx context.Context, _ int) (took time.Duration, err error) {
	acknowledged := make(chan error, o.steps)
	started := time.Now()
	for range o.steps {
		doc := o.e.document()
		go func() {
			_, err := o.e.raw.InsertOne(ctx, doc)
			acknowledged <- err
		}()
		if err := o.await(ctx, doc); err != nil {
			return 0, err
		}
	}
	took = time.Since(started)
	for range o.steps {
		err = errors.Join(err, <-acknowledged)
	}
	return took, err
}

func (o *echo) await(ctx context.Context, doc bson.D) error {
	if !o.changes.Next(ctx) {
		return fmt.Errorf("change stream: %w", errors.Join(o.changes.Err(), ctx.Err()))
	}
	var change struct {
		Document bson.D `bson:"fullDocument"`
	}
	if err := o.changes.Decode(&change); err != nil {
		return fmt.Errorf("change stream: %w", err)
	}
	if len(change.Document) == 0 || fmt.Sprint(change.Document[0]) != fmt.Sprint(doc[0]) {
		return fmt.Errorf("the change stream has brought another document: %v", change.Document)
	}
	return nil
}
