// Command hotel is a node of the hotel: rooms, guests, bookings, and the pages of its front
// desk.
//
//	go run ./examples/hotel provider &
//	go run ./examples/hotel --desk
package main

import (
	"github.com/ganglion-go/ganglion/examples/hotel/hotel"
	"github.com/ganglion-go/ganglion/node"
)

func main() {
	node.MainWith(new(hotel.App).Config(), hotel.Definitions()...)
}
