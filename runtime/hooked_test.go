package runtime_test

import (
	"context"
	"iter"
	"sync"
	"testing"

	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

// hooked is a store whose calls a test can take over one by one. What fails at
// random is tested with storetest.Faulty; this one is for scripts.
type hooked struct {
	store.Store

	mu           sync.Mutex
	append       func(ctx context.Context, commits []store.Commit) []error
	renew        func(ctx context.Context, s store.Session) error
	load         func(ctx context.Context, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error]
	watermarks   func(ctx context.Context, held []store.Claim) error
	release      func(ctx context.Context, held []store.Claim) error
	findOutcomes int // calls
	looks        int // calls of Claims
}

func newHooked() *hooked { return &hooked{Store: memory.New()} }

// with changes the hooks.
func (h *hooked) with(change func(h *hooked)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
}

func (h *hooked) Append(ctx context.Context, commits []store.Commit) []error {
	h.mu.Lock()
	hook := h.append
	h.mu.Unlock()
	if hook != nil {
		return hook(ctx, commits)
	}
	return h.Store.Append(ctx, commits)
}

func (h *hooked) Renew(ctx context.Context, s store.Session) error {
	h.mu.Lock()
	hook := h.renew
	h.mu.Unlock()
	if hook != nil {
		return hook(ctx, s)
	}
	return h.Store.Renew(ctx, s)
}

func (h *hooked) Claims(ctx context.Context) ([]store.Claim, error) {
	h.with(func(h *hooked) { h.looks++ })
	return h.Store.Claims(ctx)
}

func (h *hooked) Load(ctx context.Context, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
	h.mu.Lock()
	hook := h.load
	h.mu.Unlock()
	if hook != nil {
		return hook(ctx, a, after)
	}
	return h.Store.Load(ctx, a, after)
}

func (h *hooked) SaveWatermarks(ctx context.Context, held []store.Claim) error {
	h.mu.Lock()
	hook := h.watermarks
	h.mu.Unlock()
	if hook != nil {
		return hook(ctx, held)
	}
	return h.Store.SaveWatermarks(ctx, held)
}

func (h *hooked) ReleaseClaims(ctx context.Context, held []store.Claim) error {
	h.mu.Lock()
	hook := h.release
	h.mu.Unlock()
	if hook != nil {
		return hook(ctx, held)
	}
	return h.Store.ReleaseClaims(ctx, held)
}

func (h *hooked) FindOutcome(ctx context.Context, a store.Aggregate, id string, keyed bool) (store.Recorded, bool, error) {
	h.mu.Lock()
	h.findOutcomes++
	h.mu.Unlock()
	return h.Store.FindOutcome(ctx, a, id, keyed)
}

// asked returns how often an outcome was looked for.
func (h *hooked) asked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.findOutcomes
}

// held is a call of Append that waits for its fate.
type heldAppend struct {
	commits []store.Commit
	finish  chan func() []error
}

// write lets the call do what it was made for.
func (c heldAppend) write(t *testing.T, s store.Store) {
	c.finish <- func() []error { return s.Append(t.Context(), c.commits) }
}

// fail answers every commit with err, and writes nothing.
func (c heldAppend) fail(err error) {
	c.finish <- func() []error { return failAll(len(c.commits), err) }
}

func failAll(n int, err error) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// holdAppends makes each Append wait until the test has decided about it.
func (h *hooked) holdAppends() <-chan heldAppend {
	calls := make(chan heldAppend, 64)
	h.with(func(h *hooked) {
		h.append = func(ctx context.Context, commits []store.Commit) []error {
			c := heldAppend{commits, make(chan func() []error, 1)}
			calls <- c
			select {
			case fate := <-c.finish:
				return fate()
			case <-ctx.Done():
				return failAll(len(commits), store.ErrUnknown)
			}
		}
	})
	return calls
}

func (h *hooked) letAppends() { h.with(func(h *hooked) { h.append = nil }) }
