package node

import (
	"context"
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

func (n *Node) openServers(context.Context, []actor.Registrable) error {
	n.api = &http.Server{
		Handler: n.guardAPI(http.HandlerFunc(n.serveAPI)), MaxHeaderBytes: headerBytes,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestMax, WriteTimeout: apiAnswerMax, IdleTimeout: idleMax,
	}
	n.api.RegisterOnShutdown(n.gateway.EndStreams)
	n.admin = &http.Server{
		Handler: n.guardAdmin(n.audited(http.MaxBytesHandler(n.adminHandler(), 0))), MaxHeaderBytes: headerBytes,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: adminMax, WriteTimeout: adminAnswer, IdleTimeout: idleMax,
	}
	return nil
}
