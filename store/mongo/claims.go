package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/store"
)

// claim is the document of a claim in "claims". Its epoch is at least 1: a
// partition that was never claimed has none.
type claim struct {
	Partition int64    `bson:"_id"`
	Owner     string   `bson:"owner"`
	Session   string   `bson:"session"`
	Epoch     int64    `bson:"epoch"`
	Watermark position `bson:"mark"`
	Carry     string   `bson:"carry,omitempty"`
	Revision  int64    `bson:"rev,omitempty"`
	Deaths    int64    `bson:"deaths,omitempty"`
	Suspect   string   `bson:"suspect,omitempty"`

	// Take is unique to the call of TakeClaims that took it last.
	Take bson.ObjectID `bson:"take"`
}

type position struct {
	Stream   string `bson:"s"`
	Sequence int64  `bson:"n"`
}

func markOf(p store.Position) position {
	return position{Stream: p.Stream, Sequence: toInt64(p.Sequence)}
}

func (p position) decode() store.Position {
	return store.Position{Stream: p.Stream, Sequence: uint64(max(p.Sequence, 0))}
}

func (c *claim) decode() (store.Claim, error) {
	if c.Partition < 0 || c.Partition > 1<<32-1 || c.Epoch < 1 {
		return store.Claim{}, corrupt("claim %d has epoch %d", c.Partition, c.Epoch)
	}
	return store.Claim{
		Partition: store.Partition(c.Partition), Owner: c.Owner, Session: c.Session,
		Epoch: uint64(c.Epoch), Watermark: c.Watermark.decode(), Carry: c.Carry, Revision: uint64(max(c.Revision, 0)),
		Deaths: int(max(c.Deaths, 0)), Suspect: c.Suspect,
	}, nil
}

// Claims implements [store.Leases]. The read is linearizable, see [Store.Sessions].
func (s *Store) Claims(ctx context.Context) ([]store.Claim, error) {
	const what = "read claims"
	docs, err := readAll[claim](ctx, s, s.claims, "carry")
	if err != nil {
		return nil, readError(what, err)
	}
	all := make([]store.Claim, len(docs))
	for i := range docs {
		if all[i], err = docs[i].decode(); err != nil {
			return nil, readError(what, err)
		}
	}
	return all, nil
}

// held selects a claim as the caller knows it.
func held(c store.Claim) bson.D {
	return bson.D{
		{Key: "_id", Value: int64(c.Partition)},
		{Key: "session", Value: c.Session},
		{Key: "epoch", Value: toInt64(c.Epoch)},
	}
}

// unsurpassed selects it unless it has a later saving. A claim of an older build has
// no revision.
func unsurpassed(c store.Claim) bson.D {
	return append(held(c), bson.E{Key: "rev", Value: bson.D{{Key: "$not", Value: bson.D{{Key: "$gt", Value: toInt64(c.Revision)}}}}})
}

// TakeClaims implements [store.Leases]. All claims are tried in one unordered
// bulk write. It says how many matched but not which; reading the claims back,
// not before the write, tells: they carry an id that this call alone has.
func (s *Store) TakeClaims(ctx context.Context, by store.Session, want []store.Claim) ([]store.Claim, error) {
	if len(want) == 0 {
		return nil, nil
	}
	what := fmt.Sprintf("take %d claims for %q", len(want), by.Name)
	id := bson.NewObjectID()
	models := make([]driver.WriteModel, len(want))
	for i, c := range want {
		models[i] = take(by, c, id)
	}
	err := s.write(ctx, func(ctx context.Context) error {
		_, err := s.claims.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
		return err
	})
	if err != nil && !onlyDuplicates(err) {
		return nil, writeError(what, err)
	}
	now, err := s.takenAs(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("%s: read back: %w: %w", what, store.ErrUnknown, err)
	}
	taken := make([]store.Claim, 0, len(now))
	for _, c := range want {
		if claim, ok := now[c.Partition]; ok {
			taken = append(taken, claim)
		}
	}
	return taken, nil
}

// take is the write of one claim. The first take of a partition inserts its
// claim, so that a second one is a duplicate.
func take(by store.Session, c store.Claim, id bson.ObjectID) driver.WriteModel {
	if c.Epoch == 0 && c.Session == "" {
		return driver.NewInsertOneModel().SetDocument(claim{
			Partition: int64(c.Partition), Owner: by.Name, Session: by.Incarnation, Epoch: 1, Take: id,
		})
	}
	deaths := int64(0)
	if c.Session != "" && c.Session != by.Incarnation {
		deaths = 1
	}
	return driver.NewUpdateOneModel().SetFilter(held(c)).SetUpdate(bson.D{
		{Key: "$set", Value: bson.D{{Key: "owner", Value: by.Name}, {Key: "session", Value: by.Incarnation}, {Key: "take", Value: id}, {Key: "rev", Value: int64(0)}}},
		{Key: "$inc", Value: bson.D{{Key: "epoch", Value: int64(1)}, {Key: "deaths", Value: deaths}}},
	})
}

// takenAs reads the claims that a call of TakeClaims took, and that still are as
// it left them.
func (s *Store) takenAs(ctx context.Context, id bson.ObjectID) (map[store.Partition]store.Claim, error) {
	var docs []claim
	err := s.read(ctx, func(ctx context.Context) error {
		cursor, err := s.claims.Find(ctx, bson.D{{Key: "take", Value: id}})
		if err != nil {
			return err
		}
		return cursor.All(ctx, &docs)
	})
	all := make(map[store.Partition]store.Claim, len(docs))
	for i := range docs {
		c, err := docs[i].decode()
		if err != nil {
			return nil, err
		}
		all[c.Partition] = c
	}
	return all, err
}

// SaveWatermarks implements [store.Leases], in one unordered bulk write.
func (s *Store) SaveWatermarks(ctx context.Context, claims []store.Claim) error {
	return s.updateHeld(ctx, "save watermarks", claims, func(c store.Claim) bson.D {
		return saved(c)
	})
}

// ReleaseClaims implements [store.Leases], in one unordered bulk write.
func (s *Store) ReleaseClaims(ctx context.Context, claims []store.Claim) error {
	return s.updateHeld(ctx, "release claims", claims, func(c store.Claim) bson.D {
		return append(saved(c), bson.E{Key: "owner", Value: ""}, bson.E{Key: "session", Value: ""})
	})
}

func saved(c store.Claim) bson.D {
	return bson.D{
		{Key: "mark", Value: markOf(c.Watermark)},
		{Key: "carry", Value: c.Carry},
		{Key: "rev", Value: toInt64(c.Revision)},
		{Key: "deaths", Value: int64(c.Deaths)},
		{Key: "suspect", Value: c.Suspect},
	}
}

// updateHeld sets fields of those claims that are still held as given, and that no
// later saving has reached. A write whose sender has given up waiting, and closed its
// connection, may still lie in the buffer of a server that was paused.
func (s *Store) updateHeld(ctx context.Context, what string, claims []store.Claim, fields func(store.Claim) bson.D) error {
	if len(claims) == 0 {
		return nil
	}
	models := make([]driver.WriteModel, len(claims))
	for i, c := range claims {
		models[i] = driver.NewUpdateOneModel().SetFilter(unsurpassed(c)).SetUpdate(bson.D{{Key: "$set", Value: fields(c)}})
	}
	var result *driver.BulkWriteResult
	err := s.write(ctx, func(ctx context.Context) (err error) {
		result, err = s.claims.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
		return err
	})
	if err != nil {
		return writeError(what, err)
	}
	if lost := int64(len(claims)) - result.MatchedCount; lost > 0 {
		return fmt.Errorf("%s: %d of %d claims: %w", what, lost, len(claims), store.ErrLost)
	}
	return nil
}

// onlyDuplicates reports whether a bulk write was carried out and confirmed, and
// nothing failed but inserts of what exists.
func onlyDuplicates(err error) bool {
	e, ok := errors.AsType[driver.BulkWriteException](err)
	if !ok || e.WriteConcernError != nil {
		return false
	}
	for _, failed := range e.WriteErrors {
		if failed.Code != codeDuplicateKey {
			return false
		}
	}
	return true
}
