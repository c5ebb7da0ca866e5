// Package natsbus carries messages to the owners of partitions over NATS. It is
// both sides of the wire: a [Bus] serves partitions at a node, a [Client]
// implements [actor.Client].
//
// The durable lane is one JetStream stream, NAMESPACE_COMMANDS. A caller's command is
// published to NAMESPACE.cmd.KIND.ID and the stream itself maps it to
// NAMESPACE.cmd.PARTITION.KIND.ID; [actor.Partitions.Of] computes the same. What nodes
// send is published to NAMESPACE.run.KIND.ID, and mapped likewise. The
// owner reads its partition from a sequence on, in stream order, through an
// ephemeral consumer without acknowledgements: one of its own at first, and once it
// has caught up one that the partitions of the node share. Whatever goes wrong with
// that consumer, a new one is made that starts after the last message handed over.
//
// The direct lane is a core request to NAMESPACE.ask.PARTITION.KIND.ID, or of a node to
// NAMESPACE.req.PARTITION.KIND.ID, to which only the owner subscribes. Queries and reads of state always take it. Between a
// client and an owner of the same [Bus] it is a call, and so is every answer.
//
// Two more subjects carry nothing but hints: on NAMESPACE.changed nodes have each
// other look at the store, and on NAMESPACE.owned.PARTITION an owner that begins to
// serve has clients ask again. What is lost of them is found out later.
//
// The payload is the command's JSON as it is; everything else travels in headers
// (see internal/wire). An aggregate's id is one subject token, see
// [actor.Address.Token]. Commands for one aggregate that has several under way share a
// message, on the same subject.
//
// # Trust
//
// Whoever may publish to NAMESPACE.cmd and NAMESPACE.ask is a caller, and outside
// ([actor.Message.Outside]): what is the application's own ([actor.Internal]) is refused to
// it by the owner, and on whose behalf a message is, is not believed. Nodes publish to
// NAMESPACE.run and NAMESPACE.req: the runtime, Go code with [Bus.Client], and gateways,
// which say of each message that it comes from outside. What only the runtime may send
// ([actor.Message.Foreign]) is believed on NAMESPACE.run alone. To these two, as
// to NAMESPACE.timer, NAMESPACE.due, NAMESPACE.relay, NAMESPACE.changed and
// NAMESPACE.owned, nodes alone may publish; docs/deploy.md has the servers' configuration
// for that. Answers go to inboxes of clients in this namespace, NAMESPACE.inbox.CLIENT or
// NAMESPACE.inbox.INBOX.CLIENT, to what the server puts in their place for callers of another
// account, and to nobody else (docs/adr/0031-ids-and-subjects-of-the-runtime.md,
// docs/adr/0042-what-is-the-applications-own.md).
//
// # Concurrency
//
// [Bus] and [Client] are safe for concurrent use. [Bus.Serve] starts two
// goroutines a partition, one for each lane: a handler that blocks on the
// durable lane holds up nothing but that lane of that partition. They end before
// [actor.Subscription.Stop] returns nil. One more for the whole bus distributes what
// comes from the shared consumer, while there is one. A [Client] has two
// subscriptions for all its calls, and a goroutine for each of them and for the
// connection's state, until [Client.Close]; a call otherwise runs on the goroutine
// of its caller.
//
// # Failures
//
// A [Client] answers everything with an [actor.Outcome] or an [*actor.Error]. It
// tries again with the same command id for as long as it may and never claims
// more than it knows: once an attempt may have reached an owner, only a recorded
// outcome, or the word of an owner on every single attempt, is final; all else
// ends as [actor.CodeUnknownOutcome] at the deadline.
//
// [Open] refuses a stream that is not this namespace's command stream with
// [ErrForeignStream], one with another number of partitions with
// [ErrPartitionsMismatch], and bad configuration with [ErrConfig]. A
// subscription ends with [ErrStreamLost] when the stream is gone or another one
// has taken its place, since sequences then mean nothing any more ([Bus.Head] makes
// a stream anew that stays away), and with
// [nats.ErrConnectionClosed] when the connection has been closed. Anything less
// is repaired behind the scenes and told to [EventListener].
//
// A stored message that cannot be read is refused if somebody waits, and otherwise handed
// over as it is ([actor.Unreadable]); [Bus.Reread] reads it in another build.
package natsbus
