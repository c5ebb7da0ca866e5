// Package runtime is the node: it turns claims of partitions into activations
// of aggregates, decides their commands one after another in memory, and makes
// the decisions durable before anybody hears of them.
//
// The way of a command:
//
//	Bus -> partition -> activation (mailbox, decide, gather) -> committer -> store
//	                        ^                                      |
//	                        +------------- settle, answer <--------+
//
// A [Node] opens a session in the store, renews it, claims its share of the
// partitions, and serves each from the watermark that its claim carries. What its
// share is, who else is alive, and what is to be handed over is decided by
// internal/placement, and carried out here. An activation decides
// on a state that includes decisions still on their way to the store
// (speculation), and holds every answer back until all that it stood on is
// durable and the node's lease is valid (the output gate). An outcome without events
// waits until it is saved with the claim, where the next owner finds it. With [AnswersVerified]
// the store's word, asked for each time, stands in the place of the lease.
//
// What a decision sends, and the timers that it sets, are part of its commit
// ([Outgoing]); nothing of it is sent from here. A firing that comes back has an effect
// only while its timer is set to it, and not before its time.
//
// # Concurrency
//
// Each activation is run by at most one goroutine at a time, which is started
// when there is work and ends when there is none: an idle aggregate costs
// memory, but no stack. One committer per node writes for all activations. One
// goroutine saves claims while outcomes wait for that, one by the clock. One makes the
// rounds of placement, one renews the session, and each
// partition that is handed over has one of its own, as has one in which messages
// wait that another build can execute, and each firing of a timer that came early.
// Node's methods are safe for concurrent use. Shutdown drains, Close cuts;
// neither returns while a goroutine of the node lives.
//
// # Failures
//
// A version conflict or an unknown outcome of a write discards the state: it is
// loaded again, and commands that the store does not already hold are decided
// again. A lapsed lease holds answers back. A lost session stops every
// activation and starts a new incarnation. A handler that panics is tried again
// on a fresh state and then parked, alone. What only another live node can execute,
// since its build knows the kind or a stored event, is left to that node, and so is
// its partition. Callers see an actor.Outcome; an
// unknown one is never told as success or failure.
package runtime
