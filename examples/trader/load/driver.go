package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

const (
	buysAbove = 10_000 // cents of free cash
	countMax  = 50
	priceMax  = 10
	recentMax = 200 // turns back, for the choice of what is cancelled
)

// Driver makes the load. It is used for one run.
type Driver struct {
	cfg      Config
	client   *Client
	recorder *Recorder
	run      string // makes ids unique across runs
	began    time.Time
	started  time.Time // Run
	turns    atomic.Int64

	mu     sync.Mutex
	sides  []started       // by turn: a byte for each transaction of the run
	before []actor.Address // sagas of orders that were there before the run
}

// started is what a turn has begun.
type started uint8

const (
	startedNothing started = iota
	startedBuy
	startedSell
)

// NewDriver returns a driver. began tells runs apart.
func NewDriver(cfg Config, client *Client, recorder *Recorder, began time.Time) *Driver {
	return &Driver{
		cfg: cfg, client: client, recorder: recorder, began: began,
		run: fmt.Sprintf("%x-%x", began.UnixMilli(), cfg.Seed&0xffff),
	}
}

// Run starts transactions until the configured time has passed or stop ends. What
// they lead to is waited for by [Driver.Settle]. It returns early only when ctx ends.
func (d *Driver) Run(ctx context.Context, stop <-chan struct{}) {
	if err := d.remember(ctx); err != nil {
		return // counted
	}
	d.started = time.Now()
	starting, cancel := context.WithTimeout(ctx, d.cfg.Duration)
	defer cancel()
	var clients sync.WaitGroup
	for range d.cfg.Clients {
		clients.Go(func() { d.clientLoop(ctx, starting) })
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		clients.Wait()
	}()
	select {
	case <-done:
	case <-stop:
		cancel()
		<-done
	}
}

func (d *Driver) clientLoop(ctx, starting context.Context) {
	for starting.Err() == nil {
		n := d.turns.Add(1) - 1
		due := d.due(n)
		wait := time.NewTimer(time.Until(due))
		select {
		case <-starting.Done():
			wait.Stop()
			return
		case <-wait.C:
			d.turn(ctx, n, due)
		}
	}
}

// due returns when turn n is to begin. With a rate that is fixed beforehand, so
// that the time for which a turn waits for a free client counts as latency.
func (d *Driver) due(n int64) time.Time {
	if d.cfg.Rate == 0 {
		return time.Now()
	}
	return d.started.Add(time.Duration(float64(n) / d.cfg.Rate * float64(time.Second)))
}

// turn is one user's turn: what it wishes, and the walk.
func (d *Driver) turn(ctx context.Context, n int64, due time.Time) {
	random := rand.New(rand.NewPCG(d.cfg.Seed, uint64(n)))
	w, ok, err := d.wish(ctx, n, random)
	outcome := outcomeNo
	if err == nil && ok {
		outcome, err = d.walk(ctx, n, w)
	}
	if err != nil {
		outcome = "wrong"
		if !errors.Is(err, errWrong) {
			d.recorder.fault(err.Error())
		}
	}
	d.recorder.transaction(time.Since(due), outcome)
}

// id names the transaction of a turn.
func (d *Driver) id(n int64) string { return fmt.Sprintf("tx-%s-%d", d.run, n) }

// wish returns what the user whose turn it is wants. One with more than 10000
// cents buys, another sells; ok is false for one that has nothing to sell.
func (d *Driver) wish(ctx context.Context, n int64, random *rand.Rand) (_ wish, ok bool, err error) {
	user := int(n % int64(d.cfg.Users))
	w := wish{
		id:        d.id(n),
		side:      domain.SideBuy,
		portfolio: portfolioID(user),
		book:      bookID(random.IntN(d.cfg.Books)),
		price:     1 + random.Int64N(priceMax),
		count:     1 + random.Int64N(countMax),
	}
	if random.Float64() < d.cfg.CancelShare {
		w.cancel = d.id(max(0, n-random.Int64N(recentMax)))
		if random.IntN(2) == 0 {
			w.cancel = w.id // while it is being reserved, confirmed, placed
		}
	}
	var portfolio domain.PortfolioView
	if err := d.steps(w.id).read(ctx, w.portfolio, &portfolio); err != nil {
		return w, false, err
	}
	if portfolio.Cash > buysAbove {
		return w, true, nil
	}
	w.side = domain.SideSell
	free := portfolio.Items[w.book.ID]
	w.count = min(w.count, free)
	return w, free > 0, nil
}

// steps returns a stepper whose keys are UUIDv7s made from the walk's id: the
// same step of the same walk has the same key, whoever makes it.
func (d *Driver) steps(walk string) *stepper {
	return &stepper{client: d.client, recorder: d.recorder, keys: func(step string) actor.CommandID {
		return actor.DeriveID(d.began, d.run, walk, step)
	}}
}

// note keeps what a turn starts.
func (d *Driver) note(n int64, side string) {
	what := startedBuy
	if side == domain.SideSell {
		what = startedSell
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for int64(len(d.sides)) <= n {
		d.sides = append(d.sides, startedNothing)
	}
	d.sides[n] = what
}
