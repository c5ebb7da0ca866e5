// Command account is a node that serves one kind of aggregate.
package main

import "github.com/ganglion-go/ganglion/node"

func main() { node.Main(Accounts) }
