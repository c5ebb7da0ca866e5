package audit

import (
	"cmp"
	"fmt"
	"slices"
)

// Invariant names a rule.
type Invariant string

// The invariants.
const (
	History     Invariant = "history"     // versions of an aggregate without gaps
	Negative    Invariant = "negative"    // nobody ever has less than nothing
	Cash        Invariant = "cash"        // free and reserved = deposited - withdrawn
	Items       Invariant = "items"       // free and reserved = added from outside, per book
	Reservation Invariant = "reservation" // belongs to a live order or a starting transaction, and is what it needs
	Order       Invariant = "order"       // live ones belong to a confirmed or partially executed transaction
	Crossed     Invariant = "crossed"     // no bid at or above an ask
	Trade       Invariant = "trade"       // of two orders that the book had, within both prices
	Execution   Invariant = "execution"   // executed = the sum of a transaction's trades, on both sides
	Settlement  Invariant = "settlement"  // each trade has moved cash and items once, on both sides
	Saga        Invariant = "saga"        // each has ended or waits for a live order
	Username    Invariant = "username"    // an active user has the name, alone; nobody else has one
	Listing     Invariant = "listing"     // a company has its open book, a user a portfolio
)

// Violation is what does not hold.
type Violation struct {
	Invariant Invariant
	Aggregate string // kind/id, or kind/* for all of a kind
	Detail    string // with the numbers
}

// String returns all of it in one line.
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s: %s", v.Invariant, v.Aggregate, v.Detail)
}

// findings collects violations.
type findings []Violation

func (f *findings) add(i Invariant, aggregate, format string, args ...any) {
	*f = append(*f, Violation{Invariant: i, Aggregate: aggregate, Detail: fmt.Sprintf(format, args...)})
}

func (f findings) sorted() []Violation {
	slices.SortStableFunc(f, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Invariant, b.Invariant), cmp.Compare(a.Aggregate, b.Aggregate))
	})
	return f
}
