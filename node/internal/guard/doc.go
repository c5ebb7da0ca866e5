// Package guard decides who may come in over HTTP: which hosts a request may name,
// which origins it may come from, which token it must carry, and how many connections
// an address may have.
//
// A server on the loopback interface is not out of reach of the web. Any page that a
// browser on the machine shows can send requests to it, and a page whose own name is
// made to resolve to 127.0.0.1 (DNS rebinding) can read the answers, too. The first is
// refused by where the browser says the request comes from, the second by the name in
// the Host header, which is the page's.
//
// # Concurrency
//
// A [Guard] is not changed once it is used; all methods are then safe for concurrent
// use. A [Limited] listener is safe for concurrent use. The package starts no
// goroutine.
//
// # Failures
//
// Nothing here fails. What is refused is a [Refusal], which the owner of the server
// writes in its own form.
package guard
