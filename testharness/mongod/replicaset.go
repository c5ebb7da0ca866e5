package mongod

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

const codeAlreadyInitialized = 23

// silenceSeconds is how long members wait for an answer of one that is paused or
// cut off. MongoDB's defaults are 10 s for heartbeats, which a new primary spends
// before it takes writes, and 5 s for the oplog, which a secondary spends before
// it turns to the new primary.
const silenceSeconds = 2

// ReplicaSet is a running replica set of child processes.
type ReplicaSet struct {
	cfg       Config
	members   []*Member
	removeDir bool
}

// StartReplicaSet starts mongod processes on 127.0.0.1, initiates them as a
// replica set and waits until one is a writable primary that all others follow:
// about 1 s for one member, 3 to 5 s for three. The processes run until [ReplicaSet.Close]; on
// Linux they also end when this process does, however it ends.
//
// ctx bounds the start alone. The error is a [*StartError] with the end of the
// log, [ErrNoPrimary], a [*NotFoundError] when cfg names no binary and none is
// found, or what is wrong with cfg. Nothing keeps running after an error.
func StartReplicaSet(ctx context.Context, cfg Config) (_ *ReplicaSet, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Binary == "" {
		if cfg.Binary, err = Find(ctx, nil); err != nil {
			return nil, err
		}
	}
	rs := &ReplicaSet{removeDir: cfg.Dir == ""}
	defer func() {
		if err != nil {
			err = errors.Join(err, rs.Close())
		}
	}()
	if rs.removeDir {
		if cfg.Dir, err = os.MkdirTemp("", "ganglion-mongod-*"); err != nil {
			return nil, err
		}
	}
	rs.cfg = cfg
	if err := rs.launch(ctx); err != nil {
		return nil, err
	}
	if err := rs.initiate(ctx); err != nil {
		return nil, err
	}
	if err := rs.AwaitReplication(ctx); err != nil {
		return nil, err
	}
	return rs, nil
}

// launch starts all processes at once and waits for each to answer.
func (rs *ReplicaSet) launch(ctx context.Context) error {
	for i := range rs.cfg.Members {
		m, err := newMember(rs.cfg, i)
		if err != nil {
			return fmt.Errorf("prepare member %d: %w", i, err)
		}
		rs.members = append(rs.members, m)
		if err := m.start(); err != nil {
			return err
		}
	}
	for _, m := range rs.members {
		if err := m.await(ctx, func(hello) bool { return true }); err != nil {
			return err
		}
	}
	return nil
}

func (rs *ReplicaSet) initiate(ctx context.Context) error {
	var members bson.A
	for i, m := range rs.members {
		members = append(members, bson.D{{Key: "_id", Value: i}, {Key: "host", Value: m.Addr()}})
	}
	err := rs.members[0].run(ctx, bson.D{{Key: "replSetInitiate", Value: bson.D{
		{Key: "_id", Value: rs.cfg.Name},
		{Key: "members", Value: members},
		{Key: "settings", Value: bson.D{
			{Key: "electionTimeoutMillis", Value: rs.cfg.ElectionTimeout.Milliseconds()},
			{Key: "heartbeatTimeoutSecs", Value: silenceSeconds},
			// Secondaries follow the primary alone, so that none tries the silent
			// former primary, for which it would wait 30 s.
			{Key: "chainingAllowed", Value: false},
		}},
	}}}).Err()
	if known, ok := errors.AsType[mongo.ServerError](err); ok && known.HasErrorCode(codeAlreadyInitialized) {
		return nil // a Dir that was used before
	}
	if err != nil {
		return rs.members[0].startError(fmt.Errorf("initiate replica set: %w", err))
	}
	return nil
}

// URI is the connection string with all members and the name of the set. It has
// no read or write concern.
func (rs *ReplicaSet) URI() string {
	addrs := make([]string, len(rs.members))
	for i, m := range rs.members {
		addrs[i] = m.Addr()
	}
	return fmt.Sprintf("mongodb://%s/?replicaSet=%s", strings.Join(addrs, ","), rs.cfg.Name)
}

// Members are the members in the order of [Config.Ports]. Do not change the slice.
func (rs *ReplicaSet) Members() []*Member { return rs.members }

// Close kills the processes that this set started, waits until they are gone,
// and removes the directory if it was a temporary one. It is idempotent.
func (rs *ReplicaSet) Close() error {
	var errs []error
	for _, m := range rs.members {
		errs = append(errs, m.close())
	}
	rs.members = nil
	if rs.removeDir && rs.cfg.Dir != "" {
		errs = append(errs, os.RemoveAll(rs.cfg.Dir))
	}
	return errors.Join(errs...)
}
