// Package jsonbson turns JSON into BSON and back without losing anything, in one
// pass over the text and without intermediate values.
//
// Order of keys, nesting and the exact value of every number are kept, so that
// events can be queried as documents and still decode as they were encoded.
// White space, the way a string was escaped, and the notation of a number that
// is not an integer are not kept: 1.50 comes back as 1.5. An integer stays an
// integer and a number with a fraction or an exponent keeps one.
//
// Some JSON has no lossless document: duplicate keys, keys with NUL or a leading
// dollar sign, half a surrogate pair, numbers beyond 34 digits, nesting beyond
// [MaxDepth], or text that is not JSON. [AppendElement] reports it, and the
// caller keeps the text.
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
