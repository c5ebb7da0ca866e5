package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// round is one measurement of one scenario.
type round struct {
	seconds float64
	*tally
	servers counts
	store   yardstick
}

func (r *round) perSecond() float64 { return float64(r.acknowledged) / r.seconds }

// perCommand spreads a count over the acknowledged commands.
func (r *round) perCommand(n int64) float64 { return float64(n) / float64(max(r.acknowledged, 1)) }

// measure runs all scenarios in turns.
func measure(ctx context.Context, f *flags) (*report, error) {
	e, err := openEnvironment(ctx, f)
	if err != nil {
		return nil, err
	}
	defer e.close(ctx)
	all := scenarios(f)
	rounds := make([][]*round, len(all))
	for n := range f.Rounds {
		for i, s := range all {
			_, _ = fmt.Fprintf(os.Stderr, "round %d/%d  %d aggregates, %d servers, %s\n", n+1, f.Rounds, s.aggregates, s.servers, s.way.Title)
			r, err := s.measure(ctx, e, f)
			if err != nil {
				return nil, fmt.Errorf("%d aggregates, %d servers, %s: %w", s.aggregates, s.servers, s.way.Title, err)
			}
			rounds[i] = append(rounds[i], r)
		}
	}
	return newReport(f, e, all, rounds), nil
}

// measure starts servers and balancer, puts the load on them, and checks what is
// left in the store.
func (s *scenario) measure(ctx context.Context, e *environment, f *flags) (_ *round, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.Warmup+f.Duration+4*time.Minute)
	defer cancel()
	if err := e.settle(ctx); err != nil {
		return nil, err
	}
	fl, err := s.way.start(ctx, e, f, s.servers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, fl.Close(ctx)) }()
	balancer := newBalancer(fl.targets, f.InFlight)
	base, err := fl.serve(ctx, balancer)
	if err != nil {
		return nil, err
	}
	c := newClient(base.String(), s.way.query, f.InFlight)
	defer c.close()
	ledger := newLedger(s.aggregates)
	r, err := runLoad(ctx, f, c, ledger, func(ctx context.Context) (counts, yardstick, error) {
		servers, err := fl.counts(ctx)
		if err != nil {
			return counts{}, yardstick{}, err
		}
		store, err := e.yardstick(ctx)
		return servers, store, err
	})
	if err != nil {
		return nil, err
	}
	if err := audit(ctx, e.client.Database(database), ledger); err != nil {
		return nil, err
	}
	if s.way.cached {
		return r, nil
	}
	if r.stale > 0 {
		return nil, fmt.Errorf("%w: %d of %d reads were stale", errAudit, r.stale, r.reads)
	}
	return r, auditReads(ctx, c, ledger)
}

// runLoad runs the clients, and looks at the counters when the measured time
// begins and when it ends.
func runLoad(ctx context.Context, f *flags, c *client, ledger *ledger, look func(context.Context) (counts, yardstick, error)) (*round, error) {
	start := time.Now().Add(f.Warmup)
	l := &load{client: c, ledger: ledger, inFlight: f.InFlight, readEvery: f.ReadEvery, start: start, end: start.Add(f.Duration)}
	done := make(chan *tally, 1)
	go func() { done <- l.run(ctx) }()
	servers, store, lookErr := lookAt(ctx, l.start, look)
	serversEnd, storeEnd, endErr := lookAt(ctx, l.end, look)
	t := <-done // all clients have ended
	if err := errors.Join(lookErr, endErr); err != nil {
		return nil, fmt.Errorf("counters: %w", err)
	}
	if t.acknowledged == 0 {
		return nil, fmt.Errorf("no command succeeded: %w", t.firstErr)
	}
	if t.firstErr != nil {
		_, _ = fmt.Fprintf(os.Stderr, "  %d refused, %d unknown, %d failed reads, for example: %v\n", t.refused, t.unknown, t.failedReads, t.firstErr)
	}
	return &round{seconds: f.Duration.Seconds(), tally: t, servers: serversEnd.minus(servers), store: storeEnd.minus(store)}, nil
}

func lookAt(ctx context.Context, at time.Time, look func(context.Context) (counts, yardstick, error)) (counts, yardstick, error) {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return look(ctx)
	case <-ctx.Done():
		return counts{}, yardstick{}, context.Cause(ctx)
	}
}
