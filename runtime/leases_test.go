package runtime_test

import (
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
)

const (
	longLease     = 20 * lease
	longDeadAfter = longLease + longLease/6
)

// ofLengths gives nodes leases by their names; others have the usual one.
func ofLengths(leases map[string]time.Duration) func(*runtime.Config) {
	return func(c *runtime.Config) {
		if l, ok := leases[c.Name]; ok {
			c.Lease = l
		}
	}
}

// TestNode_LeasesOfDifferentLength: the lease of a node is what others wait for, and not
// their own. With their own, n2 would take n1's partitions between two renewals of n1's,
// and both would answer:
//
//	n1, lease 12 s               store            n2, lease 0.6 s
//	renews, answers until 12 s   beat 7
//	                                              0.7 s: still beat 7, "dead"
//	answers a read               dead             takes n1's partitions, commits
//	2 s: renewal refused
func TestNode_LeasesOfDifferentLength(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, first := newPair(t, nil, ofLengths(map[string]time.Duration{"n1": longLease}))
		was := [2]string{first.Status().Incarnation, s.node.Status().Incarnation}
		for range 100 {
			s.want(s.add("a", 1), actor.CodeOK)
			s.pause(longLease / 10)
			if now := [2]string{first.Status().Incarnation, s.node.Status().Incarnation}; now != was || !first.Status().LeaseValid {
				t.Fatalf("incarnations %v, were %v; the lease of n1: %v", now, was, first.Status().LeaseValid)
			}
		}
		start := time.Now()
		_ = first.Close()
		s.awaitServing()
		if took := time.Since(start); took < longLease-longLease/6 || took > longDeadAfter+lease {
			t.Errorf("the one with the short lease took over after %v", took)
		}
		s.want(s.add("a", 1), actor.CodeOK)
	})
}

// TestNode_ShortLeaseDies: who has a long lease need not wait for as long, but for its
// own next look.
func TestNode_ShortLeaseDies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, first := newPair(t, nil, ofLengths(map[string]time.Duration{"n2": longLease}))
		s.pause(2 * longLease)
		start := time.Now()
		_ = first.Close()
		s.awaitServing()
		if took := time.Since(start); took < lease-lease/6 || took > deadAfter+longLease/3+lease {
			t.Errorf("the one with the long lease took over after %v", took)
		}
	})
}

// TestNode_Predecessor_OfALongerLease: it is waited for as long as it may answer.
func TestNode_Predecessor_OfALongerLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		length := longLease
		s := prepare(t, nil, func(c *runtime.Config) { c.SoleHolderOfName, c.Lease = false, length })
		s.start("n1")
		_ = s.node.Close()
		length = lease
		start := time.Now()
		s.start("n1")
		if took := time.Since(start); took < longDeadAfter || took > longDeadAfter+2*lease {
			t.Errorf("serves after %v", took)
		}
	})
}
