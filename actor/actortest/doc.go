// Package actortest tests aggregates without a runtime: given a history, when
// a command is decided, then a reply, events or a rejection follow.
//
//	actortest.New(t, Accounts).
//		Given(Accounts.ID("a-1"), Deposited{Amount: 10}).
//		When(Accounts.ID("a-1"), Deposit{Amount: 5}).
//		ThenReply(Receipt{Balance: 15}).
//		ThenRaised(Deposited{Amount: 5}).
//		ThenNothingElse()
//
// The fixture drives [actor.Instance], the same code that a node drives. A
// [Scenario] may hold aggregates of several kinds; each keeps its history over
// the scenario's steps. Time stands still unless [Scenario.At] or
// [Scenario.Advance] moves it, and timers with it.
//
// # Sagas, timers and what is sent
//
// ThenSent and its like look at what a decision sends. Nothing of it arrives by itself:
// [Scenario.Deliver] brings it to the aggregates of the scenario, with all events to its
// sagas and policies, and what follows from that. [Scenario.WhenEvent] brings a single
// event to them: events in, commands out. Moving the time on fires the timers that are
// due, each at its time.
//
// # What every When checks
//
// Beside what the test itself asserts, every step fails the test when
//
//   - deciding the same command on an instance rebuilt from the same history,
//     or restored from a snapshot, gives another reply, other events, sends something
//     else, sets other timers or gives another state: the handler depends on a clock, on chance, on the order of a map,
//     or on something that the snapshot does not hold;
//   - replaying the events into a fresh instance gives another state than the
//     live one has: state was changed outside the apply methods;
//   - a snapshot does not come back as the same state, for a kind with snapshots;
//   - the state, once there is a history, cannot be shown;
//   - the command was refused and no Then expected that.
//
// [Golden] checks that recorded events of earlier builds can still be read, [Replay] that
// recorded histories still lead to the same states.
//
// # Concurrency
//
// A Scenario belongs to the test's goroutine. The package starts no goroutine
// and reads no clock.
//
// # Failures
//
// A Then that does not hold is reported with Errorf, so that one run shows all
// of them. A mistake in the test itself (an event that the definition does not
// know, a Then before the first When) ends the test with Fatalf.
package actortest
