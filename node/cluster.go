package node

import (
	"context"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// cluster reads sessions and claims for the gateway.
type cluster struct {
	namespace  string
	node       *runtime.Node
	store      store.Leases
	partitions actor.Partitions
	backlog    func(ctx context.Context) (map[actor.Partition]uint64, error)
}

var _ gateway.Cluster = (*cluster)(nil)

// Cluster implements gateway.Cluster.
func (c *cluster) Cluster(ctx context.Context) (gateway.ClusterView, error) {
	sessions, err := c.store.Sessions(ctx)
	if err != nil {
		return gateway.ClusterView{}, err
	}
	claims, err := c.store.Claims(ctx)
	if err != nil {
		return gateway.ClusterView{}, err
	}
	backlog, err := c.backlog(ctx)
	if err != nil {
		return gateway.ClusterView{}, err
	}
	own := c.node.Status()
	for _, p := range own.Partitions {
		backlog[p.Partition] = uint64(p.Durable)
	}
	view := gateway.ClusterView{Namespace: c.namespace, Node: own.Name}
	owned := map[string]int{}
	view.Partitions = c.partitionViews(claims, sessions, backlog, owned)
	for _, s := range sessions {
		view.Members = append(view.Members, memberView(s, owned[s.Incarnation]))
	}
	return view, nil
}

// partitionViews counts in owned the partitions of each session.
func (c *cluster) partitionViews(claims []store.Claim, sessions []store.Session, backlog map[actor.Partition]uint64, owned map[string]int) []gateway.PartitionView {
	alive := map[string]bool{}
	for _, s := range sessions {
		alive[s.Incarnation] = !s.Dead
	}
	views := make([]gateway.PartitionView, c.partitions)
	for i := range views {
		p := actor.Partition(i)
		views[i] = gateway.PartitionView{Partition: p, Lag: backlog[p]}
	}
	for _, claim := range claims {
		if int(claim.Partition) >= len(views) {
			continue
		}
		v := &views[claim.Partition]
		v.Epoch, v.Watermark = claim.Epoch, claim.Watermark.Sequence
		if alive[claim.Session] {
			v.Owner = claim.Owner
			owned[claim.Session]++
		}
	}
	return views
}

func memberView(s store.Session, partitions int) gateway.MemberView {
	m := gateway.MemberView{
		Name: s.Name, Incarnation: s.Incarnation, State: gateway.MemberLive,
		Address: s.Address, Build: s.Build, Partitions: partitions,
	}
	if s.Dead {
		m.State = gateway.MemberDead
	}
	for _, k := range s.Kinds {
		m.Kinds = append(m.Kinds, actor.Kind(k))
	}
	return m
}
