package views

import (
	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/projection"
)

// priority is the key of a live order. Those of one side of a book are in the order in
// which the book matches them: the best price first, then the earliest.
func priority(book, side string, price int64, placed actor.Version) string {
	if side == domain.SideBuy {
		price = -price
	}
	return projection.Key(book, side, price, placed)
}
