package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/testharness/mongod"
	"github.com/ganglion-go/ganglion/testharness/natsd"
	"github.com/ganglion-go/ganglion/testharness/netproxy"
)

// nodeKinds are the faults of nodes and of their ways to the servers.
func nodeKinds() []kind {
	return []kind{
		{"kill -9 and restart", 4, 100 * time.Millisecond, 4 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			return onNode(rnd, killed)
		}},
		{"orderly stop and restart", 1, 100 * time.Millisecond, 2 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			return onNode(rnd, func(ctx context.Context, _ *Cluster, n *Node) (healFunc, error) {
				ctx, cancel := context.WithTimeout(ctx, drainTimeout)
				defer cancel()
				return n.Start, n.Terminate(ctx)
			})
		}},
		{"pause", 2, 100 * time.Millisecond, 2 * time.Second, pauseNode},
		{"long pause", 3, 3 * time.Second, 14 * time.Second, pauseNode},
		{"stutter", 1, 2 * time.Second, 6 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			run, stop := stutterTimes(rnd)
			return onNode(rnd, func(_ context.Context, _ *Cluster, n *Node) (healFunc, error) { return stutter(n, run, stop), nil })
		}},
		{"cut from the store", 3, 3 * time.Second, 9 * time.Second, cutNode(false, true)},
		{"cut from NATS", 2, time.Second, 9 * time.Second, cutNode(true, false)},
		{"cut from all", 2, 3 * time.Second, 9 * time.Second, cutNode(true, true)},
		{"slow network", 1, time.Second, 6 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			d := time.Duration(2+rnd.IntN(150)) * time.Millisecond
			return onNode(rnd, func(_ context.Context, _ *Cluster, n *Node) (healFunc, error) {
				return delay(d, slices.Concat(n.ToNATS(), n.ToStore())), nil
			})
		}},
		{"jump of wall time", 1, time.Second, 6 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			d := time.Duration(rnd.Int64N(int64(2*time.Hour))) - time.Hour
			if rnd.IntN(2) == 0 {
				d /= 1000 // seconds, which deadlines are made of
			}
			return onNode(rnd, func(_ context.Context, _ *Cluster, n *Node) (healFunc, error) {
				return func(context.Context) error { return n.ShiftClock(0) }, n.ShiftClock(d)
			})
		}},
	}
}

// relayKinds are the faults of the node from which all events go out: the owner of
// partition 0. One that is paused for long is declared dead and does not know it: two
// relays are at work when it goes on.
func relayKinds() []kind {
	return []kind{
		{"kill -9 of its node", 2, 100 * time.Millisecond, 3 * time.Second, onRelay(killed)},
		{"pause of its node", 1, 100 * time.Millisecond, 2 * time.Second, onRelay(paused)},
		{"long pause of its node", 2, 3 * time.Second, 8 * time.Second, onRelay(paused)},
	}
}

// clockKinds are what happens to nodes' clocks. A node whose clock stands still may
// be paused, cut off or killed at the same time.
func clockKinds() []kind {
	return []kind{
		{"stands still", 2, 2 * time.Second, 9 * time.Second, haltClock},
		{"stands still, cut from the store", 2, 4 * time.Second, 9 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			return onNode(rnd, func(_ context.Context, _ *Cluster, n *Node) (healFunc, error) {
				heal := cut(0, n.ToStore())
				return func(ctx context.Context) error { return errors.Join(heal(ctx), n.HaltClock(false)) }, n.HaltClock(true)
			})
		}},
		{"stands still in a pause", 2, 4 * time.Second, 9 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			return onNode(rnd, func(ctx context.Context, _ *Cluster, n *Node) (healFunc, error) {
				err := n.HaltClock(true)
				sleep(ctx, 2*clockEvery) // until it has seen that
				return func(ctx context.Context) error {
					err := n.Resume()
					sleep(ctx, time.Second) // in which it still believes in its lease
					return errors.Join(err, n.HaltClock(false))
				}, errors.Join(err, n.Pause())
			})
		}},
	}
}

// haltClock stops the clock of the owner of a random partition, whatever else
// happens to that node.
func haltClock(rnd *rand.Rand, _ time.Duration) injectFunc {
	partition := rnd.Uint32()
	return func(ctx context.Context, c *Cluster) (string, healFunc, error) {
		n := c.Owner(ctx, actor.Partition(partition%uint32(c.cfg.Partitions)))
		if n == nil {
			return "", nil, ErrBusy
		}
		return fmt.Sprintf("node %d", n.Index()), func(context.Context) error { return n.HaltClock(false) }, n.HaltClock(true)
	}
}

func pauseNode(rnd *rand.Rand, _ time.Duration) injectFunc {
	return onNode(rnd, paused)
}

func killed(_ context.Context, _ *Cluster, n *Node) (healFunc, error) {
	n.Kill()
	return n.Start, nil
}

func paused(_ context.Context, _ *Cluster, n *Node) (healFunc, error) {
	return func(context.Context) error { return n.Resume() }, n.Pause()
}

func cutNode(nats, store bool) func(*rand.Rand, time.Duration) injectFunc {
	return func(rnd *rand.Rand, _ time.Duration) injectFunc {
		way := rnd.IntN(3)
		return onNode(rnd, func(_ context.Context, _ *Cluster, n *Node) (healFunc, error) {
			var links []*netproxy.Link
			if nats {
				links = append(links, n.ToNATS()...)
			}
			if store {
				links = append(links, n.ToStore()...)
			}
			return cut(way, links), nil
		})
	}
}

func stutterTimes(rnd *rand.Rand) (run, stop time.Duration) {
	return time.Duration(5+rnd.IntN(40)) * time.Millisecond, time.Duration(20+rnd.IntN(250)) * time.Millisecond
}

// natsKinds are the faults of NATS servers.
func natsKinds() []kind {
	return []kind{
		{"kill -9 and restart", 3, 500 * time.Millisecond, 8 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			return onNATS(rnd, func(_ context.Context, _ *Cluster, s *natsd.Server) (healFunc, error) {
				s.Kill()
				return s.Start, nil
			})
		}},
		{"pause", 2, 200 * time.Millisecond, 8 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			return onNATS(rnd, func(_ context.Context, _ *Cluster, s *natsd.Server) (healFunc, error) {
				return func(context.Context) error { return s.Resume() }, s.Pause()
			})
		}},
		{"lame duck and restart", 2, 500 * time.Millisecond, 6 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			return onNATS(rnd, func(_ context.Context, _ *Cluster, s *natsd.Server) (healFunc, error) {
				return func(ctx context.Context) error { return restartDuck(ctx, s) }, s.LameDuck()
			})
		}},
		{"cut from the other servers", 2, time.Second, 9 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			way := rnd.IntN(3)
			return onNATS(rnd, func(_ context.Context, c *Cluster, s *natsd.Server) (healFunc, error) {
				return cut(way, c.routes(s)), nil
			})
		}},
		{"slow routes", 1, time.Second, 6 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			d := time.Duration(2+rnd.IntN(150)) * time.Millisecond
			return onNATS(rnd, func(_ context.Context, c *Cluster, s *natsd.Server) (healFunc, error) {
				return delay(d, c.routes(s)), nil
			})
		}},
		{"stutter", 1, 2 * time.Second, 6 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			run, stop := stutterTimes(rnd)
			return onNATS(rnd, func(_ context.Context, _ *Cluster, s *natsd.Server) (healFunc, error) {
				return stutter(s, run, stop), nil
			})
		}},
		{"step-down of the command stream's leader", 2, 0, 0, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			return onNATS(rnd, func(ctx context.Context, c *Cluster, _ *natsd.Server) (healFunc, error) {
				return nil, c.NATS.StepDown(ctx, c.CommandStream())
			})
		}},
	}
}

// restartDuck starts a server again that ends in lame duck mode, once it has ended.
func restartDuck(ctx context.Context, s *natsd.Server) error {
	ending, cancel := context.WithTimeout(ctx, 4*lameDuckGrace)
	defer cancel()
	if err := s.AwaitEnd(ending); err != nil {
		s.Kill()
		return errors.Join(err, s.Start(ctx))
	}
	return s.Start(ctx)
}

// routes are the links of a server to all others.
func (c *Cluster) routes(s *natsd.Server) []*netproxy.Link {
	var links []*netproxy.Link
	for _, other := range c.NATS.Servers() {
		if other != s {
			links = append(links, c.NATS.Link(s.Index(), other.Index()))
		}
	}
	return links
}

// mongoKinds are the faults of mongods.
func mongoKinds() []kind {
	return []kind{
		{"kill -9 and restart", 3, 500 * time.Millisecond, 6 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			return onMongod(rnd, func(_ context.Context, _ *Cluster, m *mongod.Member) (healFunc, error) {
				m.Kill()
				return m.Restart, nil
			})
		}},
		{"step-down of the primary", 3, 0, 0, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			return onMongod(rnd, func(ctx context.Context, c *Cluster, _ *mongod.Member) (healFunc, error) {
				ctx, cancel := context.WithTimeout(ctx, drainTimeout)
				defer cancel()
				return nil, c.Mongo.StepDown(ctx)
			})
		}},
		{"pause", 2, 200 * time.Millisecond, 8 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			return onMongod(rnd, func(_ context.Context, _ *Cluster, m *mongod.Member) (healFunc, error) {
				return func(context.Context) error { return m.Resume() }, m.Pause()
			})
		}},
		{"stutter", 1, 2 * time.Second, 6 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			run, stop := stutterTimes(rnd)
			return onMongod(rnd, func(_ context.Context, _ *Cluster, m *mongod.Member) (healFunc, error) {
				return stutter(m, run, stop), nil
			})
		}},
		{"slow network", 1, time.Second, 6 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			d := time.Duration(2+rnd.IntN(150)) * time.Millisecond
			return onMongod(rnd, func(_ context.Context, _ *Cluster, m *mongod.Member) (healFunc, error) {
				return delay(d, []*netproxy.Link{m.Proxy().Link}), nil
			})
		}},
		{"writes of unknown outcome", 2, time.Second, 5 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			failure := unknownFailures()[rnd.IntN(len(unknownFailures()))]
			return onMongod(rnd, func(ctx context.Context, _ *Cluster, m *mongod.Member) (healFunc, error) {
				return func(ctx context.Context) error { return failInserts(ctx, m, nil) }, failInserts(ctx, m, failure)
			})
		}},
		{"cut from whoever dials it", 2, time.Second, 8 * time.Second, func(rnd *rand.Rand, _ time.Duration) injectFunc {
			way := rnd.IntN(3)
			return onMongod(rnd, func(_ context.Context, _ *Cluster, m *mongod.Member) (healFunc, error) {
				return cut(way, []*netproxy.Link{m.Proxy().Link}), nil
			})
		}},
	}
}
