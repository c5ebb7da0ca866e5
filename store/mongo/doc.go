// Package mongo is the production store: [store.Store] on a MongoDB replica set
// of version 6.0 or later.
//
// Each commit is one document of the clustered collection "commits", whose _id
// {a: aggregate, v: version of the first event} is the only unique key and the
// order in which a history is read:
//
//	db.commits.find({_id: {$gt: {a: "portfolio/p-7", v: 0}, $lte: {a: "portfolio/p-7", v: Infinity}}})
//	db.commits.find({"ev.n": "deposited.v1", "ev.d.amount": {$gt: 1000}})
//
// Events, replies and commands to send are kept as BSON without loss, so that
// they can be queried; JSON that has no lossless BSON form, such as duplicate
// keys, keys that begin with a dollar sign or numbers of more than 34 digits, is
// kept as text beside them. A commit takes at most 16 MiB less 64 KiB.
// Collections "snapshots", "nodes" (sessions), "claims" and "parked" hold the
// rest.
//
// What safety rests on: every write waits for a majority's journal. Reads of
// histories, outcomes and snapshots take what a majority has, on the primary,
// and not before the last write that was acknowledged to this store, so that a
// primary that was replaced without knowing it times out instead of answering.
// Reads of sessions, of claims and of the end of the feed are linearizable.
//
// # Concurrency
//
// All methods of a [Store] may be called from any goroutine. It has none of its
// own; the driver's monitors run between [Open] and [Store.Close]. Close waits
// for operations in progress.
//
// # Failures
//
// Errors of the driver are translated in one place, errors.go, and stay in the
// chain. A write is [store.ErrConflict], [store.ErrTooLarge] or [store.ErrLost]
// only on a majority's word; all else is [store.ErrUnknown]: write concern
// errors, timeouts, broken connections, fail-overs that outlast WriteTimeout.
// The driver repeats writes over a fail-over in a way that carries them out
// once, so that one shows as a delay of some seconds and rarely as an error.
// Reads that fail are [store.ErrUnavailable] or [store.ErrCorrupt]. [Open] fails
// for good with [ErrStandalone], [ErrServerVersion] or [ErrSchema].
package mongo
