// Package load seeds the trading application and drives load against a running
// node, over HTTP alone.
//
// Users take turns. One with enough free cash buys, another sells, as section
// "load" of the application's specification says. A [Driver] starts transactions and
// cancels a share of them, at random moments of their lives; everything else is the
// application's sagas. [Driver.Settle] waits until those are at rest.
//
// Every command has an Idempotency-Key, and an attempt whose outcome is not
// known is made again with the same key until it is. The Go transport would
// resend such requests by itself; [NewClient] takes that away, so that attempts
// are counted where they are made.
//
// # Concurrency
//
// A [Client] and a [Recorder] are safe for concurrent use. A [Driver] runs its
// clients as goroutines that end before [Driver.Run] returns.
//
// # Failures
//
// A refusal that a step expects (no cash left, the order already filled) is an
// outcome like any other. Everything else is a wrong answer, which
// [Recorder.Wrong] counts and the report lists: an unexpected refusal, a 5xx
// that is not 503 or 504, a body that is not what the gateway promises, an
// outcome that stays unknown for [Config.ResolveWithin].
package load
