package projection

import (
	"context"
	"iter"
)

// Bounds of names, in bytes.
const (
	MaxNameBytes = 64   // of projections and collections
	MaxKeyBytes  = 2560 // of documents: a [Key] of three ids and a number, whatever the ids contain
)

// Place is a set of documents: one collection of one generation of a view. The
// names of collections with a leading underscore are the engine's own.
type Place struct {
	Projection string // empty: what belongs to all projections
	Generation uint64
	Collection string
}

// Revision is one state of one document. It is opaque, and no two states of a
// document have the same one, also if it was deleted in between. Empty: there is
// no such document.
type Revision string

// Document is a stored document. Data is in the form of [Storage.Marshal].
type Document struct {
	Key      string
	Revision Revision
	Data     []byte
}

// Write is a change of one document.
type Write struct {
	Place  Place
	Key    string
	Data   []byte // nil: the document is deleted, if there is one
	Check  bool   // make the change only if the document is at Expect
	Expect Revision
}

// Range selects documents of a place by key, in the order of their bytes, or from the
// last to the first. Prefix and After are UTF-8.
type Range struct {
	Prefix  string // of the keys; see [KeyPrefix]
	After   string // those that come behind this key in the order of the range; empty: from the beginning
	Limit   int    // 0: all
	Reverse bool   // from the last key to the first
}

// Change tells that a document was written or deleted.
type Change struct {
	Place Place
	Key   string
	// Lost: changes before this one may be missing, and all else is empty.
	Lost bool
}

// Storage keeps views and checkpoints. Package projection/projectiontest holds the
// contract as a suite. All methods are safe for concurrent use, by any number of
// processes on the same storage.
//
// Reads see what this Storage has read or written before, and whatever that rests
// on. They need not see the newest writes of others: checks of revisions find out.
type Storage interface {
	// Marshal and Unmarshal are the form of documents. What comes back is what
	// encoding/json makes of a document, see [Encode] and [Decode].
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error

	// Read returns one document for each key, in their order; those that do not
	// exist have no Revision.
	Read(ctx context.Context, at Place, keys ...string) ([]Document, error)
	// List yields documents in the order of the range.
	List(ctx context.Context, at Place, r Range) iter.Seq2[Document, error]
	// Count returns how many documents List yields.
	Count(ctx context.Context, at Place, r Range) (int, error)
	// Begin returns a transaction. It costs nothing until it is used.
	Begin() Transaction
	// Drop removes all documents of a generation. It is idempotent.
	Drop(ctx context.Context, projection string, generation uint64) error
	// Watch calls ready once changes made from then on are seen, and yields them
	// until ctx ends. After an error the caller watches again, and has lost changes.
	Watch(ctx context.Context, projection string, ready func()) iter.Seq2[Change, error]
	// Transient reports whether an error that a handler got from the database says
	// nothing about the handler, but that another try may succeed.
	Transient(err error) bool
}

// Transaction is one atomic change of documents. It belongs to one goroutine.
type Transaction interface {
	// Commit makes all writes, each of another document, or none, durably, and
	// returns the new revisions in their order. It ends the transaction. Errors wrap
	// [ErrConflict], [ErrUnknown], [ErrTooLarge] or [ErrUnavailable].
	Commit(ctx context.Context, writes []Write) ([]Revision, error)
	// Abort gives up what was not committed. It is idempotent, and harmless after
	// Commit.
	Abort(ctx context.Context)
}
