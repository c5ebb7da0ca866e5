package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

func (g *Gateway) serveCommand(ctx context.Context, c *call) *Problem {
	m, o, p := g.message(ctx, c, actor.TypeCommand)
	if p != nil {
		return p
	}
	if m.ID == "" {
		m.ID = newID(m.Time)
		return g.execute(ctx, c, m, o, true)
	}
	return g.execute(ctx, c, m, o, false)
}

// execute sends a command, under an id that was made for it here, or that it came with.
func (g *Gateway) execute(ctx context.Context, c *call, m actor.Message, o options, made bool) *Problem {
	invalid := g.examine(ctx, c, &m)
	switch {
	case invalid != nil && made:
		return invalid
	case made:
		m.Attempt = 1
		c.w.Header().Set(headerCommandID, string(m.ID))
	}
	if o.async && invalid == nil {
		return g.enqueue(ctx, c, m)
	}
	m.Deadline = c.deadline
	return g.deliver(ctx, c, m)
}

// newID returns an id for a command that came without a key. Should it come back as a
// key, it is the same command: the client knows by the id that this is not the first try.
func newID(now time.Time) actor.CommandID {
	var random [10]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the program instead
	return actor.StampID(now.UnixMilli(), binary.BigEndian.Uint16(random[:]), binary.BigEndian.Uint64(random[2:]))
}

func (g *Gateway) serveQuery(ctx context.Context, c *call) *Problem {
	m, _, p := g.message(ctx, c, actor.TypeQuery)
	if p != nil {
		return p
	}
	if p := g.examine(ctx, c, &m); p != nil {
		return p
	}
	m.Deadline = c.deadline
	return g.deliver(ctx, c, m)
}

// message makes the message that the request asks for. Whatever can be found
// wrong with it without its owner is found here.
func (g *Gateway) message(ctx context.Context, c *call, t actor.MessageType) (actor.Message, options, *Problem) {
	o, err := parseOptions(t, c.params)
	if err != nil {
		return actor.Message{}, o, malformed(err.Error())
	}
	o.metadata.User = c.principal.Name
	data, p := g.readBody(c)
	if p != nil {
		return actor.Message{}, o, p
	}
	m := actor.Message{
		Type: t, Lane: o.lane, Target: c.route.target, ID: o.id, Name: c.route.name, Data: data,
		Time: g.cfg.Now().UTC(), Expect: o.expect, Metadata: o.metadata,
	}
	if err := m.Foreign(); err != nil {
		return actor.Message{}, o, malformed(err.Error())
	}
	if c.behavior != nil {
		m.Data, err = checkData(c.behavior, t, c.route.name, data)
	} else {
		err = checkForeign(m)
	}
	if err != nil {
		return actor.Message{}, o, g.problemOfError(ctx, err)
	}
	if o.contradiction { // of what is malformed, the caller learns first
		return actor.Message{}, o, newProblem(actor.CodeVersionMismatch, "If-Match and If-None-Match contradict each other: no aggregate meets both")
	}
	return m, o, nil
}

// checkForeign reports as a [*actor.Error] what is wrong with a command or query of
// a kind that only other nodes know, as far as it can be said without a definition.
func checkForeign(m actor.Message) error {
	if m.ID == "" {
		m.ID = "made later"
	}
	if err := m.Validate(); err != nil {
		return &actor.Error{Code: actor.CodeUnknownCommand, Detail: err.Error()}
	}
	var object map[string]json.RawMessage
	if len(bytes.TrimSpace(m.Data)) == 0 {
		return nil
	}
	if err := json.Unmarshal(m.Data, &object); err != nil || object == nil {
		return &actor.Error{Code: actor.CodeMalformed, Detail: "a JSON object is required"}
	}
	return nil
}

func (g *Gateway) deliver(ctx context.Context, c *call, m actor.Message) *Problem {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	out := g.client.Deliver(ctx, m)
	if out.Replayed {
		c.w.Header().Set(headerReplayed, "true")
	}
	if out.Code != actor.CodeOK {
		return g.problem(ctx, out)
	}
	c.w.Header().Set("ETag", etag(out.Version))
	c.w.Header().Set("Cache-Control", "no-store")
	p := c.reply(c.replied(out))
	if p != nil {
		p.Version = out.Version
	}
	return p
}

// enqueue leaves the command with the stream. It has no deadline then: what was
// accepted is executed, however late.
func (g *Gateway) enqueue(ctx context.Context, c *call, m actor.Message) *Problem {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	if err := g.client.Enqueue(ctx, m); err != nil {
		return g.problemOfError(ctx, err)
	}
	c.w.Header().Set("Preference-Applied", "respond-async")
	c.w.Header().Set("Cache-Control", "no-store")
	return c.reply(http.StatusAccepted, c.accepted(m.ID))
}

// problemOfError returns the problem for a client's error. One that is not an
// [*actor.Error] says nothing about the command, which is therefore unknown.
func (g *Gateway) problemOfError(ctx context.Context, err error) *Problem {
	if e, ok := errors.AsType[*actor.Error](err); ok {
		return g.problem(ctx, actor.Failure(e.Code, e.Detail))
	}
	return g.incident(ctx, slog.LevelError, actor.CodeUnknownOutcome, err.Error())
}
