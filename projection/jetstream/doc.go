// Package jetstream keeps views and checkpoints of projections on JetStream alone:
// the embedded default, which needs no database. It also works on a NATS cluster,
// with replicas.
//
// One stream holds everything: NAMESPACE_VIEWS, with a subject for each document,
// NAMESPACE.view.PROJECTION.GENERATION.COLLECTION.KEY, of which the last message is
// the document, as JSON. Its sequence is the document's revision. A batch of events
// is one atomic batch of messages, each of which can expect its subject's last
// sequence: the checkpoint's message does. That needs a server of 2.12 or later. An
// atomic batch has 1000 messages at most, so larger transactions are
// [projection.ErrTooLarge], and the engine takes fewer events. A deleted document
// leaves an empty message for an hour.
//
// Reads are direct gets. With replicas any of them may answer: an answer counts only
// if the replica has got as far as this storage has seen. To list a collection, the
// names of all its documents are read first; for views of more than some hundred
// thousand documents MongoDB is the better place.
//
// # Concurrency
//
// All methods are safe for concurrent use by many processes on the same namespace. No
// goroutine is started; the connection belongs to the caller.
//
// # Failures
//
// Errors wrap those of package projection. A commit that gets no answer is
// [projection.ErrUnknown]. [Open] returns [ErrConfig] when the stream exists and is
// another one than is needed, or the server is too old.
package jetstream
