package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/ganglion-go/ganglion/examples/hotel/domain"
	"github.com/ganglion-go/ganglion/examples/hotel/views"
	"github.com/ganglion-go/ganglion/projection"
)

// reader reads the hotel over HTTP, as its staff may.
type reader struct {
	client   *client
	token    string
	payments string // URL of the provider
}

const (
	pageOf  = "?limit=1000"
	readers = 16
)

// record reads everything but what only the guests know.
func (r *reader) record(ctx context.Context) (*record, error) {
	found := &record{endings: map[string][]string{}, holds: map[string][]hold{}}
	err := readKind(ctx, r, "booking", &found.bookings, func(id string, events []event) {
		for _, e := range events {
			found.endings[id] = append(found.endings[id], e.Type)
		}
	})
	if err != nil {
		return nil, err
	}
	var bad error
	err = readKind(ctx, r, "room", &found.rooms, func(id string, events []event) {
		holds, err := holdsOf(events)
		if err != nil {
			bad = err
		}
		found.holds[id] = holds
	})
	if err == nil {
		err = bad
	}
	if err == nil {
		err = readKind(ctx, r, "guest", &found.guests, func(string, []event) {})
	}
	if err == nil {
		err = r.views(ctx, found)
	}
	if err == nil {
		err = r.provider(ctx, found)
	}
	return found, err
}

type event struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// readKind reads the states of all aggregates of a kind, and hands over their events, one
// aggregate at a time.
func readKind[S any](ctx context.Context, r *reader, kind string, states *map[string]S, take func(id string, events []event)) error {
	ids, err := r.list(ctx, kind)
	if err != nil {
		return err
	}
	type one struct {
		state  S
		events []event
	}
	all := make([]one, len(ids))
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(readers)
	for i, id := range ids {
		reading.Go(func() (err error) {
			path := "/v1/" + kind + "/" + url.PathEscape(id)
			body := struct{ State *S }{&all[i].state}
			if err := r.client.read(ctx, r.token, path, &body); err != nil {
				return err
			}
			all[i].events, err = r.events(ctx, path)
			return err
		})
	}
	if err := reading.Wait(); err != nil {
		return err
	}
	*states = map[string]S{}
	for i, id := range ids {
		(*states)[id] = all[i].state
		take(id, all[i].events)
	}
	return nil
}

func (r *reader) list(ctx context.Context, kind string) (ids []string, err error) {
	for after := ""; ; {
		var page struct {
			IDs  []string
			Next string
		}
		path := "/v1/" + kind + pageOf
		if after != "" {
			path += "&after=" + url.QueryEscape(after)
		}
		if err := r.client.read(ctx, r.token, path, &page); err != nil {
			return nil, err
		}
		ids = append(ids, page.IDs...)
		if after = page.Next; after == "" {
			return ids, nil
		}
	}
}

func (r *reader) events(ctx context.Context, path string) (events []event, err error) {
	for after := uint64(0); ; {
		var page struct {
			Events []event
			Next   uint64
		}
		if err := r.client.read(ctx, r.token, fmt.Sprintf("%s/events%s&after=%d", path, pageOf, after), &page); err != nil {
			return nil, err
		}
		events = append(events, page.Events...)
		if page.Next == after {
			return events, nil
		}
		after = page.Next
	}
}

// holdsOf reads the history of a room.
func holdsOf(events []event) (holds []hold, err error) {
	for _, e := range events {
		switch e.Type {
		case "nightsHeld.v1":
			var held domain.NightsHeld
			if err := json.Unmarshal(e.Data, &held); err != nil {
				return nil, err
			}
			days, err := held.Days()
			if err != nil {
				return nil, err
			}
			holds = append(holds, hold{booking: held.Booking, days: days})
		case "nightsReleased.v1":
			var released domain.NightsReleased
			if err := json.Unmarshal(e.Data, &released); err != nil {
				return nil, err
			}
			holds = append(holds, hold{booking: released.Booking, days: released.Days, back: true})
		}
	}
	return holds, nil
}

func (r *reader) views(ctx context.Context, found *record) error {
	found.nights, found.stays = map[night]string{}, map[string]views.Booking{}
	err := readView(ctx, r, views.Calendar, "nights", func(n views.Night) { found.nights[night{n.Room, n.Day}] = n.Booking })
	if err != nil {
		return err
	}
	return readView(ctx, r, views.Stays, "bookings", func(b views.Booking) { found.stays[b.ID] = b })
}

func readView[T any](ctx context.Context, r *reader, p *projection.Projection, collection string, take func(T)) error {
	for after := ""; ; {
		var page struct {
			Documents []struct{ Value T }
			Next      string
		}
		path := "/v1/views/" + p.Name() + "/" + collection + pageOf
		if after != "" {
			path += "&after=" + url.QueryEscape(after)
		}
		if err := r.client.read(ctx, r.token, path, &page); err != nil {
			return err
		}
		for _, d := range page.Documents {
			take(d.Value)
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
}

func (r *reader) provider(ctx context.Context, found *record) error {
	asked := newClient(r.payments)
	defer asked.http.CloseIdleConnections()
	if err := asked.read(ctx, "", "/charges", &found.charges); err != nil {
		return err
	}
	return asked.read(ctx, "", "/report", &found.report)
}

// unfinished returns those of the bookings that have come to no end yet, or are not there.
func (r *reader) unfinished(ctx context.Context, ids []string) ([]string, error) {
	open := make([]bool, len(ids))
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(readers)
	for i, id := range ids {
		reading.Go(func() error {
			a, err := r.client.ask(ctx, request{method: http.MethodGet, path: "/v1/booking/" + url.PathEscape(id), token: r.token})
			if err != nil {
				return err
			}
			if open[i] = a.status != http.StatusOK; open[i] {
				return nil
			}
			var b struct{ State domain.Booking }
			err = json.Unmarshal(a.body, &b)
			open[i] = b.State.Status == domain.BookingRequested
			return err
		})
	}
	err := reading.Wait()
	var left []string
	for i, id := range ids {
		if open[i] {
			left = append(left, id)
		}
	}
	return left, err
}

// summary tells a record in a line or two.
func (r *record) summary() string {
	counts, active := map[string]int{}, 0
	for _, b := range r.bookings {
		counts[strings.TrimSpace(string(b.Status)+" "+b.Reason)]++
	}
	for _, g := range r.guests {
		if g.Status == domain.GuestActive {
			active++
		}
	}
	further, most := 0, 0
	for _, calls := range r.report.Keys {
		further += calls - 1
		most = max(most, calls)
	}
	var kinds []string
	for kind, n := range counts {
		kinds = append(kinds, fmt.Sprintf("%d %s", n, kind))
	}
	slices.Sort(kinds)
	return fmt.Sprintf("%d bookings: %s; %d guests, %d accepted\nprovider: %d calls under %d keys, %d of them with the key of an earlier one (%d at the most for one key), %d charges",
		len(r.bookings), strings.Join(kinds, ", "), len(r.guests), active, r.report.Calls, len(r.report.Keys), further, most, len(r.charges))
}
