package gateway

import (
	"context"
	"net/http"

	"github.com/ganglion-go/ganglion/actor"
)

// endpoint is what a path leads to.
type endpoint uint8

const (
	endpointNone endpoint = iota
	endpointCommand
	endpointCreate
	endpointQuery
	endpointState
	endpointEvents
	endpointDiff
	endpointAggregates
	endpointView
	endpointCluster
	endpointDescription

	endpoints // how many there are
)

// endpointInfo is what there is to know of an endpoint. One without an action, and so
// without a right that can be asked for, is not served.
type endpointInfo struct {
	template string // of the path, for metrics
	methods  string // that it allows, as an Allow header has them
	action   Action
	kind     bool // the path names a kind of aggregate
	target   bool // and an aggregate
	serve    func(*Gateway, context.Context, *call) *Problem
}

const (
	methodsRead = http.MethodGet + ", " + http.MethodHead
	methodsPost = http.MethodPost
)

// info is the table of endpoints.
func (e endpoint) info() endpointInfo {
	switch e {
	case endpointCommand:
		return endpointInfo{"/v1/{kind}/{id}/{command}", methodsPost, ActionCommand, true, true, (*Gateway).serveCommand}
	case endpointCreate:
		return endpointInfo{"/v1/{kind}/{command}", methodsPost, ActionCommand, true, true, (*Gateway).serveCreate}
	case endpointQuery:
		return endpointInfo{"/v1/{kind}/{id}/queries/{query}", methodsPost, ActionQuery, true, true, (*Gateway).serveQuery}
	case endpointState:
		return endpointInfo{"/v1/{kind}/{id}", methodsRead, ActionState, true, true, (*Gateway).serveState}
	case endpointEvents:
		return endpointInfo{"/v1/{kind}/{id}/events", methodsRead, ActionEvents, true, true, (*Gateway).serveEvents}
	case endpointDiff:
		return endpointInfo{"/v1/{kind}/{id}/diff", methodsRead, ActionState, true, true, (*Gateway).serveDiff}
	case endpointAggregates:
		return endpointInfo{"/v1/{kind}", methodsRead, ActionList, true, false, (*Gateway).serveAggregates}
	case endpointView:
		return endpointInfo{"/v1/views/{name}/{collection}", methodsRead, ActionView, false, false, (*Gateway).serveView}
	case endpointCluster:
		return endpointInfo{"/v1/cluster", methodsRead, ActionCluster, false, false, (*Gateway).serveCluster}
	case endpointDescription:
		return endpointInfo{"/openapi.json", methodsRead, ActionDescription, false, false, (*Gateway).serveDescription}
	case endpointNone, endpoints:
	}
	return endpointInfo{}
}

func (i endpointInfo) allows(method string) bool {
	if i.methods == methodsPost {
		return method == http.MethodPost
	}
	return method == http.MethodGet || method == http.MethodHead
}

// handle does what a request asks for, if its sender may. Every endpoint is served from
// here alone: first who it is, then whether they may, and only then what there is.
func (g *Gateway) handle(ctx context.Context, c *call) *Problem {
	asked, err := parsePath(c.r.Method, c.r.URL.EscapedPath())
	if view, ok := g.viewOf(c.r.Method, c.r.URL.EscapedPath()); ok && err == nil {
		asked = view
	}
	if g.has(asked.endpoint) {
		c.route.endpoint = asked.endpoint
	}
	if p := g.authenticate(ctx, c, asked.endpoint); p != nil {
		return p
	}
	if err != nil {
		return malformed(err.Error())
	}
	bad := c.readTimeout(g.cfg) // to be told after what weighs more
	if !g.has(asked.endpoint) {
		return newProblem(codeUnknownRoute, "")
	}
	info := asked.endpoint.info()
	if info.kind && asked.target.Kind.Validate() != nil {
		return newProblem(actor.CodeUnknownKind, "")
	}
	if info.target {
		if err := asked.target.Validate(); err != nil && g.cfg.Authorize != nil {
			return malformed(err.Error()) // whether there is such a kind is nobody's business yet
		}
	}
	if p := g.authorize(ctx, c, g.access(asked)); p != nil {
		return p
	}
	var p *Problem
	if c.route, c.behavior, p = g.resolve(ctx, c, asked); p != nil {
		return p
	}
	if bad != nil {
		return bad
	}
	return info.serve(g, ctx, c)
}

// has reports whether the gateway has an endpoint.
func (g *Gateway) has(e endpoint) bool {
	switch e {
	case endpointCluster:
		return g.cfg.Cluster != nil
	case endpointEvents, endpointDiff, endpointAggregates:
		return g.cfg.History != nil
	case endpointView:
		return g.cfg.Views != nil
	case endpointNone, endpoints:
		return false
	case endpointCommand, endpointCreate, endpointQuery, endpointState, endpointDescription:
	}
	return e.info().action != ""
}

// access is what a route is to be authorized for.
func (g *Gateway) access(r route) Access {
	a := Access{Action: r.endpoint.info().action, Kind: r.target.Kind, ID: r.target.ID, Name: r.name}
	switch r.endpoint {
	case endpointCreate:
		a.ID = "" // it is the name that stands there
	case endpointView:
		a.Name, a.Collection, a.Key = r.collection.View, r.collection.Name, r.key
	default:
	}
	if b := g.behaviors[a.Kind]; b != nil {
		switch r.endpoint {
		case endpointCommand, endpointCreate:
			a.Name = b.PresentName(actor.TypeCommand, a.Name)
		case endpointQuery:
			a.Name = b.PresentName(actor.TypeQuery, a.Name)
		default:
		}
	}
	return a
}
