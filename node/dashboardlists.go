package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node/internal/dashboard"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// projectionsAsked are looked at at the same time.
const projectionsAsked = 8

// Projections implements [dashboard.Source].
func (s *dashboardSource) Projections(ctx context.Context, offset, limit int) (dashboard.Projections, error) {
	p := s.node.projections
	if p == nil {
		return dashboard.Projections{}, nil
	}
	out := dashboard.Projections{Total: len(p.all)}
	if offset >= len(p.all) {
		offset = max((len(p.all)-1)/limit*limit, 0)
	}
	shown := p.all[offset:min(offset+limit, len(p.all))]
	out.All = make([]dashboard.Projection, len(shown))
	turn := make(chan struct{}, projectionsAsked)
	var asking sync.WaitGroup
	for i := range shown {
		asking.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			out.All[i] = s.projection(ctx, shown[i])
		})
	}
	asking.Wait()
	return out, nil
}

func (s *dashboardSource) projection(ctx context.Context, p *projection.Projection) dashboard.Projection {
	status, err := s.node.projections.control.Show(ctx, p.Name())
	out := dashboard.Projection{
		Name: p.Name(), Router: p.Router(), Started: status.Started, Paused: status.Paused, Generation: status.Generation,
		Done: status.Done, Position: status.Position, Head: status.Head, Parked: status.Parked, Updated: status.Updated,
	}
	if err != nil {
		out.Err = s.node.cfg.hide.Error(err).Error()
	}
	if r := status.Rebuild; r != nil {
		out.Rebuild = &dashboard.Rebuild{Phase: string(r.Phase), Done: r.Done, Total: r.Total}
	}
	return out
}

// PendingEffects implements [dashboard.Source].
func (s *dashboardSource) PendingEffects(ctx context.Context, limit int) (dashboard.PendingEffects, error) {
	pending, complete, err := s.effects.pendingOf(ctx, actor.Address{}, "", effectsPageLooked)
	if err != nil {
		return dashboard.PendingEffects{}, s.node.cfg.hide.Error(err)
	}
	out := dashboard.PendingEffects{Complete: complete, More: len(pending) > limit}
	for _, v := range pending[:min(len(pending), limit)] {
		out.All = append(out.All, dashboard.PendingEffect{
			Effect: v.Effect, Aggregate: v.Aggregate, Key: v.Key, State: string(v.State), Node: v.Node, Error: v.Error,
			Asked: v.Asked, Next: v.Next, Attempts: v.Attempts, Failures: v.Failures,
		})
	}
	return out, nil
}

// effectsPageLooked bounds the timers that are read for a page.
const effectsPageLooked = 2000

// Parked implements [dashboard.Source].
func (s *dashboardSource) Parked(ctx context.Context, limit int) (dashboard.Parked, error) {
	pg := &page{limit: limit}
	err := s.parking.list(ctx, "", 0, pg)
	out := dashboard.Parked{More: pg.more}
	for i := range pg.views {
		out.Items = append(out.Items, itemOf(&pg.views[i]))
	}
	if err != nil && ctx.Err() != nil && len(out.Items) > 0 { // there was no time for more
		out.More, err = true, nil
	}
	return out, s.node.cfg.hide.Error(err)
}

func itemOf(v *parkedView) dashboard.ParkedItem {
	return dashboard.ParkedItem{
		ParkedRef: dashboard.ParkedRef{Aggregate: v.Aggregate, CommandID: v.CommandID, Projection: v.Projection},
		Name:      v.Name, Reason: v.Reason, Attempts: v.Attempts, Events: v.Events, State: string(v.State), Since: v.Time,
	}
}

var errNotParked = errors.New("it is not parked, or not any more")

// ParkedOne implements [dashboard.Source].
func (s *dashboardSource) ParkedOne(ctx context.Context, of dashboard.ParkedRef) (dashboard.ParkedDetail, error) {
	if of.Projection != "" {
		return s.parkedEvents(ctx, of)
	}
	parked, found, err := s.parking.store.FindParked(ctx, store.Aggregate(of.Aggregate), of.CommandID)
	if err != nil {
		return dashboard.ParkedDetail{}, s.node.cfg.hide.Error(err)
	}
	if !found {
		return dashboard.ParkedDetail{}, errNotParked
	}
	view := viewParked(&parked)
	out := dashboard.ParkedDetail{ParkedItem: itemOf(&view), Stack: parked.Stack}
	if stored, unreadable := runtime.ParkedUnreadable(&parked); unreadable {
		out.Data = indented(&storedView{Subject: stored.Subject, Header: stored.Header, Data: viewData(stored.Data)})
	} else if m, err := runtime.ParkedMessage(&parked); err == nil {
		out.Data = indented(viewCommand(&m))
	}
	return out, nil
}

func (s *dashboardSource) parkedEvents(ctx context.Context, of dashboard.ParkedRef) (dashboard.ParkedDetail, error) {
	source, err := actor.ParseAddress(of.Aggregate)
	if err != nil || s.node.projections == nil {
		return dashboard.ParkedDetail{}, errNotParked
	}
	parked, events, err := s.node.projections.control.ParkedShow(ctx, of.Projection, source, parkedEventsShown)
	if errors.Is(err, projection.ErrNotFound) {
		return dashboard.ParkedDetail{}, errNotParked
	}
	if err != nil {
		return dashboard.ParkedDetail{}, s.node.cfg.hide.Error(err)
	}
	view := viewParkedEvent(of.Projection, &parked)
	out := dashboard.ParkedDetail{ParkedItem: itemOf(&view), Stack: parked.Stack}
	shown := make([]parkedEventView, len(events))
	for i, e := range events {
		shown[i] = parkedEventView{Version: e.Version, Position: e.Position, Type: e.Name, Time: e.Time, CommandID: e.CommandID, Data: e.Data}
		if len(e.Data) == 0 { // too large to be kept
			shown[i].Data = json.RawMessage("null")
		}
	}
	out.Data = indented(shown)
	return out, nil
}

// indented is for people. What is no JSON is said so.
func indented(v any) string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Sprintf("cannot be shown: %v", err)
	}
	return out.String()
}
