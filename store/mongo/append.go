package mongo

import (
	"context"
	"fmt"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/ganglion-go/ganglion/store"
)

const (
	// The documents of one insert command. The server takes commands of 16 MiB and
	// 16 KiB, and arrays of 100,000 documents.
	maxBatchBytes = 16 << 20
	maxBatchDocs  = 10_000

	maxKeptBuffer = 4 << 20 // larger buffers are left to the garbage collector
)

// batch is one insert command, written into one buffer.
//
// It goes out by RunCommand. InsertMany would encode each document again, and decode
// its _id for a result that nobody reads: a third of all memory that a node under
// load allocated, and 5 % of its processor time. It is not sent a second time by the
// driver as a retryable write would be, which saves the servers what such a write
// costs them; its outcome is unknown instead, for which the runtime is made.
type batch struct {
	w      writer
	root   int   // where the command begins
	list   int   // where its documents begin
	places []int // of each document in the caller's commits
}

// batches keeps buffers between calls. The driver copies commands, so that a
// buffer is free when its insert has returned.
type batches struct{ pool sync.Pool }

func (p *batches) get() *batch {
	b, ok := p.pool.Get().(*batch)
	if !ok {
		b = new(batch)
	}
	b.begin()
	return b
}

func (p *batches) put(b *batch) {
	if cap(b.w.buf) <= maxKeptBuffer {
		p.pool.Put(b)
	}
}

// begin makes it an insert command without documents.
func (b *batch) begin() {
	b.w.buf, b.places = b.w.buf[:0], b.places[:0]
	b.root = b.w.open()
	b.w.text("insert", commitsName)
	b.w.buf = bsoncore.AppendBooleanElement(b.w.buf, "ordered", false)
	concern := b.w.openField(bsoncore.TypeEmbeddedDocument, "writeConcern")
	b.w.text("w", "majority")
	b.w.buf = bsoncore.AppendBooleanElement(b.w.buf, "j", true)
	b.w.close(concern)
	b.list = b.w.openField(bsoncore.TypeArray, "documents")
}

// add encodes a commit. It is false when it does not fit, into this batch or any.
func (b *batch) add(c *store.Commit, place int) bool {
	before := len(b.w.buf)
	b.w.itemHeader(bsoncore.TypeEmbeddedDocument, len(b.places))
	buf, ok := appendCommit(b.w.buf, c)
	if b.w.buf = buf; !ok || len(b.places) > 0 && len(buf)-b.list > maxBatchBytes {
		b.w.buf = buf[:before]
		return false
	}
	b.places = append(b.places, place)
	return true
}

// command ends the batch.
func (b *batch) command() bson.Raw {
	b.w.close(b.list)
	b.w.close(b.root)
	return b.w.buf
}

// Append implements [store.Commits]. Commits go into one unordered insert
// command, or several when they are more than 10,000 or 16 MiB.
//
// A conflict can be the caller's own commit: when an earlier Append of it ended
// with store.ErrUnknown and took effect nevertheless. Within one call it cannot: an
// insert is sent once. So a fail-over makes the outcome of every append in progress
// unknown. The runtime takes a conflict and an unknown outcome alike: it reloads the
// history.
func (s *Store) Append(ctx context.Context, commits []store.Commit) []error {
	errs := make([]error, len(commits))
	b := s.batches.get()
	defer s.batches.put(b)
	for i := range commits {
		if len(b.places) < maxBatchDocs && b.add(&commits[i], i) {
			continue
		}
		s.insert(ctx, b, errs)
		if b.begin(); !b.add(&commits[i], i) {
			errs[i] = fmt.Errorf("append commit of about %d bytes: %w", commits[i].Size(), store.ErrTooLarge)
		}
	}
	s.insert(ctx, b, errs)
	return errs
}

// insert writes a batch and notes the errors of its commits.
func (s *Store) insert(ctx context.Context, b *batch, errs []error) {
	if len(b.places) == 0 {
		return
	}
	err := s.write(ctx, func(ctx context.Context) error {
		return s.db.RunCommand(ctx, b.command()).Err()
	})
	appendErrors(err, func(i int, err error) { errs[b.places[i]] = err }, len(b.places))
}
