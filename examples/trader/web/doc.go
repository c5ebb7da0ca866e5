// Package web is the trading application for its users: pages that the node serves, beside
// nothing else, on its HTTP address. They are rendered on the server; a script replaces
// parts of them as things change, and without it each page is right after a reload, and each
// form works.
//
// It shows how one writes such an application around a node: [App.Config] has the hooks
// (node.Config.Setup, Handler, Flags), pages read projection views and, where somebody has
// to see what they have just done, the aggregates themselves; forms are commands. The
// command API is on an address of its own, --api-addr, with the administrator's page.
//
// # Who is who
//
// A session is an aggregate ([Sessions]), so that it outlives the node that began it, and a
// log-out holds at all nodes. The cookie has a random token, the aggregate's id is its hash.
// A log-in begins a new session and takes over nothing that the browser had before.
// Passwords are stored as bcrypt hashes. A log-in of somebody unknown reads as much and
// computes as much as one with a wrong password, and says the same. There are a few tries for
// a user name and for an address at all nodes together, and then one now and then
// ([Throttles]).
//
// # Twice
//
// Each form carries a key, from which, together with what the form says and whose it is, the
// id of the transaction or command is made. A double click, a reload and a balancer's second
// try are one order; the same form with another count is another one.
//
// # Concurrency
//
// An [App] belongs to one node. Its handlers run concurrently.
//
// # Failures
//
// What an aggregate refuses is said on the page that was sent. What could not be decided is
// 503 with the request to send the form again, which is safe.
package web
