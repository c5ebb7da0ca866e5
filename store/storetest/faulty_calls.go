package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/ganglion-go/ganglion/store"
)

func asUnknown(err error) error { return fmt.Errorf("%w: %w", store.ErrUnknown, err) }

func asUnavailable(err error) error { return fmt.Errorf("%w: %w", store.ErrUnavailable, err) }

// Append implements [store.Commits].
func (f *Faulty) Append(ctx context.Context, commits []store.Commit) []error {
	errs := make([]error, len(commits))
	if err := f.enter(ctx); err != nil {
		for i := range errs {
			errs[i] = asUnknown(err)
		}
		return errs
	}
	fates, late := f.fates(len(commits))
	var now, later []store.Commit
	for i, fate := range fates {
		switch fate {
		case FailBefore:
		case FailLate:
			later = append(later, copyCommit(&commits[i])) // the caller may reuse its buffers
		default:
			now = append(now, commits[i])
		}
	}
	var results []error
	if len(now) > 0 {
		results = f.inner.Append(ctx, now)
	}
	if len(later) > 0 {
		f.writeLate(later, late)
	}
	for i, fate := range fates {
		if fate == 0 || fate == FailAfter {
			errs[i], results = results[0], results[1:]
		}
		if fate != 0 {
			errs[i] = asUnknown(ErrInjected)
		}
	}
	return errs
}

func copyCommit(c *store.Commit) store.Commit {
	k := *c
	k.Events, k.Outcomes, k.Out = slices.Clone(c.Events), slices.Clone(c.Outcomes), slices.Clone(c.Out)
	for i := range k.Events {
		k.Events[i].Data = bytes.Clone(k.Events[i].Data)
	}
	for i := range k.Outcomes {
		k.Outcomes[i].Reply, k.Outcomes[i].Rejection = bytes.Clone(k.Outcomes[i].Reply), bytes.Clone(k.Outcomes[i].Rejection)
	}
	for i := range k.Out {
		k.Out[i].Data = bytes.Clone(k.Out[i].Data)
		k.Out[i].OnRefusalData = bytes.Clone(k.Out[i].OnRefusalData)
	}
	return k
}

// read runs a read, unless it is to fail.
func (f *Faulty) read(ctx context.Context) error {
	if err := f.enter(ctx); err != nil {
		return asUnavailable(err)
	}
	if f.draw(func(x *Faults) float64 { return x.Reads }) {
		return asUnavailable(ErrInjected)
	}
	return nil
}

// write runs a write that is subject to cuts and blocks only.
func (f *Faulty) write(ctx context.Context, write func() error) error {
	if err := f.enter(ctx); err != nil {
		return asUnknown(err)
	}
	return write()
}

// writeLease runs a write of a session or of claims.
func (f *Faulty) writeLease(ctx context.Context, write func() error) error {
	return f.write(ctx, func() error {
		if f.draw(func(x *Faults) float64 { return x.LeasesBefore }) {
			return asUnknown(ErrInjected)
		}
		err := write()
		if f.draw(func(x *Faults) float64 { return x.LeasesAfter }) {
			return asUnknown(ErrInjected)
		}
		return err
	})
}

// readAll passes a sequence of reads on, and ends it when the store fails
// meanwhile.
func readAll[T any](ctx context.Context, f *Faulty, inner iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		if err := f.read(ctx); err != nil {
			yield(zero, err)
			return
		}
		for v, err := range inner {
			if err == nil {
				if cut := f.enter(ctx); cut != nil {
					yield(zero, asUnavailable(cut))
					return
				}
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// Load implements [store.Commits].
func (f *Faulty) Load(ctx context.Context, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
	return readAll(ctx, f, f.inner.Load(ctx, a, after))
}

// ListAggregates implements [store.Aggregates].
func (f *Faulty) ListAggregates(ctx context.Context, r store.AggregateRange) iter.Seq2[store.Aggregate, error] {
	return readAll(ctx, f, f.inner.ListAggregates(ctx, r))
}

// LastVersion implements [store.Commits].
func (f *Faulty) LastVersion(ctx context.Context, a store.Aggregate) (store.Version, error) {
	if err := f.read(ctx); err != nil {
		return 0, err
	}
	return f.inner.LastVersion(ctx, a)
}

// FindOutcome implements [store.Commits].
func (f *Faulty) FindOutcome(ctx context.Context, a store.Aggregate, commandID string, keyed bool) (store.Recorded, bool, error) {
	if err := f.read(ctx); err != nil {
		return store.Recorded{}, false, err
	}
	return f.inner.FindOutcome(ctx, a, commandID, keyed)
}

// SaveSnapshot implements [store.Snapshots].
func (f *Faulty) SaveSnapshot(ctx context.Context, s store.Snapshot) error {
	return f.write(ctx, func() error { return f.inner.SaveSnapshot(ctx, s) })
}

// LoadSnapshot implements [store.Snapshots].
func (f *Faulty) LoadSnapshot(ctx context.Context, a store.Aggregate, schema string) (store.Snapshot, bool, error) {
	if err := f.read(ctx); err != nil {
		return store.Snapshot{}, false, err
	}
	return f.inner.LoadSnapshot(ctx, a, schema)
}

// Follow implements [store.Feed]. It ends with store.ErrUnavailable when the
// store is cut off or blocked.
func (f *Faulty) Follow(ctx context.Context, after store.Token) iter.Seq2[store.FeedItem, error] {
	return func(yield func(store.FeedItem, error) bool) {
		if err := f.read(ctx); err != nil {
			if ctx.Err() == nil {
				yield(store.FeedItem{}, err)
			}
			return
		}
		inner, end := context.WithCancelCause(ctx)
		defer end(nil)
		defer f.endWhenCut(&end)()
		for item, err := range f.inner.Follow(inner, after) {
			if errors.Is(context.Cause(inner), ErrInjected) {
				break
			}
			if !yield(item, err) {
				return
			}
		}
		if ctx.Err() == nil && errors.Is(context.Cause(inner), ErrInjected) {
			yield(store.FeedItem{}, asUnavailable(ErrInjected))
		}
	}
}

func (f *Faulty) endWhenCut(end *context.CancelCauseFunc) (forget func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut[end] = struct{}{}
	if f.faults.CutOff || f.faults.Blocked {
		(*end)(ErrInjected)
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.cut, end)
	}
}

// Now implements [store.Feed].
func (f *Faulty) Now(ctx context.Context) (store.Token, error) {
	if err := f.read(ctx); err != nil {
		return "", err
	}
	return f.inner.Now(ctx)
}

// OpenSession implements [store.Leases].
func (f *Faulty) OpenSession(ctx context.Context, s store.Session, replaces *store.Session) error {
	return f.writeLease(ctx, func() error { return f.inner.OpenSession(ctx, s, replaces) })
}

// Renew implements [store.Leases].
func (f *Faulty) Renew(ctx context.Context, s store.Session) error {
	return f.writeLease(ctx, func() error { return f.inner.Renew(ctx, s) })
}

// DeclareDead implements [store.Leases].
func (f *Faulty) DeclareDead(ctx context.Context, s store.Session) error {
	return f.writeLease(ctx, func() error { return f.inner.DeclareDead(ctx, s) })
}

// EndSession implements [store.Leases].
func (f *Faulty) EndSession(ctx context.Context, s store.Session) error {
	return f.writeLease(ctx, func() error { return f.inner.EndSession(ctx, s) })
}

// ConfirmSession implements [store.Leases].
func (f *Faulty) ConfirmSession(ctx context.Context, s store.Session) error {
	if err := f.read(ctx); err != nil {
		return err
	}
	return f.inner.ConfirmSession(ctx, s)
}

// Sessions implements [store.Leases].
func (f *Faulty) Sessions(ctx context.Context) ([]store.Session, error) {
	if err := f.read(ctx); err != nil {
		return nil, err
	}
	return f.inner.Sessions(ctx)
}

// Claims implements [store.Leases].
func (f *Faulty) Claims(ctx context.Context) ([]store.Claim, error) {
	if err := f.read(ctx); err != nil {
		return nil, err
	}
	return f.inner.Claims(ctx)
}

// TakeClaims implements [store.Leases]. When it fails, it returns no claim: the
// outcome of all of them is unknown.
func (f *Faulty) TakeClaims(ctx context.Context, by store.Session, want []store.Claim) (held []store.Claim, err error) {
	var taken []store.Claim
	err = f.writeLease(ctx, func() error {
		taken, err = f.inner.TakeClaims(ctx, by, want)
		return err
	})
	if errors.Is(err, ErrInjected) {
		return nil, err
	}
	return taken, err
}

// SaveWatermarks implements [store.Leases].
func (f *Faulty) SaveWatermarks(ctx context.Context, held []store.Claim) error {
	return f.writeLease(ctx, func() error { return f.inner.SaveWatermarks(ctx, held) })
}

// ReleaseClaims implements [store.Leases].
func (f *Faulty) ReleaseClaims(ctx context.Context, held []store.Claim) error {
	return f.writeLease(ctx, func() error { return f.inner.ReleaseClaims(ctx, held) })
}

// Bind implements [store.Bindings].
func (f *Faulty) Bind(ctx context.Context, namespace string, partitions uint32) (bound store.Binding, err error) {
	err = f.writeLease(ctx, func() error {
		bound, err = f.inner.Bind(ctx, namespace, partitions)
		return err
	})
	return bound, err
}

// Park implements [store.Parking].
func (f *Faulty) Park(ctx context.Context, p store.Parked) error {
	return f.write(ctx, func() error { return f.inner.Park(ctx, p) })
}

// ListParked implements [store.Parking].
func (f *Faulty) ListParked(ctx context.Context, a store.Aggregate) iter.Seq2[store.Parked, error] {
	return readAll(ctx, f, f.inner.ListParked(ctx, a))
}

// FindParked implements [store.Parking].
func (f *Faulty) FindParked(ctx context.Context, a store.Aggregate, commandID string) (store.Parked, bool, error) {
	if err := f.read(ctx); err != nil {
		return store.Parked{}, false, err
	}
	return f.inner.FindParked(ctx, a, commandID)
}

// Unpark implements [store.Parking].
func (f *Faulty) Unpark(ctx context.Context, a store.Aggregate, commandID string) error {
	return f.write(ctx, func() error { return f.inner.Unpark(ctx, a, commandID) })
}

// Ping implements [store.Store].
func (f *Faulty) Ping(ctx context.Context) error {
	if err := f.read(ctx); err != nil {
		return err
	}
	return f.inner.Ping(ctx)
}

// CountParked implements [store.Parking].
func (f *Faulty) CountParked(ctx context.Context, limit int) (int, error) {
	if err := f.read(ctx); err != nil {
		return 0, err
	}
	return f.inner.CountParked(ctx, limit)
}
