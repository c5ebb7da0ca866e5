package runtime_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
	"github.com/ganglion-go/ganglion/store/storetest"
)

// TestNode_Faults runs two nodes on one store under load while everything goes
// wrong: writes that fail before or after they took effect, or take effect late;
// reads that fail; nodes that are cut off from the store for longer than a lease,
// and go on in the belief that they own their partitions; restarts; lost
// subscriptions; a command stream that is gone and made anew. Then it checks the history that all callers saw.
//
// Every other seed has one node that keeps its partitions. No command may take effect
// that was refused, and every outcome that was told is in the history.
//
// It prints its seed, and takes it back from GANGLION_SEED. GANGLION_SOAK, a
// duration, makes it go on with more seeds for so long.
func TestNode_Faults(t *testing.T) { testFaults(t, false) }

// TestNode_Faults_Verified does the same with nodes that answer by the store's word,
// and whose clocks stand still: most of all while they are cut off, and others take
// their partitions.
func TestNode_Faults_Verified(t *testing.T) { testFaults(t, true) }

func testFaults(t *testing.T, verified bool) {
	t.Helper()
	t.Parallel()
	seed, fixed := seedOf(t)
	var soak time.Duration
	if text := os.Getenv("GANGLION_SOAK"); text != "" {
		var err error
		if soak, err = time.ParseDuration(text); err != nil {
			t.Fatalf("GANGLION_SOAK: %v", err)
		}
	}
	start := time.Now()
	for round := 0; round < 4 || time.Since(start) < soak; round++ {
		synctest.Test(t, func(t *testing.T) { newTrial(t, seed, verified).run(10 * time.Second) })
		if t.Failed() || fixed {
			return
		}
		seed++
	}
}

func seedOf(t *testing.T) (seed uint64, fixed bool) {
	t.Helper()
	text := os.Getenv("GANGLION_SEED")
	if text == "" {
		return uint64(time.Now().UnixNano()), false
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("GANGLION_SEED: %v", err)
	}
	return seed, true
}

const (
	trialAggregates = 6
	trialClients    = 24
)

// trial is one run of [TestNode_Faults].
type trial struct {
	t     *testing.T
	seed  uint64
	alone bool   // there is one node, which does not lose its partitions
	s     *setup // the nodes are started through it, each with its own way to the store
	nodes []*trialNode

	keepStream bool // commands are never lost with their stream

	clocks map[string]*haltingClock // by name of the node; nil: clocks are right, and answers by lease

	order atomic.Int64 // real-time order of calls and returns
	over  atomic.Bool  // clients finish what they do
	mu    sync.Mutex
	ops   []operation
}

type trialNode struct {
	name  string
	store *storetest.Faulty
	node  *runtime.Node
}

func newTrial(t *testing.T, seed uint64, verified bool) *trial {
	t.Helper()
	t.Logf("GANGLION_SEED=%d", seed)
	shared := memory.New()
	tr := &trial{t: t, seed: seed, alone: seed%2 == 0}
	if verified {
		tr.clocks = map[string]*haltingClock{"n1": newHaltingClock(), "n2": newHaltingClock()}
	}
	rnd := tr.rand(0)
	ring := []int{3, 20, 4096}[rnd.IntN(3)]
	events := []int{1, 7, 1000}[rnd.IntN(3)]
	tr.s = prepare(t, shared, func(c *runtime.Config) {
		c.RingMax, c.BatchEvents, c.WriteTimeout, c.DrainTimeout = ring, events, 2*lease, 2*lease
		c.MaxActivations, c.PassivateAfter = trialAggregates-2, lease
		if verified {
			c.Answers, c.Clock = runtime.AnswersVerified, tr.clocks[c.Name]
		}
	}, counters(nil, func(d *actor.Definition[counter]) { d.SnapshotEvery(10) }))
	for i, name := range []string{"n1", "n2"} {
		f := storetest.NewFaulty(t.Context(), shared, seed+uint64(i))
		t.Cleanup(f.Close)
		n := &trialNode{name: name, store: f}
		tr.nodes = append(tr.nodes, n)
		tr.launch(n)
		if tr.alone {
			tr.s.awaitServing()
			break
		}
	}
	return tr
}

func (tr *trial) rand(part uint64) *rand.Rand { return rand.New(rand.NewPCG(tr.seed, part)) }

func (tr *trial) launch(n *trialNode) {
	tr.s.store = n.store
	tr.s.launch(n.name)
	n.node = tr.s.node
}

func (tr *trial) run(d time.Duration) {
	var clients, saboteurs sync.WaitGroup
	for i := range trialClients {
		clients.Go(func() { tr.client(tr.rand(uint64(100 + i))) })
	}
	end := time.Now().Add(d)
	for i, n := range tr.nodes {
		saboteurs.Go(func() { tr.sabotage(tr.rand(uint64(10+i)), n, end) })
	}
	saboteurs.Wait()
	for _, n := range tr.nodes {
		n.store.Heal()
	}
	tr.over.Store(true)
	clients.Wait()
	for _, n := range tr.nodes {
		if err := n.store.Settle(tr.t.Context()); err != nil {
			tr.t.Fatal(err)
		}
	}
	tr.check()
	for _, n := range tr.nodes {
		if err := n.node.Shutdown(tr.t.Context()); err != nil {
			tr.t.Errorf("shutdown of %s: %v", n.name, err)
		}
	}
}

// sabotage makes one node's life hard, in turns with times of peace.
func (tr *trial) sabotage(rnd *rand.Rand, n *trialNode, end time.Time) {
	share := func() float64 { return rnd.Float64() * 0.2 }
	pause := func(d time.Duration) { <-time.After(upTo(rnd, d)) }
	for time.Now().Before(end) {
		kinds := 9
		if tr.alone {
			kinds = 5 // those that leave the node its partitions
		}
		if tr.clocks != nil && rnd.IntN(3) > 0 {
			tr.clocks[n.name].halt()
		}
		switch rnd.IntN(kinds) {
		case 0, 1, 2:
			n.store.Set(storetest.Faults{
				AppendBefore: share(), AppendAfter: share(), AppendLate: share(), Late: upTo(rnd, 3*lease),
				Reads: share(), LeasesBefore: share(), LeasesAfter: share(), Delay: upTo(rnd, lease/10),
			})
			pause(2 * time.Second)
		case 3:
			n.store.Set(storetest.Faults{CutOff: true})
			pause(3 * deadAfter)
		case 4:
			n.store.Set(storetest.Faults{Blocked: true})
			pause(3 * deadAfter)
		case 5:
			tr.s.bus.failAny(actor.Partition(rnd.IntN(partitions)), context.DeadlineExceeded)
		case 6:
			_ = n.node.Close()
			pause(lease)
			tr.relaunch(n)
		case 7:
			if !tr.keepStream {
				tr.s.bus.loseStream(fmt.Sprint("stream-", rnd.Uint64()))
			}
		default:
			ctx, cancel := context.WithTimeout(tr.t.Context(), time.Second)
			_ = n.node.Shutdown(ctx) // may fail: the store does
			cancel()
			tr.relaunch(n)
		}
		n.store.Set(storetest.Faults{Delay: upTo(rnd, lease/20)})
		pause(time.Second)
		if tr.clocks != nil {
			tr.clocks[n.name].goOn()
		}
	}
}

func (tr *trial) relaunch(n *trialNode) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.launch(n)
}

// fate is what a caller in the end knows of its command.
type fate uint8

const (
	fateUnknown fate = iota
	fateDone         // executed: the version tells where
	fateNot          // certainly not executed
)

// operation is a command or read as its caller saw it.
type operation struct {
	id         actor.CommandID
	aggregate  int
	n          int64 // added; 0: nothing
	read       bool
	start, end int64
	fate       fate
	outcome    actor.Outcome
}

// client makes one call after the other.
func (tr *trial) client(rnd *rand.Rand) {
	for !tr.over.Load() {
		op := operation{aggregate: rnd.IntN(trialAggregates)}
		name := fmt.Sprint(op.aggregate)
		var m actor.Message
		switch k := rnd.IntN(10); {
		case k < 3:
			op.read = true
			m = tr.s.query(name)
		default:
			if op.n = 1 + rnd.Int64N(1<<40); k == 3 {
				op.n = 0
			} else if k < 6 {
				op.n = -op.n
			}
			m = tr.s.message(name, "add", add{N: op.n})
			m.Lane = actor.Lane(rnd.IntN(2))
			if rnd.IntN(3) == 0 {
				m.ID = actor.CommandID(fmt.Sprint("key-", tr.s.ids.Add(1)))
			}
			if rnd.IntN(4) == 0 {
				m.Deadline = time.Now().Add(upTo(rnd, time.Second))
			}
			op.id = m.ID
		}
		op.start = tr.order.Add(1)
		op.fate, op.outcome = tr.call(rnd, m)
		op.end = tr.order.Add(1)
		tr.mu.Lock()
		tr.ops = append(tr.ops, op)
		tr.mu.Unlock()
		<-time.After(upTo(rnd, 20*time.Millisecond))
	}
}

// call asks until it knows, or gives up. All attempts have one id.
func (tr *trial) call(rnd *rand.Rand, m actor.Message) (fate, actor.Outcome) {
	r := make(reply, 64)
	sure := true // nobody can have executed an earlier attempt
	for m.Attempt = 1; m.Attempt < 15; m.Attempt++ {
		if m.Type == actor.TypeCommand && m.Lane == actor.LaneDurable {
			tr.s.bus.publish(m, r)
		} else if !tr.s.bus.direct(m, r) {
			<-time.After(upTo(rnd, lease))
			continue
		}
		wait := time.After(lease/2 + upTo(rnd, 4*lease))
		for waiting := true; waiting; {
			select {
			case o := <-r:
				switch {
				case o.Code.Recorded():
					return fateDone, o
				case o.Code == actor.CodeExpired && tr.clocks != nil && m.Attempt > 1:
					waiting = false // said of one attempt; whoever has another one may have another time
				case o.Code == actor.CodeExpired || o.Code == actor.CodeOverloaded && sure && m.Attempt == 1:
					return fateNot, o
				case o.Code == actor.CodeOverloaded || o.Code == actor.CodeUnknownOutcome:
					waiting = false
				default:
					tr.t.Errorf("outcome %+v of %s", o, m.ID)
					return fateUnknown, o
				}
			case <-wait:
				waiting = false
			}
		}
		sure = false
	}
	return fateUnknown, actor.Outcome{}
}

// check compares what callers saw with what the store has.
func (tr *trial) check() {
	histories := make([]*trialHistory, trialAggregates)
	for i := range histories {
		histories[i] = tr.history(i)
	}
	fates := map[fate]int{}
	for _, op := range tr.ops {
		fates[op.fate]++
		histories[op.aggregate].add(op)
	}
	for _, h := range histories {
		h.checkOrder()
	}
	injected := 0
	for _, n := range tr.nodes {
		injected += n.store.Injected()
	}
	tr.t.Logf("%d calls: %d done, %d not executed, %d unknown; %d faults", len(tr.ops), fates[fateDone], fates[fateNot], fates[fateUnknown], injected)
	least := 100
	if tr.clocks != nil {
		least = 10 // nodes whose clocks stand still declare nobody dead
	}
	if fates[fateDone] < least || injected == 0 {
		tr.t.Errorf("too little happened")
	}
}

// trialHistory is one aggregate: its changes, and the calls that know their place. An
// event that holds outcomes alone is a version of the history, and no change.
type trialHistory struct {
	t        *testing.T
	sums     []int64                       // by change, from 0
	versions []int                         // of the changes in the history, from 0
	at       map[actor.CommandID]int       // change of a command
	recorded map[actor.CommandID]recording // all outcomes
	changes  map[int64][]int               // those after which the sum was that
	seen     []operation                   // those with a place
	low      []int                         // of seen: the change after which it was decided
	high     []int                         // and that which it made, if it did
}

// recording is an outcome as a commit has it.
type recording struct {
	version int // that is told
	refused bool
}

func (tr *trial) history(aggregate int) *trialHistory {
	h := &trialHistory{
		t: tr.t, sums: []int64{0}, versions: []int{0}, at: map[actor.CommandID]int{},
		recorded: map[actor.CommandID]recording{}, changes: map[int64][]int{0: {0}},
	}
	length := 0
	for _, c := range tr.s.commits(fmt.Sprint(aggregate)) {
		if int(c.First) != length+1 {
			tr.t.Fatalf("aggregate %d: a commit at version %d follows version %d", aggregate, c.First, length)
		}
		changeAt := map[int]int{} // by version
		for _, e := range c.Events {
			if length++; e.Name == actor.EventOutcome {
				continue
			}
			var a added
			if err := json.Unmarshal(e.Data, &a); err != nil {
				tr.t.Fatal(err)
			}
			sum := h.sums[len(h.sums)-1] + a.N
			changeAt[length] = len(h.sums)
			h.changes[sum] = append(h.changes[sum], len(h.sums))
			h.sums, h.versions = append(h.sums, sum), append(h.versions, length)
		}
		c.OutcomeVersions(func(o *store.Outcome, v store.Version) {
			id := actor.CommandID(o.CommandID)
			if before, twice := h.recorded[id]; twice {
				tr.t.Errorf("aggregate %d: %s was decided twice: at versions %d and %d", aggregate, id, before.version, v)
			}
			h.recorded[id] = recording{version: int(o.Told(v)), refused: o.Rejection != nil}
			if change, changes := changeAt[int(v)]; changes && o.Events > 0 {
				h.at[id] = change
			}
		})
	}
	return h
}

// add checks one call by itself.
func (h *trialHistory) add(op operation) {
	change, executed := h.at[op.id]
	changes := op.fate == fateDone && op.outcome.Code == actor.CodeOK && !op.read && op.n != 0
	if r, is := h.recorded[op.id]; op.fate == fateDone && !op.read && (!is || r.refused != (op.outcome.Rejection != nil) || r.version != int(op.outcome.Version)) {
		h.t.Errorf("%s: its caller was told %+v, the history has %v %+v", op.id, op.outcome, is, r)
	}
	switch {
	case executed && !changes && op.fate != fateUnknown:
		h.t.Errorf("%s took effect at version %d, its caller was told %+v", op.id, h.versions[change], op.outcome)
	case op.fate != fateDone:
	case changes && !executed:
		h.t.Errorf("%s is in no commit, its caller was told %+v", op.id, op.outcome)
	case changes:
		if want := strconv.FormatInt(h.sums[change], 10); string(op.outcome.Reply) != want || int(op.outcome.Version) != h.versions[change] {
			h.t.Errorf("%s at version %d: told %s at version %d, want %s", op.id, h.versions[change], op.outcome.Reply, op.outcome.Version, want)
		}
		h.place(op, change-1, change)
	default:
		h.addUnchanging(op)
	}
}

// addUnchanging finds the change that a read, a refusal or a command without
// events was decided after, by the sum that its caller was told.
func (h *trialHistory) addUnchanging(op operation) {
	text := string(op.outcome.Reply)
	if r := op.outcome.Rejection; r != nil {
		text = fmt.Sprint(r.Details["sum"])
	}
	sum, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		h.t.Errorf("%s: %+v", op.id, op.outcome)
		return
	}
	if op.outcome.Code == actor.CodeRejected && sum+op.n >= 0 {
		h.t.Errorf("%s added %d to %d and was refused", op.id, op.n, sum)
	}
	switch changes := h.changes[sum]; len(changes) {
	case 0:
		h.t.Errorf("%s: %+v shows a sum that never was", op.id, op.outcome)
	case 1:
		if want := h.versions[changes[0]]; int(op.outcome.Version) != want {
			h.t.Errorf("%s: told %+v, which was so at version %d", op.id, op.outcome, want)
		}
		h.place(op, changes[0], changes[0])
	default: // as good as impossible with 40 random bits
		h.t.Logf("sum %d is ambiguous", sum)
	}
}

func (h *trialHistory) place(op operation, low, high int) {
	h.seen, h.low, h.high = append(h.seen, op), append(h.low, low), append(h.high, high)
}

// checkOrder is linearizability, for a history whose order is known: a call
// that began after another had ended stands on at least what that one saw or did.
func (h *trialHistory) checkOrder() {
	type moment struct {
		at    int64
		index int
		ended bool
	}
	var moments []moment
	for i := range h.seen {
		moments = append(moments, moment{h.seen[i].start, i, false}, moment{h.seen[i].end, i, true})
	}
	slices.SortFunc(moments, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	newest, by := 0, -1
	floor := make(map[int][2]int, len(h.seen))
	for _, m := range moments {
		if !m.ended {
			floor[m.index] = [2]int{newest, by}
			continue
		}
		if f := floor[m.index]; h.low[m.index] < f[0] {
			h.t.Errorf("%+v was decided after change %d, when change %d had been told by %+v", h.seen[m.index], h.low[m.index], f[0], h.seen[f[1]])
		}
		if h.high[m.index] > newest {
			newest, by = h.high[m.index], m.index
		}
	}
}

func upTo(rnd *rand.Rand, d time.Duration) time.Duration { return time.Duration(rnd.Int64N(int64(d))) }
