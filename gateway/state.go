package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/ganglion-go/ganglion/actor"
)

func (g *Gateway) serveState(ctx context.Context, c *call) *Problem {
	expect, err := parseIfMatch(c.params)
	if err != nil {
		return malformed(err.Error())
	}
	local, err := g.parseConsistency(c.params)
	if err != nil {
		return malformed(err.Error())
	}
	metadata, err := parseMetadata(c.params)
	if err != nil {
		return malformed(err.Error())
	}
	moment, given, err := g.parsePast(c.params)
	if err != nil {
		return malformed(err.Error())
	}
	if given {
		return g.servePast(ctx, c, moment, expect)
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	var (
		state   json.RawMessage
		version actor.Version
		p       *Problem
	)
	if local && c.behavior != nil {
		state, version, p = g.localState(ctx, c)
	} else {
		state, version, p = g.currentState(ctx, c, metadata)
	}
	switch {
	case p != nil:
		return p
	case expect.Exact && expect.Version != version:
		return problemOf(actor.Outcome{Code: actor.CodeVersionMismatch, Version: version})
	case c.notModified(etag(version)):
		return nil
	}
	return c.reply(http.StatusOK, stateBody{Version: version, State: state})
}

func (g *Gateway) parseConsistency(p params) (local bool, err error) {
	value, err := p.ofQuery("consistency")
	switch {
	case err != nil:
		return false, err
	case value == "" || value == "linearizable":
		return false, nil
	case value == "local" && g.cfg.History != nil:
		return true, nil
	}
	return false, fmt.Errorf("consistency %q is not offered", value)
}

// currentState asks the aggregate's owner.
func (g *Gateway) currentState(ctx context.Context, c *call, metadata actor.Metadata) (json.RawMessage, actor.Version, *Problem) {
	metadata.User = c.principal.Name
	out := g.client.Deliver(ctx, actor.Message{
		Type: actor.TypeState, Lane: actor.LaneDirect, Target: c.route.target,
		Time: g.cfg.Now().UTC(), Deadline: c.deadline, Metadata: metadata,
	})
	switch out.Code {
	case actor.CodeOK:
		return out.Reply, out.Version, nil
	case actor.CodeDoesNotExist:
		return nil, 0, noSuchAggregate(out.Detail)
	default:
		return nil, 0, g.problem(ctx, out)
	}
}

// localState asks the store, by way of this node.
func (g *Gateway) localState(ctx context.Context, c *call) (json.RawMessage, actor.Version, *Problem) {
	state, version, err := g.cfg.History.Local(ctx, c.route.target)
	switch {
	case errors.Is(err, actor.ErrDoesNotExist), err == nil && version == 0:
		return nil, 0, noSuchAggregate("")
	case err != nil:
		return nil, 0, g.readFailed(ctx, "read state", err)
	}
	return state, version, nil
}

// noSuchAggregate is does_not_exist for a resource that was asked for, rather
// than for a command's condition.
func noSuchAggregate(detail string) *Problem {
	p := newProblem(actor.CodeDoesNotExist, detail)
	p.Status, p.Title = http.StatusNotFound, http.StatusText(http.StatusNotFound)
	return p
}

// readFailed returns the problem for a read that failed. The text of an error
// that is not an [*actor.Error] may name hosts and collections: it goes to the
// log alone.
func (g *Gateway) readFailed(ctx context.Context, what string, err error) *Problem {
	if e, ok := errors.AsType[*actor.Error](err); ok {
		return g.problem(ctx, actor.Failure(e.Code, e.Detail))
	}
	level := slog.LevelWarn
	if errors.Is(ctx.Err(), context.Canceled) {
		level = slog.LevelDebug // the caller has gone
	}
	return g.incident(ctx, level, codeUnavailable, what+": "+err.Error())
}
