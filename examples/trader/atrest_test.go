package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/views"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/projection"
	projectionjetstream "github.com/ganglion-go/ganglion/projection/jetstream"
	projectionmongo "github.com/ganglion-go/ganglion/projection/mongo"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/testharness"
)

const (
	overdueTold = 3                // sagas
	shownWithin = time.Minute      // by a page
	auditWithin = 10 * time.Minute // long runs have much to read
)

// atRest is a cluster of the application on which nothing is on its way any more.
type atRest struct {
	t        *testing.T
	url      string       // of a node
	store    auditCommand // says where it is
	replicas int          // of streams; 0: 1
	nc       *nats.Conn
}

// check looks at everything that must hold: the invariants, from the store alone; the
// event stream, against the store; the views, against the aggregates and against those
// that all events make from nothing.
func (c *atRest) check() {
	c.t.Helper()
	c.store.Timeout = auditWithin
	out, err := runAudit(c.t, c.store)
	if err != nil || strings.Contains(out, " 0 trades") {
		c.t.Errorf("%v\n%s", err, out)
	}
	c.t.Log(out)
	bus, err := natsbus.Open(c.t.Context(), c.nc, natsbus.Config{Namespace: c.store.Namespace, Replicas: c.replicas})
	if err != nil {
		c.t.Fatal(err)
	}
	cfg, err := c.store.node()
	if err != nil {
		c.t.Fatal(err)
	}
	s, closing, err := node.OpenStore(c.t.Context(), cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	defer closing()
	c.logOverdue(s)
	if n, err := testharness.CheckEvents(c.t.Context(), s, bus); err != nil || n == 0 {
		c.t.Errorf("%d events: %v", n, err)
	}
	kept := c.storage()
	c.checkPages(views.NewPages(kept))
	c.checkViews(bus, kept)
}

// logOverdue tells what became when of sagas that were not done in time: faults may
// cause that, and somebody may want to know how.
func (c *atRest) logOverdue(s store.Store) {
	c.t.Helper()
	var late []store.Aggregate
	for item, err := range store.FollowUntilQuiet(c.t.Context(), s, time.Second, nil) {
		if err != nil {
			c.t.Fatal(err)
		}
		for _, e := range item.Commit.Events {
			if e.Name == actor.EventOverdue {
				late = append(late, item.Commit.Aggregate)
			}
		}
	}
	c.t.Logf("%d sagas were overdue", len(late))
	for _, saga := range late[:min(len(late), overdueTold)] {
		_, id, _ := strings.Cut(string(saga), "/")
		for _, a := range []store.Aggregate{store.Aggregate("transaction/" + id), saga} {
			for commit, err := range s.Load(c.t.Context(), a, 0) {
				if err != nil {
					c.t.Fatal(err)
				}
				names := []string{}
				for _, e := range commit.Events {
					names = append(names, e.Name)
				}
				c.t.Logf("%s %s: %v", time.UnixMicro(commit.Time).Format("15:04:05.000"), a, names)
			}
		}
	}
}

// checkPages compares what the pages show with what the aggregates say.
func (c *atRest) checkPages(pages *views.Pages) {
	c.t.Helper()
	for n := 1; n <= 6; n++ {
		id := fmt.Sprintf("buyer%d", n)
		var want domain.PortfolioView
		c.state("/v1/portfolio/"+id, &want)
		c.shows(want, func(ctx context.Context) (any, bool, error) {
			got, found, err := pages.Portfolio(ctx, id)
			return got, found && got.Cash == want.Cash && got.ReservedCash == want.ReservedCash &&
				fmt.Sprint(got.Items, got.ReservedItems) == fmt.Sprint(want.Items, want.ReservedItems), err
		})
	}
	for n := 1; n <= 3; n++ {
		id := fmt.Sprintf("company-%d", n)
		var want domain.OrderBookView
		c.state("/v1/orderbook/"+id, &want)
		c.shows(want, func(ctx context.Context) (any, bool, error) {
			m, found, err := pages.Market(ctx, id, 100_000)
			same := found && m.Trades == want.Trades && m.LastPrice == want.LastPrice && sameOrders(m.Bids, want.Buys) && sameOrders(m.Asks, want.Sells)
			m.Recent = nil // there may be a thousand
			return m, same, err
		})
	}
}

// shows waits until a page shows what is wanted.
func (c *atRest) shows(want any, page func(context.Context) (got any, same bool, err error)) {
	c.t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(c.t.Context(), shownWithin)
	defer cancel()
	for {
		got, same, err := page(ctx)
		if err == nil && same {
			if took := time.Since(began); took > 2*time.Second {
				c.t.Logf("a page was late by %v", took.Round(time.Millisecond))
			}
			return
		}
		select {
		case <-ctx.Done():
			c.t.Errorf("after %v a page shows %+v, %v; the aggregate says %+v", shownWithin, got, err, want)
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func sameOrders(got []views.Order, want []domain.LiveOrder) bool {
	if len(got) != len(want) {
		return false
	}
	for i, o := range got {
		if o.ID != want[i].OrderID || o.Remaining != want[i].Remaining || o.Price != want[i].Price {
			return false
		}
	}
	return true
}

// storage is where the nodes keep their views.
func (c *atRest) storage() projection.Storage {
	c.t.Helper()
	if c.store.MongoURI == "" {
		s, err := projectionjetstream.Open(c.t.Context(), c.nc, projectionjetstream.Config{Namespace: c.store.Namespace, Replicas: c.replicas})
		if err != nil {
			c.t.Fatal(err)
		}
		return s
	}
	s, err := projectionmongo.Open(c.store.MongoURI, projectionmongo.Config{Database: c.store.MongoDatabase})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// state reads an aggregate's state.
func (c *atRest) state(path string, into any) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.url+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body := struct{ State any }{into}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		c.t.Fatalf("%s: %v", path, err)
	}
}
