package main

import "sync/atomic"

// ledger is what the clients know to be true: what was acknowledged to them. The
// history must agree with it in the end, and no read that begins after an
// acknowledgement may show less.
type ledger struct{ pages []page }

// page is one aggregate's.
type page struct {
	commands atomic.Int64 // acknowledged
	amount   atomic.Int64 // of those
	unknown  atomic.Int64 // commands that may or may not have taken effect
	version  atomic.Int64 // highest one acknowledged
}

func newLedger(aggregates int) *ledger { return &ledger{pages: make([]page, aggregates)} }

func (l *ledger) acknowledge(aggregate int, version, amount int64) {
	p := &l.pages[aggregate]
	p.commands.Add(1)
	p.amount.Add(amount)
	for {
		highest := p.version.Load()
		if highest >= version || p.version.CompareAndSwap(highest, version) {
			return
		}
	}
}

func (l *ledger) doubt(aggregate int) { l.pages[aggregate].unknown.Add(1) }

// floor is the version that a read which begins now has to show at least.
func (l *ledger) floor(aggregate int) int64 { return l.pages[aggregate].version.Load() }

func (l *ledger) commands() (sum int64) {
	for i := range l.pages {
		sum += l.pages[i].commands.Load()
	}
	return sum
}

func (l *ledger) doubts() (sum int64) {
	for i := range l.pages {
		sum += l.pages[i].unknown.Load()
	}
	return sum
}
