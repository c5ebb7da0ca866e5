package node

import (
	"context"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// cluster reads sessions and claims for the gateway, so that every node gives the
// same view.
type cluster struct {
	namespace  string
	own        func() runtime.Status // of a process that is a node; nil: it is none
	store      store.Leases
	partitions actor.Partitions
	backlog    func(ctx context.Context) (map[actor.Partition]uint64, error)
	peers      *peers
}

var _ gateway.Cluster = (*cluster)(nil)

// Cluster implements gateway.Cluster. Claims are read before sessions: a claim
// whose session is missing from the later reading has no owner any more.
func (c *cluster) Cluster(ctx context.Context) (gateway.ClusterView, error) {
	claims, err := c.store.Claims(ctx)
	if err != nil {
		return gateway.ClusterView{}, err
	}
	sessions, err := c.store.Sessions(ctx)
	if err != nil {
		return gateway.ClusterView{}, err
	}
	var own runtime.Status
	if c.own != nil {
		own = c.own()
	}
	view := gateway.ClusterView{Namespace: c.namespace, Node: own.Name}
	owned := map[string]int{}
	view.Partitions = c.partitionViews(claims, sessions, owned)
	if err := c.measureLag(ctx, view.Partitions, claims, c.standings(ctx, sessions, own)); err != nil {
		return gateway.ClusterView{}, err
	}
	for _, s := range sessions {
		m := memberView(s, owned[s.Incarnation])
		m.ClockAhead = own.Skews[s.Name].Seconds()
		view.Members = append(view.Members, m)
	}
	return view, nil
}

// standings returns what the live nodes tell of themselves, by incarnation.
func (c *cluster) standings(ctx context.Context, sessions []store.Session, own runtime.Status) map[string]standing {
	all := c.peers.standings(ctx, sessions, own.Name, question{})
	if c.own != nil {
		all[own.Incarnation] = standingOf(own)
	}
	return all
}

// measureLag asks the owners. Of partitions whose owner does not say, everything
// counts that the stream holds, finished commands that are not trimmed included.
func (c *cluster) measureLag(ctx context.Context, views []gateway.PartitionView, claims []store.Claim, told map[string]standing) error {
	known := make(map[actor.Partition]bool, len(views))
	for _, claim := range claims {
		p := actor.Partition(claim.Partition)
		if lag, ok := told[claim.Session].Lag[p]; ok && int(p) < len(views) {
			views[p].Lag, known[p] = uint64(max(lag, 0)), true
		}
	}
	if len(known) == len(views) {
		return nil
	}
	backlog, err := c.backlog(ctx)
	if err != nil {
		return err
	}
	for i := range views {
		if p := views[i].Partition; !known[p] {
			views[i].Lag = backlog[p]
		}
	}
	return nil
}

// partitionViews counts in owned the partitions of each session.
func (c *cluster) partitionViews(claims []store.Claim, sessions []store.Session, owned map[string]int) []gateway.PartitionView {
	alive := map[string]bool{}
	for _, s := range sessions {
		alive[s.Incarnation] = !s.Dead
	}
	views := make([]gateway.PartitionView, c.partitions)
	for i := range views {
		views[i].Partition = actor.Partition(i)
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
	switch {
	case s.Dead:
		m.State = gateway.MemberDead
	case s.Draining:
		m.State = gateway.MemberDraining
	}
	for _, k := range s.Kinds {
		m.Kinds = append(m.Kinds, actor.Kind(k))
	}
	return m
}
