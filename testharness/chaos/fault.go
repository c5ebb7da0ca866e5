package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/testharness/mongod"
	"github.com/ganglion-go/ganglion/testharness/natsd"
	"github.com/ganglion-go/ganglion/testharness/netproxy"
)

// ErrBusy is the error of a fault that does not happen, since what it would break
// is broken already, or not there: of NATS servers and of mongods at most one is at a time, or
// nothing would be left to be tested.
var ErrBusy = errors.New("chaos: broken already")

// Fault is one thing that goes wrong for a while.
type Fault struct {
	Name string
	At   time.Duration // since the schedule began
	For  time.Duration

	// Inject breaks something and returns what repairs it. What it is about is
	// found out then: who leads, who owns.
	Inject func(ctx context.Context, c *Cluster) (victim string, heal func(context.Context) error, err error)
}

// busy are the things that are broken at the moment.
type busy struct {
	mu     sync.Mutex
	broken map[string]bool
}

func newBusy() *busy { return &busy{broken: map[string]bool{}} }

// take marks a thing as broken unless it is.
func (b *busy) take(what string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken[what] {
		return false
	}
	b.broken[what] = true
	return true
}

func (b *busy) give(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.broken, what)
}

// kind is a kind of fault.
type kind struct {
	name   string
	weight int
	least  time.Duration // of its duration
	most   time.Duration
	make   func(rnd *rand.Rand, d time.Duration) injectFunc
}

type (
	injectFunc func(ctx context.Context, c *Cluster) (string, func(context.Context) error, error)
	healFunc   = func(context.Context) error
)

// damageFunc breaks a node, and returns what repairs it.
type damageFunc func(ctx context.Context, c *Cluster, n *Node) (healFunc, error)

// onNode breaks the owner of a random partition, or any other node if that one is
// broken. Most of the time it is the owner that matters.
func onNode(rnd *rand.Rand, damage damageFunc) injectFunc {
	partition, other, owner := rnd.Uint32(), rnd.IntN(1<<16), rnd.IntN(3) > 0
	return func(ctx context.Context, c *Cluster) (string, healFunc, error) {
		var candidates []*Node
		if owner {
			if n := c.Owner(ctx, actor.Partition(partition%uint32(c.cfg.Partitions))); n != nil {
				candidates = append(candidates, n)
			}
		}
		for i := range c.Nodes {
			candidates = append(candidates, c.Nodes[(other+i)%len(c.Nodes)])
		}
		return c.breakNode(ctx, candidates, damage)
	}
}

const (
	// relayPartition is the one whose owner relays the events.
	relayPartition actor.Partition = 0
	// relayPatience is for how long a fault of the relay waits for an owner that is not
	// broken already: there are so many other faults of nodes that most would be left out.
	relayPatience = 5 * time.Second
)

// onRelay breaks the node that has the relay, and no other.
func onRelay(damage damageFunc) func(*rand.Rand, time.Duration) injectFunc {
	return func(*rand.Rand, time.Duration) injectFunc {
		return func(ctx context.Context, c *Cluster) (string, healFunc, error) {
			for until := time.Now().Add(relayPatience); ; {
				if n := c.Owner(ctx, relayPartition); n != nil {
					victim, heal, err := c.breakNode(ctx, []*Node{n}, damage)
					if !errors.Is(err, ErrBusy) {
						return victim, heal, err
					}
				}
				if time.Now().After(until) || !sleep(ctx, pollInterval) {
					return "", nil, ErrBusy
				}
			}
		}
	}
}

// breakNode breaks the first of the nodes that is not broken.
func (c *Cluster) breakNode(ctx context.Context, candidates []*Node, damage damageFunc) (string, healFunc, error) {
	for _, n := range candidates {
		name := fmt.Sprintf("node %d", n.Index())
		if !n.Running() || !c.busy.take(name) {
			continue
		}
		heal, err := damage(ctx, c, n)
		return name, c.releasing(name, heal), err
	}
	return "", nil, ErrBusy
}

// releasing makes a repair give the thing free, also when there is none to do.
func (c *Cluster) releasing(name string, heal healFunc) healFunc {
	return func(ctx context.Context) error {
		defer c.busy.give(name)
		if heal == nil {
			return nil
		}
		return heal(ctx)
	}
}

// onNATS breaks one NATS server, if none is broken: the leader of the command
// stream, or any.
func onNATS(rnd *rand.Rand, damage func(ctx context.Context, c *Cluster, s *natsd.Server) (healFunc, error)) injectFunc {
	index, leader := rnd.IntN(1<<16), rnd.IntN(2) == 0
	return func(ctx context.Context, c *Cluster) (string, healFunc, error) {
		if !c.busy.take("nats") {
			return "", nil, ErrBusy
		}
		servers := c.NATS.Servers()
		s, role := servers[index%len(servers)], ""
		if leader {
			ctx, cancel := context.WithTimeout(ctx, 2*pollTimeout)
			defer cancel()
			if found, err := c.NATS.StreamLeader(ctx, c.CommandStream()); err == nil {
				s, role = found, ", leader of the command stream"
			}
		}
		heal, err := damage(ctx, c, s)
		return s.Name() + role, c.releasing("nats", heal), err
	}
}

// onMongod breaks one member, if none is broken: the primary, or any.
func onMongod(rnd *rand.Rand, damage func(ctx context.Context, c *Cluster, m *mongod.Member) (healFunc, error)) injectFunc {
	index, primary := rnd.IntN(1<<16), rnd.IntN(3) > 0
	return func(ctx context.Context, c *Cluster) (string, healFunc, error) {
		if c.Mongo == nil || !c.busy.take("mongo") {
			return "", nil, ErrBusy
		}
		members := c.Mongo.Members()
		m, role := members[index%len(members)], ""
		if primary {
			ctx, cancel := context.WithTimeout(ctx, 2*pollTimeout)
			defer cancel()
			if found, err := c.Mongo.Primary(ctx); err == nil {
				m, role = found, ", primary"
			}
		}
		heal, err := damage(ctx, c, m)
		return fmt.Sprintf("mongod %d%s", m.Index(), role), c.releasing("mongo", heal), err
	}
}

// cut breaks links in one of the three ways that a seed chooses.
func cut(way int, links []*netproxy.Link) healFunc {
	for _, l := range links {
		switch way % 3 {
		case 0:
			l.Cut()
		case 1:
			l.CutOneWay(netproxy.ToTarget)
		default:
			l.CutOneWay(netproxy.ToClient)
		}
	}
	return func(context.Context) error {
		for _, l := range links {
			l.Heal()
		}
		return nil
	}
}

func delay(d time.Duration, links []*netproxy.Link) healFunc {
	for _, l := range links {
		l.Latency(d)
	}
	return func(context.Context) error {
		for _, l := range links {
			l.Latency(0)
		}
		return nil
	}
}

// pausable is a process that can be stopped and go on.
type pausable interface {
	Pause() error
	Resume() error
}

// stutter lets a process run for a part of the time only, until it is healed. It
// is what comes nearest to a machine or a disk that is too slow.
func stutter(p pausable, run, stop time.Duration) healFunc {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if p.Pause() != nil {
				return // it is down
			}
			<-time.After(stop)
			if p.Resume() != nil {
				return
			}
			select {
			case <-end:
				return
			case <-time.After(run):
			}
		}
	}()
	return func(context.Context) error {
		close(end)
		<-ended
		return nil
	}
}
