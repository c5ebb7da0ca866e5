package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/examples/hotel/domain"
)

const (
	rooms       = 8
	nightCents  = 10_000
	cardLimit   = 45_000 // cents: five nights are declined
	nightsMost  = 5
	perGuest    = 5 // bookings
	sameEmail   = 2 // guests that want it
	windowDays  = 7
	guestsAtOne = 32 // time
)

// guests book rooms for as long as they are let, each booking until it is acknowledged.
// Whatever a correct hotel does not answer is a fault.
type guests struct {
	client *client
	issuer *issuer
	seed   uint64
	rate   int // bookings a second

	begun   atomic.Int64
	mu      sync.Mutex
	tickets map[string]ticket // by id of the booking
	emails  map[string]string // by id of the guest
	slowest time.Duration     // until a booking was acknowledged
	faults  []string
}

// ticket is a booking that was acknowledged.
type ticket struct {
	guest, room string
	stay        domain.Stay
}

func newGuests(c *client, i *issuer, seed uint64, rate int) *guests {
	return &guests{client: c, issuer: i, seed: seed, rate: rate, tickets: map[string]ticket{}, emails: map[string]string{}}
}

// book has guests book until stop is closed, and returns when each has an answer.
func (g *guests) book(ctx context.Context, stop <-chan struct{}) {
	tick := time.NewTicker(time.Second / time.Duration(g.rate))
	defer tick.Stop()
	turns, all := make(chan int), sync.WaitGroup{}
	defer all.Wait()
	defer close(turns)
	for range guestsAtOne {
		all.Go(func() {
			for n := range turns {
				if err := g.bookOne(ctx, n); err != nil {
					g.fault(fmt.Sprintf("booking %d: %v", n, err))
				}
			}
		})
	}
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case turns <- n:
		case <-stop:
			return
		}
	}
}

func (g *guests) fault(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = append(g.faults, text)
}

// bookOne has a guest register, if it is their first booking, and book.
func (g *guests) bookOne(ctx context.Context, n int) error {
	random := rand.New(rand.NewPCG(g.seed, uint64(n)))
	guest := "guest-" + number(n/perGuest)
	token, err := g.issuer.token(guest)
	if err != nil {
		return err
	}
	if n%perGuest == 0 {
		if err := g.register(ctx, n/perGuest, guest, token); err != nil {
			return err
		}
	}
	began := time.Now()
	t := ticket{guest: guest, room: number(101 + random.IntN(rooms)), stay: domain.Stay{
		// The days move on with the bookings, so that some rooms are free at any time.
		From:   time.Date(2027, 1, 1+2*n/rooms+random.IntN(windowDays), 0, 0, 0, 0, time.UTC).Format(time.DateOnly),
		Nights: 1 + random.IntN(nightsMost),
	}}
	g.begun.Add(1)
	id, err := g.requestBooking(ctx, random, n, token, t)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if before, again := g.tickets[id]; again {
		return fmt.Errorf("id %s is that of %+v, too: %w", id, before, errUnexpected)
	}
	g.tickets[id] = t
	g.slowest = max(g.slowest, time.Since(began))
	return nil
}

// register wants an e-mail address that other guests want as well, written in other ways.
func (g *guests) register(ctx context.Context, n int, guest, token string) error {
	email := fmt.Sprintf("person-%d@hotel.example", n/sameEmail)
	a, err := g.client.ask(ctx, request{
		method: http.MethodPost, path: "/v1/guest/" + guest + "/RegisterGuest", token: token, header: http.Header{"Idempotency-Key": {"register"}},
		body: domain.RegisterGuest{Name: guest, Email: []string{email, "Some One <PERSON" + email[len("person"):] + ">"}[n%2]},
	})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("register: %v: %w", a, errUnexpected)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.emails[guest] = email
	return nil
}

// requestBooking asks for a booking in one of the ways that the API has: with an id of the
// guest's, or one that it makes; waiting for the booking, or for it to be stored; once, or
// twice at a time, as somebody does who clicks twice. It returns the id that was
// acknowledged.
func (g *guests) requestBooking(ctx context.Context, random *rand.Rand, n int, token string, t ticket) (id string, err error) {
	r := request{
		method: http.MethodPost, path: "/v1/booking/RequestBooking", token: token, header: http.Header{"Idempotency-Key": {"wish-" + number(n)}},
		body: domain.RequestBooking{Room: t.room, Stay: t.stay},
	}
	want := http.StatusCreated
	if random.IntN(2) == 0 {
		id, want = "booking-"+number(n), http.StatusOK
		r.path = "/v1/booking/" + url.PathEscape(id) + "/RequestBooking"
	}
	if random.IntN(5) == 0 {
		r.header.Set("Prefer", "respond-async")
		want = http.StatusAccepted
	}
	clicks := 1
	if random.IntN(10) == 0 {
		clicks = 2
	}
	answers, errs, first := make([]answer, clicks), make([]error, clicks), g.client.turn.Add(1)
	var all sync.WaitGroup
	for click := range clicks {
		all.Go(func() { answers[click], errs[click] = g.client.askFrom(ctx, first+uint64(click), r) })
	}
	all.Wait()
	for click, a := range answers {
		told, err := acknowledged(a, errs[click], want, id)
		if err != nil {
			return "", err
		}
		id = told
	}
	return id, nil
}

// acknowledged returns the id in an answer, which must be the one that is known already, if
// one is.
func acknowledged(a answer, err error, want int, known string) (string, error) {
	if err != nil {
		return "", err
	}
	if a.status != want {
		return "", fmt.Errorf("%v, not %d: %w", a, want, errUnexpected)
	}
	var told struct{ ID string }
	if err := json.Unmarshal(a.body, &told); err != nil {
		return "", err
	}
	switch {
	case told.ID == "" && known == "", told.ID != "" && known != "" && told.ID != known:
		return "", fmt.Errorf("%v, where the id is %q: %w", a, known, errUnexpected)
	case told.ID == "":
		return known, nil
	default:
		return told.ID, nil
	}
}
