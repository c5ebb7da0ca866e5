// Package redact keeps secrets out of what a process says: passwords in URLs, wherever
// they stand, and values that are known to be secret.
//
// # Concurrency
//
// A [Set] is immutable and safe for concurrent use.
//
// # Failures
//
// Nothing fails. A secret of less than six bytes, and one that is a common word, is only
// found in a URL: replaced anywhere else, it would make texts unreadable and show itself
// by that. One of less than twelve is replaced where it is a word of its own.
package redact
