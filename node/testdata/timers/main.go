// Command timers is a node of alarms, which ring at their time.
package main

import (
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
)

type alarm struct{}

// Set is a command: the alarm rings at that time, and not at one that it was set to
// before.
type Set struct {
	actor.Replies[actor.None]
	At time.Time `json:"at"`
}

// Clear is a command: the alarm does not ring.
type Clear struct{ actor.Replies[actor.None] }

// Ring is the command of the alarm's timer.
type Ring struct{ actor.Replies[actor.None] }

type (
	wasSet struct {
		At time.Time `json:"at"`
	}
	cleared struct{}
	rang    struct {
		Due time.Time `json:"due"`
	}
)

const timer = "ring"

func (*alarm) set(ctx *actor.Context, c Set) (actor.None, error) {
	ctx.Raise(wasSet{c.At})
	ctx.At(c.At, Ring{}, actor.TimerName(timer))
	return actor.None{}, nil
}

func (*alarm) clear(ctx *actor.Context, _ Clear) (actor.None, error) {
	ctx.Raise(cleared{})
	ctx.Cancel(timer)
	return actor.None{}, nil
}

func (*alarm) ring(ctx *actor.Context, _ Ring) (actor.None, error) {
	ctx.Raise(rang{ctx.Now()})
	return actor.None{}, nil
}

func main() {
	node.Main(actor.Define("alarm", func(d *actor.Definition[alarm]) {
		actor.On(d, (*alarm).set)
		actor.On(d, (*alarm).clear)
		actor.On(d, (*alarm).ring)
		actor.Apply(d, func(*alarm, wasSet) {})
		actor.Apply(d, func(*alarm, cleared) {})
		actor.Apply(d, func(*alarm, rang) {})
	}))
}
