// Package wire is the form in which messages and outcomes travel over NATS:
// names of streams and subjects, headers, inboxes.
//
// A message is its payload, the JSON of the command as it is, and the headers in
// message.go. What has its most common value is left out. A reader ignores
// headers that it does not know, and refuses a format that it does not know. Several
// commands in one message have a format of their own, see batch.go.
//
// # Concurrency
//
// The package is pure functions on values.
//
// # Failures
//
// What cannot be read is [ErrWire], [ErrSubject], [actor.ErrAddress] or
// [actor.ErrMessage]: nobody can execute such a message, now or later.
package wire
