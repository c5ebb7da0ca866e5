package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// ErrInjected is in the chain of every error that a [Faulty] makes up.
var ErrInjected = errors.New("injected fault")

// Faults says what goes wrong in a [Faulty]. The zero value is a healthy store.
// Shares are probabilities from 0 to 1, drawn for each commit or call by itself.
type Faults struct {
	AppendBefore float64       // share of commits that are answered with store.ErrUnknown and not written
	AppendAfter  float64       // share of commits that are answered with store.ErrUnknown although they are written
	AppendLate   float64       // share of commits that are answered with store.ErrUnknown at once and written after Late
	Late         time.Duration // how much later
	Reads        float64       // share of reads that fail with store.ErrUnavailable
	LeasesBefore float64       // share of writes of sessions and claims that are answered with store.ErrUnknown and not made
	LeasesAfter  float64       // share of writes of sessions and claims that are answered with store.ErrUnknown although they are made
	Delay        time.Duration // before every call
	CutOff       bool          // every call fails at once, and nothing reaches the store
	Blocked      bool          // every call waits until the faults change or its context ends
}

// AppendFault is what happens to a whole call of Append.
type AppendFault int

// The ways in which [Faulty.NextAppends] makes a call fail. All of them answer
// store.ErrUnknown.
const (
	FailBefore AppendFault = iota + 1 // nothing is written
	FailAfter                         // everything is written
	FailLate                          // everything is written after the current [Faults.Late]
)

// Faulty is a store that fails on demand, in front of another one. All methods
// are safe for concurrent use. With one caller, the same seed gives the same
// faults.
type Faulty struct {
	inner store.Store
	ctx   context.Context //nolint:containedctx // the life of the late writes, which Close ends
	end   context.CancelFunc

	mu       sync.Mutex
	rng      *rand.Rand
	faults   Faults
	changed  chan struct{} // closed and replaced by every change of faults
	next     []AppendFault
	injected int
	late     int
	idle     chan struct{} // closed while late is 0
	closed   bool
	cut      map[*context.CancelCauseFunc]struct{} // followers to end when the store is cut off
}

var _ store.Store = (*Faulty)(nil)

// NewFaulty returns a store that behaves as inner does until it is told
// otherwise. Close it at the end. Late writes carry the values of ctx; its end
// does not stop them.
func NewFaulty(ctx context.Context, inner store.Store, seed uint64) *Faulty {
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	f := &Faulty{
		inner: inner, ctx: ctx, end: end, rng: rand.New(rand.NewPCG(seed, 1)),
		changed: make(chan struct{}), idle: make(chan struct{}), cut: map[*context.CancelCauseFunc]struct{}{},
	}
	close(f.idle)
	return f
}

// Set replaces the faults. Calls that wait because the store was blocked go on
// under the new ones; running followers of the feed end when it is cut off or
// blocked.
func (f *Faulty) Set(faults Faults) {
	f.mu.Lock()
	f.faults = faults
	close(f.changed)
	f.changed = make(chan struct{})
	var ends []context.CancelCauseFunc
	if faults.CutOff || faults.Blocked {
		for end := range f.cut {
			ends = append(ends, *end)
		}
	}
	f.mu.Unlock()
	for _, end := range ends {
		end(ErrInjected)
	}
}

// Heal ends all faults, also those announced by NextAppends.
func (f *Faulty) Heal() {
	f.mu.Lock()
	f.next = nil
	f.mu.Unlock()
	f.Set(Faults{})
}

// NextAppends makes the next n calls of Append fail, after those of earlier
// calls of it.
func (f *Faulty) NextAppends(n int, fault AppendFault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		f.next = append(f.next, fault)
	}
}

// Injected is how many calls and commits were made to fail.
func (f *Faulty) Injected() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.injected
}

// Settle waits until no late write is outstanding. It returns the context's
// error when that ends first.
func (f *Faulty) Settle(ctx context.Context) error {
	f.mu.Lock()
	idle := f.idle
	f.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("settle late writes: %w", ctx.Err())
	}
}

// Close drops the late writes whose time has not come, and waits for those that
// are being made. It is idempotent. Late writes of later calls are dropped.
func (f *Faulty) Close() {
	f.end()
	f.mu.Lock()
	f.closed = true
	idle := f.idle
	f.mu.Unlock()
	<-idle
}

// enter is what every call meets first: delay, block, cut. Its error has no
// class yet.
func (f *Faulty) enter(ctx context.Context) error {
	f.mu.Lock()
	faults, changed := f.faults, f.changed
	f.mu.Unlock()
	if faults.Delay > 0 {
		if err := sleep(ctx, faults.Delay); err != nil {
			return err
		}
	}
	for faults.Blocked {
		select {
		case <-changed:
		case <-ctx.Done():
			f.count()
			return fmt.Errorf("%w: blocked: %w", ErrInjected, ctx.Err())
		}
		f.mu.Lock()
		faults, changed = f.faults, f.changed
		f.mu.Unlock()
	}
	if faults.CutOff {
		f.count()
		return fmt.Errorf("%w: cut off", ErrInjected)
	}
	return nil
}

func (f *Faulty) count() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.injected++
}

// draw decides one thing with the probability that share picks.
func (f *Faulty) draw(share func(*Faults) float64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := share(&f.faults)
	if p <= 0 || f.rng.Float64() >= p {
		return false
	}
	f.injected++
	return true
}

// fates decides about each commit of a call: 0 means that it goes well.
func (f *Faulty) fates(n int) (fates []AppendFault, late time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fates = make([]AppendFault, n)
	if len(f.next) > 0 {
		for i := range fates {
			fates[i] = f.next[0]
		}
		f.next = f.next[1:]
		f.injected += n
		return fates, f.faults.Late
	}
	before, after := f.faults.AppendBefore, f.faults.AppendAfter
	if before+after+f.faults.AppendLate == 0 {
		return fates, 0
	}
	for i := range fates {
		switch p := f.rng.Float64(); {
		case p < before:
			fates[i] = FailBefore
		case p < before+after:
			fates[i] = FailAfter
		case p < before+after+f.faults.AppendLate:
			fates[i] = FailLate
		default:
			continue
		}
		f.injected++
	}
	return fates, f.faults.Late
}

// writeLate makes a write after a while, in a goroutine that Close waits for.
func (f *Faulty) writeLate(commits []store.Commit, after time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	if f.late == 0 {
		f.idle = make(chan struct{})
	}
	f.late++
	go func() {
		if sleep(f.ctx, after) == nil {
			f.inner.Append(f.ctx, commits)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.late--; f.late == 0 {
			close(f.idle)
		}
	}()
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
