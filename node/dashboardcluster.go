package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/node/internal/dashboard"
	"github.com/ganglion-go/ganglion/store"
)

const (
	// sessionsAsk bounds the question to the store who there is. Nodes have figuresTimeout after it.
	sessionsAsk = 350 * time.Millisecond
	// partAsk bounds each other question of a look at the cluster.
	partAsk = 700 * time.Millisecond
	// seenLately is how old what the store said may be, before the page says so.
	seenLately = 3 * time.Second
	// streamsLooked bounds the streams that are listed.
	streamsLooked = 200
	// parkedLooked bounds the count of what is parked.
	parkedLooked = 10_000
)

// Cluster implements [dashboard.Source]. Its parts are asked for at the same time, but for the
// other nodes: the store says which there are.
func (s *dashboardSource) Cluster(ctx context.Context) dashboard.Cluster {
	n := s.node
	out := dashboard.Cluster{Self: n.cfg.Name, Namespace: n.cfg.Namespace, Taken: time.Now(), ParkedMost: parkedLooked}
	var parts sync.WaitGroup
	var problems []string
	parts.Go(func() { problems = s.members(ctx, &out) })
	parts.Go(func() { out.NATS = s.nats(ctx) })
	parts.Go(func() { out.Store = s.storeState(ctx) })
	parts.Go(func() { out.Parked, out.ParkedErr = s.countParked(ctx) })
	parts.Wait()
	out.Problems = problems
	return out
}

// sessions returns who there is, as of now or, while the store does not answer, as last seen.
func (s *dashboardSource) sessions(ctx context.Context) (claims []store.Claim, sessions []store.Session, problem string) {
	ctx, cancel := context.WithTimeout(ctx, sessionsAsk)
	defer cancel()
	claims, err := s.node.store.Claims(ctx) // before the sessions: see [cluster.Cluster]
	if err == nil {
		sessions, err = s.node.store.Sessions(ctx)
	}
	if err == nil {
		s.lastSeen.set(claims, sessions)
		return claims, sessions, ""
	}
	at, claims, sessions := s.lastSeen.get()
	reason := s.node.cfg.hide.Error(err).Error()
	if at.IsZero() {
		return nil, nil, "The store does not say which members there are: " + reason
	}
	if time.Since(at) < seenLately {
		return claims, sessions, ""
	}
	return claims, sessions, fmt.Sprintf("The store does not say which members there are (%s). What is shown of owners is %v old.", reason, time.Since(at).Round(time.Second))
}

// members fills in the members and the partitions.
func (s *dashboardSource) members(ctx context.Context, out *dashboard.Cluster) (problems []string) {
	n := s.node
	claims, sessions, problem := s.sessions(ctx)
	if problem != "" {
		problems = append(problems, problem)
	}
	own := n.runtime.Status()
	told := s.lastSeen.answers(n.peers.standings(ctx, sessions, own.Name, question{Figures: true}))
	self := standingOf(own)
	told[own.Incarnation] = self
	figures, _ := n.figures.now() //nolint:contextcheck // of no request: the answer is shared
	if !slices.ContainsFunc(sessions, func(x store.Session) bool { return x.Incarnation == own.Incarnation }) {
		// It is what its pages can show, whatever the store says.
		sessions = append(sessions, store.Session{Name: own.Name, Incarnation: own.Incarnation, Build: n.build(), Address: n.advertised()})
	}
	view := &cluster{partitions: n.bus.Partitions()}
	owned := map[string]int{}
	views := view.partitionViews(claims, sessions, owned)
	parts := make([]dashboard.Partition, len(views))
	for i, v := range views {
		parts[i] = dashboard.Partition{Number: i, Owner: v.Owner, Epoch: v.Epoch}
	}
	for i := range claims {
		if lag, known := partOf(told, &claims[i]); known && int(claims[i].Partition) < len(parts) {
			parts[claims[i].Partition].Lag = uint64(max(lag, 0))
		}
	}
	for _, session := range sessions {
		m := memberOf(&session, owned[session.Incarnation])
		m.ClockAhead = own.Skews[session.Name]
		switch t, answered := told[session.Incarnation]; {
		case session.Dead:
			m.Silent = "declared dead"
		case session.Incarnation == own.Incarnation:
			m.Figures = figures
		case !n.conn.IsConnected():
			m.Silent = "this node is not connected to NATS"
		case !answered:
			m.Silent = fmt.Sprintf("no answer within %d ms", figuresTimeout.Milliseconds())
		case len(t.Figures) == 0:
			m.Silent = "an older build, which gives no figures"
		default:
			m.Figures = &dashboard.Figures{}
			if err := json.Unmarshal(t.Figures, m.Figures); err != nil {
				m.Figures, m.Silent = nil, "another build, whose figures cannot be read"
			}
		}
		placeFigures(parts, m.Figures, session.Name)
		out.Members = append(out.Members, m)
	}
	out.Partitions = parts
	return problems
}

func memberOf(s *store.Session, partitions int) dashboard.Member {
	m := dashboard.Member{
		Name: s.Name, Incarnation: s.Incarnation, State: dashboard.MemberLive, Cut: s.Cut, Address: s.Address, Build: s.Build,
		Kinds: s.Kinds, Opened: s.Opened, Partitions: partitions,
	}
	switch {
	case s.Dead:
		m.State = dashboard.MemberDead
	case s.Draining:
		m.State = dashboard.MemberDraining
	}
	return m
}

// placeFigures gives partitions what their owner says of them.
func placeFigures(parts []dashboard.Partition, f *dashboard.Figures, owner string) {
	if f == nil {
		return
	}
	for _, p := range f.Partitions {
		if p.Partition < 0 || p.Partition >= len(parts) || parts[p.Partition].Owner != owner {
			continue
		}
		of := &parts[p.Partition]
		of.Orphan, of.Unfinished, of.AwaitingParking = p.Orphan, p.Unfinished, p.AwaitingParking
	}
}

func (s *dashboardSource) storeState(ctx context.Context) dashboard.Store {
	ctx, cancel := context.WithTimeout(ctx, partAsk)
	defer cancel()
	begin := time.Now()
	err := s.node.store.Ping(ctx)
	out := dashboard.Store{Kind: s.node.storeName(), Latency: time.Since(begin)}
	if err != nil {
		out.Err = s.node.cfg.hide.Error(err).Error()
	}
	return out
}

func (s *dashboardSource) countParked(ctx context.Context) (int, string) {
	ctx, cancel := context.WithTimeout(ctx, partAsk)
	defer cancel()
	count, err := s.node.store.CountParked(ctx, parkedLooked)
	if err != nil {
		return 0, s.node.cfg.hide.Error(err).Error()
	}
	return count, ""
}

// nats looks at the servers, and at the streams of the namespace.
func (s *dashboardSource) nats(ctx context.Context) dashboard.NATS {
	ctx, cancel := context.WithTimeout(ctx, partAsk)
	defer cancel()
	n := s.node
	out := dashboard.NATS{Kind: "servers elsewhere", Server: n.conn.ConnectedServerName(), Cluster: n.conn.ConnectedClusterName()}
	switch {
	case n.cfg.clustered():
		out.Kind = "a cluster of servers in the nodes"
	case n.cfg.embeddedNATS():
		out.Kind = "one server, in this node"
	}
	if !n.conn.IsConnected() {
		out.Err = "This node is not connected to NATS."
		return out
	}
	var faults []error
	var parts sync.WaitGroup
	var members []serverMember
	var memberErr error
	if n.members != nil {
		parts.Go(func() { members, memberErr = n.members.list(ctx) })
	}
	begin := time.Now()
	if err := n.conn.FlushWithContext(ctx); err != nil {
		faults = append(faults, err)
	} else {
		out.RTT = time.Since(begin)
	}
	streams, err := s.streams(ctx)
	out.Streams = streams
	parts.Wait()
	if err = errors.Join(append(faults, err, memberErr)...); err != nil {
		out.Err = "Not all is known of NATS: " + n.cfg.hide.Error(err).Error()
	}
	for _, m := range members {
		out.Members = append(out.Members, dashboard.NATSMember{Name: m.Name, Leader: m.leader, Live: m.Live})
	}
	return out
}

// streams returns those of the namespace, by name.
func (s *dashboardSource) streams(ctx context.Context) ([]dashboard.Stream, error) {
	js, err := jetstream.New(s.node.conn)
	if err != nil {
		return nil, err
	}
	var all []dashboard.Stream
	list := js.ListStreams(ctx)
	for info := range list.Info() {
		name := info.Config.Name
		if ns := s.node.cfg.Namespace + "_"; !strings.HasPrefix(name, ns) && !strings.HasPrefix(name, "KV_"+ns) {
			continue
		}
		if len(all) == streamsLooked {
			continue // to the end, as the list is made by somebody who waits
		}
		all = append(all, streamOf(info))
	}
	slices.SortFunc(all, func(a, b dashboard.Stream) int { return strings.Compare(a.Name, b.Name) })
	return all, list.Err()
}

func streamOf(info *jetstream.StreamInfo) dashboard.Stream {
	one := dashboard.Stream{Name: info.Config.Name, Replicas: info.Config.Replicas, Live: info.Config.Replicas, Messages: info.State.Msgs, Bytes: info.State.Bytes}
	if info.Cluster == nil {
		return one
	}
	one.Leader = info.Cluster.Leader
	if lack, lacks := lacking(info); lacks {
		one.Live, one.Gone, one.Behind = lack.Live, lack.Gone, lack.Behind
	}
	return one
}
