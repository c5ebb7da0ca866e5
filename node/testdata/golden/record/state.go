package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/node/testdata/golden/domain"
)

// stateOf reads an account over HTTP.
func stateOf(ctx context.Context, n *node.Node, id string) (s domain.Statement, version uint64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.HTTPAddr()+"/v1/account/"+id, nil)
	if err != nil {
		return s, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return s, 0, fmt.Errorf("%s: %s", id, resp.Status)
	}
	var body struct {
		Version uint64           `json:"version"`
		State   domain.Statement `json:"state"`
	}
	err = json.NewDecoder(resp.Body).Decode(&body)
	return body.State, body.Version, err
}
