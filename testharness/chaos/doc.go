// Package chaos runs a whole cluster as processes (Ganglion nodes, NATS servers,
// mongods), breaks it on a schedule made from a seed, records what clients are
// told meanwhile, and checks that record. Test your own aggregates with it:
//
//	func TestMain(m *testing.M) { chaos.Main(m, Accounts) }
//
//	func TestAccounts_Chaos(t *testing.T) {
//		report, err := chaos.Run(t.Context(), chaos.Trial[int64]{Model: accounts(), Seed: 1, Duration: time.Minute})
//		if err != nil {
//			t.Fatal(err) // the cluster did not come up
//		}
//		t.Log(report)
//		if err := report.Err(); err != nil {
//			t.Error(err) // a promise was broken; the evidence is in report.Kept
//		}
//	}
//
// The parts serve by themselves, too: [StartCluster] for tests that break one
// thing at a chosen moment, [NewRecorder] for the load, [Check] for the record. An
// application with a load and checks of its own takes [Plan], [Cluster.Disturb] and
// [Cluster.Keep]; its nodes have projections by [MainWith].
//
// # What is checked
//
// Every aggregate's history, as its callers saw it, must be linearizable against
// the [Model]: there is one order of all calls, in agreement with real time, in
// which each answer is what the aggregate says in that state at that version. The
// checker is porcupine. Calls of unknown outcome are first settled by the store:
// those in it took effect at their version at some time after they began, the
// others never did. All who saw a state go before the call that changes it, which is
// said to porcupine, since it need not be searched for: so histories of many clients on
// one aggregate are decided too.
//
// The store must hold every acknowledged command exactly once, at the version that
// was told; nothing of a command that was refused or "not executed"; and every
// other command at most once. One that was accepted (202) must have been executed,
// or refused in a state that there was. A command that is asked again under its id must get
// the first outcome that anybody was told, done or refused; only what nobody was told,
// or was told as "not executed", may be decided later. [Trial.Settled] adds what holds over all aggregates.
//
// # What can be broken
//
// Processes of all three kinds: kill -9 and restart, pause (SIGSTOP) and revival,
// stuttering (running for a part of the time). Nodes: an orderly stop, cuts from
// the store, from NATS or from both, in one or both directions, delay, jumps of
// wall time; kills and pauses of just the node that relays the events. NATS: servers cut off from each other or slowed down, a stream's leader
// stepped down, a stream deleted. MongoDB: the primary stepped down, a member cut
// off from whoever dials it, writes that fail before or after they took effect. Clients send commands again, also twice at once, to
// different nodes over different lanes.
//
// Not here, since it takes privileges or a file system of one's own: a slow disk
// (stuttering is what comes near it: a server that is late with everything), loss
// of what was not synced, jumps of the clocks of NATS and MongoDB, jumps of a
// monotonic clock. The cut of a mongod leaves it the connections that it dials
// itself, so that it sees others who do not see it.
//
// # Concurrency
//
// [Run] blocks, and leaves no goroutine and no process. The methods of a [Cluster]
// and its parts may be called from any goroutine, except that one process must not
// be started and stopped at the same time.
//
// # Failures
//
// Errors of [Run] and [StartCluster] say that the cluster did not come up. What is
// wrong with the answers is in the [Report], and so is a cluster that does not serve
// again within a minute after everything was healed. [ErrBusy] is the fault that found nothing to break.
package chaos
