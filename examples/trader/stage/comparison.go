package stage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/load"
	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
	"github.com/ganglion-go/ganglion/examples/trader/unrouted"
)

// How the two ways are compared.
const (
	// AccountsMax is the highest number of accounts.
	AccountsMax = 1000

	rounds      = 2
	roundFor    = 10 * time.Second
	rivalUsers  = 16 // at the same time, at either way
	readEvery   = 5  // commands of a user between two reads
	pointEvery  = time.Second
	firstAmount = 1_000_000
	amountMax   = 9
	prepareMax  = 60 * time.Second
	requestMax  = 10 * time.Second
)

// comparison runs the same deposits and withdrawals over our nodes and over web servers
// without routing, in turns. It is safe for concurrent use.
type comparison struct {
	e *Engine

	mu     sync.Mutex
	cancel context.CancelFunc // nil: none runs
	done   time.Time          // the newest one ended, at its end
	now    page.Compare
}

func newComparison(e *Engine) *comparison {
	return &comparison{e: e, now: page.Compare{Max: AccountsMax, Rounds: rounds, Span: rounds * roundFor}}
}

func (c *comparison) running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cancel != nil
}

// finished returns when a comparison came to its end last.
func (c *comparison) finished() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

func (c *comparison) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
}

// view returns what the page shows. What it points to is not changed afterwards.
func (c *comparison) view() page.Compare {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *comparison) change(do func(now *page.Compare)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do(&c.now)
}

// startComparison stops the load and begins a comparison.
func (e *Engine) startComparison(accounts int) (string, error) {
	e.trading.stop()
	e.mu.Lock()
	life := e.life
	e.mu.Unlock()
	if life == nil {
		return "", errEnding
	}
	c := e.rivals
	ctx, cancel := context.WithCancel(life)
	c.mu.Lock()
	c.cancel = cancel
	c.now = page.Compare{Phase: page.Preparing, Rounds: rounds, Accounts: accounts, Max: AccountsMax, Span: rounds * roundFor}
	c.mu.Unlock()
	if !e.begun(func(context.Context) {
		defer func() {
			cancel()
			c.mu.Lock()
			c.cancel = nil
			c.mu.Unlock()
		}()
		c.run(ctx, accounts)
	}) {
		cancel()
		return "", errEnding
	}
	e.journal.note(kindPlain, "the two ways are compared, on %d accounts", accounts)
	return fmt.Sprintf("The same load goes over both ways in turns, %d rounds of %s each, on %d accounts.", rounds, round(roundFor), accounts), nil
}

// run runs a comparison to its end.
func (c *comparison) run(ctx context.Context, accounts int) {
	err := c.compare(ctx, accounts)
	switch {
	case ctx.Err() != nil:
		c.change(func(now *page.Compare) { now.Phase, now.Problem = page.Idle, "It was stopped." })
	case err != nil:
		c.change(func(now *page.Compare) { now.Phase, now.Problem = page.Idle, err.Error() })
		c.e.journal.note(kindWrong, "the comparison was given up: %v", err)
	default:
		c.change(func(now *page.Compare) { now.Phase, now.Ends, c.done = page.Done, time.Time{}, time.Now() })
		now := c.view()
		if now.Ours.Orders != nil && now.Other.Orders != nil {
			c.e.journal.note(kindPlain, "compared on %d accounts: %.0f orders a second routed, %.0f without routing", accounts, *now.Ours.Orders, *now.Other.Orders)
		}
	}
}

func (c *comparison) compare(ctx context.Context, accounts int) error {
	if err := c.e.follow(ctx); err != nil {
		return err
	}
	preparing, cancel := context.WithTimeout(ctx, prepareMax)
	defer cancel()
	if !c.e.await(preparing, prepareMax, func() bool { return c.e.whole(preparing) }) {
		return errNotWhole
	}
	bases, stop, err := c.e.cfg.Machine.StartOther(preparing)
	if err != nil {
		return fmt.Errorf("start the web servers without routing: %w", err)
	}
	defer stop()
	run := fmt.Sprintf("%x", time.Now().UnixMilli())
	ours, other := newOurs(c.e, run), newOther(c.e, bases, run)
	defer ours.client.Close()
	defer other.http.CloseIdleConnections()
	for _, w := range []way{ours, other} {
		if err := prepareWay(preparing, w, accounts); err != nil {
			return fmt.Errorf("make the accounts: %w", err)
		}
	}
	counts := [2]*tally{{}, {}}
	for round := 1; round <= rounds; round++ {
		for i, w := range []way{ours, other} {
			phase := []string{page.OursRuns, page.OtherRuns}[i]
			c.change(func(now *page.Compare) { now.Phase, now.Round, now.Ends = phase, round, time.Now().Add(roundFor) })
			c.turn(ctx, w, counts[i], accounts, func(now *page.Compare, shown page.Way) {
				if i == 0 {
					now.Ours = shown
				} else {
					now.Other = shown
				}
			})
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

var errNotWhole = errors.New("both nodes have to be up for a fair comparison")

// whole reports whether all nodes are up and have partitions.
func (e *Engine) whole(ctx context.Context) bool {
	owners, _, err := e.readOwners(ctx)
	for _, n := range e.cfg.Nodes {
		state, _ := e.stateOf(ctx, n.Name)
		if err != nil || state != page.Up || !slices.Contains(owners, n.Name) {
			return false
		}
	}
	return true
}

// prepareWay makes all accounts, each with enough for what is withdrawn.
func prepareWay(ctx context.Context, w way, accounts int) error {
	all := make([]int, accounts)
	for i := range all {
		all[i] = i
	}
	return each(ctx, all, w.create)
}

// turn runs one way for a round, and publishes its figures each second.
func (c *comparison) turn(ctx context.Context, w way, sum *tally, accounts int, publish func(*page.Compare, page.Way)) {
	ctx, cancel := context.WithTimeout(ctx, roundFor)
	defer cancel()
	users := make(chan struct{})
	var all sync.WaitGroup
	for range rivalUsers {
		all.Go(func() { use(ctx, w, sum, accounts) })
	}
	go func() {
		defer close(users)
		all.Wait()
	}()
	tick := time.NewTicker(pointEvery)
	defer tick.Stop()
	begin, conflicts := time.Now(), w.conflicts(ctx)
	last, before := begin, conflicts
	point := func() {
		now := time.Now()
		after := max(before, w.conflicts(context.WithoutCancel(ctx)))
		sum.point(now.Sub(last), float64(after-before))
		last, before = now, after
		shown := sum.view()
		c.change(func(now *page.Compare) { publish(now, shown) })
	}
	for {
		select {
		case <-tick.C:
			point()
		case <-users:
			point()
			return
		}
	}
}

// use is one user: commands to random accounts, and now and then a read of one that was
// just changed.
func use(ctx context.Context, w way, sum *tally, accounts int) {
	for n := 1; ctx.Err() == nil; n++ {
		account, amount := rand.IntN(accounts), 1+rand.Int64N(amountMax) //nolint:gosec // no secret
		if n%2 == 0 {
			amount = -amount
		}
		began := time.Now()
		version, err := w.change(context.WithoutCancel(ctx), account, amount)
		sum.command(account, version, time.Since(began), err)
		if n%readEvery != 0 {
			continue
		}
		floor := sum.floor(account)
		if version, err := w.read(context.WithoutCancel(ctx), account); err == nil {
			sum.read(version < floor)
		}
	}
}

// way is one of the two.
type way interface {
	create(ctx context.Context, account int) error
	// change deposits, or withdraws what is less than 0, and returns the account's version.
	change(ctx context.Context, account int, amount int64) (int64, error)
	read(ctx context.Context, account int) (version int64, err error)
	// conflicts returns how many saves have lost up to now; as many as before, if nobody says.
	conflicts(ctx context.Context) int64
}

// ours is the way over our nodes.
type ours struct {
	e      *Engine
	client *load.Client
	run    string
	sent   atomic.Int64

	mu   sync.Mutex
	seen map[string]float64 // of conflicts, by node
}

func newOurs(e *Engine, run string) *ours {
	return &ours{e: e, client: e.trading.client(patienceMax), run: run, seen: map[string]float64{}}
}

func (o *ours) id(account int) actor.Address {
	return domain.Portfolios.ID(fmt.Sprintf("compare-%s-%d", o.run, account))
}

// key returns the id of the next command. It tells its time, as those of clients do.
func (o *ours) key() actor.CommandID {
	return actor.DeriveID(time.Now(), o.run, strconv.FormatInt(o.sent.Add(1), 10))
}

func (o *ours) create(ctx context.Context, account int) error {
	to := o.id(account)
	_, err := o.client.Command(ctx, to, o.key(), "CreatePortfolio", domain.CreatePortfolio{UserID: to.ID})
	if err == nil {
		_, err = o.change(ctx, account, firstAmount)
	}
	return err
}

func (o *ours) change(ctx context.Context, account int, amount int64) (int64, error) {
	name, command := "DepositCash", any(domain.DepositCash{Amount: amount})
	if amount < 0 {
		name, command = "WithdrawCash", domain.WithdrawCash{Amount: -amount}
	}
	r, err := o.client.Command(ctx, o.id(account), o.key(), name, command)
	return int64(r.Version), err //nolint:gosec // a count of events
}

func (o *ours) read(ctx context.Context, account int) (int64, error) {
	version, err := o.client.Version(ctx, o.id(account))
	return int64(version), err //nolint:gosec // a count of events
}

func (o *ours) conflicts(ctx context.Context) (total int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.e.cfg.Nodes {
		if s, err := o.e.sampler.scrape(ctx, n.Admin); err == nil {
			o.seen[n.Name] = s.sum(metricDiscarded, conflicts)
		}
		total += int64(o.seen[n.Name])
	}
	return total
}

// errFailed is what became of a command that was not carried out, or of which nobody knows.
var errFailed = errors.New("the command failed")

// rivalID names an account of the other way.
func rivalID(run string, account int) string { return fmt.Sprintf("%s-%d", run, account) }

// figuresOf reads the counters of the other way's servers.
func figuresOf(ctx context.Context, s *sampler, base string) (unrouted.Figures, error) {
	var f unrouted.Figures
	err := s.json(ctx, strings.TrimSuffix(base, "/")+"/counts", &f)
	return f, err
}
