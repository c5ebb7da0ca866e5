package domain_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
	"github.com/ganglion-go/ganglion/examples/hotel/domain"
)

var (
	room    = domain.Rooms.ID("101")
	guest   = domain.Guests.ID("g-1")
	booking = domain.Bookings.ID("b-1")
	xmas    = domain.Stay{From: "2026-12-24", Nights: 3}
)

// hotel has a room and a guest, and a payment provider that gives these answers.
func hotel(t *testing.T, answers ...actortest.Answer[domain.Paid]) *actortest.Scenario {
	t.Helper()
	return actortest.New(t, domain.Definitions()...).
		Performs(actortest.Answers(domain.ChargeCard, answers...)).
		Given(room, domain.RoomOpened{Name: "Garden", Cents: 12_000}).
		Given(guest, domain.RegistrationRequested{Name: "Ann", Email: "ann@example.com"}, domain.GuestRegistered{})
}

func request(s *actortest.Scenario, id string, stay domain.Stay) *actortest.Scenario {
	return s.When(domain.Bookings.ID(id), domain.RequestBooking{Guest: guest.ID, Room: room.ID, Stay: stay}).Deliver()
}

func paid(id string) actortest.Answer[domain.Paid] {
	return func() (domain.Paid, error) { return domain.Paid{Charge: id}, nil }
}

func TestBooking_Confirmed(t *testing.T) {
	t.Parallel()
	s := request(hotel(t, paid("ch-1")), "b-1", xmas)
	s.ThenStateOf(booking, domain.Booking{
		Guest: guest.ID, Room: room.ID, Stay: xmas, Status: domain.BookingConfirmed, Cents: 36_000, Charge: "ch-1",
	})
}

func TestBooking_WaitsForTheProvider(t *testing.T) {
	t.Parallel()
	down := actortest.Fails[domain.Paid](errors.New("503"))
	s := request(hotel(t, down, actortest.TimesOut[domain.Paid](), down, paid("ch-1")), "b-1", xmas)
	s.ThenStateOf(booking, domain.Booking{Guest: guest.ID, Room: room.ID, Stay: xmas, Status: domain.BookingRequested})
	s.Advance(time.Hour).Deliver()
	s.ThenStateOf(booking, domain.Booking{
		Guest: guest.ID, Room: room.ID, Stay: xmas, Status: domain.BookingConfirmed, Cents: 36_000, Charge: "ch-1",
	})
}

func TestBooking_Declined_GivesTheNightsBack(t *testing.T) {
	t.Parallel()
	declined := actortest.Fails[domain.Paid](actor.Final(errors.New("declined")))
	s := request(hotel(t, declined, paid("ch-2")), "b-1", xmas)
	s.ThenStateOf(booking, domain.Booking{
		Guest: guest.ID, Room: room.ID, Stay: xmas, Status: domain.BookingRefused, Reason: domain.ReasonNotCharged,
	})
	request(s, "b-2", xmas).ThenStateOf(domain.Bookings.ID("b-2"), domain.Booking{
		Guest: guest.ID, Room: room.ID, Stay: xmas, Status: domain.BookingConfirmed, Cents: 36_000, Charge: "ch-2",
	})
}

func TestBooking_NoNightTwice(t *testing.T) {
	t.Parallel()
	s := request(hotel(t, paid("ch-1")), "b-1", xmas)
	for name, c := range map[string]struct {
		stay   domain.Stay
		reason string
	}{
		"the last night":  {domain.Stay{From: "2026-12-26", Nights: 2}, "not_free"},
		"the first night": {domain.Stay{From: "2026-12-23", Nights: 2}, "not_free"},
		"the night after": {domain.Stay{From: "2026-12-27", Nights: 1}, ""},
	} {
		want := domain.Booking{Guest: guest.ID, Room: room.ID, Stay: c.stay, Status: domain.BookingRefused, Reason: c.reason}
		if c.reason == "" {
			want.Status, want.Cents, want.Charge, want.Reason = domain.BookingConfirmed, 12_000, "ch-1", ""
		}
		request(s, name, c.stay).ThenStateOf(domain.Bookings.ID(name), want)
	}
}

func TestBooking_NoRoom(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, domain.Definitions()...)
	request(s, "b-1", xmas).ThenStateOf(booking, domain.Booking{
		Guest: guest.ID, Room: room.ID, Stay: xmas, Status: domain.BookingRefused, Reason: domain.ReasonNoRoom,
	})
}

func TestBooking_Invalid(t *testing.T) {
	t.Parallel()
	s := hotel(t)
	for _, stay := range []domain.Stay{{}, {From: "24.12.2026", Nights: 1}, {From: "2026-02-30", Nights: 1}, {From: "2026-12-24"}, {From: "2026-12-24", Nights: 31}, {From: "2026-12-24", Nights: -1}} {
		s.When(booking, domain.RequestBooking{Guest: "g", Room: "r", Stay: stay}).ThenRejected(domain.ErrInvalidStay)
	}
	s.When(booking, domain.RequestBooking{Room: "r", Stay: xmas}).ThenRejected(domain.ErrInvalidBooking)
}

func TestGuest_EmailIsUnique(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, domain.Definitions()...)
	for _, c := range []struct {
		id, email string
		want      domain.Guest
	}{
		{"g-1", "Ann <Ann@Example.com>", domain.Guest{Name: "N", Email: "ann@example.com", Status: domain.GuestActive}},
		{"g-2", "ann@example.com", domain.Guest{Name: "N", Email: "ann@example.com", Status: domain.GuestRejected, Reason: "email_taken"}},
		{"g-3", "bob@example.com", domain.Guest{Name: "N", Email: "bob@example.com", Status: domain.GuestActive}},
	} {
		s.When(domain.Guests.ID(c.id), domain.RegisterGuest{Name: "N", Email: c.email}).Deliver().ThenStateOf(domain.Guests.ID(c.id), c.want)
	}
	s.When(domain.Guests.ID("g-4"), domain.RegisterGuest{Name: "N", Email: "no address"}).ThenRejected(domain.ErrInvalidGuest)
}
