// Package domain is a small hotel: rooms, guests with unique e-mail addresses, and bookings
// that a saga brings to an end.
//
// A booking is a question to two others: the room must be free, and the payment provider
// must charge the card. The saga [Processes] asks them in turn. The
// nights of a room are held by the room itself, which decides one command after another:
// so no night is ever booked twice, however many nodes, browsers and retries there are.
//
// # Concurrency
//
// That of package actor: the handlers of one aggregate run one after another.
//
// # Failures
//
// The rejections of each kind are beside it. A rejected command changes nothing.
package domain
