package views

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

// scope begins the keys of what belongs to an id. Ids may hold any character and are
// longer than a part of a key may be.
func scope(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:16]) + "/"
}

// rising and falling have texts sort as numbers do, or the other way round.
func rising[N int64 | uint64](n N) string  { return fmt.Sprintf("%016x", uint64(n)) }   //nolint:gosec // not negative
func falling[N int64 | uint64](n N) string { return rising(math.MaxInt64 - uint64(n)) } //nolint:gosec // not negative

// sideOf begins the keys of one side's orders.
func sideOf(book, side string) string { return scope(book) + side + "/" }

// priority sorts live orders as the book matches them: the best price first, then the
// earliest.
func priority(book, side string, price int64, placed uint64) string {
	by := rising(price)
	if side == domain.SideBuy {
		by = falling(price)
	}
	return sideOf(book, side) + by + "/" + rising(placed)
}
