// Package views holds the read models behind the application's pages: portfolios and
// their transactions, companies, order books with their live orders and trades, and
// users. A node runs [All] in its Config.Projections; [Pages] reads them.
//
// A view is behind the aggregates by some milliseconds. Whoever has just made a
// command waits for the version of its reply with projection.View.Wait.
//
// # Concurrency
//
// Projections are immutable. [Pages] is safe for concurrent use.
//
// # Failures
//
// Reading fails as the storage does. What has no history is not found: ok is false.
package views
