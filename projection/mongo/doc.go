// Package mongo keeps views and checkpoints of projections on a MongoDB replica set.
// A batch of events changes documents and checkpoint in one transaction, with
// majority write concern and journal.
//
// Each collection of a generation of a view is a collection of the database, whose
// name tells both: "view.balances.3.accounts". A document is
//
//	{ _id: "p-7", r: ObjectId(...), f: 1, d: { total: 41 } }
//
// r is its revision, d what the handler has put, as encoding/json writes it: under the
// names of its JSON, so that it can be queried and indexed ([Config.Prepare]). Integers are
// int64, other numbers double, or Decimal128 where the digits need it. Times are texts of
// RFC 3339, as in JSON: keep a number beside one that is to be sorted or to expire. What
// has no BSON that comes back as the same JSON, as with keys that begin with "$", is kept
// as text in j instead. Documents without f are of builds that made BSON of Go values; they
// are read as those did, and become new when they are next written.
//
// [Collection] is the collection of the generation that is read. Checkpoints, and what else the engine keeps of a
// generation, are in its collection "_engine"; the heads of all projections are in
// "view._heads".
//
// A handler that needs more than documents by key writes whatever it wants in the
// same transaction: see [Session].
//
// # Concurrency
//
// All methods are safe for concurrent use by many processes on the same database. No
// goroutine is started. The client belongs to the caller unless [Open] made it.
//
// # Failures
//
// Errors wrap those of package projection, and the driver's. Two transactions that
// meet at a document are a conflict for one of them. A commit that gets no answer is
// tried again, which the server allows, until its context ends; only then is its
// outcome unknown.
//
// A process that is killed or cut off within a transaction leaves it open, and what it
// has written blocks others. Who meets that ends it, once it has waited for its next
// operation for [AbandonedAfter]; the error says so. A handler that uses [Session] and
// then does something else for so long may therefore have to begin anew. The server's
// operations for that ($currentOp, killSessions) need no privilege, but the user must be
// the same in all processes.
package mongo
