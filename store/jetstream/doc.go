// Package jetstream is a store on NATS JetStream alone: the embedded default,
// which needs no database. It also works on a NATS cluster, with three replicas.
//
// Four streams hold everything, under a namespace:
//
//	NS_STORE      NS.agg.KIND.ID   one message a commit; never deleted from
//	NS_SNAPSHOTS  NS.snap.KIND.ID  the last message of each aggregate
//	NS_LEASES     NS.lease.>       the last message of each session and claim
//	NS_PARKED     NS.park.>        the last message of each parked command
//
// Every write states which message it expects to be the last one of its subject
// (the header Nats-Expected-Last-Subject-Sequence). That is the fence of an
// aggregate's versions, and of sessions and claims. The commits of one Append
// travel as one atomic batch where the server knows them (2.12 and later), which
// costs one fsync; when the batch is refused, because one commit conflicts, the
// others are tried again without it. Reads use direct gets and create no
// consumers.
//
// The server decides about durability: with sync_interval: always a message is
// acknowledged after fsync (on a majority, with replicas), and the store keeps
// the promise of [store.Commits.Append] over a power cut as well as over the
// death of a process. With the server's default it keeps it over the latter.
//
// FindOutcome remembers, in bounded memory, which outcomes an aggregate's
// history holds, and reads only what was added since; the first look-up of an
// aggregate reads its whole history. Records are JSON. The largest record is
// what the server's max_payload allows.
//
// # Concurrency
//
// All methods are safe for concurrent use by many stores on the same namespace.
// No goroutine is started; the connections belong to the caller, who closes them.
// Sessions and claims may have one of their own, so that they wait behind nothing
// else; at most eight reads of many messages are under way at once.
//
// # Failures
//
// A write that gets no answer is store.ErrUnknown, and may yet be made. A full
// stream is [ErrFull], which is also store.ErrUnknown, since the server uses the
// same answer for a disk that failed. With replicas, a leader that is cut off
// from its group goes on answering reads for about ten seconds: a client on its
// side sees old sessions and claims until then, and none of its writes succeed.
// Reads after TakeClaims do not suffer from that: it writes a mark into the
// commit stream, and later reads insist on a replica that has it.
package jetstream
