package projection

import (
	"context"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Bounds of what is read of a collection at once.
const (
	PageDefault  = 100    // entries of a page, where the range sets no limit
	PageMax      = 10_000 // entries of a page
	CountDefault = 10_000 // documents that are counted, where the range sets no limit
)

// Page is a part of a collection.
type Page[T any] struct {
	Entries []Entry[T]
	// Next is where the next page goes on, as its [Range.After]. Empty: this is the last.
	Next string
}

// ReadPage reads a page of a range: the first [Range.Limit] documents, [PageDefault]
// where it has none, [PageMax] at most. With Next as [Range.After] of the same range, the
// next page goes on behind it, whether or not that document is still there:
//
//   - a document that is there all the time is on one page, and on no other;
//   - one that is put or deleted meanwhile may be missing or shown;
//   - a rebuild that replaces the view between two pages changes nothing of that.
//
// On MongoDB a page costs what it returns, wherever it begins. On JetStream every page
// reads the names of all documents of its collection first, see package
// projection/jetstream. The error wraps [ErrRange], [ErrCollection], [ErrName] or
// [ErrUnavailable].
func ReadPage[T any](ctx context.Context, v *View, collection string, r Range) (Page[T], error) {
	limit := r.Limit
	if limit == 0 {
		limit = PageDefault
	}
	if limit > PageMax {
		return Page[T]{}, fmt.Errorf("a page of %d entries, %d is the most: %w", limit, PageMax, ErrRange)
	}
	r.Limit = limit + 1
	if limit < 0 {
		r.Limit = limit // refused below
	}
	var page Page[T]
	err := v.unlessRetired(ctx, func() error {
		page = Page[T]{Entries: []Entry[T]{}}
		for e, err := range List[T](ctx, v, collection, r) {
			if err != nil {
				return err
			}
			page.Entries = append(page.Entries, e)
		}
		return nil
	})
	if err != nil {
		return Page[T]{}, err
	}
	if len(page.Entries) > limit {
		page.Entries = page.Entries[:limit]
		page.Next = page.Entries[limit-1].Key
	}
	return page, nil
}

// Count counts the documents of a range, up to [Range.Limit], [CountDefault] where it has
// none. more: there are more than n, which is the limit then.
//
// It costs a read of what is counted: on MongoDB on the server alone, about a second for
// a million documents; on JetStream the documents are sent to the caller. Keep a number
// that is shown often as a document of its own, which handlers change. Errors are those
// of [ReadPage].
func Count(ctx context.Context, v *View, collection string, r Range) (n int, more bool, err error) {
	limit := r.Limit
	if limit == 0 {
		limit = CountDefault
	}
	r.Limit = limit
	if limit > 0 && limit < math.MaxInt32 {
		r.Limit = limit + 1
	}
	if err := r.validate(); err != nil {
		return 0, false, err
	}
	err = v.unlessRetired(ctx, func() error {
		at, err := v.Place(ctx, collection)
		if err != nil || at.Generation == 0 {
			return err
		}
		if n, err = v.store.Count(ctx, at, r); err != nil {
			return fmt.Errorf("count %s: %w", collection, err)
		}
		return v.stillThere(ctx, at.Generation)
	})
	if err != nil {
		return 0, false, err
	}
	return min(n, limit), n > limit, nil
}

// readsMax is how often something is read that a rebuild has replaced meanwhile.
const readsMax = 3

// unlessRetired reads, and again where a rebuild has replaced what was being read.
func (v *View) unlessRetired(ctx context.Context, read func() error) (err error) {
	for range readsMax {
		if err = read(); !errors.Is(err, ErrRetired) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// validate reports as [ErrRange] a range that selects nothing anywhere.
func (r *Range) validate() error {
	switch {
	case r.Limit < 0:
		return fmt.Errorf("limit %d: %w", r.Limit, ErrRange)
	case len(r.Prefix) > MaxKeyBytes || !utf8.ValidString(r.Prefix):
		return fmt.Errorf("prefix of %d bytes, UTF-8 of up to %d is allowed: %w", len(r.Prefix), MaxKeyBytes, ErrRange)
	case len(r.After) > MaxKeyBytes || !utf8.ValidString(r.After):
		return fmt.Errorf("after a key of %d bytes, UTF-8 of up to %d is allowed: %w", len(r.After), MaxKeyBytes, ErrRange)
	}
	return nil
}
