// Package jsonbson turns JSON into BSON and back without losing anything, in one
// pass over the text and without intermediate values.
//
// What comes back is the text that went in, byte for byte but for white space, so that
// events can be queried as documents and still decode as they were encoded: the order of
// keys, the digits of 1.50, 1e2 and 1e400, and strings as encoding/json escapes them. A
// number is an int64, a double or a Decimal128.
//
// Some JSON has no such document: duplicate keys, keys with NUL or a leading dollar sign,
// numbers beyond 34 digits or in a notation that neither encoding/json nor a Decimal128
// has (1E2), other escapes than those of encoding/json, half a surrogate pair, nesting
// beyond [MaxDepth], or text that is not JSON. [AppendElement] reports it, and the caller
// keeps the text.
//
// # Concurrency
//
// Only pure functions.
//
// # Failures
//
// [AppendElement] does not fail, it declines. [AppendJSON] fails with
// [ErrMalformed] or [ErrType] on BSON that AppendElement has not made; it never
// panics on foreign bytes.
package jsonbson
