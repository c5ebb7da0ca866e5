package node

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

// What a client may take its time for. The gateway has bounds of its own for bodies and
// answers; these are for what does not reach it.
const (
	headerTimeout = 10 * time.Second
	requestMax    = 30 * time.Second                           // of the API, body included
	apiAnswerMax  = gateway.DefaultMaxTimeout + 30*time.Second // from the request's header to the end of the answer
	idleMax       = 2 * time.Minute                            // of a connection between two requests
	adminMax      = 10 * time.Second                           // of a request to the admin server, body included
	adminAnswer   = 2*retryTimeout + headerTimeout             // profiles have theirs beside it
	headerBytes   = 64 << 10
)

// serveFrom serves from now on, until the node is closed. The channel says why it ended,
// and is closed then.
func (n *Node) serveFrom(s *http.Server, l net.Listener) chan error {
	ended := make(chan error, 1)
	go func() {
		defer close(ended)
		ended <- s.Serve(l)
	}()
	n.onClose(func() {
		_ = s.Close()
		for range ended { // until it is closed
		}
	})
	return ended
}

// openServers has both servers answer from now on: whoever watches the process sees that
// it lives, and what it waits for, and no request waits for longer than it would for an
// owner.
func (n *Node) openServers(context.Context, []actor.Registrable) error {
	n.beginning = n.start.handler()
	n.admin = &http.Server{
		Handler: n.guardAdmin(n.adminRoutes()), MaxHeaderBytes: headerBytes,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: adminMax, WriteTimeout: adminAnswer, IdleTimeout: idleMax,
	}
	n.adminEnded = n.serveFrom(n.admin, n.admListen)
	n.api = &http.Server{
		Handler: n.guardAPI(n.start.onceRunning(http.HandlerFunc(n.serveAPI))), MaxHeaderBytes: headerBytes,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestMax, WriteTimeout: apiAnswerMax, IdleTimeout: idleMax,
	}
	n.apiEnded = n.serveFrom(n.api, n.apiListen)
	return nil
}

// openOperation is the last step: the node has all that it serves with.
func (n *Node) openOperation(context.Context, []actor.Registrable) error {
	n.api.RegisterOnShutdown(n.gateway.EndStreams)
	n.admin.RegisterOnShutdown(n.operators.EndStreams)
	operation := n.adminHandler()
	n.operation.Store(&operation)
	n.openDashboard()
	return nil
}
