package gateway

import (
	"context"
	"errors"

	"github.com/ganglion-go/ganglion/actor"
)

// Action is what a request wants to do. The values are stable.
type Action string

// The actions. Each endpoint has one.
const (
	ActionCommand     Action = "command"     // send a command
	ActionQuery       Action = "query"       // ask a declared query
	ActionState       Action = "state"       // read an aggregate's state
	ActionEvents      Action = "events"      // read or follow an aggregate's events
	ActionList        Action = "list"        // list the aggregates of a kind
	ActionView        Action = "view"        // read or follow a view
	ActionCluster     Action = "cluster"     // read who owns what
	ActionDescription Action = "description" // read /openapi.json
)

// Access is what an [Authorizer] decides about. Nothing of it says that there is such a
// kind, command, view or aggregate: that is found out for those alone who may know.
type Access struct {
	Principal Principal // the zero value if there is no [Authenticator]
	Action    Action

	Kind actor.Kind // of the aggregate, or of those that are listed; valid, else empty
	ID   string     // of the aggregate; valid, or empty: of a new one whose id the gateway makes
	// Name of the command, the query or the view. A command or query that is asked for
	// under a former name ([actor.From]) has its present one.
	Name string

	Collection string // of a view
	Key        string // of a document in it; empty: all of them
}

// Authorizer decides whether a principal may do what a request asks for. It is safe for
// concurrent use.
type Authorizer interface {
	// Authorize returns nil if the principal has the right. It is called once for each
	// request, before the body is read and before anybody is asked whether the target
	// exists. Its context ends with the request's time, which it must not outlast.
	//
	// An error that wraps [ErrForbidden] refuses (403). Any other one means that nobody
	// can say now (503). The texts of both go to the log alone.
	Authorize(ctx context.Context, a Access) error
}

// ErrForbidden refuses a request whose principal does not have the right.
var ErrForbidden = errors.New("forbidden")

// AuthorizerFunc is a function as an [Authorizer].
type AuthorizerFunc func(ctx context.Context, a Access) error

// Authorize calls f.
func (f AuthorizerFunc) Authorize(ctx context.Context, a Access) error { return f(ctx, a) }
