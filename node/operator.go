package node

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ganglion-go/ganglion/gateway"
)

// headerCredentials is where an operator shows credentials of the HTTP API, so that the log has
// their principal. Authorization is for the admin server's own token; without one, that is
// looked at, too.
const headerCredentials = "Ganglion-Operator-Authorization"

// identifyTimeout bounds the question who an operator is.
const identifyTimeout = 2 * time.Second

// operatorKey is the key of an operator's principal in the context of their request.
type operatorKey struct{}

// operatorOf names who sends a request of administration: the principal, or who they say they
// are; empty: they do not say.
func operatorOf(r *http.Request) string {
	principal, _ := r.Context().Value(operatorKey{}).(string)
	return cmp.Or(principal, r.Header.Get(headerOperator))
}

// identify returns the principal of whoever sends a request of administration; empty: they
// show no credentials, or the node's HTTP API has none. It lets nobody in, and keeps
// nobody out: the error, of credentials that do not hold, is for the log.
func (n *Node) identify(r *http.Request) (principal string, err error) {
	shown := r.Header[headerCredentials]
	if len(shown) == 0 && n.cfg.adminToken == "" {
		shown = r.Header["Authorization"]
	}
	if n.cfg.authenticator == nil || len(shown) == 0 {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), identifyTimeout)
	defer cancel()
	asked := r.Clone(ctx)
	asked.Body, asked.ContentLength = http.NoBody, 0
	asked.Header["Authorization"] = shown
	var p gateway.Principal
	done := contained(func() error { // it may be the application's code
		found, err := n.cfg.authenticator.Authenticate(asked)
		p = found
		return err
	})
	select {
	case err = <-done:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if errors.Is(err, gateway.ErrNoCredentials) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return p.Name, nil
}
