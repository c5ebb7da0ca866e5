// Package balancer is a small HTTP load balancer: each request goes to the next of its
// backends, and nobody is kept at one of them.
//
// A request that a backend does not answer is sent to the next one. That is right for
// applications whose requests all carry a key, or change nothing, as those of the trading
// application do: what is sent twice takes effect once. Bodies are kept for that, so they
// are bounded by [MaxBody].
//
// # Concurrency
//
// A [Balancer] is safe for concurrent use. [Balancer.Run] watches the backends and must run
// once, beside the requests.
//
// # Failures
//
// A backend that refuses connections, or is not ready, gets no requests until it is ready
// again. What was under way at it is cut: requests that had no answer go to another
// backend, answers that had begun, such as streams, end. Without a backend the answer is
// 503, with Retry-After.
package balancer
