// Command node runs a node of the trading application.
package main

import (
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/node"
)

func main() {
	node.Main(domain.Definitions()...)
}
