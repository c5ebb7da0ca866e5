package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Plan makes a schedule of faults from a seed: tracks side by side, two for nodes, one
// for NATS, one for MongoDB and one for the node with the relay, each with one fault
// after the other and times of peace between them. All of it is over by the end of the
// duration. The same seed and duration make the same schedule.
func Plan(seed uint64, duration time.Duration) []Fault { return planOf(seed, duration, tracks()...) }

// PlanWithClocks is Plan with one more track, on which nodes' clocks stand still. It
// is for clusters whose answers are verified: a lease on such a clock is worth
// nothing.
func PlanWithClocks(seed uint64, duration time.Duration) []Fault {
	return planOf(seed, duration, append(tracks(), track{"clock", clockKinds(), time.Second})...)
}

// track is what goes wrong with one system, one fault after the other.
type track struct {
	system string
	kinds  []kind
	rest   time.Duration // half of it to one and a half between two faults
}

// tracks has servers rest for longer than nodes: an election takes its time, and while
// there is no majority nothing is tested.
func tracks() []track {
	return []track{
		{"node", nodeKinds(), 2 * time.Second},
		{"node", nodeKinds(), 4 * time.Second},
		{"nats", natsKinds(), 7 * time.Second},
		{"mongo", mongoKinds(), 10 * time.Second},
		{"relay", relayKinds(), 6 * time.Second},
	}
}

func planOf(seed uint64, duration time.Duration, tracks ...track) []Fault {
	var plan []Fault
	for i, t := range tracks {
		rnd := rand.New(rand.NewPCG(seed, 1<<32+uint64(i))) //nolint:gosec // an index
		at := upTo(rnd, t.rest)
		for deck := newDeck(rnd, t.kinds); ; {
			k := deck.next()
			f := Fault{Name: t.system + ": " + k.name, At: at, For: k.least}
			if k.most > k.least {
				f.For += upTo(rnd, k.most-k.least)
			}
			f.Inject = k.make(rnd, f.For)
			if f.At+f.For > duration {
				break
			}
			plan = append(plan, f)
			at += f.For + t.rest/2 + upTo(rnd, t.rest)
		}
	}
	slices.SortStableFunc(plan, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return plan
}

func upTo(rnd *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(rnd.Int64N(int64(d))).Round(time.Millisecond)
}

// deck deals kinds like cards: each as often as its weight before any comes again
// more often. So a short schedule has much of what there is.
type deck struct {
	rnd   *rand.Rand
	kinds []kind
	left  []kind
}

func newDeck(rnd *rand.Rand, kinds []kind) *deck { return &deck{rnd: rnd, kinds: kinds} }

func (d *deck) next() kind {
	if len(d.left) == 0 {
		for _, k := range d.kinds {
			d.left = append(d.left, slices.Repeat([]kind{k}, k.weight)...)
		}
		d.rnd.Shuffle(len(d.left), func(i, j int) { d.left[i], d.left[j] = d.left[j], d.left[i] })
	}
	k := d.left[0]
	d.left = d.left[1:]
	return k
}

// Describe tells a schedule, a line for each fault.
func Describe(plan []Fault) string {
	var text strings.Builder
	for _, f := range plan {
		fmt.Fprintf(&text, "%8.3fs  %-48s for %.3fs\n", f.At.Seconds(), f.Name, f.For.Seconds())
	}
	return text.String()
}

// journal writes what happens when.
type journal struct {
	mu    sync.Mutex
	out   io.Writer
	begin time.Time
}

func (j *journal) say(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, _ = fmt.Fprintf(j.out, "%8.3fs  "+format+"\n", append([]any{time.Since(j.begin).Seconds()}, args...)...)
}

// Break runs a schedule and returns when every fault is over. What happens when,
// and what could not be broken or repaired, is written to out. The number is that
// of the faults that took place. It does not repair what a fault's own repair
// could not: see [Cluster.Heal].
func (c *Cluster) Break(ctx context.Context, plan []Fault, out io.Writer) int {
	j := &journal{out: out, begin: time.Now()}
	var under sync.WaitGroup
	happened := make([]bool, len(plan))
	for i := range plan {
		under.Go(func() { happened[i] = c.breakOne(ctx, &plan[i], j) })
	}
	under.Wait()
	n := 0
	for _, h := range happened {
		if h {
			n++
		}
	}
	return n
}

// Disturbance is what [Cluster.Disturb] has done.
type Disturbance struct {
	Faults int       // that took place
	Ended  time.Time // the last of them; what follows is repair
	Parked []string  // what processes had died of, as it seemed: it was tried again
}

// Disturb is [Cluster.Break], then [Cluster.Heal] and [Cluster.RetryParked], for a load of
// one's own: it returns when every node is ready again. The error, beside what was done, is
// that they are not within a minute after the last fault, which breaks the promise that they
// will be, or that more was parked than the processes that were killed can account for: a
// command or an event is parked after two deaths under its name.
func (c *Cluster) Disturb(ctx context.Context, plan []Fault, out io.Writer) (Disturbance, error) {
	d := Disturbance{Faults: c.Break(ctx, plan, out), Ended: time.Now()}
	healing, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	if err := c.Heal(healing); err != nil {
		return d, fmt.Errorf("heal: %w", err)
	}
	operating, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	var err error
	if d.Parked, err = c.RetryParked(operating); err != nil {
		return d, err
	}
	for _, p := range d.Parked {
		_, _ = fmt.Fprintln(out, "parked, and tried again:", p)
	}
	if kills := killsIn(plan); len(d.Parked) > kills/2 {
		return d, fmt.Errorf("%d processes were killed, and %d commands or events were parked: %s", kills, len(d.Parked), strings.Join(d.Parked, "; "))
	}
	return d, nil
}

// killsIn counts the faults that end the process of a node without a word.
func killsIn(plan []Fault) (n int) {
	for _, f := range plan {
		if strings.Contains(f.Name, "kill -9") && !strings.HasPrefix(f.Name, "nats") && !strings.HasPrefix(f.Name, "mongo") {
			n++
		}
	}
	return n
}

// repairTimeout bounds the repair of one fault, for example the start of a node
// while the store has no primary.
const repairTimeout = time.Minute

func (c *Cluster) breakOne(ctx context.Context, f *Fault, j *journal) bool {
	if !sleep(ctx, f.At-time.Since(j.begin)) {
		return false
	}
	victim, heal, err := f.Inject(ctx, c)
	if heal != nil {
		defer func() {
			// The repair takes place also when the schedule is cut short.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), repairTimeout)
			defer cancel()
			if err := heal(ctx); err != nil {
				j.say("not repaired: %s (%s): %v", f.Name, victim, err)
				return
			}
			j.say("over: %s (%s)", f.Name, victim)
		}()
	}
	switch {
	case errors.Is(err, ErrBusy):
		j.say("left out: %s: %v", f.Name, err)
		return false
	case err != nil:
		j.say("failed: %s (%s): %v", f.Name, victim, err)
		return false
	}
	j.say("%s (%s) for %v", f.Name, victim, f.For)
	sleep(ctx, f.For)
	return true
}

// sleep waits; it reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
