package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// creates reports whether a command may make a new aggregate, whose id the gateway then
// makes.
func (c *Config) creates(b *actor.Behavior, name string) bool {
	command, ok := b.Command(name)
	return ok && command.Creation != actor.MustExist && c.offers(b, actor.TypeCommand, name)
}

// serveCreate sends a command to a new aggregate. Its id follows from the command's own, so
// that whoever sends that again, as the key that they chose or that they were told, means
// the same aggregate, and gets what came of it:
//
//	client                              gateway
//	POST without a key              ->  makes command id X, and aggregate f(X)
//	                                    504 outcome_unknown, Ganglion-Command-ID: X
//	POST, Idempotency-Key: X        ->  aggregate f(X) again: one effect
//
// Another command under the key, or another body, meets the same aggregate, and is
// refused there as a reused key.
func (g *Gateway) serveCreate(ctx context.Context, c *call) *Problem {
	id, err := parseCommandID(c.params)
	if err != nil {
		return malformed(err.Error())
	}
	made := id == ""
	if made {
		id = newID(g.cfg.Now())
	}
	c.route.target.ID = newAggregateID(c.route.target.Kind, c.principal.Name, id)
	m, o, p := g.message(ctx, c, actor.TypeCommand)
	if p != nil {
		return p
	}
	isNew := actor.Expectation{Creation: actor.MustBeNew}
	if o.expect != (actor.Expectation{}) && o.expect != (actor.Expectation{Exact: true}) && o.expect != isNew {
		return newProblem(actor.CodeVersionMismatch, "If-Match is met by no new aggregate")
	}
	m.ID, m.Expect = id, isNew
	return g.execute(ctx, c, m, o, made)
}

// newAggregateID returns the id of the aggregate that a command of a user is to make. A
// key belongs to whoever chose it: two users with the same one make two aggregates. A
// command id that tells its time gives a UUIDv7 of that time, any other text a UUIDv8
// (RFC 9562).
func newAggregateID(kind actor.Kind, user string, id actor.CommandID) string {
	if ms, ok := id.UnixMilli(); ok {
		return string(actor.DeriveID(time.UnixMilli(ms), "create", string(kind), user, string(id)))
	}
	h := sha256.New()
	for _, part := range []string{"create", string(kind), user, string(id)} {
		_, _ = h.Write([]byte(strconv.Itoa(len(part)) + ":" + part)) // returns no error
	}
	u := h.Sum(nil)[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	text := hex.EncodeToString(u)
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

// replied is the answer to a message that was carried out. An aggregate that the command
// has left without an event is not there, and is nowhere to be found.
func (c *call) replied(o actor.Outcome) (status int, body any) {
	reply := replyBody{Version: o.Version, Reply: o.Reply}
	if c.route.endpoint != endpointCreate {
		return http.StatusOK, reply
	}
	status = http.StatusOK
	if o.Version > 0 {
		status = http.StatusCreated
		c.w.Header().Set("Location", c.location())
	}
	return status, createdBody{ID: c.route.target.ID, replyBody: reply}
}

// accepted is the body of the answer to a command that was stored.
func (c *call) accepted(id actor.CommandID) (body any) {
	stored := acceptedBody{CommandID: id}
	if c.route.endpoint != endpointCreate {
		return stored
	}
	c.w.Header().Set("Location", c.location())
	return createAcceptedBody{ID: c.route.target.ID, acceptedBody: stored}
}

// location returns the path of the aggregate that was made: beside the one that was asked
// for, as the client knows it, wherever the gateway is mounted.
func (c *call) location() string {
	path := c.r.URL.EscapedPath()
	if asked, err := url.ParseRequestURI(c.r.RequestURI); err == nil {
		path = asked.EscapedPath()
	}
	return path[:strings.LastIndexByte(path, '/')+1] + url.PathEscape(c.route.target.ID)
}

// examine returns the problem of a command or query that its owner will refuse for what it
// is, whatever the state: see [actor.Validator] and [actor.Definition.Strict]. It is for
// those that nobody can have decided yet. One with a key goes to its owner in any case,
// who may have recorded, under earlier rules, what it came to; and it is waited for, also
// if the caller need not wait, as an owner tells those who wait alone. What panics here is
// left to the owner, too.
func (g *Gateway) examine(ctx context.Context, c *call, m *actor.Message) *Problem {
	if c.behavior == nil {
		return nil
	}
	return g.refusal(ctx, c.behavior.Examine(m))
}

// refusal is the problem of what [actor.Behavior.Examine] reports; nil: of nothing that
// the gateway decides.
func (g *Gateway) refusal(ctx context.Context, err error) *Problem {
	if r, ok := errors.AsType[*actor.Rejection](err); ok {
		return g.problem(ctx, actor.Outcome{Code: actor.CodeRejected, Rejection: r})
	}
	if errors.Is(err, actor.ErrMalformed) {
		return g.problemOfError(ctx, err)
	}
	return nil
}
