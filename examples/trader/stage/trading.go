package stage

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/load"
	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

// How users behave.
const (
	traders      = 32 // at the same time
	cancelShare  = 0.1
	attemptMax   = 10 * time.Second
	patienceMax  = 2 * time.Minute // for all attempts of one command
	settleWithin = 45 * time.Second
)

// trading is the load of users who trade. It is safe for concurrent use.
type trading struct {
	e     *Engine
	meter meter

	mu     sync.Mutex
	rate   int
	since  time.Time
	quit   chan struct{} // ends the run; nil: none runs
	driver *load.Driver  // of the newest run
	ended  chan struct{} // closed when the newest run has ended
}

func newTrading(e *Engine) *trading { return &trading{e: e} }

func actorID(id string) actor.CommandID { return actor.CommandID(id) }

// config is that of a load of users who trade, or of others.
func (t *trading) config(patience time.Duration, trades bool) load.Config {
	watch := t.e.evidence.watch(trades)
	known := watch.Ended
	watch.Ended = func(e load.Ended) {
		known(e)
		if e.Err == nil && trades {
			t.meter.add(e.Began.Add(e.Took), e.Took)
		}
	}
	return load.Config{
		URLs: []string{t.e.cfg.Balancer}, Users: t.e.cfg.Users, Books: t.e.cfg.Books, Clients: traders, Duration: LoadMax, CancelShare: cancelShare,
		Lane: load.LaneDurable, RequestTimeout: attemptMax, ResolveWithin: patience, SettleWithin: settleWithin, Watch: watch,
	}
}

// client returns one that the evidence watches, of somebody who does not trade.
func (t *trading) client(patience time.Duration) *load.Client {
	return load.NewClient(t.config(patience, false), load.NewRecorder())
}

// start has users trade, or changes their rate. false: the engine ends.
func (t *trading) start(rate int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopLocked()
	cfg, recorder, began := t.config(patienceMax, true), load.NewRecorder(), time.Now()
	cfg.Rate, cfg.Seed = float64(rate), uint64(began.UnixNano()) //nolint:gosec // any number does
	client := load.NewClient(cfg, recorder)
	driver := load.NewDriver(cfg, client, recorder, began)
	quit, ended := make(chan struct{}), make(chan struct{})
	if !t.e.begun(func(ctx context.Context) {
		defer close(ended)
		defer client.Close()
		driver.Run(ctx, quit)
		t.finished(ctx, quit, recorder)
	}) {
		return false
	}
	t.rate, t.since, t.quit, t.driver, t.ended = rate, began, quit, driver, ended
	t.e.evidence.trade(began, true)
	return true
}

// finished notes how a run has ended.
func (t *trading) finished(ctx context.Context, quit chan struct{}, recorder *load.Recorder) {
	if n := recorder.Wrong(); n > 0 && ctx.Err() == nil {
		t.e.journal.note(kindWrong, "the load met %d wrong answers, the first: %s", n, recorder.FirstFault())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.quit == quit {
		t.quit = nil
		if ctx.Err() == nil {
			t.e.journal.note(kindPlain, "the load has ended, after %s", round(time.Since(t.since)))
		}
	}
}

// stop ends the load. What has begun is finished. It is idempotent.
func (t *trading) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopLocked()
	t.e.evidence.trade(time.Now(), false)
}

func (t *trading) stopLocked() {
	if t.quit != nil {
		close(t.quit)
		t.quit = nil
	}
}

func (t *trading) running() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.quit != nil
}

// settle stops the load and waits until what it has begun is at rest.
func (t *trading) settle(ctx context.Context) error {
	t.stop()
	t.mu.Lock()
	driver, ended := t.driver, t.ended
	t.mu.Unlock()
	if driver == nil {
		return nil
	}
	select {
	case <-ended:
	case <-ctx.Done():
		return fmt.Errorf("end the load: %w", context.Cause(ctx))
	}
	_, err := driver.Settle(ctx)
	return err
}

// view is the load as the page shows it.
func (t *trading) view(now time.Time) page.Load {
	t.mu.Lock()
	l := page.Load{Running: t.quit != nil, Wanted: t.rate, Max: RateMax, Since: t.since}
	t.mu.Unlock()
	if l.Running {
		f := t.meter.read(now, l.Since)
		l.Orders, l.P50, l.P99 = f.rate, f.p50, f.p99
	}
	return l
}
