package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// purse is the aggregate of these tests.
type purse struct{ Cents int64 }

type payIn struct {
	actor.Replies[int64]
	Cents int64 `json:"cents"`
}

type paidIn struct {
	Cents int64 `json:"cents"`
}

func (p *purse) payIn(ctx *actor.Context, c payIn) (int64, error) {
	ctx.Raise(paidIn{c.Cents})
	return p.Cents, nil
}

func (p *purse) paidIn(e paidIn) { p.Cents += e.Cents }

func purses() *actor.Aggregate[purse] {
	return actor.Define("purse", func(d *actor.Definition[purse]) {
		actor.On(d, (*purse).payIn)
		actor.Apply(d, (*purse).paidIn)
	})
}

// greeting is a saga that pays a cent when a purse is first paid into.
type greeting struct{ Done bool }

type greeted struct{}

func (g *greeting) greeted(greeted) { g.Done = true }

func greeters(from *actor.Aggregate[purse]) *actor.Aggregate[greeting] {
	return actor.DefineSaga("greeting", func(d *actor.SagaDefinition[greeting]) {
		actor.Apply(d, (*greeting).greeted)
		actor.StartsOn(d, from, func(g *greeting, ctx *actor.Context, _ paidIn) {
			if !g.Done {
				ctx.Raise(greeted{})
				ctx.Send(from.ID("greeted"), payIn{Cents: 1})
			}
		}, func(_ paidIn, r actor.EventRecord) string {
			if strings.HasPrefix(r.Source.ID, "p-") {
				return r.Source.ID
			}
			return ""
		})
	})
}

type purseView struct {
	Cents   int64         `json:"cents"`
	Version actor.Version `json:"version"`
}

func purseViews(from *actor.Aggregate[purse], broken *atomic.Bool) *projection.Projection {
	return projection.Define("purses", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[purseView]("purses"))
		projection.On(d, from, func(ctx context.Context, tx *projection.Tx, e projection.Event[paidIn]) error {
			if broken.Load() && e.Source.ID == "p-0" {
				panic("broken")
			}
			return projection.Update(ctx, tx, "purses", e.Source.ID, func(v *purseView) error {
				*v = purseView{v.Cents + e.Data.Cents, e.Version}
				return nil
			})
		})
	})
}

// A command's events come out in the view, on both kinds of store: a caller who waits
// for the version of its reply reads its own write. A policy pays a cent to a
// purse for each payment elsewhere, and a saga one for the first payment into each.
func TestNode_Projections(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"embedded", "mongodb"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			from := purses()
			bonus := actor.DefinePolicy("bonus", func(d *actor.PolicyDefinition) {
				actor.When(d, from, func(ctx *actor.PolicyContext, e paidIn) {
					if strings.HasPrefix(ctx.Event().Source.ID, "p-") {
						ctx.Send(from.ID("bonus"), payIn{Cents: 1})
					}
				})
			})
			greeter := greeters(from)
			broken := &atomic.Bool{}
			views := purseViews(from, broken)
			cfg := node.Config{Partitions: 8, Projections: []*projection.Projection{views}}
			if store == "mongodb" {
				cfg.MongoURI, cfg.MongoDatabase = testharness.SharedMongo(t, 1).URI(), testharness.DatabaseName(t)
			}
			n := nodes.Start(t, cfg, from, bonus, greeter)
			notices, stop, err := n.Subscribe(views, projection.Interest{Collection: "purses", Prefix: "bonus"})
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			const many = 20
			for i := range many {
				to := from.ID(fmt.Sprint("p-", i))
				if _, err := actor.Ask(ctx, n.Client(), to, payIn{Cents: int64(i)}); err != nil {
					t.Fatal(err)
				}
				expectPurse(ctx, t, n, views, to, purseView{int64(i), 1})
			}
			expectPurse(ctx, t, n, views, from.ID("bonus"), purseView{many, many})
			expectPurse(ctx, t, n, views, from.ID("greeted"), purseView{many, many})
			awaitNotice(ctx, t, notices, "bonus")
			operateProjections(ctx, t, n, views, from, broken)
		})
	}
}

func expectPurse(ctx context.Context, t *testing.T, n *nodes.Local, p *projection.Projection, of actor.Address, want purseView) {
	t.Helper()
	if err := n.View(p).Wait(ctx, projection.Version(of, want.Version)); err != nil {
		t.Fatalf("%s at %d: %v", of, want.Version, err)
	}
	got, found, err := projection.Get[purseView](ctx, n.View(p), "purses", of.ID)
	if err != nil || !found || got != want {
		t.Errorf("%s: %+v, %v, %v, want %+v", of, got, found, err, want)
	}
}

func awaitNotice(ctx context.Context, t *testing.T, notices <-chan projection.Notice, key string) {
	t.Helper()
	for {
		select {
		case notice := <-notices:
			if notice.Key == key {
				return
			}
			if !notice.Reset {
				t.Errorf("notice of %+v", notice)
			}
		case <-ctx.Done():
			t.Fatal("no notice")
		}
	}
}

// operateProjections parks an aggregate and retries it, and rebuilds the view, over HTTP.
func operateProjections(ctx context.Context, t *testing.T, n *nodes.Local, p *projection.Projection, from *actor.Aggregate[purse], broken *atomic.Bool) {
	t.Helper()
	broken.Store(true)
	first := from.ID("p-0")
	if _, err := actor.Ask(ctx, n.Client(), first, payIn{Cents: 100}); err != nil {
		t.Fatal(err)
	}
	expectPurse(ctx, t, n, p, first, purseView{0, 1})
	if err := n.View(p).Wait(ctx, projection.Version(first, 2)); !errors.Is(err, projection.ErrParked) {
		t.Fatalf("wait for an event that failed: %v", err)
	}
	expectPurse(ctx, t, n, p, from.ID("p-1"), purseView{1, 1})
	shown := adminCall(t, http.MethodGet, n.AdminURL()+"/projections/purses/parked?aggregate=purse/p-0", http.StatusOK)
	if !strings.Contains(shown, "broken") || !strings.Contains(shown, `"data":{"cents":100}`) {
		t.Errorf("parked: %s", shown)
	}
	broken.Store(false)
	adminCall(t, http.MethodPost, n.AdminURL()+"/projections/purses/retry?aggregate=purse/p-0", http.StatusAccepted)
	testharness.Eventually(t, 30*time.Second, func() bool {
		got, _, err := projection.Get[purseView](ctx, n.View(p), "purses", "p-0")
		return err == nil && got == purseView{100, 2}
	})
	adminCall(t, http.MethodPost, n.AdminURL()+"/projections/purses/rebuild", http.StatusAccepted)
	adminCall(t, http.MethodPost, n.AdminURL()+"/projections/bonus/rebuild", http.StatusConflict)
	adminCall(t, http.MethodPost, n.AdminURL()+"/projections/none/pause", http.StatusNotFound)
	testharness.Eventually(t, 30*time.Second, func() bool {
		var answer struct {
			Projections []projection.Status `json:"projections"`
		}
		body := adminCall(t, http.MethodGet, n.AdminURL()+"/projections", http.StatusOK)
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(err)
		}
		s := answer.Projections[0]
		return s.Name == "purses" && s.Generation == 2 && s.Rebuild == nil
	})
	expectPurse(ctx, t, n, p, first, purseView{100, 2})
}

func adminCall(t *testing.T, method, url string, want int) string {
	t.Helper()
	status, body := request(t.Context(), t, method, url)
	if status != want {
		t.Errorf("%s %s: %d %s", method, url, status, body)
	}
	return body
}

// request makes a request that is answered.
func request(ctx context.Context, t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	return requestWith(ctx, t, method, url, http.NoBody)
}

// requestWith makes one that has a body.
func requestWith(ctx context.Context, t *testing.T, method, url string, with io.Reader) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, with)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}
