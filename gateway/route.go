package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// route is a path taken apart. Nothing of it has been checked.
type route struct {
	endpoint endpoint
	target   actor.Address
	name     string // of a command or query

	collection Collection
	key        string // of a document; empty: all
}

var errEscape = errors.New("the path has an invalid percent escape")

// parsePath takes an escaped path apart. A path of no known shape is
// endpointNone. The events of an aggregate and a command named "events" share a
// path, and differ in the method; the same is true of "diff", and of the state of an
// aggregate and a command that makes one.
func parsePath(method, escaped string) (route, error) {
	if escaped == "/openapi.json" {
		return route{endpoint: endpointDescription}, nil
	}
	rest, ok := strings.CutPrefix(escaped, "/v1/")
	if !ok {
		return route{}, nil
	}
	segments := strings.Split(rest, "/")
	for i, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return route{}, errEscape
		}
		segments[i] = decoded
	}
	if len(segments) == 1 {
		if segments[0] == "cluster" {
			return route{endpoint: endpointCluster}, nil
		}
		if segments[0] == "" {
			return route{}, nil
		}
		return route{endpoint: endpointAggregates, target: actor.Address{Kind: actor.Kind(segments[0])}}, nil
	}
	r := route{target: actor.Address{Kind: actor.Kind(segments[0]), ID: segments[1]}}
	switch {
	case len(segments) == 2 && method == http.MethodPost:
		r.endpoint, r.name = endpointCreate, segments[1]
	case len(segments) == 2:
		r.endpoint = endpointState
	case len(segments) == 3 && segments[2] == "events" && method != http.MethodPost:
		r.endpoint = endpointEvents
	case len(segments) == 3 && segments[2] == "diff" && method != http.MethodPost:
		r.endpoint = endpointDiff
	case len(segments) == 3 && segments[2] != "":
		r.endpoint, r.name = endpointCommand, segments[2]
	case len(segments) == 4 && segments[2] == "queries" && segments[3] != "":
		r.endpoint, r.name = endpointQuery, segments[3]
	default:
		return route{}, nil
	}
	return r, nil
}

// resolve checks what a request asks for, and finds the definition of the aggregate.
// What it returns beside a problem is known to exist, for metrics.
// There is no definition of a kind that only other nodes have.
func (g *Gateway) resolve(ctx context.Context, c *call, r route) (route, *actor.Behavior, *Problem) {
	var b *actor.Behavior
	info := r.endpoint.info()
	if info.kind {
		if b = g.behaviors[r.target.Kind]; b == nil {
			if p := g.knownElsewhere(ctx, c.deadline, r.target.Kind); p != nil {
				return route{endpoint: r.endpoint}, nil, p
			}
		}
	}
	if r.endpoint == endpointCreate && b != nil && !g.cfg.creates(b, r.name) {
		r.endpoint, r.name = endpointState, "" // an id, which no POST is for
	}
	if p := g.checkName(b, &r); p != nil {
		r.name = ""
		return r, b, p
	}
	if info = r.endpoint.info(); !info.allows(c.r.Method) {
		p := newProblem(codeMethodNotAllowed, "")
		p.allow = info.methods
		if r.endpoint == endpointState && b != nil && g.cfg.creates(b, r.target.ID) {
			p.allow += ", " + http.MethodPost
		}
		return r, b, p
	}
	if info.target {
		if err := r.target.Validate(); err != nil {
			return r, b, malformed(err.Error())
		}
	}
	return r, b, nil
}

// viewOf takes the path of a view apart. Where there is a kind named "views", its
// aggregates go before: they share the methods with no path but that of their events.
func (g *Gateway) viewOf(method, escaped string) (r route, ok bool) {
	rest, ok := strings.CutPrefix(escaped, "/v1/views/")
	segments := strings.Split(rest, "/")
	if !ok || g.cfg.Views == nil || len(segments) < 2 || len(segments) > 3 || slices.Contains(segments, "") {
		return route{}, false
	}
	taken := method == http.MethodPost || len(segments) == 2 && segments[1] == "events" || len(segments) == 2 && segments[1] == "diff"
	if taken && g.behaviors[viewsKind] != nil {
		return route{}, false
	}
	for i, s := range segments {
		segments[i], _ = url.PathUnescape(s) // it has been looked at
	}
	r = route{endpoint: endpointView, collection: Collection{View: segments[0], Name: segments[1]}}
	if len(segments) == 3 {
		r.key = segments[2]
	}
	return r, true
}

// viewsKind is the kind whose paths are those of views, too.
const viewsKind actor.Kind = "views"

// knownElsewhere returns nil if another node has aggregates of a kind.
func (g *Gateway) knownElsewhere(ctx context.Context, deadline time.Time, kind actor.Kind) *Problem {
	if g.cfg.Knows == nil || kind.Validate() != nil || g.hidden[kind] {
		return newProblem(actor.CodeUnknownKind, "")
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	switch known, err := g.cfg.Knows(ctx, kind); {
	case err != nil:
		return g.readFailed(ctx, "read kinds", err)
	case !known:
		return newProblem(actor.CodeUnknownKind, "")
	}
	return nil
}

func (g *Gateway) checkName(b *actor.Behavior, r *route) *Problem {
	switch {
	case actor.Reserved(r.name):
		return newProblem(actor.CodeUnknownCommand, "")
	case b == nil:
		return nil // the owner checks
	case r.endpoint == endpointCommand && r.name == "events" && !g.cfg.offers(b, actor.TypeCommand, r.name) && g.cfg.History != nil:
		r.endpoint, r.name = endpointEvents, "" // POST, which only a command would take
		return nil
	case r.endpoint == endpointCommand && r.name == "diff" && !g.cfg.offers(b, actor.TypeCommand, r.name) && g.cfg.History != nil:
		r.endpoint, r.name = endpointDiff, ""
		return nil
	case r.endpoint == endpointCommand && !g.cfg.offers(b, actor.TypeCommand, r.name), r.endpoint == endpointQuery && !g.cfg.offers(b, actor.TypeQuery, r.name):
		return newProblem(actor.CodeUnknownCommand, "")
	default:
		return nil
	}
}
