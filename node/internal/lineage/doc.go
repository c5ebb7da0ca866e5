// Package lineage finds what caused a command, and what it caused, as far as stored ids
// say so.
//
// A commit keeps, of each command, its id, its conversation and the id of what caused it,
// and of what a decision sent: to whom, and under which id. What the runtime sends has ids
// that are derived from the aggregate, the command or event, and a time
// (docs/adr/0031-ids-and-subjects-of-the-runtime.md). So both directions are exact:
//
//   - downwards, the ids of what was sent are stored, and those of what sagas and policies
//     did are derived anew from the event, by the definitions of this build; the command is
//     then looked up in the history of its target;
//   - upwards, the address of the sender is not stored with the command. Addresses that are
//     near (the aggregate itself, those it has written to, those that its events name, one
//     that the caller suggests) are tried, and one counts only if the id derived from it is
//     the id of the command.
//
// What cannot be proved by an id is not shown: what a client sent in answer to what it saw,
// for instance.
//
// A history is searched by the time of its commits, which grows along it: a binary search
// over versions, and a bounded read from there. Nothing needs an index on commits, and
// nothing reads a history as a whole.
//
// # Concurrency
//
// A [Reader] is immutable and safe for concurrent use. Everything runs on the goroutine of
// the caller and ends with its context.
//
// # Failures
//
// Errors are those of the store. A look that ends early (a bound was reached, or the
// context has ended) is no error: it says how far it got.
package lineage
