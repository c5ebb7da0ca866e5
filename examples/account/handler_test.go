package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
)

// handler has a request that pays one cent into an account.
func handler(client actor.Client) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /accounts/{id}/cent", func(w http.ResponseWriter, r *http.Request) {
		if _, err := actor.Ask(r.Context(), client, Accounts.ID(r.PathValue("id")), Deposit{Amount: 1}); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	return mux
}

func TestHandler(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, Accounts)
	server := httptest.NewServer(handler(s.Client())) // sagas and policies are at rest between two requests
	t.Cleanup(server.Close)
	for range 2 {
		response, err := server.Client().Post(server.URL+"/accounts/a-1/cent", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Error(response.Status)
		}
	}
	s.ThenStateOf(Accounts.ID("a-1"), Account{Balance: 2})
}
