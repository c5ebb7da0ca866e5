package runtime

import "errors"

// Errors of a node.
var (
	// ErrConfig wraps every fault found in a [Config] or in the definitions.
	ErrConfig = errors.New("invalid configuration")
	// ErrClosed: the node was shut down or closed.
	ErrClosed = errors.New("node closed")
	// ErrNameInUse: another live node has the session under this node's name.
	ErrNameInUse = errors.New("node name in use")

	errSessionLost = errors.New("session lost")
	errNotNamed    = errors.New("the claim does not name the command yet")
	errDrained     = errors.New("partition drained")
)
