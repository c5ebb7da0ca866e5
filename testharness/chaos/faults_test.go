package chaos_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/chaos"
	"github.com/ganglion-go/ganglion/testharness/natsd"
)

// run runs a trial that must break no promise.
func run(t *testing.T, trial chaos.Trial[portfolio]) *chaos.Report {
	t.Helper()
	trial.Model, trial.Seed = portfolios(), seedOf(t)
	trial.Cluster.Mongod = testharness.Mongod(t)
	trial.Keep, trial.Out = os.Getenv("GANGLION_CHAOS_DIR"), t.Output()
	settled := trial.Settled
	trial.Settled = func(h *chaos.History) error {
		if settled != nil {
			if err := settled(h); err != nil {
				return err
			}
		}
		return conserved(h)
	}
	report, err := chaos.Run(t.Context(), trial)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	return report
}

// TestCluster_NodePausedAndRevived stops an owner for 14 s under load and lets it
// go on. In the meantime others have taken its partitions. What is still in its
// hands and on its sockets then (commands it has read and not decided, decided and
// not written, written and not answered) must come to nothing, or to what the
// others have decided.
//
// A node that can reach the store learns of its death within milliseconds. Every
// other one is cut off from it for 3 s more: then its lease alone keeps it from
// answering on a state of the past. GANGLION_PAUSES sets how often all this is
// done.
//
//	owner A                       others                     client
//	reads command X
//	-- stopped ----------------------------------------------------
//	                              A is silent: declared dead
//	                              B takes the partition
//	                              B decides X' (X again)     told: done
//	                              B decides Y                told: done
//	-- goes on ----------------------------------------------------
//	decides X on the old state
//	lease lapsed: neither writes
//	nor answers; its renewal fails:
//	begins anew as incarnation 2
func TestCluster_NodePausedAndRevived(t *testing.T) {
	const pause, ignorant, rest = 14 * time.Second, 3 * time.Second, 5 * time.Second
	var plan []chaos.Fault
	variant := seedOf(t) // 0: it comes back with the store in reach, 1: without
	for i := range testenv.Times(t, "GANGLION_PAUSES", 1) {
		plan = append(plan, chaos.Fault{
			Name: "pause", At: 2*time.Second + time.Duration(i)*(pause+ignorant+rest), For: pause,
			Inject: func(ctx context.Context, c *chaos.Cluster) (string, func(context.Context) error, error) {
				n := c.Owner(ctx, actor.Partition(i))
				if n == nil {
					return "", nil, chaos.ErrBusy
				}
				return "node " + strconv.Itoa(n.Index()), func(ctx context.Context) error { return revive(ctx, n, (variant+uint64(i))%2 == 1, ignorant) }, n.Pause()
			},
		})
	}
	report := run(t, chaos.Trial[portfolio]{
		Cluster: chaos.ClusterConfig{NATSServers: 1, Mongods: 1}, Plan: plan,
		Duration: time.Duration(len(plan)) * (pause + ignorant + rest),
	})
	if report.Faults != len(plan) {
		t.Errorf("%d pauses of %d took place", report.Faults, len(plan))
	}
	if report.Longest >= pause {
		t.Errorf("nothing succeeded for %v: nobody took over from the paused node", report.Longest)
	}
}

// revive lets a node go on, which may not reach the store for a while.
func revive(ctx context.Context, n *chaos.Node, cut bool, ignorant time.Duration) error {
	if !cut {
		return n.Resume()
	}
	for _, l := range n.ToStore() {
		l.Cut()
		defer l.Heal()
	}
	if err := n.Resume(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(ignorant):
	}
	return nil
}

// moments are times of the record, as a fault notes them for the check.
type moments struct{ broken, repaired atomic.Int64 }

func (m *moments) since(h *chaos.History) (broken, repaired time.Duration) {
	return time.Duration(m.broken.Load() - h.Begin.UnixNano()), time.Duration(m.repaired.Load() - h.Begin.UnixNano())
}

// TestCluster_NATSServerKilled kills the server that leads the command stream, one
// of three, and brings it back late. An election takes 4 to 9 s. No acknowledged
// command is lost, the direct lane answers throughout, and the durable lane is
// back when the stream has a leader. A client that leaves its commands with the
// stream and waits for the stream's word would be silent with it, on whatever lane
// it is otherwise: there is none here.
func TestCluster_NATSServerKilled(t *testing.T) {
	var m moments
	kill := chaos.Fault{
		Name: "kill -9 of the stream's leader", At: 3 * time.Second, For: 18 * time.Second,
		Inject: func(ctx context.Context, c *chaos.Cluster) (string, func(context.Context) error, error) {
			leader, err := c.NATS.StreamLeader(ctx, c.CommandStream())
			if err != nil {
				return "", nil, err
			}
			m.broken.Store(time.Now().UnixNano())
			leader.Kill()
			go m.awaitLeader(ctx, c, leader)
			return leader.Name(), leader.Start, nil
		},
	}
	run(t, chaos.Trial[portfolio]{
		Cluster: chaos.ClusterConfig{Mongods: 1}, Plan: []chaos.Fault{kill}, Load: chaos.Load{OneLane: true, NoAsync: true},
		Settled: func(h *chaos.History) error {
			broken, repaired := m.since(h)
			t.Logf("the stream had a leader again after %v", repaired-broken)
			gap, _ := longestGap(h, "direct", broken, broken+18*time.Second)
			t.Logf("direct lane: longest time without an answer %v", gap)
			if gap > 2*time.Second {
				t.Errorf("the direct lane was silent for %v", gap)
			}
			back := firstDone(h, "durable", repaired)
			t.Logf("durable lane: answers %v after the stream had a leader", back-repaired)
			if back-repaired > 8*time.Second {
				t.Errorf("the durable lane was back only %v after the stream had a leader", back-repaired)
			}
			return nil
		},
	})
}

func (m *moments) awaitLeader(ctx context.Context, c *chaos.Cluster, old *natsd.Server) {
	for ctx.Err() == nil {
		ask, cancel := context.WithTimeout(ctx, time.Second)
		now, err := c.NATS.StreamLeader(ask, c.CommandStream())
		cancel()
		if err == nil && now != old {
			m.repaired.Store(time.Now().UnixNano())
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// answered are the times at which commands were told done on a lane, in order.
func answered(h *chaos.History, lane string) []time.Duration {
	var ends []time.Duration
	for _, op := range h.Operations {
		for _, a := range op.Attempts {
			if a.Lane == lane && a.Status == 200 && !op.IsRead() {
				ends = append(ends, a.End)
			}
		}
	}
	slices.Sort(ends)
	return ends
}

func longestGap(h *chaos.History, lane string, from, to time.Duration) (gap, at time.Duration) {
	last := from
	for _, end := range append(answered(h, lane), to) {
		if end < from || end > to {
			continue
		}
		if end-last > gap {
			gap, at = end-last, last
		}
		last = end
	}
	return gap, at
}

func firstDone(h *chaos.History, lane string, after time.Duration) time.Duration {
	for _, end := range answered(h, lane) {
		if end > after {
			return end
		}
	}
	return 1 << 62
}

// TestCluster_CommandStreamDeleted deletes the command stream under load. It is
// made anew as another incarnation, in which sequences begin again; nobody is told
// anything wrong, and all goes on. (What was accepted with 202 is lost with the
// stream: nobody does that here.)
func TestCluster_CommandStreamDeleted(t *testing.T) {
	var m moments
	var plan []chaos.Fault
	for _, at := range []time.Duration{3 * time.Second, 16 * time.Second} {
		plan = append(plan, chaos.Fault{
			Name: "command stream deleted", At: at, For: 11 * time.Second,
			Inject: func(ctx context.Context, c *chaos.Cluster) (string, func(context.Context) error, error) {
				m.broken.Store(time.Now().UnixNano())
				return c.CommandStream(), nil, c.NATS.DeleteStream(ctx, c.CommandStream())
			},
		})
	}
	report := run(t, chaos.Trial[portfolio]{
		Cluster: chaos.ClusterConfig{Mongods: 1}, Plan: plan, Load: chaos.Load{OneLane: true, NoAsync: true},
		Settled: func(h *chaos.History) error {
			broken, _ := m.since(h)
			for _, lane := range []string{"durable", "direct"} {
				gap, at := longestGap(h, lane, broken, broken+11*time.Second)
				t.Logf("%s lane: longest time without an answer %v, from %v after the stream was deleted", lane, gap, at-broken)
				if gap > 9*time.Second {
					t.Errorf("the %s lane was silent for %v", lane, gap)
				}
			}
			return nil
		},
	})
	if report.Faults != len(plan) {
		t.Errorf("%d of %d deletions took place", report.Faults, len(plan))
	}
}

// TestCluster_ClockStandsStill stops the clock of an owner, and cuts it off from the
// store. It goes on to hear its clients, in the belief that its lease is valid,
// while others declare it dead, take its partitions, and answer. With answers by
// lease it tells of the past then; verified, it says nothing.
func TestCluster_ClockStandsStill(t *testing.T) {
	var plan []chaos.Fault
	for i := range 2 {
		plan = append(plan, chaos.Fault{
			Name: "clock stands still, cut from the store", At: 2*time.Second + time.Duration(i)*12*time.Second, For: 9 * time.Second,
			Inject: func(ctx context.Context, c *chaos.Cluster) (string, func(context.Context) error, error) {
				n := c.Owner(ctx, actor.Partition(i))
				if n == nil {
					return "", nil, chaos.ErrBusy
				}
				if err := n.HaltClock(true); err != nil {
					return "", nil, err
				}
				for _, l := range n.ToStore() {
					l.Cut()
				}
				return "node " + strconv.Itoa(n.Index()), func(context.Context) error {
					for _, l := range n.ToStore() {
						l.Heal()
					}
					return n.HaltClock(false)
				}, nil
			},
		})
	}
	report := run(t, chaos.Trial[portfolio]{
		Cluster: chaos.ClusterConfig{NATSServers: 1, Mongods: 1, Answers: runtime.AnswersVerified}, Plan: plan, Duration: 26 * time.Second,
	})
	if report.Faults != len(plan) {
		t.Errorf("%d of %d clocks were stopped", report.Faults, len(plan))
	}
}
