package payments_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/hotel/domain"
	"github.com/ganglion-go/ganglion/examples/hotel/payments"
	"github.com/ganglion-go/ganglion/examples/hotel/provider"
)

func asking(t *testing.T, h http.Handler) *payments.Provider {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	return &payments.Provider{URL: u, HTTP: server.Client()}
}

func TestCharge_OncePerKey(t *testing.T) {
	t.Parallel()
	charges := provider.New(provider.Config{})
	p := asking(t, http.StripPrefix("/v2", charges))
	for _, key := range []string{"k-1", "k-1", "k-2"} {
		paid, err := p.Charge(t.Context(), actor.Call{Key: key}, domain.Payment{Account: "ann", Cents: 500})
		if want := map[string]string{"k-1": "ch-1", "k-2": "ch-2"}[key]; err != nil || paid.Charge != want {
			t.Errorf("%s: %+v, %v", key, paid, err)
		}
	}
	if r := charges.Report(); r.Charges != 2 || r.Calls != 3 {
		t.Errorf("%+v", r)
	}
}

// What may be different the next time is tried again, and nothing else.
func TestCharge_Fails(t *testing.T) {
	t.Parallel()
	for status, final := range map[int]bool{
		http.StatusPaymentRequired: true, http.StatusUnprocessableEntity: true, http.StatusBadRequest: true, http.StatusNotFound: true,
		http.StatusTooManyRequests: false, http.StatusInternalServerError: false, http.StatusServiceUnavailable: false,
		http.StatusCreated: false, // and no JSON
	} {
		p := asking(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		if _, err := p.Charge(t.Context(), actor.Call{Key: "k"}, domain.Payment{Account: "ann", Cents: 500}); err == nil || actor.IsFinal(err) != final {
			t.Errorf("%d: %v", status, err)
		}
	}
	gone := asking(t, http.NotFoundHandler())
	gone.URL.Host = "127.0.0.1:1"
	if _, err := gone.Charge(t.Context(), actor.Call{Key: "k"}, domain.Payment{Account: "ann", Cents: 500}); err == nil || actor.IsFinal(err) {
		t.Error(err)
	}
}
