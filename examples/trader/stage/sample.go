package stage

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/balancer"
	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
	"github.com/ganglion-go/ganglion/store"
)

// sample is what was measured last. A field is replaced as a whole, and never changed.
type sample struct {
	nodes    map[string]pair
	parts    []Part
	balancer *page.Balancer
	passed   reading // of the balancer
	nats     []page.Server
	mongo    []page.Server
	owners   []string // by partition; empty: nobody
	sessions []store.Session
	moved    []time.Time
	traffic  [2]trafficCount
}

// reading is a counter at a moment.
type reading struct {
	at    time.Time
	total int64
}

type trafficCount struct {
	at     time.Time
	counts []int64
}

// balancerFigures is what the balancer answers.
type balancerFigures struct {
	Pages []balancer.Figures `json:"pages"`
	API   []balancer.Figures `json:"api"`
}

// take measures what is due at a tick.
func (e *Engine) take(ctx context.Context, n int) sample {
	e.mu.Lock()
	s := e.sample
	e.mu.Unlock()
	s.parts = e.cfg.Machine.Parts()
	var work sync.WaitGroup
	if n%heavyEvery == 0 {
		work.Go(func() { s.nodes = e.takeNodes(ctx, s.nodes) })
		work.Go(func() { s.balancer, s.passed = e.takeBalancer(ctx, s.passed) })
		work.Go(func() {
			if owners, sessions, err := e.readOwners(ctx); err == nil {
				s.moved = moves(s.owners, owners, s.moved, time.Now())
				s.owners, s.sessions = owners, sessions
			}
		})
		s.traffic = [2]trafficCount{s.traffic[1], {time.Now(), e.evidence.traffic()}}
	}
	if n%slowEvery == 0 {
		work.Go(func() { s.nats = e.natsFigures(ctx) })
		work.Go(func() { s.mongo = e.mongoFigures(ctx) })
	}
	work.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sample = s
	return s
}

// takeNodes scrapes all nodes that run. One that does not answer has no figures, until it
// has answered again.
func (e *Engine) takeNodes(ctx context.Context, before map[string]pair) map[string]pair {
	var mu sync.Mutex
	all := map[string]pair{}
	var work sync.WaitGroup
	for _, n := range e.cfg.Nodes {
		work.Go(func() { e.stateOf(ctx, n.Name) })
		if p := e.part(n.Name); p.PID == 0 || p.Paused {
			continue
		}
		work.Go(func() {
			now, err := e.sampler.scrape(ctx, n.Admin)
			last := before[n.Name].after
			if last == nil {
				last = before[n.Name].before
			}
			if err != nil {
				now = nil
			}
			mu.Lock()
			defer mu.Unlock()
			all[n.Name] = pair{last, now}
		})
	}
	work.Wait()
	return all
}

func (e *Engine) takeBalancer(ctx context.Context, before reading) (*page.Balancer, reading) {
	b := &page.Balancer{State: page.Up, Where: strings.TrimPrefix(e.cfg.Market, "http://")}
	part := e.part("balancer")
	b.Since = part.Since
	var f balancerFigures
	if part.PID == 0 {
		b.State = page.Dead
		return b, reading{}
	}
	if e.sampler.json(ctx, e.cfg.Balancer+"/balancer", &f) != nil {
		b.State = page.Starting
		return b, reading{}
	}
	now := reading{at: time.Now()}
	for _, one := range slices.Concat(f.Pages, f.API) {
		now.total += one.Requests
	}
	if seconds := now.at.Sub(before.at).Seconds(); !before.at.IsZero() && now.total >= before.total && seconds > 0 {
		rate := float64(now.total-before.total) / seconds
		b.Rate = &rate
	}
	return b, now
}

const readOwnersMax = 3 * time.Second

// readOwners reads from the store who owns which partition. Claims are read before
// sessions: a claim whose session is missing from the later reading has no owner.
func (e *Engine) readOwners(ctx context.Context) ([]string, []store.Session, error) {
	s, err := e.opened(ctx)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readOwnersMax)
	defer cancel()
	claims, err := s.Claims(ctx)
	if err != nil {
		return nil, nil, err
	}
	sessions, err := s.Sessions(ctx)
	if err != nil {
		return nil, nil, err
	}
	return ownersOf(claims, sessions), sessions, nil
}

// ownersOf returns the owner of each partition.
func ownersOf(claims []store.Claim, sessions []store.Session) []string {
	alive := map[string]bool{}
	for _, s := range sessions {
		alive[s.Incarnation] = !s.Dead
	}
	most := 0
	for _, c := range claims {
		most = max(most, int(c.Partition)+1)
	}
	owners := make([]string, min(most, partitionsMost))
	for _, c := range claims {
		if alive[c.Session] && int(c.Partition) < len(owners) {
			owners[c.Partition] = c.Owner
		}
	}
	return owners
}

// moves returns when each partition got another owner last.
func moves(before, after []string, moved []time.Time, now time.Time) []time.Time {
	next := make([]time.Time, len(after))
	copy(next, moved)
	for p := range after {
		if p < len(before) && before[p] != after[p] {
			next[p] = now
		}
	}
	return next
}
