// Package dashboard is the pages on a node's admin address: the cluster as its operators see
// it, and what they may do to it.
//
// It shows what a [Source] says, and knows no node. Each page is a template of its own in the
// shared layout; its live part is sent again as a server-sent event whenever it changes. All
// pages work without script. What a page costs is bounded: a page of the cluster reads one
// [Cluster], which is shared by all who look within a second; lists are paged.
//
// Whoever comes over a unix socket, or to a node whose admin server has no token, needs none.
// Others log in with the token, and have a session then: a random id in a cookie, kept in
// memory. The token as a bearer is taken, too. Every form that acts carries a value that only
// pages of this node know, and takes effect only with the ticket of the page that said what it
// would do, once.
//
// # Concurrency
//
// A [Dashboard] is safe for concurrent use. It starts no goroutine: jobs run in those that the
// Source starts.
//
// # Failures
//
// A page whose data cannot be had says so, and why, beside what is known. Nothing here ends
// anything.
package dashboard
