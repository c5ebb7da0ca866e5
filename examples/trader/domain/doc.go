// Package domain holds the aggregates of the trading application: companies,
// order books, portfolios, transactions, users and user names.
//
// Money is int64 cents, counts are int64. Every sum and product is checked: a
// command that would overflow is rejected, so that no event can.
//
// # What is remembered of closed things
//
// An order id, a transaction that reserved and a trade id must not count twice,
// also after they are closed. Each aggregate remembers the latest of them, as
// 16 bytes of SHA-256 each, and no more than it has a bound for: [ClosedOrdersMax]
// per order book, [ClosedReservationsMax] per portfolio, [TradesMax] per
// transaction. Beyond the bound the oldest are forgotten. A retry with the same
// command id is answered by the runtime whatever its age.
//
// # Concurrency
//
// Definitions are immutable. The state types belong to the actor that holds them.
//
// # Failures
//
// Commands are refused with the rejections declared beside each aggregate, and
// by the creation policies of CreatePortfolio, OpenOrderBook, RegisterUser and
// the Start commands (409 already_exists), AddOrderBook and the later commands
// of transactions and users (409 does_not_exist).
package domain
