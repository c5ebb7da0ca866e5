package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

type (
	parcelState struct{ Sent, Lost string }
	ship        struct{ actor.Replies[string] }
	shipped     struct {
		actor.Replies[actor.None]
		actor.Performed[string]
	}
	notShipped struct {
		actor.Replies[actor.None]
		actor.GivenUp
	}
	wasShipped struct{ Label string }
	wasLost    struct{ Why string }
)

func parcels(shipping *actor.Effect[string, string]) *actor.Aggregate[parcelState] {
	return actor.Define("parcel", func(d *actor.Definition[parcelState]) {
		d.Effects(shipping)
		actor.On(d, func(_ *parcelState, ctx *actor.Context, _ ship) (string, error) {
			return shipping.Perform(ctx, ctx.Address().ID, shipped{}, notShipped{}), nil
		})
		actor.On(d, func(_ *parcelState, ctx *actor.Context, c shipped) (actor.None, error) {
			ctx.Raise(wasShipped{Label: c.Result})
			return actor.None{}, nil
		})
		actor.On(d, func(_ *parcelState, ctx *actor.Context, c notShipped) (actor.None, error) {
			ctx.Raise(wasLost{Why: string(c.Failure.Reason)})
			return actor.None{}, nil
		})
		actor.Apply(d, func(p *parcelState, e wasShipped) { p.Sent = e.Label })
		actor.Apply(d, func(p *parcelState, e wasLost) { p.Lost = e.Why })
	})
}

// effectsView is what the admin server says of effects.
type effectsView struct {
	Effects []runtime.EffectStatus
	Pending []struct {
		Effect, Aggregate, Key, State, Error string
		Attempts                             int
	}
}

func (c caller) effects() (v effectsView) {
	c.t.Helper()
	got := c.do(http.MethodGet, "/effects", "")
	if err := json.Unmarshal(got.body, &v); err != nil || got.status != http.StatusOK {
		c.t.Fatalf("effects: %d %s, %v", got.status, got.body, err)
	}
	return v
}

// TestNode_EffectsAreOperated lists, pauses, resumes, retries and gives up effects over the
// admin server of a node, and looks at its metrics.
func TestNode_EffectsAreOperated(t *testing.T) {
	t.Parallel()
	shipping := actor.DefineEffect[string, string]("shipping", actor.EffectPolicy{FirstRetry: 10 * time.Hour, MaxRetry: 10 * time.Hour})
	var down atomic.Bool
	down.Store(true)
	cfg := node.Config{Setup: func(_ context.Context, n *node.Node) error {
		return n.Handle(shipping.By(func(_ context.Context, call actor.Call, id string) (string, error) {
			if down.Load() {
				return "", errors.New("the carrier is closed")
			}
			return fmt.Sprintf("%s, attempt %d", id, call.Attempt), nil
		}))
	}}
	n := nodes.Start(t, cfg, parcels(shipping))
	api, admin := caller{t, n.URL()}, caller{t, n.AdminURL()}
	start := func(id string) string {
		t.Helper()
		var answer struct{ Reply string }
		got := api.post("/v1/parcel/"+id+"/ship", "{}")
		if err := json.Unmarshal(got.body, &answer); err != nil || got.status != http.StatusOK {
			t.Fatalf("ship: %d %s", got.status, got.body)
		}
		return answer.Reply
	}
	attempts := func(id string) int {
		for _, p := range admin.effects().Pending {
			if p.Aggregate == "parcel/"+id {
				return p.Attempts
			}
		}
		return -1
	}
	act := func(action string, q url.Values, want int) {
		t.Helper()
		admin.expect(action, admin.post("/effects/"+action+"?"+q.Encode(), ""), want, "")
	}
	one := func(id, key string) url.Values { return url.Values{"aggregate": {"parcel/" + id}, "key": {key}} }

	keyA, keyB := start("a"), start("b")
	testharness.Eventually(t, 20*time.Second, func() bool { return attempts("a") == 1 && attempts("b") == 1 })
	if p := admin.effects().Pending[0]; p.Error != "the carrier is closed" || p.Key != keyA || p.Effect != "shipping" {
		t.Errorf("pending: %+v", p)
	}
	act("retry", one("a", keyA), 202)
	testharness.Eventually(t, 20*time.Second, func() bool { return attempts("a") == 2 })
	act("give-up", one("a", keyA), 202)
	testharness.Eventually(t, 20*time.Second, func() bool {
		return strings.Contains(string(api.do("GET", "/v1/parcel/a", "").body), `"Lost":"operator"`)
	})

	act("pause", url.Values{"effect": {"shipping"}}, 202)
	testharness.Eventually(t, 20*time.Second, func() bool { return admin.effects().Effects[0].Paused })
	down.Store(false)
	act("retry", one("b", keyB), 202)
	start("c")
	testharness.Eventually(t, 20*time.Second, func() bool { return admin.effects().Effects[0].States[runtime.EffectHeld] == 2 })
	metrics := get(t, n.AdminURL()+"/metrics")
	for _, want := range []string{
		`ganglion_effects_unhandled{effect="shipping"} 0`, `ganglion_effects_pending{effect="shipping",state="paused"} 2`, `ganglion_effects_paused{effect="shipping"} 1`,
		`ganglion_effect_attempt_seconds_count{effect="shipping",outcome="failed"} 3`, `ganglion_effects_given_up_total{effect="shipping",reason="operator"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	if parked := get(t, n.AdminURL()+"/parked"); !strings.Contains(parked, "no attempts of the effect begin") {
		t.Errorf("the list of what is parked does not say that an effect is paused: %s", parked)
	}
	act("resume", url.Values{"effect": {"shipping"}}, 202)
	for id, want := range map[string]string{"b": "b, attempt 2", "c": "c, attempt 1"} {
		testharness.Eventually(t, 20*time.Second, func() bool { return strings.Contains(string(api.do("GET", "/v1/parcel/"+id, "").body), want) })
	}
	testharness.Eventually(t, 20*time.Second, func() bool { return len(admin.effects().Pending) == 0 })

	api.expect("a result that a caller makes up", api.post("/v1/parcel/b/shipped", `{"result":"x"}`), 404, "")
	act("retry", one("b", keyB), 404)
	act("retry", one("", keyB), 400)
	act("pause", url.Values{"effect": {""}}, 400)
	act("explode", nil, 404)
	admin.expect("limit", admin.do(http.MethodGet, "/effects?limit=0", ""), 400, "")
	admin.expect("aggregate", admin.do(http.MethodGet, "/effects?aggregate=x", ""), 400, "")
	if err := n.Handle(shipping.By(func(context.Context, actor.Call, string) (string, error) { return "", nil })); !errors.Is(err, node.ErrConfig) {
		t.Errorf("a performer that comes late: %v", err)
	}
}
