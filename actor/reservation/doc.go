// Package reservation keeps values that at most one owner may have: user names,
// e-mail addresses, seats, licence plates. There is one aggregate for each value, whose
// id is the value; that an aggregate decides one command after another, in one history,
// makes the value unique. See docs/set-validation.md.
//
//	var Usernames = reservation.Define("username", reservation.Config{Within: time.Minute})
//
//	_, err := actor.Ask(ctx, client, Usernames.ID("ann"), reservation.Claim{Owner: "u-1"})
//	// errors.Is(err, reservation.ErrTaken): somebody else has it
//
// A [Claim] holds the value for a while. What claims it does the rest of its work and
// then either [Confirm]s, and the owner has the value for good, or [Release]s. If it
// does neither, the claim expires: a timer of the aggregate releases it.
//
// [Declare] adds the same to an aggregate with more to it, or with command names of its
// own.
//
// Values are compared byte by byte. Whoever makes an id of one brings it into a normal
// form first: ids are case-sensitive, and one text has several forms in Unicode.
//
// # Concurrency
//
// That of package actor: handlers of one value run one after another.
//
// # Failures
//
// [ErrTaken], [ErrNotHeld] and [ErrOwner] are rejections: nothing was changed. All
// commands are idempotent for their owner, whatever their id.
package reservation
