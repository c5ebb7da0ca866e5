package gateway

import (
	"context"

	"github.com/ganglion-go/ganglion/actor"
)

// Cluster reads who owns what. It is safe for concurrent use.
type Cluster interface {
	// Cluster returns the cluster as this node sees it.
	Cluster(ctx context.Context) (ClusterView, error)
}

// ClusterView is a node's view of its cluster.
type ClusterView struct {
	Namespace  string          `json:"namespace"`
	Node       string          `json:"node"` // whose view it is
	Members    []MemberView    `json:"members" nullable:"false"`
	Partitions []PartitionView `json:"partitions" nullable:"false"`
}

// MemberView is one node's session.
type MemberView struct {
	Name        string       `json:"name"`
	Incarnation string       `json:"incarnation"`
	State       MemberState  `json:"state"`
	Address     string       `json:"address"`
	Build       string       `json:"build"`
	Kinds       []actor.Kind `json:"kinds" nullable:"false"`
	Partitions  int          `json:"partitions"` // owned

	// ClockAhead is by how many seconds its clock is ahead of that of the node whose view
	// this is, at the least; less than 0: behind.
	ClockAhead float64 `json:"clockAhead,omitempty"`
}

// MemberState says whether a node takes partitions.
type MemberState string

// The states of a member.
const (
	MemberLive     MemberState = "live"
	MemberDraining MemberState = "draining" // hands its partitions over
	MemberDead     MemberState = "dead"     // declared dead; its partitions are free to take
)

// PartitionView is one partition's claim.
type PartitionView struct {
	Partition actor.Partition `json:"partition"`
	Owner     string          `json:"owner"` // name of a member; empty: nobody
	Epoch     uint64          `json:"epoch"` // grows with every take-over
	Watermark uint64          `json:"watermark"`
	Lag       uint64          `json:"lag"` // durable commands stored and not finished
}

func (g *Gateway) serveCluster(ctx context.Context, c *call) *Problem {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	view, err := g.cfg.Cluster.Cluster(ctx)
	if err != nil {
		return g.readFailed(ctx, "read cluster", err)
	}
	view.Members = append([]MemberView{}, view.Members...)
	for i := range view.Members {
		view.Members[i].Kinds = append([]actor.Kind{}, view.Members[i].Kinds...)
	}
	view.Partitions = append([]PartitionView{}, view.Partitions...)
	c.w.Header().Set("Cache-Control", "no-store")
	return c.reply(200, view)
}
