package web

import (
	"context"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Throttle is the state of what somebody may try: log in under a name or from an address,
// register from an address. It is an aggregate, so that a limit holds over all nodes. Names
// and addresses share [throttles] of them, as many as there will ever be: who shares one with
// somebody who is under attack waits with them, as they would if the attack were on their own
// name.
type Throttle struct {
	// Until is when all tries would be there again.
	Until time.Time `json:"until"`
}

// Try takes one of a number of tries, of which one more is there after each interval.
type Try struct {
	actor.Replies[actor.None]
	Burst int           `json:"burst"`
	Every time.Duration `json:"every"` // nanoseconds
}

// Tried follows from [Try].
type Tried struct {
	Until time.Time `json:"until"`
}

// ErrTooManyTries is what a [Try] is refused with when none is left.
var ErrTooManyTries = actor.Reject("too_many_tries", "there were too many tries")

// Throttles defines kind throttle, which is the application's own: nobody reaches one from
// outside.
var Throttles = actor.Define("throttle", func(d *actor.Definition[Throttle]) {
	actor.On(d, func(s *Throttle, ctx *actor.Context, m Try) (actor.None, error) {
		from := s.Until
		if now := ctx.Now(); from.Before(now) {
			from = now
		}
		if from.Sub(ctx.Now()) > m.Every*time.Duration(m.Burst-1) {
			return actor.None{}, ErrTooManyTries
		}
		ctx.Raise(Tried{Until: from.Add(m.Every)})
		return actor.None{}, nil
	})
	actor.Apply(d, func(s *Throttle, e Tried) { s.Until = e.Until })
	d.Rejections(ErrTooManyTries)
	d.Internal()
})

// throttles is how many letters of a digest tell throttles of one limit apart: 32 to the
// power of that many.
const throttles = 3

// limit is a number of tries that each key has at once, and one more after each interval.
type limit struct {
	what  string
	every time.Duration
	burst int
	here  *limiter // of this node, which spares the store most of what is refused
}

func newLimit(what string, every time.Duration, burst int) *limit {
	return &limit{what: what, every: every, burst: burst, here: newLimiter(every, burst)}
}

// allow reports whether there is a try left at all nodes, and takes it. Nodes store no more
// tries than each of them allows by itself, and those that all of them together refuse.
func (l *limit) allow(ctx context.Context, client actor.Client, key string) (bool, error) {
	key = digest(l.what, key) // however long it is
	if !l.here.allow(key) {
		return false, nil
	}
	_, err := actor.Ask(ctx, client, Throttles.ID(l.what+"-"+key[:throttles]), Try{Burst: l.burst, Every: l.every})
	if code, refused := refusal(err); refused && code == ErrTooManyTries.Code {
		return false, nil
	}
	return err == nil, err
}
