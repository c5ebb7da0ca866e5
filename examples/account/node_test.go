package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/node/nodetest"
)

func TestNode(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, node.Config{}, Accounts) // the configuration and definitions of the application's main
	response, err := n.HTTP().Post(n.URL()+"/v1/account/a-1/Deposit", "application/json", strings.NewReader(`{"amount":5}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	n.Restart() // killed, and started again on what it had stored
	balance, err := actor.Ask(t.Context(), n.Client(), Accounts.ID("a-1"), Deposit{Amount: 5})
	if err != nil || balance != 10 || response.StatusCode != http.StatusOK {
		t.Errorf("%s, then a balance of %d, %v", response.Status, balance, err)
	}
}
