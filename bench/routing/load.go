package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// load is the clients of one round.
type load struct {
	client    *client
	ledger    *ledger
	inFlight  int
	readEvery int
	start     time.Time // of the measured time
	end       time.Time
}

// tally is what the clients have seen within the measured time. The times are
// those of acknowledged commands.
type tally struct {
	acknowledged, gaveUp, refused, unknown int64

	reads, failedReads, stale int64
	behind                    int64 // the most versions by which a read was

	times    *hdrhistogram.Histogram // microseconds
	firstErr error                   // of a command that was refused or unknown, or of a read
}

func newTally() *tally {
	return &tally{times: hdrhistogram.New(1, int64(requestTimeout/time.Microsecond), 3)}
}

func (t *tally) add(o *tally) {
	t.acknowledged += o.acknowledged
	t.gaveUp += o.gaveUp
	t.refused += o.refused
	t.unknown += o.unknown
	t.reads += o.reads
	t.failedReads += o.failedReads
	t.stale += o.stale
	t.behind = max(t.behind, o.behind)
	t.times.Merge(o.times)
	if t.firstErr == nil {
		t.firstErr = o.firstErr
	}
}

func accountID(n int) string { return fmt.Sprintf("a-%06d", n) }

// run keeps one request of every client in flight until the end, and waits for
// the last of them. All of it goes into the ledger.
func (l *load) run(ctx context.Context) *tally {
	tallies := make([]*tally, l.inFlight)
	var clients sync.WaitGroup
	for i := range tallies {
		tallies[i] = newTally()
		clients.Go(func() { l.work(ctx, tallies[i]) })
	}
	clients.Wait()
	sum := newTally()
	for _, t := range tallies {
		sum.add(t)
	}
	return sum
}

// work is one client: it changes aggregates, and reads some of them right after.
func (l *load) work(ctx context.Context, t *tally) {
	for n := 1; ctx.Err() == nil && time.Now().Before(l.end); n++ {
		aggregate := rand.IntN(len(l.ledger.pages))
		l.command(ctx, t, aggregate)
		if n%l.readEvery == 0 {
			l.read(ctx, t, aggregate)
		}
	}
}

func (l *load) measured(at time.Time) bool { return !at.Before(l.start) && !at.After(l.end) }

func (l *load) command(ctx context.Context, t *tally, aggregate int) {
	amount := 1 + rand.Int64N(9)
	began := time.Now()
	version, f, err := l.client.deposit(ctx, accountID(aggregate), amount)
	ended := time.Now()
	switch f {
	case acknowledged:
		l.ledger.acknowledge(aggregate, version, amount)
	case unknown:
		l.ledger.doubt(aggregate)
	case gaveUp, refused:
	}
	if !l.measured(ended) {
		return
	}
	switch f {
	case acknowledged:
		t.acknowledged++
		_ = t.times.RecordValue(ended.Sub(began).Microseconds()) // within its range: the request times out before
	case gaveUp:
		t.gaveUp++
	case refused:
		t.refused++
		t.note(err)
	case unknown:
		t.unknown++
		t.note(err)
	}
}

// read counts a read as stale when it shows less than was acknowledged, to
// whomever, before it began. What was acknowledged while it was under way may be
// missing from it.
func (l *load) read(ctx context.Context, t *tally, aggregate int) {
	floor := l.ledger.floor(aggregate)
	version, _, err := l.client.read(ctx, accountID(aggregate))
	if !l.measured(time.Now()) {
		return
	}
	if err != nil {
		t.failedReads++
		t.note(err)
		return
	}
	t.reads++
	if version < floor {
		t.stale++
		t.behind = max(t.behind, floor-version)
	}
}

func (t *tally) note(err error) {
	if t.firstErr == nil {
		t.firstErr = err
	}
}
