package store

import (
	"context"
	"time"
)

// Session is a node's sign of life. A node has one record under its name, and a
// new incarnation each time it starts anew.
type Session struct {
	Name        string
	Incarnation string // unique over all time
	Beat        uint64 // grows with every renewal
	Dead        bool   // declared dead: no renewal succeeds any more
	Draining    bool   // takes no more claims and hands over those it has; set by a renewal
	Address     string // where its HTTP API is reached
	Build       string
	Kinds       []string      // the aggregates it can serve
	Lease       time.Duration // for how long one renewal lets it answer: how long others have to wait; 0: of an earlier build
	Lacks       []Lack        // what it has met and does not know; set by the opening and by renewals
	Opened      time.Time     // by its own clock, to the microsecond; zero: of an earlier build
	Time        time.Time     // its clock when it sent the opening or the renewal, to the microsecond; zero: of an earlier build
	Cut         bool          // no messages reach it: others take its partitions; set by renewals
}

// Lack is something that a node has met in a partition and that its build does
// not know.
type Lack struct {
	Partition Partition
	Kind      string // of aggregate; empty: a stored event of a kind that it knows
}

// Claim says who owns a partition.
type Claim struct {
	Partition Partition
	Owner     string   // name of the node; empty: free
	Session   string   // incarnation of the owner's session; empty: free
	Epoch     uint64   // grows each time the claim is taken
	Watermark Position // of whole sequences: Rest is 0
	Carry     string   // what an owner of an earlier build has left to the next one: opaque, at most 64 KiB; saved with the watermark
	Revision  uint64   // of what is saved within the epoch, counted by who saves it; 0 when taken
	Deaths    int      // sessions in a row from which it was taken before they released it; saved with the watermark
	Suspect   string   // what the owner was about to execute, if it has reason to fear it: opaque, at most 2 KiB; saved with the watermark
}

// Leases holds sessions and claims. All writes are compare-and-set: of two
// concurrent callers with the same expectation one succeeds and the other gets
// [ErrLost]. A write that fails otherwise is [ErrUnknown]; the caller reads the
// record to find out. A read sees every write that was acknowledged before it
// began (majority, primary).
type Leases interface {
	// OpenSession creates the session under s.Name with beat 1, neither dead nor
	// draining nor cut, whatever s says. replaces is the
	// record that the caller has seen there and knows to be dead or ended; nil:
	// none. ErrLost: the record is not as expected, or replaces is not Dead.
	OpenSession(ctx context.Context, s Session, replaces *Session) error
	// Renew moves the beat from s.Beat to s.Beat+1 and writes s.Draining, s.Lacks,
	// s.Time and s.Cut.
	// ErrLost: the session was declared dead, ended or replaced, or has another
	// beat.
	Renew(ctx context.Context, s Session) error
	// DeclareDead marks the session dead if it still has s's incarnation and
	// beat. ErrLost: it has moved on, or is dead already.
	DeclareDead(ctx context.Context, s Session) error
	// EndSession removes the record if it has s's incarnation, dead or alive.
	// It is idempotent.
	EndSession(ctx context.Context, s Session) error
	// ConfirmSession reports whether the session lives, by a linearizable read: nil
	// if at some moment between call and return the record under s.Name had s's
	// incarnation and was not dead. ErrLost: it was declared dead, ended or
	// replaced, and will never live again. ErrUnavailable: nobody can tell. What
	// was acknowledged to anybody before the call counts, whoever is asked: a
	// server that was replaced without knowing it gives no answer. The beat is of
	// no meaning.
	ConfirmSession(ctx context.Context, s Session) error
	// Sessions returns all sessions, in the order of their names.
	Sessions(ctx context.Context) ([]Session, error)

	// Claims returns the claims that were ever taken, in the order of their
	// partitions, without what they carry. A partition without one was never
	// claimed: it is free, with epoch 0.
	Claims(ctx context.Context) ([]Claim, error)
	// TakeClaims gives each partition in want to the session, if its claim still
	// has the session and epoch given there. The claim's epoch grows by one, its
	// watermark, carry and suspect stay, its revision is 0, whatever want says; its deaths
	// grow by one if another session holds it, which therefore did not release it. It returns the claims as they are now held, in want's
	// order, without those that were lost. An error means that the outcome of
	// those not returned is unknown. Reads for activation that begin after it
	// returned see every commit that was durable before the take.
	TakeClaims(ctx context.Context, by Session, want []Claim) ([]Claim, error)
	// SaveWatermarks writes watermark, carry, deaths, suspect and revision of held claims, each only if
	// session and epoch still match and no greater revision was written in that epoch:
	// a write that its caller has given up may arrive late, and must not undo a later
	// one. ErrLost: at least one did not match; the others were written.
	SaveWatermarks(ctx context.Context, held []Claim) error
	// ReleaseClaims frees held claims, keeping epoch and saving the same,
	// each only if session and epoch still match. ErrLost as above. It is
	// idempotent in effect.
	ReleaseClaims(ctx context.Context, held []Claim) error
}
