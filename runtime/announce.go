package runtime

import (
	"context"
	"encoding/json"
	"time"

	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/store"
)

// news is what a node says of claims when it announces that it has written them, so
// that whoever is to take them, or waits until they are taken, need not read the store
// first. It is a hint, see [placement.Machine.Heard].
type news struct {
	Node    string      `json:"node"`
	Session string      `json:"session,omitempty"` // of the node, which has taken the claims; empty: they are free
	Claims  []newsClaim `json:"claims"`
}

type newsClaim struct {
	Partition store.Partition `json:"p"`
	Epoch     uint64          `json:"e"`
}

// newsMax bounds the claims of an announcement. Where there are more, nothing is said
// of them, and others read the store.
const newsMax = 128

// announce has the other nodes look at the store. They do by themselves if they
// do not hear it.
func (in *incarnation) announce(ctx context.Context) { in.announceNews(ctx, nil) }

func (in *incarnation) announceNews(ctx context.Context, message []byte) {
	if err := in.bus.Announce(ctx, message); err != nil {
		in.cfg.Logger.DebugContext(ctx, "change not announced", "error", err)
	}
}

// announceClaims tells the other nodes of claims that this one has taken, or, without
// a session, released.
func (in *incarnation) announceClaims(ctx context.Context, session string, claims []store.Claim) {
	if len(claims) > newsMax {
		in.announce(ctx)
		return
	}
	n := news{Node: in.cfg.Name, Session: session, Claims: make([]newsClaim, len(claims))}
	for i, c := range claims {
		n.Claims[i] = newsClaim{Partition: c.Partition, Epoch: c.Epoch}
	}
	message, err := json.Marshal(n)
	if err != nil {
		message = nil // cannot be; nothing is said of the claims then
	}
	in.announceNews(ctx, message)
}

// heard takes in an announcement. One that says nothing of claims, or nothing that is
// understood here, has the store be read.
func (in *incarnation) heard(message []byte) {
	var n news
	if len(message) == 0 || json.Unmarshal(message, &n) != nil {
		in.placer.lookNow()
		return
	}
	if n.Node == in.cfg.Name {
		return
	}
	claims := make([]store.Claim, len(n.Claims))
	for i, c := range n.Claims {
		claims[i] = store.Claim{Partition: c.Partition, Epoch: c.Epoch, Session: n.Session}
		if n.Session != "" {
			claims[i].Owner = n.Node
		}
	}
	look := false
	in.placer.tell(func(m *placement.Machine, now time.Duration) { look = m.Heard(now, n.Node, claims) })
	if look {
		in.placer.lookNow()
	} else {
		in.placer.planNow()
	}
}
