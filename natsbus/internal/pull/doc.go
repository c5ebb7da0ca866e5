// Package pull is the client's half of a pull consumer without acknowledgements:
// how many messages the server may still send, and whether those that arrive are
// all that it has sent.
//
// # Concurrency
//
// A [Flow] belongs to one goroutine and does no I/O.
//
// # Failures
//
// [ErrGap] and [ErrStatus] end a flow: its consumer is to be replaced by one that
// starts after the last message that was taken.
package pull
