package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/node"
)

const (
	httpClients   = 64
	rawAsHTTP     = "raw insertOne, 64 in flight"
	ourHTTP       = "ours over HTTP, 1000 aggregates, 64 in flight, durable"
	ourHTTPRights = ourHTTP + ", with an authorizer"
)

// httpScenarios measure commands as a program in another language sends them, and what
// it costs to ask for rights. The clients are in this process, and so is their cost.
func httpScenarios(e *environment) []scenario {
	return []scenario{
		{name: rawAsHTTP, inFlight: httpClients, do: e.insertOne},
		{name: ourHTTP, inFlight: httpClients, ours: true, do: e.post()},
		{name: ourHTTPRights, inFlight: httpClients, ours: true, rights: true, do: e.post()},
	}
}

// askRights has the API of a node find out who asks, by a token, and decide what he may do.
func askRights(cfg *node.Config) {
	cfg.Authenticate = tokenIsName{}
	cfg.Authorize = gateway.AuthorizerFunc(func(_ context.Context, a gateway.Access) error {
		if a.Principal.Name != clientName {
			return gateway.ErrForbidden
		}
		return nil
	})
}

// clientName is the principal and the token of all clients.
const clientName = "bench"

// tokenIsName takes a token for the name of its owner: what a real one costs beside that
// is its own.
type tokenIsName struct{}

// Authenticate implements [gateway.Authenticator].
func (tokenIsName) Authenticate(r *http.Request) (gateway.Principal, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return gateway.Principal{}, gateway.ErrNoCredentials
	}
	return gateway.Principal{Name: token}, nil
}

// Schemes implements [gateway.Authenticator].
func (tokenIsName) Schemes() []gateway.Scheme {
	return []gateway.Scheme{gateway.BearerScheme("")}
}

// post sends deposits over connections that stay open.
func (e *environment) post() func(context.Context, int) (int, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: httpClients}}
	kind := accounts().Behavior().Kind()
	return func(ctx context.Context, _ int) (int, error) {
		body, err := json.Marshal(newDeposit())
		if err != nil {
			return 0, err
		}
		url := fmt.Sprintf("http://%s/v1/%s/http-%06d/deposit", e.node.HTTPAddr(), kind, rand.IntN(manyCount))
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return 0, err
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+clientName)
		resp, err := client.Do(r)
		if err != nil {
			return 0, err
		}
		answer, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", resp.Status, answer)
		}
		return 1, err
	}
}
