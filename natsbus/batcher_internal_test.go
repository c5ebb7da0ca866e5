package natsbus

import (
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// TestBatcher_Forgets what has never been answered.
func TestBatcher_Forgets(t *testing.T) {
	t.Parallel()
	b := newBatcher(&Client{cfg: ClientConfig{}.withDefaults()})
	now := time.Unix(1000, 0)
	to := func(id string) actor.Address { return actor.Address{Kind: "a", ID: id} }
	old, late := b.join(to("1"), batched{1, 1}, nil, now), b.join(to("2"), batched{2, 1}, nil, now.Add(time.Second))
	if old == nil || late == nil {
		t.Fatal("a batch waits for nobody")
	}
	b.forget(now.Add(batchForgotten + time.Millisecond))
	if len(b.lines) != 1 || len(b.flying) != 1 || b.flying[late.id] == nil {
		t.Errorf("%d lines, %d messages are left", len(b.lines), len(b.flying))
	}
	if b.take(old.id) != nil || b.take(late.id) == nil || len(b.lines) != 0 {
		t.Error("an answer that comes late is believed, or one that comes in time is not")
	}
}
