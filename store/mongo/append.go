package mongo

import (
	"context"
	"fmt"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/store"
)

const (
	// One insert command. Splitting is done here, not by the driver: over several
	// commands of one call it keeps only the last write concern error, and the
	// commits of an earlier command would pass for durable.
	maxBatchBytes = 32 << 20 // the server takes messages of 48,000,000 bytes
	maxBatchDocs  = 10_000   // the server takes 100,000

	maxKeptBuffer = 4 << 20 // larger buffers are left to the garbage collector
)

// batch is the documents of one insert command.
type batch struct {
	buf    []byte
	ends   []int // of each document in buf
	places []int // of each document in the caller's commits
	docs   []any
}

// batches keeps buffers between calls. The driver copies documents, so that a
// buffer is free when its insert has returned.
type batches struct{ pool sync.Pool }

func (p *batches) get() *batch {
	if b, ok := p.pool.Get().(*batch); ok {
		return b
	}
	return new(batch)
}

func (p *batches) put(b *batch) {
	if cap(b.buf) <= maxKeptBuffer {
		b.reset()
		p.pool.Put(b)
	}
}

func (b *batch) reset() {
	clear(b.docs)
	b.buf, b.ends, b.places, b.docs = b.buf[:0], b.ends[:0], b.places[:0], b.docs[:0]
}

// add encodes a commit. It is false when the commit is too large for a document.
func (b *batch) add(c *store.Commit, place int) bool {
	buf, ok := appendCommit(b.buf, c)
	b.buf = buf
	if ok {
		b.ends = append(b.ends, len(buf))
		b.places = append(b.places, place)
	}
	return ok
}

func (b *batch) full() bool {
	return len(b.buf) >= maxBatchBytes-maxDocument || len(b.ends) >= maxBatchDocs
}

// documents cuts the buffer, which no longer moves.
func (b *batch) documents() []any {
	start := 0
	for _, end := range b.ends {
		b.docs = append(b.docs, bson.Raw(b.buf[start:end:end]))
		start = end
	}
	return b.docs
}

// Append implements [store.Commits]. Commits go into one unordered insert
// command, or several when they are more than 10,000 or 16 MiB.
//
// A conflict can be the caller's own commit: when an earlier Append of it ended
// with store.ErrUnknown and took effect nevertheless. Within one call it cannot.
// The driver sends an insert again after a fail-over with the same transaction
// number, and the server answers for each document that it has already inserted
// under that number as it did the first time; the number is written with the
// document, replicated with it and, if it must be, rolled back with it. The
// runtime takes a conflict and an unknown outcome alike: it reloads the history.
func (s *Store) Append(ctx context.Context, commits []store.Commit) []error {
	errs := make([]error, len(commits))
	b := s.batches.get()
	defer s.batches.put(b)
	for i := range commits {
		if !b.add(&commits[i], i) {
			errs[i] = fmt.Errorf("append commit of about %d bytes: %w", commits[i].Size(), store.ErrTooLarge)
		}
		if b.full() {
			s.insert(ctx, b, errs)
			b.reset()
		}
	}
	s.insert(ctx, b, errs)
	return errs
}

// insert writes a batch and notes the errors of its commits.
func (s *Store) insert(ctx context.Context, b *batch, errs []error) {
	if len(b.ends) == 0 {
		return
	}
	err := s.write(ctx, func(ctx context.Context) error {
		_, err := s.commits.InsertMany(ctx, b.documents(), options.InsertMany().SetOrdered(false))
		return err
	})
	appendErrors(err, func(i int, err error) { errs[b.places[i]] = err }, len(b.places))
}
