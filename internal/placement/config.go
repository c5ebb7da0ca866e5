package placement

import (
	"math"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// Config is the rules' numbers. All durations are measured by the node's own
// clock. [Defaults] fills it in.
type Config struct {
	Partitions int

	// Lease is how long the node may answer after it has sent a renewal that
	// succeeded. Others may have another one, which their sessions tell.
	Lease time.Duration
	// Margin is added to a lease, in proportion, before another is declared dead: for
	// clocks that run at different rates, up to Margin/Lease apart.
	Margin time.Duration
	// Renew is the time between the sendings of two renewals.
	Renew time.Duration
	// Look is the time between two readings of the store, at the most.
	Look time.Duration

	// ClaimMax is how many claims are taken upon one reading, and Pace the time
	// before the next one if there are more to take.
	ClaimMax int
	Pace     time.Duration
	// LeaveMax is how many partitions are handed over at the same time, from when
	// they begin to be drained until they are taken.
	LeaveMax int

	// Sole says that no other process can reach the store, so that a session lasts
	// without renewals.
	Sole bool

	// Settle is how long a node that finds nobody who holds anything waits for
	// others to show up before it takes everything.
	Settle time.Duration
	// Steady is for how long a node must be cut, or connected again, before partitions
	// move for that: see cut.go.
	Steady time.Duration
	// Forget is how long the session of a dead node is kept to be seen.
	Forget time.Duration
}

// Defaults returns the numbers for a lease.
func Defaults(lease time.Duration, partitions int) Config {
	return Config{
		Partitions: partitions,
		Lease:      lease, Margin: lease / 6, Renew: lease / 6, Look: lease / 6,
		ClaimMax: 64, Pace: 20 * time.Millisecond, LeaveMax: max(4, min(partitions/32, 64)),
		Settle: lease / 6, Steady: max(lease, 4*time.Second), Forget: 10 * time.Minute,
	}
}

// DeadAfter is how long the beat of a session must stand still before it may be
// declared dead. It is the session's own lease that counts: say A may answer for 10 s
// after a renewal, and B for 1 s. Were B to wait for as long as its own lease lasts, it
// would take A's partitions in the pauses between A's renewals, while A answers on.
func (c *Config) DeadAfter(s *store.Session) time.Duration {
	lease := c.leaseOf(s)
	margin := time.Duration(math.Ceil(float64(lease) * float64(c.Margin) / float64(c.Lease)))
	return lease + margin
}

// leaseOf is what a session says, or what builds that say nothing are taken to have.
func (c *Config) leaseOf(s *store.Session) time.Duration {
	if s.Lease <= 0 {
		return c.Lease
	}
	return s.Lease
}
