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
	outcomeNo = "nothing to sell"
	wishesMax = 100_000 // beyond it, a transaction is read when it trades
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
	wishes map[string]*open // of transactions that may still trade
}

// open is a transaction that may still trade.
type open struct {
	wish    wish
	settled int64
}

// NewDriver returns a driver. began tells runs apart.
func NewDriver(cfg Config, client *Client, recorder *Recorder, began time.Time) *Driver {
	return &Driver{
		cfg: cfg, client: client, recorder: recorder, began: began,
		run:    fmt.Sprintf("%x-%x", began.UnixMilli(), cfg.Seed&0xffff),
		wishes: map[string]*open{},
	}
}

// Run starts transactions until the configured time has passed or stop ends,
// and takes every started one to its end. It returns early only when ctx ends.
func (d *Driver) Run(ctx context.Context, stop <-chan struct{}) {
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
		outcome, err = d.walk(ctx, w)
	}
	if err != nil {
		outcome = "wrong"
		if !errors.Is(err, errWrong) {
			d.recorder.fault(err.Error())
		}
	}
	d.recorder.transaction(time.Since(due), outcome)
}

// wish returns what the user whose turn it is wants. One with more than 10000
// cents buys, another sells; ok is false for one that has nothing to sell.
func (d *Driver) wish(ctx context.Context, n int64, random *rand.Rand) (_ wish, ok bool, err error) {
	user := int(n % int64(d.cfg.Users))
	w := wish{
		id:        fmt.Sprintf("tx-%s-%d", d.run, n),
		side:      domain.SideBuy,
		portfolio: portfolioID(user),
		book:      bookID(random.IntN(d.cfg.Books)),
		price:     1 + random.Int64N(priceMax),
		count:     1 + random.Int64N(countMax),
		cancel:    random.Float64() < d.cfg.CancelShare,
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

// register keeps what settling a trade of this transaction needs.
func (d *Driver) register(w wish) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.wishes) < wishesMax {
		d.wishes[w.id] = &open{wish: w}
	}
}

// settled forgets a transaction that is executed in full.
func (d *Driver) settled(id string, count int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.wishes[id]; w != nil {
		if w.settled += count; w.settled >= w.wish.count {
			delete(d.wishes, id)
		}
	}
}

func (d *Driver) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.wishes, id)
}

// lookup returns a transaction: of this run, or as its aggregate has it.
func (d *Driver) lookup(ctx context.Context, id string) (wish, error) {
	d.mu.Lock()
	known := d.wishes[id]
	d.mu.Unlock()
	if known != nil {
		return known.wish, nil
	}
	return d.load(ctx, id)
}

func (d *Driver) load(ctx context.Context, id string) (wish, error) {
	var t domain.TransactionView
	if err := d.steps(id).read(ctx, domain.Transactions.ID(id), &t); err != nil {
		return wish{}, err
	}
	return wish{
		id: id, side: t.Side, portfolio: domain.Portfolios.ID(t.PortfolioID), book: domain.OrderBooks.ID(t.OrderBookID),
		count: t.Count, price: t.Price,
	}, nil
}
