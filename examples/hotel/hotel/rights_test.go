package hotel_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/examples/hotel/hotel"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/node/nodetest"
)

// names takes everybody for who they say they are.
type names struct{}

func (names) Authenticate(r *http.Request) (gateway.Principal, error) {
	name := r.Header.Get("X-Name")
	if name == "" {
		return gateway.Principal{}, gateway.ErrNoCredentials
	}
	return gateway.Principal{Name: name, Claims: map[string]any{"roles": r.Header.Get("X-Roles")}}, nil
}

func (names) Schemes() []gateway.Scheme { return []gateway.Scheme{gateway.BearerScheme("")} }

func TestRights(t *testing.T) {
	t.Parallel()
	cfg := (&hotel.App{PaymentsURL: "http://127.0.0.1:1"}).Config()
	cfg.Authenticate = names{}
	n := nodetest.Start(t, cfg, hotel.Definitions()...)
	const register, book = `{"name":"Ann","email":"ann@example.com"}`, `{"room":"101","from":"2026-12-24","nights":1}`
	for _, c := range []struct {
		name, roles, method, path, body string
		want                            int
	}{
		{"", "", "POST", "/v1/guest/ann/RegisterGuest", register, http.StatusUnauthorized},
		{"bob", "", "POST", "/v1/guest/ann/RegisterGuest", register, http.StatusForbidden},
		{"ann", "", "POST", "/v1/guest/ann/RegisterGuest", register, http.StatusOK},
		{"ann", "", "GET", "/v1/guest/ann", "", http.StatusOK},
		{"bob", "", "GET", "/v1/guest/ann", "", http.StatusForbidden},
		{"ann", "", "POST", "/v1/room/101/OpenRoom", `{"name":"Garden","cents":12000}`, http.StatusForbidden},
		{"eve", "staff", "POST", "/v1/room/101/OpenRoom", `{"name":"Garden","cents":12000}`, http.StatusOK},
		{"ann", "", "POST", "/v1/booking/b-1/RequestBooking", book, http.StatusOK},
		{"bob", "", "POST", "/v1/booking/b-2/RequestBooking", strings.Replace(book, "{", `{"guest":"ann",`, 1), http.StatusUnprocessableEntity},
		{"eve", "staff", "POST", "/v1/booking/b-1/ConfirmBooking", `{}`, http.StatusNotFound}, // the saga's alone
		{"eve", "staff", "GET", "/v1/booking/b-1", "", http.StatusOK},
		{"ann", "", "GET", "/v1/booking/b-1/events", "", http.StatusForbidden},
		{"ann", "", "GET", "/v1/views/calendar/rooms", "", http.StatusOK},
		{"ann", "", "GET", "/v1/views/stays/bookings", "", http.StatusForbidden},
		{"ann", "", "GET", "/", "", http.StatusNotFound}, // there is no desk
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, n.URL()+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Name", c.name)
		r.Header.Set("X-Roles", c.roles)
		response, err := n.HTTP().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != c.want {
			t.Errorf("%q %s %s: %s, want %d", c.name, c.method, c.path, response.Status, c.want)
		}
	}
}
