package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Load says how clients behave. The zero value of each field means the default in
// its comment.
type Load struct {
	Clients    int           // 16
	Aggregates int           // 64
	Think      time.Duration // a client's pause between two calls, on average: 10 ms

	// OneLane binds clients to lanes, every other one to the direct lane: so one
	// lane that stands still does not hold up the clients of the other. By default
	// each attempt chooses anew.
	OneLane bool

	// NoAsync makes clients wait for every outcome. By default some leave their
	// command with the stream (202), which must then not be lost.
	NoAsync bool
}

func (l Load) withDefaults() Load {
	if l.Clients == 0 {
		l.Clients = 16
	}
	if l.Aggregates == 0 {
		l.Aggregates = 64
	}
	if l.Think == 0 {
		l.Think = 10 * time.Millisecond
	}
	return l
}

const (
	maxAttempts   = 12
	maxComplaints = 100
	clockSkew     = 3 * time.Second // between those who make ids
	rememberMax   = 32              // calls that a client may ask about again
)

// Recorder drives clients against the HTTP gateways of a cluster's nodes, and
// records every call with what its client was told. Make one with [NewRecorder].
type Recorder struct {
	ctx      context.Context //nolint:containedctx // what attempts are made under; its end does not cut them
	kind     actor.Kind
	next     func(*rand.Rand) Call
	seed     uint64
	load     Load
	bases    []string
	begin    time.Time
	client   *http.Client
	serial   atomic.Int64
	over     chan struct{}
	overOnce sync.Once

	mu         sync.Mutex
	operations []*Operation
	complaints []string
	successes  []time.Duration // times at which commands were told done, in order
}

// NewRecorder returns a recorder of calls on aggregates of a kind, which are named
// "a-0" and so on. next makes a call; the same seed makes the same calls, as far
// as clients get. Close the recorder when done.
func NewRecorder(ctx context.Context, c *Cluster, kind actor.Kind, next func(*rand.Rand) Call, seed uint64, load Load) *Recorder {
	r := &Recorder{
		ctx: ctx, kind: kind, next: next, seed: seed, load: load.withDefaults(), begin: time.Now(), over: make(chan struct{}),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	for _, n := range c.Nodes {
		r.bases = append(r.bases, n.URL())
	}
	return r
}

// Targets are the aggregates.
func (r *Recorder) Targets() []actor.Address {
	targets := make([]actor.Address, r.load.Aggregates)
	for i := range targets {
		targets[i] = actor.Address{Kind: r.kind, ID: fmt.Sprintf("a-%d", i)}
	}
	return targets
}

// Run drives all clients until [Recorder.Stop]; each ends after its call in hand.
func (r *Recorder) Run() {
	var clients sync.WaitGroup
	for i := range r.load.Clients {
		clients.Go(func() {
			c := &client{recorder: r, index: i, rnd: rand.New(rand.NewPCG(r.seed, uint64(i)+1))}
			c.run()
		})
	}
	clients.Wait()
}

// Stop ends Run. It is idempotent.
func (r *Recorder) Stop() { r.overOnce.Do(func() { close(r.over) }) }

// Do makes one call through one node and keeps trying there until it knows, or
// ctx ends. It goes on the record like any other.
func (r *Recorder) Do(ctx context.Context, node int, target actor.Address, call Call) *Operation {
	op := r.start(-1, target, call)
	for try := 0; op.Fate != FateDone && op.Fate != FateRefused && ctx.Err() == nil; try++ {
		if try > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
		r.take(op, r.send(request{base: r.bases[node], node: node, lane: "durable", timeout: 5 * time.Second, target: target, id: op.ID, call: call}))
	}
	r.finish(op)
	return op
}

// Operations are all calls that have ended, in no order.
func (r *Recorder) Operations() []*Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.operations)
}

// Complaints are answers that no client should get, at most 100.
func (r *Recorder) Complaints() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.complaints)
}

// Close gives up the connections.
func (r *Recorder) Close() { r.client.CloseIdleConnections() }

// Elapsed is the time since the record began.
func (r *Recorder) Elapsed() time.Duration { return r.elapsed() }

func (r *Recorder) elapsed() time.Duration { return time.Since(r.begin) }

// Successes counts the commands that were told done at or after a time of the record.
func (r *Recorder) Successes(since time.Duration) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, _ := slices.BinarySearch(r.successes, since)
	return len(r.successes) - i
}

// LongestGap is the longest time without a command that was told done.
func (r *Recorder) LongestGap() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	var gap time.Duration
	for i := 1; i < len(r.successes); i++ {
		gap = max(gap, r.successes[i]-r.successes[i-1])
	}
	return gap
}

func (r *Recorder) complain(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.complaints) < maxComplaints {
		r.complaints = append(r.complaints, fmt.Sprintf("%v: ", r.elapsed().Round(time.Millisecond))+fmt.Sprintf(format, args...))
	}
}

// start begins an operation. Some ids tell the time at which they were made, as
// those of clients do, whose clocks differ; others do not, as those of callers.
func (r *Recorder) start(client int, target actor.Address, call Call) *Operation {
	op := &Operation{Client: client, Target: target, Call: call, Fate: FateNotExecuted}
	if !op.IsRead() {
		n := r.serial.Add(1)
		if op.ID = actor.CommandID(fmt.Sprintf("k%d-%d", r.seed, n)); n%3 != 0 {
			skew := time.Duration(n%5-2) * clockSkew
			op.ID = actor.DeriveID(time.Now().Add(skew), string(op.ID))
		}
	}
	op.Start = r.elapsed()
	return op
}

// take adds an attempt to an operation and draws the conclusion. A definite answer
// is final, and later ones are for the check to compare. That one attempt was not
// executed says nothing of the others.
func (r *Recorder) take(op *Operation, a Attempt) {
	known := op.definite() != nil
	op.Attempts = append(op.Attempts, a)
	switch {
	case known:
	case a.Fate == FateDone || a.Fate == FateRefused:
		op.Fate, op.Version, op.Answer, op.Code, op.End = a.Fate, a.Version, a.Answer, a.Code, a.End
		if op.IsRead() {
			op.Start = a.Start // earlier attempts are nothing to it
		}
	case a.Fate == FateAccepted:
		op.Fate = FateAccepted
	case a.Fate == FateUnknown && op.Fate != FateAccepted:
		op.Fate = FateUnknown
	}
}

// definite is the first definite answer, if any.
func (op *Operation) definite() *Attempt {
	for i := range op.Attempts {
		if f := op.Attempts[i].Fate; f == FateDone || f == FateRefused {
			return &op.Attempts[i]
		}
	}
	return nil
}

func (r *Recorder) finish(op *Operation) {
	now := r.elapsed()
	if op.End == 0 {
		op.End = now
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.operations = append(r.operations, op)
	if op.Fate == FateDone && !op.IsRead() {
		i, _ := slices.BinarySearch(r.successes, op.End)
		r.successes = slices.Insert(r.successes, i, op.End)
	}
}
