package hotel_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/hotel/domain"
	"github.com/ganglion-go/ganglion/examples/hotel/hotel"
	"github.com/ganglion-go/ganglion/examples/hotel/provider"
	"github.com/ganglion-go/ganglion/examples/hotel/views"
	"github.com/ganglion-go/ganglion/node/nodetest"
	"github.com/ganglion-go/ganglion/projection"
)

func TestHotel(t *testing.T) {
	t.Parallel()
	payments := provider.New(provider.Config{})
	server := httptest.NewServer(payments)
	t.Cleanup(server.Close)
	app := &hotel.App{PaymentsURL: server.URL, Desk: true}
	n := nodetest.Start(t, app.Config(), hotel.Definitions()...)
	ask := func(to actor.Address, command actor.Command) {
		t.Helper()
		m, err := actor.NewMessage(to, command)
		if err != nil {
			t.Fatal(err)
		}
		if o := n.Client().Deliver(t.Context(), m); o.Code != actor.CodeOK {
			t.Fatalf("%s: %+v", to, o)
		}
	}
	ask(domain.Rooms.ID("101"), domain.OpenRoom{Name: "Garden", Cents: 12_000})
	ask(domain.Guests.ID("ann"), domain.RegisterGuest{Name: "Ann", Email: "ann@example.com"})

	form := url.Values{"id": {"b-1"}, "guest": {"ann"}, "room": {"101"}, "from": {"2026-12-24"}, "nights": {"3"}}
	for range 2 { // a form that is sent twice
		response, err := n.HTTP().PostForm(n.URL()+"/bookings", form)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.Request.URL.Path != "/bookings/b-1" || response.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", response.Request.URL, response.Status)
		}
	}
	if _, _, err := actor.AwaitEnd[domain.Process](t.Context(), n.Client(), domain.Processes.ID("b-1")); err != nil {
		t.Fatal(err)
	}
	n.AtRest()
	n.Restart()
	b, _, err := actor.State[domain.Booking](t.Context(), n.Client(), domain.Bookings.ID("b-1"))
	if err != nil || b.Status != domain.BookingConfirmed || b.Cents != 36_000 {
		t.Errorf("%+v, %v", b, err)
	}
	if r := payments.Report(); r.Charges != 1 || r.Cents != 36_000 {
		t.Errorf("the provider's report: %+v", r)
	}
	n.AtRest()
	nights, _, err := views.Nights.Count(t.Context(), n.View(views.Calendar), projection.Range{Prefix: projection.KeyPrefix("101")})
	if err != nil || nights != 3 {
		t.Errorf("%d nights are booked, %v", nights, err)
	}
	response, err := n.HTTP().Get(n.URL() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(page), "<td>Garden<td>120.00 €<td>3") {
		t.Errorf("%s %v", page, err)
	}
}
