package chaos

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// client makes one call after the other. Its goroutine is the only one that
// touches it.
type client struct {
	recorder *Recorder
	index    int
	rnd      *rand.Rand
	past     []*Operation // definite ones that it may ask about again
}

func (c *client) run() {
	r := c.recorder
	for {
		select {
		case <-r.over:
			return
		case <-time.After(time.Duration(c.rnd.ExpFloat64() * float64(r.load.Think))):
		}
		if len(c.past) > 0 && c.rnd.IntN(12) == 0 {
			c.askAgain()
			continue
		}
		target := actor.Address{Kind: r.kind, ID: "a-" + strconv.Itoa(c.pick(r.load.Aggregates))}
		c.do(r.start(c.index, target, r.next(c.rnd)))
	}
}

// pick prefers a few aggregates, so that clients meet.
func (c *client) pick(n int) int {
	if hot := max(1, n/16); c.rnd.IntN(3) == 0 {
		return c.rnd.IntN(hot)
	}
	return c.rnd.IntN(n)
}

// do makes attempts until one is definite. Most clients insist, some do not; some
// send a command twice at once; some leave it with the stream, and a part of those
// asks for its outcome later.
func (c *client) do(op *Operation) {
	insist := c.rnd.IntN(4) > 0
	async := !c.recorder.load.NoAsync && !op.IsRead() && c.rnd.IntN(12) == 0
	for try := range maxAttempts {
		switch {
		case async:
			q := c.request(op)
			q.lane, q.async = "durable", true
			c.recorder.take(op, c.recorder.send(q))
			async = op.Fate != FateAccepted
		case try == 0 && !op.IsRead() && c.rnd.IntN(16) == 0:
			c.twice(op)
		default:
			c.recorder.take(op, c.recorder.send(c.request(op)))
		}
		if op.definite() != nil || !insist || c.isOver() || op.Fate == FateAccepted && c.rnd.IntN(3) > 0 {
			break
		}
		select {
		case <-c.recorder.over:
		case <-time.After(time.Duration(20+c.rnd.IntN(80)) * time.Millisecond):
		}
	}
	c.recorder.finish(op)
	if !op.IsRead() && op.definite() != nil {
		c.remember(op)
	}
}

// twice makes two attempts at once. Whichever answer is taken first, the other
// must be the same.
func (c *client) twice(op *Operation) {
	requests := []request{c.request(op), c.request(op)}
	answers := make([]Attempt, len(requests))
	var both sync.WaitGroup
	for i := range requests {
		both.Go(func() { answers[i] = c.recorder.send(requests[i]) })
	}
	both.Wait()
	if answers[1].End < answers[0].End {
		answers[0], answers[1] = answers[1], answers[0]
	}
	for _, a := range answers {
		c.recorder.take(op, a)
	}
}

// request chooses node, lane and patience anew for each attempt.
func (c *client) request(op *Operation) request {
	node := c.rnd.IntN(len(c.recorder.bases))
	lane := "durable"
	if r := c.recorder; r.load.OneLane && c.index%2 == 1 || !r.load.OneLane && c.rnd.IntN(2) == 0 {
		lane = "direct"
	}
	if op.IsRead() {
		lane = "" // always direct
	}
	patience := []time.Duration{time.Second, 2 * time.Second, 5 * time.Second}[c.rnd.IntN(3)]
	return request{
		base: c.recorder.bases[node], node: node, lane: lane, timeout: patience,
		target: op.Target, id: op.ID, call: op.Call,
	}
}

func (c *client) remember(op *Operation) {
	if len(c.past) == rememberMax {
		c.past[c.rnd.IntN(rememberMax)] = op
		return
	}
	c.past = append(c.past, op)
}

// askAgain sends a command of the past once more. Its outcome must be the first
// one, however much has happened since.
func (c *client) askAgain() {
	op := c.past[c.rnd.IntN(len(c.past))]
	c.recorder.take(op, c.recorder.send(c.request(op)))
}

func (c *client) isOver() bool {
	select {
	case <-c.recorder.over:
		return true
	default:
		return false
	}
}
