// Command node runs a node of the trading application.
package main

import (
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/views"
	"github.com/ganglion-go/ganglion/node"
)

func main() {
	node.MainWith(node.Config{Projections: views.All()}, domain.Definitions()...)
}
