package main_test

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/examples/hotel/domain"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

const (
	shortRun   = 6 * time.Second
	restWithin = 2 * time.Minute // after the last booking
	seenWithin = time.Minute     // in the views

	bookingsLeast   = 150 // also on a machine that is slow, or little would be tried
	violationsShown = 40
)

// TestHotel_ProviderOutage has guests book the same rooms at two nodes of the hotel. For
// half of the time the payment provider is out of order: it does not answer, then it is gone,
// and then it fails whatever it has done; meanwhile one node is killed and comes back, and then the other is drained
// and comes back. Afterwards no night is booked twice, each booking that was acknowledged is
// confirmed or refused, and each confirmed one is charged once.
//
// GANGLION_HOTEL is how long the guests book (`make hotel-faults`: two minutes, of which the
// provider is out of order for one); GANGLION_SEED repeats what they ask for.
func TestHotel_ProviderOutage(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	lasts := testenv.Duration(t, "GANGLION_HOTEL", shortRun)
	mongods, rate := 1, 25
	if lasts > shortRun {
		mongods, rate = 3, 40
	}
	h := openHotel(t, mongods)
	visitors := newGuests(h.client, h.issuer, seed, rate)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); visitors.book(t.Context(), stop) }()
	began := time.Now()
	pause(t, lasts/4)
	h.outage(lasts / 2)
	pause(t, max(lasts-time.Since(began), lasts/8))
	testharness.Eventually(t, time.Minute, func() bool { return visitors.begun.Load() >= bookingsLeast })
	close(stop)
	<-ended
	t.Logf("%d bookings were asked for in %v, the slowest was acknowledged after %v; %d requests took %d attempts", visitors.begun.Load(),
		time.Since(began).Round(time.Millisecond), visitors.slowest.Round(time.Millisecond), h.client.requests.Load(), h.client.attempts.Load())
	for _, fault := range visitors.faults {
		t.Error(fault)
	}
	h.awaitRest(visitors)
	found := h.audited(visitors)
	t.Log(found.summary())
	found.mustHaveTested(t)
	if t.Failed() {
		t.Logf("one:\n%s\n\ntwo:\n%s", h.nodes[0].Log(), h.nodes[1].Log())
	}
}

// theHotel is two nodes on one NATS server and one replica set, and the payment provider,
// each a process of the hotel's own binary.
type theHotel struct {
	t        *testing.T
	client   *client
	issuer   *issuer
	reader   *reader
	nodes    []*nodes.Process
	payments *nodes.Program
	failing  *nodes.Program // the provider, as one that charges, or does not, and says 503
}

func openHotel(t *testing.T, mongods int) *theHotel {
	t.Helper()
	binary, address := nodes.Build(t, "."), nodes.FreeAddress(t)
	serves := []string{"provider", "--addr", address, "--delay", "20ms", "--limit", number(cardLimit), "--file", filepath.Join(t.TempDir(), "charges")}
	h := &theHotel{
		t: t, issuer: newIssuer(t),
		payments: nodes.NewProgram(t, binary, nil, append(slices.Clip(serves), "--failing", "0.05")...),
		failing:  nodes.NewProgram(t, binary, nil, append(slices.Clip(serves), "--failing", "1")...),
	}
	h.payments.Launch(t)
	server := testharness.NATS(t, testharness.WithListener())
	flags := append(h.issuer.flags(), "--nats-url", server.URL(), "--lease", "1s", "--partitions", "32", "--payments-url", "http://"+address,
		"--mongo-uri", testharness.SharedMongo(t, mongods).URI(), "--mongo-database", testharness.DatabaseName(t))
	for _, name := range []string{"one", "two"} {
		n := nodes.Prepare(t, binary, nil, append(flags, "--name", name)...)
		n.Launch(t)
		h.nodes = append(h.nodes, n)
	}
	for _, n := range h.nodes {
		n.AwaitReady(t)
	}
	h.client = newClient(h.nodes[0].URL(), h.nodes[1].URL())
	t.Cleanup(h.client.http.CloseIdleConnections)
	staff, err := h.issuer.token("eve", "staff")
	if err != nil {
		t.Fatal(err)
	}
	h.reader = &reader{client: h.client, token: staff, payments: "http://" + address}
	for n := range rooms {
		a, err := h.client.ask(t.Context(), request{
			method: http.MethodPost, path: "/v1/room/" + number(101+n) + "/OpenRoom", token: staff, header: http.Header{"Idempotency-Key": {"open"}},
			body: domain.OpenRoom{Name: "Room " + number(n), Cents: nightCents},
		})
		if err != nil || a.status != http.StatusOK {
			t.Fatalf("open a room: %v, %v", a, err)
		}
	}
	return h
}

// outage has the provider out of order for at least so long, and both nodes gone for a part
// of it, one after the other, each while charges wait.
func (h *theHotel) outage(lasts time.Duration) {
	h.t.Helper()
	began := time.Now()
	said := func(what string) { h.t.Logf("%v into the outage: %s", time.Since(began).Round(time.Millisecond), what) }
	if err := h.payments.Pause(); err != nil {
		h.t.Fatal(err)
	}
	pause(h.t, lasts/6)
	h.payments.Kill()
	h.awaitCharges(h.nodes[0])
	said("the provider is killed after it did not answer, node one is killed")
	h.nodes[0].Kill()
	pause(h.t, lasts/6)
	h.nodes[0].Start(h.t)
	said("node one is back")
	h.awaitCharges(h.nodes[1])
	h.nodes[1].Drain(h.t)
	said("node two is drained and gone")
	pause(h.t, lasts/6)
	h.nodes[1].Start(h.t)
	said("node two is back")
	h.failing.Launch(h.t)
	said("the provider is up, and fails")
	before := h.calls()
	pause(h.t, max(lasts-time.Since(began), lasts/6))
	testharness.Eventually(h.t, time.Minute, func() bool { return h.calls() > before })
	h.failing.Kill()
	h.payments.Launch(h.t)
	said("the provider is back")
}

// awaitCharges waits until a node has charges to carry out.
func (h *theHotel) awaitCharges(n *nodes.Process) {
	h.t.Helper()
	testharness.Eventually(h.t, time.Minute, func() bool { return h.pending(n) > 0 })
}

// pending is the number of effects that a node looks after; -1: it does not answer.
func (h *theHotel) pending(n *nodes.Process) int {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), attemptWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, n.AdminURL()+"/effects?limit=1", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return -1
	}
	defer func() { _ = response.Body.Close() }()
	var body struct {
		Effects []struct{ States map[string]int }
	}
	if response.StatusCode != http.StatusOK || json.NewDecoder(response.Body).Decode(&body) != nil {
		return -1
	}
	waiting := 0
	for _, e := range body.Effects {
		for _, in := range e.States {
			waiting += in
		}
	}
	return waiting
}

// calls is how often the provider has been asked.
func (h *theHotel) calls() int {
	h.t.Helper()
	var r record
	if err := h.reader.provider(h.t.Context(), &r); err != nil {
		h.t.Fatal(err)
	}
	return r.report.Calls
}

// awaitRest waits until every booking that was acknowledged has come to an end, and nothing
// is asked of the provider any more.
func (h *theHotel) awaitRest(g *guests) {
	h.t.Helper()
	began, bound := time.Now(), time.After(restWithin)
	var open []string
	for id := range g.tickets {
		open = append(open, id)
	}
	waited := len(open)
	for len(open) > 0 || h.pending(h.nodes[0]) != 0 || h.pending(h.nodes[1]) != 0 {
		select {
		case <-bound:
			h.t.Fatalf("after %v %d of %d bookings have come to no end: %v; effects pending: %d, %d\none:\n%s\n\ntwo:\n%s", restWithin,
				len(open), waited, open[:min(len(open), 20)], h.pending(h.nodes[0]), h.pending(h.nodes[1]), h.nodes[0].Log(), h.nodes[1].Log())
		case <-time.After(100 * time.Millisecond):
		}
		left, err := h.reader.unfinished(h.t.Context(), open)
		if err != nil {
			h.t.Fatal(err)
		}
		open = left
	}
	h.t.Logf("all is at rest %v after the last booking was acknowledged", time.Since(began).Round(time.Millisecond))
}

// audited reads everything, until the views have taken it in, and reports what does not hold.
func (h *theHotel) audited(g *guests) *record {
	h.t.Helper()
	for bound := time.Now().Add(seenWithin); ; pause(h.t, 200*time.Millisecond) {
		found, err := h.reader.record(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		found.acknowledged, found.emails = g.tickets, g.emails
		violations := found.violations()
		if len(violations) > 0 && time.Now().Before(bound) {
			continue // the views may be behind, and guests may still be registered
		}
		for _, v := range violations[:min(len(violations), violationsShown)] {
			h.t.Error(v)
		}
		if len(violations) > violationsShown {
			h.t.Errorf("and %d more", len(violations)-violationsShown)
		}
		return found
	}
}

// mustHaveTested fails for a run in which too little happened for its audit to mean
// anything.
func (r *record) mustHaveTested(t *testing.T) {
	t.Helper()
	happened := map[string]int{"confirmed": 0, "refused " + domain.ErrNotFree.Code: 0, "refused " + domain.ReasonNotCharged: 0, "guests rejected": 0}
	for _, b := range r.bookings {
		key := string(b.Status)
		if b.Reason != "" {
			key += " " + b.Reason
		}
		happened[key]++
	}
	for _, g := range r.guests {
		if g.Status == domain.GuestRejected {
			happened["guests rejected"]++
		}
	}
	for what, n := range happened {
		if n < 3 {
			t.Errorf("%d %s: too few to have tested anything", n, what)
		}
	}
	if r.report.Calls <= len(r.report.Keys) {
		t.Error("no call was repeated: the outage tested nothing")
	}
	if len(happened) != 4 {
		t.Errorf("other ends than there should be: %v", happened)
	}
}

func pause(t *testing.T, d time.Duration) {
	t.Helper()
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
