package nodetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/node/nodetest"
	"github.com/ganglion-go/ganglion/testharness"
)

type (
	parcel struct{ Labels, Asked int }
	send   struct {
		actor.Replies[actor.None]
		Times int `json:"times"`
	}
	labelled struct {
		actor.Replies[actor.None]
		actor.Performed[string]
	}
	wasSent     struct{ Times int }
	wasLabelled struct{}
)

func parcels(labels *actor.Effect[string, string]) *actor.Aggregate[parcel] {
	return actor.Define("parcel", func(d *actor.Definition[parcel]) {
		d.Effects(labels)
		actor.On(d, func(_ *parcel, ctx *actor.Context, c send) (actor.None, error) {
			ctx.Raise(c.bare())
			for range c.Times {
				labels.Perform(ctx, ctx.Address().ID, labelled{}, nil)
			}
			return actor.None{}, nil
		})
		actor.On(d, func(_ *parcel, ctx *actor.Context, _ labelled) (actor.None, error) {
			ctx.Raise(wasLabelled{})
			return actor.None{}, nil
		})
		actor.Apply(d, func(p *parcel, e wasSent) { p.Asked += e.Times })
		actor.Apply(d, func(p *parcel, _ wasLabelled) { p.Labels++ })
	})
}

func (c send) bare() wasSent { return wasSent{c.Times} }

// carrier fails the first attempt of each label, and takes its time.
type carrier struct {
	mu    sync.Mutex
	calls map[string]int
}

func (c *carrier) label(ctx context.Context, call actor.Call, id string) (string, error) {
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(20 * time.Millisecond):
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[call.Key]++; c.calls[call.Key] == 1 {
		return "", errors.New("not now")
	}
	return "label of " + id, nil
}

// TestNode_AtRest_WaitsForEffects: for their retries, and those of another node or of one
// that has been killed; not for what is paused.
func TestNode_AtRest_WaitsForEffects(t *testing.T) {
	t.Parallel()
	labels := actor.DefineEffect[string, string]("labels", actor.EffectPolicy{FirstRetry: 50 * time.Millisecond})
	cfg := node.Config{Lease: 2 * time.Second, Effects: []*actor.Performer{labels.By((&carrier{calls: map[string]int{}}).label)}}
	n := nodetest.Start(t, cfg, parcels(labels))
	sendAll := func(round string) {
		for i := range 6 {
			post(t, n, fmt.Sprintf("/v1/parcel/%s-%d/send", round, i), `{"times":3}`)
		}
	}
	atRest := func(round string, labels int) {
		t.Helper()
		began := time.Now()
		n.AtRest()
		t.Logf("%s: at rest after %v", round, time.Since(began))
		for i := range 6 {
			p, _, err := actor.State[parcel](t.Context(), n.Client(), actor.Address{Kind: "parcel", ID: fmt.Sprintf("%s-%d", round, i)})
			if err != nil || p != (parcel{labels, 3}) {
				t.Errorf("%s: parcel %d at rest: %+v, %v", round, i, p, err)
			}
		}
	}
	sendAll("alone")
	atRest("alone", 3)
	sendAll("killed")
	n.Restart()
	atRest("killed", 3)
	other := n.Join()
	sendAll("shared")
	atRest("shared", 3)
	operate(t, "pause", n, other)
	sendAll("paused")
	atRest("paused", 0)
	operate(t, "resume", n, other)
	atRest("paused", 3)
}

// operate pauses or resumes the effect, and waits until the nodes know.
func operate(t *testing.T, action string, all ...*nodetest.Node) {
	t.Helper()
	response, err := all[0].HTTP().Post(all[0].AdminURL()+"/effects/"+action+"?effect=labels", "", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Fatal(response.Status)
	}
	paused := map[string]string{"pause": "1", "resume": "0"}[action]
	for _, n := range all {
		testharness.Eventually(t, 20*time.Second, func() bool {
			response, err := n.HTTP().Get(n.AdminURL() + "/metrics")
			if err != nil {
				return false
			}
			defer func() { _ = response.Body.Close() }()
			metrics, err := io.ReadAll(response.Body)
			return err == nil && strings.Contains(string(metrics), `ganglion_effects_paused{effect="labels"} `+paused)
		})
	}
}
