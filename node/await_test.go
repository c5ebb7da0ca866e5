package node_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// saving is a saga that begins with the first payment into a purse, and ends with the one
// that makes it 100 cents.
type saving struct {
	Cents    int64 `json:"cents"`
	Payments int   `json:"payments"`
}

type saved struct {
	Cents int64 `json:"cents"`
}

func savings(from *actor.Aggregate[purse]) *actor.Aggregate[saving] {
	return actor.DefineSaga("saving", func(d *actor.SagaDefinition[saving]) {
		actor.Apply(d, func(s *saving, e saved) { s.Cents, s.Payments = s.Cents+e.Cents, s.Payments+1 })
		actor.StartsOn(d, from, func(s *saving, ctx *actor.Context, e paidIn) {
			ctx.Raise(saved(e))
			if s.Cents >= 100 {
				ctx.End()
			}
		}, func(_ paidIn, r actor.EventRecord) string { return r.Source.ID })
	})
}

// Whoever has started a process waits for its end, from a client outside and from a node,
// before the saga exists and over the hand-over of its partition.
func TestNode_AwaitEnd(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t, testharness.WithListener())
	from := purses()
	sagas := savings(from)
	start := func(name string) *nodes.Local {
		return nodes.Start(t, node.Config{Name: name, NATSURL: server.URL()}, from, sagas)
	}
	first := start("n1")
	outside, err := natsbus.NewClient(t.Context(), server.Connect(t), natsbus.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(outside.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	second := start("n2")
	var waiting sync.WaitGroup
	for _, client := range []actor.Client{outside, second.Client()} {
		for id := range strings.FieldsSeq("a b c d e f") { // of both nodes' partitions
			waiting.Go(func() {
				s, version, err := actor.AwaitEnd[saving](ctx, client, sagas.ID(id))
				if err != nil || s != (saving{Cents: 100, Payments: 3}) {
					t.Errorf("%s ended with %+v at version %d: %v", id, s, version, err)
				}
			})
		}
	}
	pay := func(cents int64) {
		for id := range strings.FieldsSeq("a b c d e f") {
			if _, err := actor.Ask(ctx, outside, from.ID(id), payIn{Cents: cents}); err != nil {
				t.Error(err)
			}
		}
	}
	pay(1)
	for id := range strings.FieldsSeq("a b c d e f") {
		s, err := actor.Await(ctx, outside, sagas.ID(id), func(s actor.Shown[saving]) bool { return s.State.Payments == 1 })
		if err != nil || s.Ended || s.State.Cents != 1 {
			t.Errorf("%s has begun as %+v: %v", id, s, err)
		}
	}
	pay(2)
	first.Stop(t)
	pay(97)
	waiting.Wait()
}
