package jwtauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/gateway/jwtauth"
)

type (
	order struct{ Placed bool }
	Place struct{ actor.Replies[actor.None] }
)

func orders() *actor.Aggregate[order] {
	return actor.Define("order", func(d *actor.Definition[order]) {
		actor.On(d, func(*order, *actor.Context, Place) (actor.None, error) { return actor.None{}, nil })
	})
}

// owner is an owner of aggregates that counts what comes.
type owner struct {
	*gateway.Gateway
	sent atomic.Int64
}

func (o *owner) Deliver(context.Context, actor.Message) actor.Outcome {
	o.sent.Add(1)
	return actor.Outcome{Version: 1, Reply: []byte("null")}
}

func (o *owner) Enqueue(context.Context, actor.Message) error { return nil }

func newGateway(t testing.TB, a gateway.Authenticator, r gateway.Authorizer) *owner {
	t.Helper()
	o := &owner{}
	var err error
	if o.Gateway, err = gateway.New(o, []actor.Registrable{orders()}, gateway.Config{Authenticate: a, Authorize: r}); err != nil {
		t.Fatal(err)
	}
	return o
}

// Who has a token of the company's identity provider may read; to write takes a scope.
func Example() {
	tokens, err := jwtauth.New(jwtauth.Config{
		Issuer:    "https://id.example.com",
		Audiences: []string{"orders"},
		JWKS:      "https://id.example.com/.well-known/jwks.json",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	rights := gateway.AuthorizerFunc(func(_ context.Context, a gateway.Access) error {
		switch a.Action {
		case gateway.ActionState, gateway.ActionQuery:
			return nil
		case gateway.ActionCommand:
			if slices.Contains(a.Principal.Strings("scope"), "orders:write") {
				return nil
			}
		default: // also what is added later
		}
		return gateway.ErrForbidden
	})
	g, err := gateway.New(&owner{}, []actor.Registrable{orders()}, gateway.Config{Authenticate: tokens, Authorize: rights})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/order/o-1/Place", strings.NewReader(`{}`)))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer realm="ganglion"
}
