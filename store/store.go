package store

import (
	"context"
	"iter"
	"time"
)

// Commits is the log of all aggregates.
type Commits interface {
	// Append writes each commit as a whole, independently of the others, and
	// returns one error for each: nil once it is durable (on a majority, with
	// journal), ErrConflict, ErrTooLarge or ErrUnknown. At most one commit per
	// aggregate may be in a call, or in flight. Commits must not be changed
	// until Append has returned. It returns soon after ctx ends.
	Append(ctx context.Context, commits []Commit) []error
	// Load yields an aggregate's commits with First > after, in order and
	// without gaps, as durable. It streams: memory does not grow with the
	// history. An error ends it and wraps ErrUnavailable or ErrCorrupt; of a gap it is a
	// *GapError. Whether something is missing up to after is not looked at.
	Load(ctx context.Context, aggregate Aggregate, after Version) iter.Seq2[Commit, error]
	// LastVersion returns the version of the aggregate's last event, as durable; 0
	// without a history. It costs the same whatever the length of the history. The
	// error wraps ErrUnavailable or ErrCorrupt.
	LastVersion(ctx context.Context, aggregate Aggregate) (Version, error)
	// FindOutcome looks a command up among the aggregate's commits. It is fast
	// for keyed ids, and otherwise reads the aggregate's history.
	FindOutcome(ctx context.Context, aggregate Aggregate, commandID string, keyed bool) (Recorded, bool, error)
}

// Snapshots keeps the newest snapshot of each aggregate.
type Snapshots interface {
	// SaveSnapshot replaces an older snapshot of the aggregate; one that is as
	// new or newer under the same schema is kept. Errors may be ignored: a
	// snapshot only saves time.
	SaveSnapshot(ctx context.Context, s Snapshot) error
	// LoadSnapshot returns the snapshot of an aggregate under the schema. found
	// is false when there is none.
	LoadSnapshot(ctx context.Context, aggregate Aggregate, schema string) (s Snapshot, found bool, err error)
}

// Token is a place in the feed, opaque and durable. Empty: the beginning.
type Token string

// FeedItem is a commit and the place just after it.
type FeedItem struct {
	Commit Commit
	Token  Token

	// Unreadable says why the commit cannot be understood; it wraps [ErrCorrupt]. Of
	// Commit nothing but Aggregate and First is known then, and First is 0 where not even
	// that is. Last is the version of its last event, 0 where it is not known.
	Unreadable error
	Last       Version
}

// Feed is the order of all commits.
type Feed interface {
	// Follow yields every commit after the token, each aggregate's in order, and
	// waits for more until ctx ends; it then ends without an error. A commit that cannot
	// be understood is an item like others, and the feed goes on: see
	// FeedItem.Unreadable. What does not even show its aggregate is passed over.
	// ErrTokenExpired: the store no longer knows the place.
	Follow(ctx context.Context, after Token) iter.Seq2[FeedItem, error]
	// Now returns the place after all commits that are durable at present.
	Now(ctx context.Context) (Token, error)
}

// Parked is a command that was taken out of the way because its handler
// panicked, with all that is needed to try it again.
type Parked struct {
	Aggregate Aggregate
	CommandID string
	Name      string
	Reason    string
	Stack     string
	Attempts  int
	Time      time.Time // when it was parked
	Message   []byte    // the encoded message, opaque
}

// Parking keeps parked commands, one per aggregate and command id. It is what takes
// trouble out of the way, so that it has no limit of size: a store keeps a message that
// is larger than one of its records in parts.
type Parking interface {
	// Park writes p, in the place of one with the same aggregate and command id. It
	// never fails with ErrTooLarge for the size of the message.
	Park(ctx context.Context, p Parked) error
	// ListParked yields what is parked, oldest first; of one aggregate, or of
	// all if it is empty. An error ends it, but for one that wraps ErrCorrupt and may
	// come with the address and the id of the record that it is about.
	ListParked(ctx context.Context, aggregate Aggregate) iter.Seq2[Parked, error]
	// FindParked returns one; found is false when it is not parked.
	FindParked(ctx context.Context, aggregate Aggregate, commandID string) (p Parked, found bool, err error)
	// Unpark removes one. It is idempotent.
	Unpark(ctx context.Context, aggregate Aggregate, commandID string) error
	// CountParked returns how many are parked, or limit if there are more.
	CountParked(ctx context.Context, limit int) (int, error)
}

// AggregateRange selects aggregates by address, in the order of its bytes.
type AggregateRange struct {
	Prefix string    // of their addresses: that of a kind is the kind and a slash
	After  Aggregate // empty: from the first
	Limit  int       // 0: all
	// Ignore are names of events. A history that holds no others is that of nothing, and
	// is left out.
	Ignore []string
}

// Aggregates lists what has a history.
type Aggregates interface {
	// ListAggregates yields the aggregates of a range, each once, as durable: those that
	// have a commit when the call begins, and perhaps those that get one meanwhile. Its
	// cost grows with the aggregates that are yielded, with what Ignore leaves out, and
	// not with the length of the histories; see the stores for what it is. An error ends
	// it and wraps ErrUnavailable. A commit that cannot be understood counts as one.
	ListAggregates(ctx context.Context, r AggregateRange) iter.Seq2[Aggregate, error]
}

// Store is all of it.
type Store interface {
	Commits
	Aggregates
	Snapshots
	Feed
	Leases
	Parking
	Bindings
	// Ping reports whether the store can serve majority reads now.
	Ping(ctx context.Context) error
}
