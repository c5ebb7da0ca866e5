// Package page is what the stage shows: one page with the whole machine at work. It renders
// a [Snapshot] on the server, follows it by server-sent events, and passes forms on as
// actions. What runs and measures the machine is behind an [Engine].
//
// Each part of the page is a fragment with an id. A stream sends those that have changed,
// and the script brings the document in line with them, element by element, so that what
// somebody reads, types or has focused stays. The first answer has the same fragments: a
// reload without script shows as much. Lines in the picture have in data-rate how many dots
// pass a second; the script moves them so, and stops them when the connection is lost, when
// the figures are old, and for people who want no motion.
//
// # Concurrency
//
// [New] returns a handler that serves requests concurrently. It starts no goroutines.
//
// # Failures
//
// A figure that is not known is a dash. An action that is refused has an [Outcome] that is
// not done, with the reason. A client that takes too long to read its stream is cut off and comes back.
package page
