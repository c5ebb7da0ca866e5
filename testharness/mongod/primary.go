package mongod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

const (
	stepDownSeconds = 10 // how long the old primary may not be elected
	catchUpSeconds  = 5  // how long it waits for a secondary to follow
)

// Primary waits for a writable primary and returns it. Where a member that lost
// its office unnoticed, for example while it was paused, still claims it, the one
// from the latest election counts. It fails with [ErrNoPrimary] when ctx ends.
func (rs *ReplicaSet) Primary(ctx context.Context) (*Member, error) {
	return rs.awaitPrimary(ctx, bson.ObjectID{})
}

// StepDown makes the primary resign, and returns when there is a primary from a
// later election: another member in a set of several, the same in a set of one.
// It fails with [ErrNoPrimary] or the error of the server.
func (rs *ReplicaSet) StepDown(ctx context.Context) error {
	m, err := rs.Primary(ctx)
	if err != nil {
		return err
	}
	before, err := m.hello(ctx)
	if err != nil {
		return fmt.Errorf("ask the primary: %w", err)
	}
	if err := m.run(ctx, rs.stepDownCommand()).Err(); err != nil {
		return fmt.Errorf("step down %s: %w", m.Addr(), err)
	}
	_, err = rs.awaitPrimary(ctx, before.ElectionID)
	return err
}

func (rs *ReplicaSet) stepDownCommand() bson.D {
	if len(rs.members) == 1 {
		return bson.D{
			{Key: "replSetStepDown", Value: 1},
			{Key: "secondaryCatchUpPeriodSecs", Value: 0},
			{Key: "force", Value: true}, // there is no other to catch up
		}
	}
	return bson.D{
		{Key: "replSetStepDown", Value: stepDownSeconds},
		{Key: "secondaryCatchUpPeriodSecs", Value: catchUpSeconds},
	}
}

// awaitPrimary waits for a primary that was elected later than the given election.
func (rs *ReplicaSet) awaitPrimary(ctx context.Context, after bson.ObjectID) (*Member, error) {
	for {
		if m := rs.latestPrimary(ctx, after); m != nil {
			return m, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrNoPrimary, context.Cause(ctx))
		case <-time.After(pollInterval):
		}
	}
}

// latestPrimary asks every running member once. Election ids grow with the term.
func (rs *ReplicaSet) latestPrimary(ctx context.Context, after bson.ObjectID) *Member {
	var latest *Member
	for _, m := range rs.members {
		if m.PID() == 0 {
			continue
		}
		said, err := m.hello(ctx)
		if err == nil && said.Primary && bytes.Compare(said.ElectionID[:], after[:]) > 0 {
			latest, after = m, said.ElectionID
		}
	}
	return latest
}

// AwaitReplication waits until every member that is not killed has a write that
// was made after the call. It is how one waits for a set to be whole again, after
// a restart or the end of a cut, before the next fault: a secondary that is still
// looking for a member to follow when that one falls silent waits 30 s for it. A
// paused member blocks it. It fails with [ErrNotReplicated] when ctx ends.
func (rs *ReplicaSet) AwaitReplication(ctx context.Context) error {
	for {
		err := rs.writeToAll(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNotReplicated, errors.Join(context.Cause(ctx), err))
		case <-time.After(pollInterval):
		}
	}
}

// writeToAll makes the primary write a note, which is in no collection, and wait
// a limited time for it to arrive everywhere.
func (rs *ReplicaSet) writeToAll(ctx context.Context) error {
	m, err := rs.Primary(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*pollTimeout)
	defer cancel()
	var reply struct {
		WriteConcernError struct {
			Message string `bson:"errmsg"`
		} `bson:"writeConcernError"`
	}
	if err := m.run(ctx, bson.D{
		{Key: "appendOplogNote", Value: 1},
		{Key: "data", Value: bson.D{{Key: "note", Value: "ganglion testharness"}}},
		{Key: "writeConcern", Value: bson.D{
			{Key: "w", Value: rs.running()},
			{Key: "wtimeout", Value: pollTimeout.Milliseconds()},
		}},
	}).Decode(&reply); err != nil {
		return err
	}
	if reply.WriteConcernError.Message != "" {
		return errors.New(reply.WriteConcernError.Message)
	}
	return nil
}

func (rs *ReplicaSet) running() int {
	n := 0
	for _, m := range rs.members {
		if m.PID() != 0 {
			n++
		}
	}
	return n
}
