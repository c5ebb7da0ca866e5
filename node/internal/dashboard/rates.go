package dashboard

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	lookFresh  = 800 * time.Millisecond // for which all who look share a look
	lookRecent = 4 * time.Second        // for which it does where it is not what is asked about
	rateWindow = 10 * time.Second       // over which rates are taken
	lookStale  = 2 * time.Minute        // a look that is older is of no use for a rate
)

// looks are the last looks at the cluster. Rates are what counters gained between two of them.
type looks struct {
	now  func() time.Time
	turn chan struct{} // whoever is in it looks

	mu   sync.Mutex
	past []*Look // oldest first
}

// Look is the cluster with what its counters gained.
type Look struct {
	Cluster
	at   time.Time
	base map[string]*Figures // by process: those of an earlier look
}

func newLooks(now func() time.Time) *looks { return &looks{now: now, turn: make(chan struct{}, 1)} }

// look returns a look at the cluster that is no older than a moment.
func (l *looks) look(ctx context.Context, s Source) (*Look, error) {
	if last := l.fresh(); last != nil {
		return last, nil
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		if last := l.last(); last != nil {
			return last, nil
		}
		return nil, context.Cause(ctx)
	}
	if last := l.fresh(); last != nil { // somebody looked while we waited
		return last, nil
	}
	look := &Look{Cluster: s.Cluster(ctx)}
	slices.SortStableFunc(look.Members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Opened.Compare(b.Opened))
	})
	return l.add(look), nil
}

// recent returns a look that is not old, for pages whose own part takes its time.
func (l *looks) recent(ctx context.Context, s Source) (*Look, error) {
	if last := l.last(); last != nil && l.now().Sub(last.at) < lookRecent {
		return last, nil
	}
	return l.look(ctx, s)
}

func (l *looks) last() *Look {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.past) == 0 {
		return nil
	}
	return l.past[len(l.past)-1]
}

func (l *looks) fresh() *Look {
	if last := l.last(); last != nil && l.now().Sub(last.at) < lookFresh {
		return last
	}
	return nil
}

// add keeps a look for later rates, and gives it those of its own.
func (l *looks) add(look *Look) *Look {
	l.mu.Lock()
	defer l.mu.Unlock()
	look.at = l.now()
	l.past = slices.DeleteFunc(l.past, func(earlier *Look) bool {
		age, newest := look.at.Sub(earlier.at), l.past[len(l.past)-1]
		// One that nobody else reaches back from is better than none.
		return age > lookStale || age > rateWindow && (earlier != newest)
	})
	look.base = map[string]*Figures{}
	for _, earlier := range l.past {
		for i := range earlier.Members {
			if f := earlier.Members[i].Figures; f != nil && look.base[f.Process] == nil {
				look.base[f.Process] = f
			}
		}
	}
	l.past = append(l.past, look)
	return look
}

// Live returns the members that are not dead, and Silent those of them that have no figures.
func (l *Look) Live() []*Member {
	var live []*Member
	for i := range l.Members {
		if l.Members[i].State != MemberDead {
			live = append(live, &l.Members[i])
		}
	}
	return live
}

// Silent returns the live members without figures.
func (l *Look) Silent() []*Member {
	return slices.DeleteFunc(l.Live(), func(m *Member) bool { return m.Figures != nil })
}

// Traffic is what messages gained, per second.
type Traffic struct {
	Known               bool // something was measured twice
	Calls               float64
	OK, Refused, Failed float64
	P50, P99            time.Duration
	Beyond              bool // p99 is above the largest bound

	buckets []uint64
}

// latencyBoundsLen is the number of bounds of latencies.
const latencyBoundsLen = 18

// LatencyBounds returns the upper bounds of the buckets of latencies: from 0.25 ms to 32 s.
func LatencyBounds() []time.Duration {
	bounds := make([]time.Duration, latencyBoundsLen)
	for i := range bounds {
		bounds[i] = 250 * time.Microsecond << i
	}
	return bounds
}

// add counts what one node gained since an earlier look.
func (t *Traffic) add(now, before *CommandFigures, over time.Duration) {
	if over <= 0 {
		return
	}
	if before == nil {
		before = &CommandFigures{}
	}
	t.Known = true
	rate := func(now, before uint64) float64 { return float64(gained(now, before)) / over.Seconds() }
	t.OK += rate(now.OK, before.OK)
	t.Refused += rate(now.Refused, before.Refused)
	t.Failed += rate(now.Failed, before.Failed)
	t.Calls = t.OK + t.Refused + t.Failed
	if len(now.Buckets) != latencyBoundsLen+1 {
		return // of a build that measures otherwise, or nothing yet
	}
	if t.buckets == nil {
		t.buckets = make([]uint64, latencyBoundsLen+1)
	}
	for i, n := range now.Buckets {
		was := uint64(0)
		if i < len(before.Buckets) {
			was = before.Buckets[i]
		}
		t.buckets[i] += gained(n, was)
	}
}

func gained(now, before uint64) uint64 {
	if now < before { // it cannot be; a rate of nothing is better than one of all numbers
		return 0
	}
	return now - before
}

// join adds what was measured elsewhere.
func (t *Traffic) join(o *Traffic) {
	t.Known = t.Known || o.Known
	t.OK, t.Refused, t.Failed, t.Calls = t.OK+o.OK, t.Refused+o.Refused, t.Failed+o.Failed, t.Calls+o.Calls
	if o.buckets == nil {
		return
	}
	if t.buckets == nil {
		t.buckets = make([]uint64, len(o.buckets))
	}
	for i, n := range o.buckets {
		t.buckets[i] += n
	}
}

// measure finds the quantiles.
func (t *Traffic) measure() {
	t.P50, _ = quantile(t.buckets, 0.5)
	t.P99, t.Beyond = quantile(t.buckets, 0.99)
}

// quantile estimates a quantile from counts in buckets, evenly within each; beyond: it is
// above the last bound, which is returned.
func quantile(buckets []uint64, q float64) (d time.Duration, beyond bool) {
	total := uint64(0)
	for _, n := range buckets {
		total += n
	}
	if total == 0 {
		return 0, false
	}
	rank := math.Max(q*float64(total), 1)
	bounds, low, seen := LatencyBounds(), time.Duration(0), float64(0)
	for i, n := range buckets {
		if i == len(bounds) {
			return low, true
		}
		if n > 0 && seen+float64(n) >= rank {
			return low + time.Duration((rank-seen)/float64(n)*float64(bounds[i]-low)), false
		}
		seen += float64(n)
		low = bounds[i]
	}
	return low, true
}

// commandKey names a command of a kind.
type commandKey struct{ kind, command string }

// byCommand indexes figures.
func byCommand(f *Figures) map[commandKey]*CommandFigures {
	all := map[commandKey]*CommandFigures{}
	if f == nil {
		return all
	}
	for i := range f.Commands {
		c := &f.Commands[i]
		all[commandKey{c.Kind, c.Command}] = c
	}
	return all
}

// since returns the earlier figures of a node's process, and the time between; nil: there are
// none, or they are the same ones.
func (l *Look) since(f *Figures) (before *Figures, over time.Duration) {
	if before = l.base[f.Process]; before == nil || f.Process == "" || f.Uptime <= before.Uptime {
		return nil, 0
	}
	return before, f.Uptime - before.Uptime
}

// traffic returns what each command gained at a node.
func (l *Look) traffic(f *Figures) map[commandKey]*Traffic {
	all := map[commandKey]*Traffic{}
	before, over := l.since(f)
	was := byCommand(before)
	for key, now := range byCommand(f) {
		t := &Traffic{}
		t.add(now, was[key], over)
		all[key] = t
	}
	return all
}
