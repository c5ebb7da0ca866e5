package projection

import (
	"context"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/ganglion-go/ganglion/actor"
)

// Reader reads the documents of a view: a [*Tx] in a handler, a [*View] elsewhere.
type Reader interface {
	read(ctx context.Context, collection, key string) (data []byte, found bool, err error)
	storage() Storage
	declares() *Projection
}

// Get returns a document, and whether there is one. In a handler it sees what
// events before have written. The error wraps [ErrName], [ErrCollection] or
// [ErrUnavailable], or says that the document is no T.
func Get[T any](ctx context.Context, r Reader, collection, key string) (value T, found bool, err error) {
	data, found, err := r.read(ctx, collection, key)
	if err != nil || !found {
		return value, false, err
	}
	if err := r.storage().Unmarshal(data, &value); err != nil {
		return value, false, fmt.Errorf("decode %s %q: %w", collection, key, err)
	}
	return value, true, nil
}

// Update changes a document, which change gets as its zero value if there is none.
// If change returns an error, nothing is written.
func Update[T any](ctx context.Context, tx *Tx, collection, key string, change func(*T) error) error {
	value, _, err := Get[T](ctx, tx, collection, key)
	if err != nil {
		return err
	}
	if err := change(&value); err != nil {
		return err
	}
	return tx.Put(collection, key, value)
}

// Tx is the transaction in which a batch of events changes the view, and the
// checkpoint with it. It belongs to the handler's goroutine and is valid until the
// handler returns.
//
// A document that was read and then written is written only if nobody else has
// changed it in between; otherwise the batch begins anew. One that was read only
// may be up to a second old if other partitions write it. One that was written
// without having been read replaces whatever there is.
type Tx struct {
	store      Storage
	txn        Transaction
	projection *Projection
	generation uint64
	cache      *cache

	writes    map[document]*pending
	order     []document
	revisions map[document]Revision // once committed
	undo      []undo
	outgoing  []outgoing
	at        string // id of the source of the event at work
	native    bool   // the adapter's own transaction was used: it cannot be undone in part
	bytes     int    // of writes, about
	failed    error  // the storage did not answer, or somebody else was faster
	confirmed bool
	confirms  func(context.Context) error // that the checkpoint is what it was
}

// outgoing is a command of a router, and the position of the event that it is for.
type outgoing struct {
	message actor.Message
	event   uint64
}

var _ Reader = (*Tx)(nil)

type document struct{ collection, key string }

type pending struct {
	data   []byte // nil: deleted
	check  bool
	expect Revision
}

// undo is what a document's write was before the event at work touched it.
type undo struct {
	document document
	was      *pending // nil: none
}

func newTx(s Storage, projection *Projection, generation uint64, c *cache) *Tx {
	return &Tx{store: s, txn: s.Begin(), projection: projection, generation: generation, cache: c, writes: map[document]*pending{}, revisions: map[document]Revision{}}
}

func (tx *Tx) storage() Storage { return tx.store }

func (tx *Tx) declares() *Projection { return tx.projection }

func (tx *Tx) place(collection string) Place {
	return Place{Projection: tx.projection.name, Generation: tx.generation, Collection: collection}
}

func (tx *Tx) read(ctx context.Context, collection, key string) ([]byte, bool, error) {
	if err := checkKey(collection, key, tx.projection); err != nil {
		return nil, false, err
	}
	return tx.load(ctx, collection, key)
}

// load is read for any collection.
func (tx *Tx) load(ctx context.Context, collection, key string) ([]byte, bool, error) {
	d := document{collection, key}
	if w := tx.writes[d]; w != nil {
		return w.data, w.data != nil, nil
	}
	known, ok := tx.cache.get(d)
	if !ok {
		tx.cache.missed(d, tx.at)
		docs, err := tx.store.Read(ctx, tx.place(collection), key)
		if err != nil {
			tx.failed = err
			return nil, false, fmt.Errorf("read %s %q: %w", collection, key, err)
		}
		known = docs[0]
		tx.cache.put(d, known)
	}
	tx.cache.use(d, known.Revision)
	return known.Data, known.Revision != "", nil
}

// Put writes a document in the place of any other with the same key, which is any UTF-8
// of 1 to [MaxKeyBytes] bytes. The value is encoded at once. The error wraps [ErrName],
// [ErrCollection] or [ErrTooDeep], is an
// [*actor.TypeError] for a type that JSON does not bring back as it was, also one that an
// interface in the value holds, or says that the value cannot be encoded.
func (tx *Tx) Put(collection, key string, value any) error {
	if err := checkKey(collection, key, tx.projection); err != nil {
		return err
	}
	if err := tx.cache.types.check(value); err != nil {
		return fmt.Errorf("put %s %q: %w", collection, key, err)
	}
	return tx.put(collection, key, value)
}

func (tx *Tx) put(collection, key string, value any) error {
	data, err := tx.store.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s %q: %w", collection, key, err)
	}
	tx.set(document{collection, key}, data)
	return nil
}

// Delete removes a document if there is one. The error wraps [ErrName] or
// [ErrCollection].
func (tx *Tx) Delete(collection, key string) error {
	if err := checkKey(collection, key, tx.projection); err != nil {
		return err
	}
	tx.set(document{collection, key}, nil)
	return nil
}

// Native returns the transaction of the storage, for functions of its package that
// give handlers more than documents. What is done through it becomes durable with
// the rest. A handler that fails after that has its whole batch done again.
func (tx *Tx) Native() Transaction {
	tx.native = true
	return tx.txn
}

func (tx *Tx) set(d document, data []byte) {
	was := tx.writes[d]
	tx.undo = append(tx.undo, undo{d, was})
	next := &pending{data: data}
	switch {
	case was != nil:
		next.check, next.expect = was.check, was.expect
	default:
		tx.order = append(tx.order, d)
		next.expect, next.check = tx.cache.used(d)
	}
	if was != nil {
		tx.bytes -= len(was.data)
	}
	tx.bytes += len(data)
	tx.writes[d] = next
}

// replace writes a document of the engine's, nil for none, if it is at a revision.
func (tx *Tx) replace(collection, key string, value any, r Revision) error {
	d := document{collection, key}
	if value == nil {
		tx.set(d, nil)
	} else if err := tx.put(collection, key, value); err != nil {
		return err
	}
	tx.writes[d].check, tx.writes[d].expect = true, r
	return nil
}

// confirm makes sure, once for a transaction, that it still has a chance, before
// something is done that cannot be taken back.
func (tx *Tx) confirm(ctx context.Context) error {
	if !tx.confirmed {
		if err := tx.confirms(ctx); err != nil {
			tx.failed = err
			return err
		}
		tx.confirmed = true
	}
	return nil
}

// save begins the part of an event.
func (tx *Tx) save() (outgoing int) {
	tx.undo = tx.undo[:0]
	return len(tx.outgoing)
}

// rollback takes back what the event at work has written.
func (tx *Tx) rollback(outgoing int) {
	for _, u := range slices.Backward(tx.undo) {
		tx.bytes -= len(tx.writes[u.document].data)
		if u.was == nil {
			delete(tx.writes, u.document)
			tx.order = tx.order[:len(tx.order)-1]
			continue
		}
		tx.bytes += len(u.was.data)
		tx.writes[u.document] = u.was
	}
	tx.undo = tx.undo[:0]
	tx.outgoing = tx.outgoing[:outgoing]
}

// commit makes all writes. The cache then knows the new revisions.
func (tx *Tx) commit(ctx context.Context) error {
	writes := make([]Write, len(tx.order))
	for i, d := range tx.order {
		w := tx.writes[d]
		writes[i] = Write{Place: tx.place(d.collection), Key: d.key, Data: w.data, Check: w.check, Expect: w.expect}
	}
	revisions, err := tx.txn.Commit(ctx, writes)
	if err != nil {
		return err //nolint:wrapcheck // callers look at its kind
	}
	for i, d := range tx.order {
		doc := Document{Key: d.key, Revision: revisions[i], Data: tx.writes[d].data}
		if doc.Data == nil {
			doc.Revision = ""
		}
		tx.revisions[d] = doc.Revision
		tx.cache.put(d, doc)
	}
	tx.cache.forgetUses()
	return nil
}

// checkKey reports a collection that the projection does not have, and a key that cannot
// be stored.
func checkKey(collection, key string, p *Projection) error {
	if err := p.has(collection); err != nil {
		return err
	}
	if key == "" || len(key) > MaxKeyBytes || !utf8.ValidString(key) {
		return fmt.Errorf("key of %d bytes, UTF-8 of 1 to %d is allowed: %w", len(key), MaxKeyBytes, ErrName)
	}
	return nil
}
