package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/store"
)

// node is the document of a session in "nodes".
type node struct {
	Name        string   `bson:"_id"`
	Incarnation string   `bson:"inc"`
	Beat        int64    `bson:"beat"`
	Dead        bool     `bson:"dead"`
	Draining    bool     `bson:"drain"`
	Address     string   `bson:"addr"`
	Build       string   `bson:"build"`
	Kinds       []string `bson:"kinds"`
	Lease       int64    `bson:"lease"` // nanoseconds
	Lacks       []lack   `bson:"lacks,omitempty"`
	Opened      int64    `bson:"opened,omitempty"` // microseconds since 1970
	Time        int64    `bson:"time,omitempty"`   // likewise
	Cut         bool     `bson:"cut,omitempty"`
}

type lack struct {
	Partition int64  `bson:"p"`
	Kind      string `bson:"k"`
}

// encodeLacks never returns nil, which would be stored as null.
func encodeLacks(lacks []store.Lack) []lack {
	docs := make([]lack, len(lacks))
	for i, l := range lacks {
		docs[i] = lack{Partition: int64(l.Partition), Kind: l.Kind}
	}
	return docs
}

func (n *node) lacks() ([]store.Lack, error) {
	var all []store.Lack
	for _, l := range n.Lacks {
		if l.Partition < 0 || l.Partition > 1<<32-1 {
			return nil, corrupt("session %q lacks something in partition %d", n.Name, l.Partition)
		}
		all = append(all, store.Lack{Partition: store.Partition(l.Partition), Kind: l.Kind})
	}
	return all, nil
}

// toMicros is 0 for the zero time.
func toMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// as selects the record as the caller knows it.
func as(s store.Session, dead bool) bson.D {
	return bson.D{
		{Key: "_id", Value: s.Name},
		{Key: "inc", Value: s.Incarnation},
		{Key: "beat", Value: toInt64(s.Beat)},
		{Key: "dead", Value: dead},
	}
}

// OpenSession implements [store.Leases].
func (s *Store) OpenSession(ctx context.Context, session store.Session, replaces *store.Session) error {
	what := fmt.Sprintf("open session %q", session.Name)
	n := node{
		Name: session.Name, Incarnation: session.Incarnation, Beat: 1,
		Address: session.Address, Build: session.Build, Kinds: session.Kinds, Lease: int64(session.Lease), Lacks: encodeLacks(session.Lacks),
		Opened: toMicros(session.Opened), Time: toMicros(session.Time),
	}
	if replaces == nil {
		err := s.write(ctx, func(ctx context.Context) error {
			_, err := s.nodes.InsertOne(ctx, n)
			return err
		})
		if duplicate(err) {
			return fmt.Errorf("%s: %w: there is one already", what, store.ErrLost)
		}
		return writeError(what, err)
	}
	if !replaces.Dead || replaces.Name != session.Name {
		return fmt.Errorf("%s: %w: the one to be replaced is not dead", what, store.ErrLost)
	}
	return s.compareAndSet(ctx, what, func(ctx context.Context) (*driver.UpdateResult, error) {
		return s.nodes.ReplaceOne(ctx, as(*replaces, true), n)
	})
}

// Renew implements [store.Leases].
func (s *Store) Renew(ctx context.Context, session store.Session) error {
	what := fmt.Sprintf("renew session %q", session.Name)
	return s.compareAndSet(ctx, what, func(ctx context.Context) (*driver.UpdateResult, error) {
		return s.nodes.UpdateOne(ctx, as(session, false), bson.D{
			{Key: "$inc", Value: bson.D{{Key: "beat", Value: int64(1)}}},
			{Key: "$set", Value: bson.D{
				{Key: "drain", Value: session.Draining},
				{Key: "lacks", Value: encodeLacks(session.Lacks)},
				{Key: "time", Value: toMicros(session.Time)},
				{Key: "cut", Value: session.Cut},
			}},
		})
	})
}

// DeclareDead implements [store.Leases].
func (s *Store) DeclareDead(ctx context.Context, session store.Session) error {
	what := fmt.Sprintf("declare session %q dead", session.Name)
	return s.compareAndSet(ctx, what, func(ctx context.Context) (*driver.UpdateResult, error) {
		return s.nodes.UpdateOne(ctx, as(session, false), bson.D{{Key: "$set", Value: bson.D{{Key: "dead", Value: true}}}})
	})
}

// compareAndSet runs an update of one document; one that matches nothing is lost.
//
// An update that the driver sends again after a fail-over is carried out once:
// the server knows it by its transaction number.
func (s *Store) compareAndSet(ctx context.Context, what string, update func(context.Context) (*driver.UpdateResult, error)) error {
	var result *driver.UpdateResult
	err := s.write(ctx, func(ctx context.Context) (err error) {
		result, err = update(ctx)
		return err
	})
	if err != nil {
		return writeError(what, err)
	}
	if result.MatchedCount == 0 {
		return fmt.Errorf("%s: %w", what, store.ErrLost)
	}
	return nil
}

// EndSession implements [store.Leases].
func (s *Store) EndSession(ctx context.Context, session store.Session) error {
	err := s.write(ctx, func(ctx context.Context) error {
		_, err := s.nodes.DeleteOne(ctx, bson.D{{Key: "_id", Value: session.Name}, {Key: "inc", Value: session.Incarnation}})
		return err
	})
	return writeError(fmt.Sprintf("end session %q", session.Name), err)
}

// ConfirmSession implements [store.Leases]. It is one linearizable read of one
// document by its _id, the only kind for which MongoDB promises linearizability:
// the primary answers after a majority has acknowledged a no-op that it wrote
// after the read. One that was replaced without knowing it finds no majority.
//
// Such a read cannot be in a causally consistent session, and need not be: it is
// later than whatever was acknowledged.
func (s *Store) ConfirmSession(ctx context.Context, session store.Session) error {
	what := fmt.Sprintf("confirm session %q", session.Name)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()
	var n node
	err := s.confirmed.FindOne(ctx, bson.D{{Key: "_id", Value: session.Name}},
		options.FindOne().SetProjection(bson.D{{Key: "inc", Value: 1}, {Key: "dead", Value: 1}})).Decode(&n)
	switch {
	case errors.Is(err, driver.ErrNoDocuments):
		return fmt.Errorf("%s: %w: it has ended", what, store.ErrLost)
	case err != nil:
		return readError(what, err)
	case n.Incarnation != session.Incarnation || n.Dead:
		return fmt.Errorf("%s: %w", what, store.ErrLost)
	}
	return nil
}

// Sessions implements [store.Leases].
//
// The read is linearizable: it costs a no-op entry in the oplog and a majority's
// confirmation, and in return a primary that was replaced without knowing it
// cannot make a living session look silent. Nothing rests on that alone, as
// [Store.DeclareDead] compares the beat again.
func (s *Store) Sessions(ctx context.Context) ([]store.Session, error) {
	const what = "read sessions"
	nodes, err := readAll[node](ctx, s, s.nodes)
	if err != nil {
		return nil, readError(what, err)
	}
	all := make([]store.Session, len(nodes))
	for i, n := range nodes {
		if n.Beat < 0 {
			return nil, readError(what, corrupt("session %q has beat %d", n.Name, n.Beat))
		}
		lacks, err := n.lacks()
		if err != nil {
			return nil, readError(what, err)
		}
		all[i] = store.Session{
			Name: n.Name, Incarnation: n.Incarnation, Beat: uint64(n.Beat), Dead: n.Dead, Draining: n.Draining,
			Address: n.Address, Build: n.Build, Kinds: n.Kinds, Lease: time.Duration(n.Lease), Lacks: lacks,
			Opened: fromMicros(n.Opened), Time: fromMicros(n.Time), Cut: n.Cut,
		}
	}
	return all, nil
}

// readAll reads a small collection in the order of _id, confirmed by a majority.
func readAll[T any](ctx context.Context, s *Store, from *driver.Collection, without ...string) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()
	leftOut := bson.D{}
	for _, field := range without {
		leftOut = append(leftOut, bson.E{Key: field, Value: 0})
	}
	cursor, err := s.linearizable(from).Find(ctx, bson.D{}, byID(loadBatch).SetProjection(leftOut))
	if err != nil {
		return nil, err
	}
	defer closeCursor(ctx, cursor)
	var all []T
	for cursor.Next(ctx) {
		var doc T
		if err := cursor.Decode(&doc); err != nil {
			return nil, corrupt("%s %v: %w", from.Name(), cursor.Current.Lookup("_id"), err)
		}
		all = append(all, doc)
	}
	return all, cursor.Err()
}
