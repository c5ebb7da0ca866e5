package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"

	"github.com/ganglion-go/ganglion/projection"
)

// The codes of server errors that mean something definite.
const (
	codeDuplicateKey     = 11000
	codeWriteConflict    = 112
	codeTooLarge         = 10334
	codeTooLargeUpdate   = 17419
	codeTooLargeUpsert   = 17420
	codeTransactionLarge = 257

	labelTransient = "TransientTransactionError"
	labelUnknown   = "UnknownTransactionCommitResult"

	commitPause = 50 * time.Millisecond
)

// Begin implements [projection.Storage].
func (s *Storage) Begin() projection.Transaction { return &transaction{storage: s} }

// transaction is one transaction of the server, from the first thing that needs it.
type transaction struct {
	storage *Storage
	session *driver.Session
}

// Session returns a context and a database with which a handler reads and writes
// whatever it wants in the transaction of its batch: it becomes durable with the view
// and the checkpoint, or not at all. The handler's own [projection.Tx.Put] is not seen
// there, as it is made at the end. What is kept that way is the caller's to rebuild:
// e.Replayed tells, and a rebuild does not replace it. An operation that is cut off with ctx
// may leave the transaction open: others wait for what it has written, [AbandonedAfter] at the
// most. It panics if the projection is not on this package's storage.
func Session(ctx context.Context, tx *projection.Tx) (context.Context, *driver.Database, error) {
	t, ok := tx.Native().(*transaction)
	if !ok {
		panic(fmt.Sprintf("projection/mongo: the transaction is a %T", tx.Native()))
	}
	if err := t.start(); err != nil {
		return nil, nil, err
	}
	return driver.NewSessionContext(ctx, t.session), t.storage.db, nil
}

func (t *transaction) start() error {
	if t.session != nil {
		return nil
	}
	session, err := t.storage.client.StartSession(options.Session().SetCausalConsistency(true))
	if err != nil {
		return unavailable("start session", err)
	}
	if at, ok := t.storage.seen.now(); ok {
		if err := session.AdvanceOperationTime(&at); err != nil {
			return unavailable("start session", err)
		}
	}
	if err := session.StartTransaction(options.Transaction().SetReadConcern(readconcern.Snapshot()).SetWriteConcern(durable())); err != nil {
		return unavailable("start transaction", err)
	}
	t.session = session
	return nil
}

// Abort implements [projection.Transaction].
func (t *transaction) Abort(ctx context.Context) {
	if t.session == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = t.session.AbortTransaction(ctx) // the server does by itself
	t.session.EndSession(ctx)
	t.session = nil
	t.storage.abandoned.endSuspected(ctx)
}

// Commit implements [projection.Transaction].
func (t *transaction) Commit(ctx context.Context, writes []projection.Write) ([]projection.Revision, error) {
	s := t.storage
	revision := bson.NewObjectID()
	groups := grouped(writes)
	for _, g := range groups {
		if err := s.ensure(ctx, g.at, g.home); err != nil {
			return nil, err
		}
	}
	var err error
	if t.session == nil && len(writes) == 1 && groups[0].single() {
		err = s.writeOne(ctx, groups[0], revision)
	} else if err = t.start(); err == nil {
		err = t.writeAll(ctx, groups, revision)
	}
	if err != nil {
		return nil, err
	}
	revisions := make([]projection.Revision, len(writes))
	for i := range writes {
		if writes[i].Data != nil {
			revisions[i] = projection.Revision(revision.Hex())
		}
	}
	return revisions, nil
}

// writeOne makes a write of one document, which needs no transaction.
func (s *Storage) writeOne(ctx context.Context, g *group, revision bson.ObjectID) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	session, err := s.client.StartSession(options.Session().SetCausalConsistency(false))
	if err != nil {
		return unavailable("start session", err)
	}
	defer session.EndSession(ctx)
	err = s.abandoned.end(ctx, s.write(driver.NewSessionContext(ctx, session), g, revision))
	if err == nil || errors.Is(err, projection.ErrConflict) {
		s.seen.advance(session.OperationTime())
	}
	if errors.Is(err, projection.ErrUnavailable) { // outside a transaction nobody takes it back
		return fmt.Errorf("%w: %w", projection.ErrUnknown, err)
	}
	return err
}

// writeAll makes all writes and commits.
//
// A write is not cut off with its context, which ends whenever a partition goes to another
// node: the driver closes the connection then, and the end of the transaction, on another one,
// may come first:
//
//	this process                     server
//	sends the first write, which     has not read it
//	begins the transaction
//	its context ends: closes the     aborts: there is no such transaction
//	connection, aborts
//	                                 reads the write, begins the transaction, and
//	                                 holds the checkpoint; nobody ends it
func (t *transaction) writeAll(ctx context.Context, groups []*group, revision bson.ObjectID) error {
	s := t.storage
	for _, g := range groups {
		err := ctx.Err()
		if err != nil {
			err = unavailable("write "+g.home.collection, context.Cause(ctx))
		} else {
			err = t.write(ctx, g, revision)
		}
		if err != nil {
			t.Abort(ctx)
			return s.abandoned.end(ctx, err)
		}
	}
	for {
		err := t.session.CommitTransaction(ctx)
		if err == nil {
			s.seen.advance(t.session.OperationTime())
			t.session.EndSession(ctx)
			t.session = nil
			return nil
		}
		if !hasLabel(err, labelUnknown) {
			return classify("commit", err)
		}
		timer := time.NewTimer(commitPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("commit: %w: %w", projection.ErrUnknown, err)
		}
	}
}

// write makes the writes of a group within the storage's Timeout, whatever becomes of ctx.
func (t *transaction) write(ctx context.Context, g *group, revision bson.ObjectID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.storage.cfg.Timeout)
	defer cancel()
	return t.storage.write(driver.NewSessionContext(ctx, t.session), g, revision)
}

// group is the writes of one collection.
type group struct {
	at     projection.Place // of the first
	home   home
	writes []*projection.Write
}

// grouped sorts writes by collection, in the order of their names for every writer.
func grouped(writes []projection.Write) []*group {
	byPlace, byCollection := map[projection.Place]*group{}, map[string]*group{}
	var groups []*group
	for i := range writes {
		at := writes[i].Place
		g := byPlace[at]
		if g == nil {
			h := homeOf(at)
			if g = byCollection[h.collection]; g == nil {
				g = &group{at: at, home: h}
				byCollection[h.collection] = g
				groups = append(groups, g)
			}
			byPlace[at] = g
		}
		g.writes = append(g.writes, &writes[i])
	}
	slices.SortFunc(groups, func(a, b *group) int { return strings.Compare(a.home.collection, b.home.collection) })
	return groups
}

// single reports that the group's one write is one operation of the server.
func (g *group) single() bool {
	w := g.writes[0]
	return w.Data != nil || !w.Check || w.Expect != ""
}

// write makes the writes of a group, in at most two commands.
func (s *Storage) write(ctx context.Context, g *group, revision bson.ObjectID) error {
	var changes, deletes []driver.WriteModel
	matches, deleted := 0, 0
	for _, w := range g.writes {
		id := bson.D{{Key: "_id", Value: idPrefix(w.Place) + w.Key}}
		var at bson.D
		if w.Check && w.Expect != "" {
			expected, err := bson.ObjectIDFromHex(string(w.Expect))
			if err != nil {
				return fmt.Errorf("%s %q expects %q: %w", w.Place.Collection, w.Key, w.Expect, projection.ErrConflict)
			}
			at = append(id, bson.E{Key: "r", Value: expected})
		}
		switch {
		case w.Data == nil && at != nil:
			deletes = append(deletes, driver.NewDeleteOneModel().SetFilter(at))
			deleted++
			continue
		case w.Data == nil && w.Check: // nobody else may have made it
			changes = append(changes, driver.NewInsertOneModel().SetDocument(id), driver.NewDeleteOneModel().SetFilter(id))
			continue
		case w.Data == nil:
			changes = append(changes, driver.NewDeleteOneModel().SetFilter(id))
			continue
		}
		elements, err := bson.Raw(w.Data).Elements()
		if err != nil {
			return fmt.Errorf("%s %q: %w", w.Place.Collection, w.Key, err)
		}
		doc := append(id, bson.E{Key: "r", Value: revision})
		for _, e := range elements {
			doc = append(doc, bson.E{Key: e.Key(), Value: e.Value()})
		}
		switch {
		case at != nil:
			changes = append(changes, driver.NewReplaceOneModel().SetFilter(at).SetReplacement(doc))
			matches++
		case w.Check:
			changes = append(changes, driver.NewInsertOneModel().SetDocument(doc))
		default:
			changes = append(changes, driver.NewReplaceOneModel().SetFilter(id).SetReplacement(doc).SetUpsert(true))
			matches++
		}
	}
	if err := s.bulk(ctx, g.home, changes, func(r *driver.BulkWriteResult) bool { return int(r.MatchedCount+r.UpsertedCount) == matches }); err != nil {
		return err
	}
	return s.bulk(ctx, g.home, deletes, func(r *driver.BulkWriteResult) bool { return int(r.DeletedCount) == deleted })
}

// bulk makes changes, and fails with a conflict if not all of them met what they
// expect.
func (s *Storage) bulk(ctx context.Context, h home, models []driver.WriteModel, complete func(*driver.BulkWriteResult) bool) error {
	if len(models) == 0 {
		return nil
	}
	what := "write " + h.collection
	result, err := s.collection(h).BulkWrite(ctx, models, options.BulkWrite().SetOrdered(true))
	if err != nil {
		return classify(what, err)
	}
	if !complete(result) {
		return fmt.Errorf("%s: %w", what, projection.ErrConflict)
	}
	return nil
}

// classify translates the driver's error of something that a transaction takes back.
func classify(what string, err error) error {
	kind := projection.ErrUnavailable
	switch {
	case hasCode(err, codeDuplicateKey, codeWriteConflict):
		kind = projection.ErrConflict
	case hasCode(err, codeTooLarge, codeTooLargeUpdate, codeTooLargeUpsert, codeTransactionLarge):
		kind = projection.ErrTooLarge
	}
	return fmt.Errorf("%s: %w: %w", what, kind, err)
}

// Transient implements [projection.Storage].
func (s *Storage) Transient(err error) bool {
	s.abandoned.suspect(err)
	return hasLabel(err, labelTransient) || driver.IsNetworkError(err) || driver.IsTimeout(err) || hasCode(err, codeWriteConflict)
}

func hasCode(err error, codes ...int) bool {
	known, ok := errors.AsType[driver.ServerError](err)
	return ok && slices.ContainsFunc(codes, known.HasErrorCode)
}

func hasLabel(err error, label string) bool {
	known, ok := errors.AsType[driver.LabeledError](err)
	return ok && known.HasErrorLabel(label)
}
