package load

import (
	"context"
	"fmt"
	"maps"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

// Balance is what all users together own, free and reserved.
type Balance struct {
	Cash  int64
	Items map[string]int64 // by book
}

// Balance reads all portfolios. It is the same whenever everything is at rest, if
// nobody deposits, withdraws or adds items from outside.
func (d *Driver) Balance(ctx context.Context) (Balance, error) {
	b := Balance{Items: map[string]int64{}}
	for user := range d.cfg.Users {
		var p domain.PortfolioView
		if err := d.steps("balance").read(ctx, portfolioID(user), &p); err != nil {
			return b, err
		}
		b.Cash += p.Cash + p.ReservedCash
		for _, items := range []map[string]int64{p.Items, p.ReservedItems} {
			for book, n := range items {
				b.Items[book] += n
			}
		}
	}
	return b, nil
}

// Verify compares with what everybody owns now. What differs, and what cannot
// be read, counts as a wrong answer.
func (d *Driver) Verify(ctx context.Context, before Balance) {
	after, err := d.Balance(ctx)
	if err == nil { // else it has been counted
		d.Compare(before, after)
	}
}

// Compare counts a wrong answer if anything came from nowhere or was lost.
func (d *Driver) Compare(before, after Balance) {
	if before.Cash != after.Cash || !maps.Equal(before.Items, after.Items) {
		d.recorder.fault(fmt.Sprintf("the users owned %+v before the load and %+v after it", before, after))
	}
}
