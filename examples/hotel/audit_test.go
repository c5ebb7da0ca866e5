package main_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/examples/hotel/domain"
	"github.com/ganglion-go/ganglion/examples/hotel/provider"
	"github.com/ganglion-go/ganglion/examples/hotel/views"
)

// record is all that the hotel at rest says of itself over HTTP, what its guests were told,
// and what the payment provider has done.
type record struct {
	acknowledged map[string]ticket         // by id of the booking
	emails       map[string]string         // that were asked for, by id of the guest
	bookings     map[string]domain.Booking // all of the list, by id
	endings      map[string][]string       // types of the events of each booking
	rooms        map[string]domain.Room
	holds        map[string][]hold // of each room, in the order of its history
	guests       map[string]domain.Guest
	nights       map[night]string         // bookings, as the calendar shows them
	stays        map[string]views.Booking // by id of the booking, as the view shows them
	charges      []provider.Entry
	report       provider.Report
}

type night struct{ room, day string }

// hold is an event of a room: nights that it holds for a booking, or gives back.
type hold struct {
	booking string
	days    []string
	back    bool
}

// audit looks for what must not be. It is given everything and knows nothing.
type audit struct {
	*record
	found []string
}

// violations returns what does not hold, in an order that does not change.
func (r *record) violations() []string {
	a := &audit{record: r}
	a.checkBookings()
	a.checkNights()
	a.checkRooms()
	a.checkCharges()
	a.checkGuests()
	a.checkViews()
	slices.Sort(a.found)
	return a.found
}

func (a *audit) violated(format string, args ...any) {
	a.found = append(a.found, fmt.Sprintf(format, args...))
}

// checkBookings: what was acknowledged is there as it was asked for, and has come to one end.
func (a *audit) checkBookings() {
	for id, t := range a.acknowledged {
		b, there := a.bookings[id]
		if !there {
			a.violated("booking %s was acknowledged and is not there", id)
		} else if got := (ticket{b.Guest, b.Room, b.Stay}); got != t {
			a.violated("booking %s is %+v, and was to be %+v", id, got, t)
		}
	}
	for id, b := range a.bookings {
		switch b.Status {
		case domain.BookingConfirmed, domain.BookingRefused:
			if want := []string{"requested.v1", string(b.Status) + ".v1"}; !slices.Equal(a.endings[id], want) {
				a.violated("booking %s has the history %v, want %v", id, a.endings[id], want)
			}
		default:
			a.violated("booking %s is %q and not at rest", id, b.Status)
		}
	}
}

// checkNights: no night of a room is that of two confirmed bookings.
func (a *audit) checkNights() {
	booked := map[night]string{}
	for id, b := range a.bookings {
		if b.Status != domain.BookingConfirmed {
			continue
		}
		for _, n := range nightsOf(b.Room, b.Stay) {
			if other, taken := booked[n]; taken {
				a.violated("night %v is booked twice: %s, %s", n, min(id, other), max(id, other))
			}
			booked[n] = id
		}
	}
	for number, room := range a.rooms {
		held := map[night]string{}
		for day, id := range room.Booked {
			held[night{number, day}] = id
		}
		for n, id := range booked {
			if n.room == number && held[n] != id {
				a.violated("night %v is booked by %s, and the room holds it for %q", n, id, held[n])
			}
			delete(held, n)
		}
		for n, id := range held {
			a.violated("night %v is held for %s, which is %q", n, id, a.bookings[id].Status)
		}
	}
}

func nightsOf(room string, stay domain.Stay) []night {
	days, _ := stay.Days() // none: the booking was refused as it was asked for
	nights := make([]night, len(days))
	for i, day := range days {
		nights[i] = night{room, day}
	}
	return nights
}

// checkRooms: at no time in its history did a room hold a night for two bookings.
func (a *audit) checkRooms() {
	for number, holds := range a.holds {
		held := map[string]string{}
		for _, h := range holds {
			for _, day := range h.days {
				switch other := held[day]; {
				case h.back && other != h.booking:
					a.violated("night %v is given back by %s, and was held for %q", night{number, day}, h.booking, other)
				case h.back:
					delete(held, day)
				case other != "":
					a.violated("night %v is held for %s while it is held for %s", night{number, day}, h.booking, other)
				default:
					held[day] = h.booking
				}
			}
		}
		if !maps.Equal(held, a.rooms[number].Booked) {
			a.violated("room %s holds other nights than its history says", number)
		}
	}
}

// checkCharges: one charge for each key and each confirmed booking, of its guest and its
// price, and no others; and as many keys as payments were asked for, so that each further
// call had the key of the first.
func (a *audit) checkCharges() {
	byID, byKey := map[string]provider.Entry{}, map[string]string{}
	for _, c := range a.charges {
		if other, again := byKey[c.Key]; again {
			a.violated("key %s is charged twice: %s, %s", c.Key, other, c.ID)
		}
		if _, again := byID[c.ID]; again {
			a.violated("charge %s is there twice", c.ID)
		}
		byKey[c.Key], byID[c.ID] = c.ID, c
	}
	payments, booked := 0, map[string]string{}
	for id, b := range a.bookings {
		switch {
		case b.Status == domain.BookingRefused && b.Reason == domain.ReasonNotCharged:
			payments++
		case b.Status != domain.BookingConfirmed:
		default:
			payments++
			if other, again := booked[b.Charge]; again {
				a.violated("charge %s pays two bookings: %s, %s", b.Charge, min(id, other), max(id, other))
			}
			booked[b.Charge] = id
			if c, there := byID[b.Charge]; !there {
				a.violated("booking %s is confirmed, and its charge %q is not there", id, b.Charge)
			} else if want := (provider.Charge{Account: b.Guest, Cents: b.Cents}); c.Charge != want || b.Cents != int64(b.Nights)*nightCents {
				a.violated("booking %s is charged %+v, and costs %+v", id, c.Charge, want)
			}
		}
	}
	for id, c := range byID {
		if booked[id] == "" {
			a.violated("charge %s of %s, key %s, pays no confirmed booking", id, c.Account, c.Key)
		}
	}
	if len(a.report.Keys) != payments {
		a.violated("%d payments were asked for under %d keys", payments, len(a.report.Keys))
	}
}

// checkGuests: every guest is accepted or rejected, and each address is one guest's.
func (a *audit) checkGuests() {
	owners := map[string][]string{}
	for id, email := range a.emails {
		owners[email] = nil // for now
		g, there := a.guests[id]
		if !there || g.Email != email {
			a.violated("guest %s registered as %s, and is %+v", id, email, g)
		}
	}
	for id, g := range a.guests {
		switch g.Status {
		case domain.GuestActive:
			owners[g.Email] = append(owners[g.Email], id)
		case domain.GuestRejected:
		default:
			a.violated("guest %s is %q and not at rest", id, g.Status)
		}
	}
	for email, ids := range owners {
		if slices.Sort(ids); len(ids) != 1 {
			a.violated("%s belongs to %d guests: %v", email, len(ids), ids)
		}
	}
}

// checkViews: the read models show what the aggregates say.
func (a *audit) checkViews() {
	nights, stays := map[night]string{}, map[string]views.Booking{}
	for number, room := range a.rooms {
		for day, id := range room.Booked {
			nights[night{number, day}] = id
		}
	}
	for id, b := range a.bookings {
		stays[id] = views.Booking{ID: id, Guest: b.Guest, Room: b.Room, Stay: b.Stay, Status: b.Status, Cents: b.Cents, Reason: b.Reason}
	}
	if d := cmp.Diff(nights, a.nights, cmp.AllowUnexported(night{})); d != "" {
		a.violated("the calendar differs from the rooms (-rooms +calendar):\n%s", d)
	}
	if d := cmp.Diff(stays, a.stays); d != "" {
		a.violated("the view of bookings differs from them (-bookings +view):\n%s", d)
	}
}

// soundRecord is that of a hotel with one room: a confirmed booking, one whose card was
// declined, and one that came too late.
func soundRecord() *record {
	stay := domain.Stay{From: "2027-01-01", Nights: 2}
	r := &record{
		acknowledged: map[string]ticket{"b-1": {"ann", "101", stay}, "b-2": {"bob", "101", domain.Stay{From: "2027-02-01", Nights: 1}}},
		emails:       map[string]string{"ann": "a@example.com", "bob": "a@example.com"},
		bookings: map[string]domain.Booking{
			"b-1": {Guest: "ann", Room: "101", Stay: stay, Status: domain.BookingConfirmed, Cents: 2 * nightCents, Charge: "ch-1"},
			"b-2": {Guest: "bob", Room: "101", Stay: domain.Stay{From: "2027-02-01", Nights: 1}, Status: domain.BookingRefused, Reason: domain.ReasonNotCharged},
			"b-3": {Guest: "bob", Room: "101", Stay: domain.Stay{From: "2027-01-02", Nights: 1}, Status: domain.BookingRefused, Reason: domain.ErrNotFree.Code},
		},
		endings: map[string][]string{
			"b-1": {"requested.v1", "confirmed.v1"}, "b-2": {"requested.v1", "refused.v1"}, "b-3": {"requested.v1", "refused.v1"},
		},
		rooms: map[string]domain.Room{"101": {Name: "R", Cents: nightCents, Booked: map[string]string{"2027-01-01": "b-1", "2027-01-02": "b-1"}}},
		holds: map[string][]hold{"101": {
			{booking: "b-1", days: []string{"2027-01-01", "2027-01-02"}},
			{booking: "b-2", days: []string{"2027-02-01"}},
			{booking: "b-2", days: []string{"2027-02-01"}, back: true},
		}},
		guests: map[string]domain.Guest{
			"ann": {Email: "a@example.com", Status: domain.GuestActive}, "bob": {Email: "a@example.com", Status: domain.GuestRejected},
		},
		nights:  map[night]string{{"101", "2027-01-01"}: "b-1", {"101", "2027-01-02"}: "b-1"},
		charges: []provider.Entry{{Key: "k-1", ID: "ch-1", Charge: provider.Charge{Account: "ann", Cents: 2 * nightCents}}},
		report:  provider.Report{Calls: 4, Charges: 1, Keys: map[string]int{"k-1": 3, "k-2": 1}},
	}
	r.stays = map[string]views.Booking{}
	for id, b := range r.bookings {
		r.stays[id] = views.Booking{ID: id, Guest: b.Guest, Room: b.Room, Stay: b.Stay, Status: b.Status, Cents: b.Cents, Reason: b.Reason}
	}
	return r
}

// TestAudit_Finds: the audit finds nothing where nothing is wrong, and whatever is wrong.
func TestAudit_Finds(t *testing.T) {
	t.Parallel()
	if found := soundRecord().violations(); len(found) != 0 {
		t.Fatalf("found in a sound hotel: %q", found)
	}
	status := func(r *record, id string, s domain.BookingStatus) {
		b := r.bookings[id]
		b.Status = s
		r.bookings[id] = b
	}
	for name, damage := range map[string]func(*record){
		"a lost booking":                func(r *record) { delete(r.bookings, "b-1") },
		"another booking":               func(r *record) { r.acknowledged["b-1"] = ticket{guest: "eve"} },
		"a pending booking":             func(r *record) { status(r, "b-2", domain.BookingRequested) },
		"a booking without a status":    func(r *record) { status(r, "b-3", "") },
		"two ends":                      func(r *record) { r.endings["b-1"] = append(r.endings["b-1"], "refused.v1") },
		"a night twice":                 func(r *record) { status(r, "b-3", domain.BookingConfirmed) },
		"a night that nobody has":       func(r *record) { r.rooms["101"].Booked["2027-03-01"] = "b-2" },
		"a night that the room forgot":  func(r *record) { delete(r.rooms["101"].Booked, "2027-01-02") },
		"a night held twice":            func(r *record) { r.holds["101"] = append(r.holds["101"], r.holds["101"][0]) },
		"a night of somebody else back": func(r *record) { r.holds["101"][2].booking = "b-1" },
		"a night given back unseen":     func(r *record) { r.holds["101"] = r.holds["101"][:2] },
		"a key charged twice": func(r *record) {
			r.charges = append(r.charges, provider.Entry{Key: "k-1", ID: "ch-2", Charge: r.charges[0].Charge})
		},
		"a charge twice":              func(r *record) { r.charges = append(r.charges, r.charges[0]) },
		"a charge of nobody":          func(r *record) { r.charges = append(r.charges, provider.Entry{Key: "k-2", ID: "ch-2"}) },
		"a charge of another":         func(r *record) { r.charges[0].Account = "bob" },
		"a charge of too much":        func(r *record) { r.charges[0].Cents++ },
		"no charge":                   func(r *record) { r.charges = nil },
		"a further call, another key": func(r *record) { r.report.Keys["k-3"] = 1 },
		"two owners of an address": func(r *record) {
			r.guests["bob"] = domain.Guest{Email: "a@example.com", Status: domain.GuestActive}
		},
		"an address of nobody": func(r *record) {
			r.guests["ann"] = domain.Guest{Email: "a@example.com", Status: domain.GuestRejected}
		},
		"a pending guest":           func(r *record) { r.guests["bob"] = domain.Guest{Email: "a@example.com", Status: domain.GuestPending} },
		"a lost guest":              func(r *record) { delete(r.guests, "bob") },
		"a night that is not shown": func(r *record) { delete(r.nights, night{"101", "2027-01-01"}) },
		"a booking that is not shown as it is": func(r *record) {
			r.stays["b-1"] = views.Booking{ID: "b-1", Guest: "ann", Status: domain.BookingRequested}
		},
	} {
		r := soundRecord()
		if damage(r); len(r.violations()) == 0 {
			t.Errorf("%s: nothing is found", name)
		}
	}
}
