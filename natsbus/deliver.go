package natsbus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/effort"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// maxMargin is the most by which a message's deadline is earlier than its
// caller's, so that the caller can still be told of it.
const maxMargin = time.Second

const (
	headerStatus       = "Status"
	statusNoResponders = "503"
)

// Deliver implements [actor.Client]. Past the earlier of the context's deadline,
// the message's deadline, and without either the default timeout, the caller is
// not kept waiting; the message itself expires a fifth of that time earlier, one
// second at most.
func (c *Client) Deliver(ctx context.Context, m actor.Message) actor.Outcome {
	g := effort.GoalOutcome
	switch {
	case m.Type != actor.TypeCommand:
		g, m.Lane, m.ID = effort.GoalRead, actor.LaneDirect, ""
	case c.internal:
		m.Lane = actor.LaneDurable
	case m.Lane == actor.LaneDirect:
		g = effort.GoalDirect
	}
	now := time.Now()
	deadline := c.deadline(ctx, &m, now)
	m.Deadline = deadline.Add(-min(deadline.Sub(now)/5, maxMargin))
	return c.pursue(ctx, g, &m, now, deadline)
}

// Enqueue implements [actor.Client]. It waits as long as Deliver does, and leaves
// the command's own deadline as it is.
func (c *Client) Enqueue(ctx context.Context, m actor.Message) error {
	if m.Type != actor.TypeCommand {
		return actor.Failure(actor.CodeMalformed, "only commands can be enqueued").Err()
	}
	m.Lane = actor.LaneDurable
	now := time.Now()
	return c.pursue(ctx, effort.GoalStored, &m, now, c.deadline(ctx, &m, now)).Err()
}

func (c *Client) deadline(ctx context.Context, m *actor.Message, now time.Time) time.Time {
	deadline, ok := ctx.Deadline()
	if !m.Deadline.IsZero() && (!ok || m.Deadline.Before(deadline)) {
		deadline, ok = m.Deadline, true
	}
	if !ok {
		deadline = now.Add(c.cfg.DefaultTimeout)
	}
	return deadline
}

// prepare completes a message.
func (c *Client) prepare(m *actor.Message, now time.Time) error {
	if m.Type == actor.TypeCommand {
		c.identify(m, c.cfg.wall(now))
	}
	if m.Time.IsZero() {
		m.Time = c.cfg.wall(now)
	}
	if !m.Deadline.IsZero() && c.cfg.Now != nil {
		m.Deadline = c.cfg.wall(now).Add(m.Deadline.Sub(now))
	}
	m.Time, m.Deadline = wire.TruncateTime(m.Time), wire.TruncateTime(m.Deadline)
	if !c.internal {
		if err := m.Foreign(); err != nil {
			return err //nolint:wrapcheck // it says what is wrong with which message
		}
	}
	return m.Validate() //nolint:wrapcheck // likewise
}

// identify gives a command an id. One that has an id which a client has made comes again,
// unless whoever made it says that this is the first attempt.
func (c *Client) identify(m *actor.Message, now time.Time) {
	if m.ID == "" {
		m.ID = c.ids.next(now)
		return
	}
	if _, stamped := m.ID.Stamped(); stamped && !m.ID.Internal() && m.Attempt == 0 {
		m.Attempt = 2
	}
}

// stream returns where the client publishes commands for an aggregate.
func (c *Client) stream(to actor.Address) string {
	if c.node {
		return c.ns.Run(to)
	}
	return c.ns.Command(to)
}

// seal puts a message into its envelope.
func (c *Client) seal(m *actor.Message) *nats.Msg {
	envelope := &nats.Msg{Header: wire.EncodeMessage(m), Data: m.Data}
	if m.Lane == actor.LaneDurable {
		envelope.Subject = c.stream(m.Target)
	}
	return envelope
}

// addressDirect says where the next try of a direct message goes.
func (p *pursuit) addressDirect(msg *nats.Msg) {
	c, to := p.client, p.message.Target
	delete(msg.Header, wire.HeaderRelayed)
	switch {
	case p.asksEarlier():
		msg.Header[wire.HeaderRelayed] = []string{"1"}
		msg.Subject = c.ns.Ask(c.partitions.Of(to), to)
	case c.node:
		msg.Subject = c.ns.Request(c.partitions.Of(to), to)
	default:
		msg.Subject = c.ns.Ask(c.partitions.Of(to), to)
	}
}

// pursuit is a message on its way.
type pursuit struct {
	client   *Client
	call     *call
	effort   *effort.Effort
	message  *actor.Message
	envelope *nats.Msg // of the message; nil until it is published
	lane     actor.Lane
	expires  time.Time // when the message does, by the monotonic clock; zero: never

	earlier bool // the last direct try went where owners of earlier builds listen
	misses  int  // tries in a row that found nobody elsewhere
}

// left returns the time until the message expires, not 0; 0: it does not.
func (p *pursuit) left() time.Duration {
	if p.expires.IsZero() {
		return 0
	}
	return max(time.Until(p.expires), time.Microsecond)
}

func (c *Client) pursue(ctx context.Context, g effort.Goal, m *actor.Message, now, deadline time.Time) actor.Outcome {
	switch {
	case !now.Before(deadline):
		return actor.Failure(actor.CodeExpired, "the deadline had passed before the message was sent")
	case ctx.Err() != nil:
		return actor.Failure(actor.CodeNoOwner, "the caller's context had ended before the message was sent")
	case c.isClosed():
		return actor.Failure(actor.CodeNoOwner, "the client is closed")
	}
	expires := m.Deadline
	if err := c.prepare(m, now); err != nil {
		return actor.Failure(actor.CodeMalformed, err.Error())
	}
	call := c.calls.begin(g)
	if call == nil {
		return actor.Failure(actor.CodeOverloaded, fmt.Sprintf("%d calls are in flight", c.cfg.MaxInFlight))
	}
	defer func() {
		c.batcher.landed(call.land(call.id))
		c.calls.end(call)
	}()
	if m.Lane == actor.LaneDirect {
		call.ask(c.partitions.Of(m.Target))
	}
	p := &pursuit{client: c, call: call, effort: effort.New(g, m.Attempt, c.patience, jitter), message: m, lane: m.Lane, expires: expires}
	p.effort.Held(m.Wait.For)
	return p.run(ctx, now, deadline)
}

// run tries until there is a final outcome or no more time.
func (p *pursuit) run(ctx context.Context, now, deadline time.Time) actor.Outcome {
	c := p.client
	reconnects := c.reconnects.Load()
	for ended := ""; ; now = time.Now() {
		if n := c.reconnects.Load(); n != reconnects {
			reconnects = n
			p.effort.Reconnected(now)
		}
		for _, a := range p.call.take() {
			if o, final := p.arrived(a, now); final {
				return o
			}
		}
		// After the messages: that nobody was there for the last try, which may come
		// to be known together with the new owner, must not put off the next one.
		if p.call.ownerChanged() {
			p.misses = 0
			p.effort.OwnerChanged(now)
		}
		switch {
		case ended != "":
			return p.effort.GiveUp(ended)
		case !now.Before(deadline):
			return p.effort.GiveUp("no answer in time")
		case p.effort.Due(now):
			if o, final := p.try(now); final {
				return o
			}
		}
		p.call.timer.Reset(p.effort.WakeAt(deadline).Sub(now))
		select {
		case <-p.call.wake:
		case <-p.call.timer.C:
		case <-ctx.Done():
			ended = "no answer until the caller's context ended: " + context.Cause(ctx).Error()
		case <-c.closed:
			ended = "the client was closed"
		}
	}
}

// try publishes the message once more.
func (p *pursuit) try(now time.Time) (o actor.Outcome, final bool) {
	try, attempt := p.effort.Begin(now)
	c := p.client
	if attempt == 1 && p.lane == actor.LaneDirect && p.tryHere(try) {
		return o, false
	}
	if c.cfg.Events.Published != nil {
		c.cfg.Events.Published(p.lane, attempt)
	}
	var err error
	if c.batcher.takes(p, attempt) {
		err = c.batcher.publish(p, try, now)
	} else {
		err = p.publish(try, attempt)
	}
	if err != nil {
		return p.failed(try, now, err)
	}
	return o, false
}

// publish sends the message by itself.
func (p *pursuit) publish(try uint32, attempt int) error {
	c := p.client
	if p.envelope == nil {
		p.envelope = c.seal(p.message)
	}
	msg := p.envelope
	msg.Reply = wire.Inbox{Call: p.call.id, Purpose: wire.ForOutcome, Try: try}.Subject(c.prefix)
	if p.lane == actor.LaneDurable {
		if p.effort.Goal() == effort.GoalOutcome {
			msg.Header[wire.HeaderReply] = []string{msg.Reply}
		}
		msg.Reply = wire.Inbox{Call: p.call.id, Purpose: wire.ForAck, Try: try}.Subject(c.prefix)
	} else {
		p.addressDirect(msg)
	}
	if attempt > 1 {
		msg.Header[wire.HeaderAttempt] = []string{strconv.Itoa(attempt)}
	}
	if left := p.left(); left != 0 {
		msg.Header[wire.HeaderPatience] = []string{wire.FormatPatience(left)}
	}
	return c.nc.PublishMsg(msg) //nolint:wrapcheck // failed tells what it means
}

// failed: the connection has not taken a try.
func (p *pursuit) failed(try uint32, now time.Time, err error) (o actor.Outcome, final bool) {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return p.effort.Refused(try, now, actor.Failure(actor.CodeTooLarge,
			fmt.Sprintf("%d bytes and headers, NATS carries %d", len(p.message.Data), p.client.nc.MaxPayload())))
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		const why = "the node's connection to NATS is closed"
		p.effort.Unreached(try, now, actor.Failure(actor.CodeNoOwner, why))
		return p.effort.GiveUp(why), true
	default:
		p.keepBack(err.Error())
		p.effort.Unreached(try, now, actor.Failure(actor.CodeNoOwner, "the node's connection to NATS does not take the message"))
		return o, false
	}
}

// keepBack has the log tell what is not for callers. There may be as many lines as
// calls, and that something is wrong with NATS is told elsewhere.
func (p *pursuit) keepBack(text string) {
	p.client.cfg.Logger.Debug("message not taken", "command_id", string(p.message.ID), "why", text)
}

func (p *pursuit) arrived(a arrival, now time.Time) (o actor.Outcome, final bool) {
	switch {
	case a.outcome != nil:
		return *a.outcome, p.effort.Answered(a.try, now, *a.outcome)
	case !a.stored.IsZero():
		return p.effort.Acknowledged(a.stored)
	case a.failed != nil:
		return p.failed(a.try, now, a.failed)
	default:
		return p.receive(a.msg, now)
	}
}

// maxLocal is the size of a message that NATS carries, whatever its headers: a
// larger one is left to NATS, which may refuse it.
const maxLocal = 32 << 10

// tryHere hands the message to its owner if that is in this process.
func (p *pursuit) tryHere(try uint32) bool {
	c := p.client
	if c.local == nil || len(p.message.Data) > maxLocal {
		return false
	}
	m := *p.message
	m.Attempt = 1
	to := &localResponder{client: c, call: p.call.id, try: try, read: m.Type != actor.TypeCommand}
	if !c.local.owners.deliver(c.partitions.Of(m.Target), actor.Delivery{Message: m, Responder: to, Left: p.left()}) {
		return false
	}
	if c.cfg.Events.Published != nil {
		c.cfg.Events.Published(p.lane, 1)
	}
	return true
}

// receive takes a message to one of the call's inboxes.
func (p *pursuit) receive(msg *nats.Msg, now time.Time) (o actor.Outcome, final bool) {
	inbox, ok := wire.ParseInbox(p.client.prefix, msg.Subject)
	try := inbox.Try
	switch {
	case !ok:
		return o, false
	case len(msg.Data) == 0 && wire.First(msg.Header, headerStatus) == statusNoResponders:
		why := "no owner serves the partition"
		if p.lane == actor.LaneDurable {
			why = "the command stream is not available"
		}
		p.missed()
		p.effort.Unreached(try, now, actor.Failure(actor.CodeNoOwner, why))
		return o, false
	case inbox.Purpose == wire.ForAck:
		return p.receiveAck(msg.Data, try, now)
	}
	o, err := wire.DecodeOutcome(msg)
	if err != nil {
		return o, false
	}
	p.reached(&o)
	return o, p.effort.Answered(try, now, o)
}

// The errors with which a stream refuses a message for good. On any other it may
// or may not have been stored.
const (
	apiAccountResources   = 10002
	apiNoResources        = 10023
	apiMessageTooLarge    = 10054
	apiStoreFailed        = 10077 // full
	apiHeadersTooLarge    = 10097
	maxAckBytes           = 4096
	detailStreamUnsettled = "the command stream answered with an error"
)

// pubAck is the stream's answer to a published message.
type pubAck struct {
	Sequence uint64 `json:"seq"`
	Error    *struct {
		Code        int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
}

// stored recognizes the usual acknowledgement, as nats-server writes it, without
// the cost of a JSON decoder: {"stream":"NAME","seq":17}. Anything else is false.
func stored(data []byte) bool {
	rest, ok := bytes.CutPrefix(data, []byte(`{"stream":"`))
	if !ok {
		return false
	}
	name, rest, ok := bytes.Cut(rest, []byte(`","seq":`))
	if !ok || bytes.IndexByte(name, '"') >= 0 {
		return false
	}
	digits, ok := bytes.CutSuffix(rest, []byte("}"))
	_, isNumber := wire.ParseSequence(string(digits))
	return ok && isNumber
}

func (p *pursuit) receiveAck(data []byte, try uint32, now time.Time) (o actor.Outcome, final bool) {
	var ack pubAck
	if len(data) > maxAckBytes || json.Unmarshal(data, &ack) != nil {
		return o, false
	}
	if ack.Error == nil {
		if ack.Sequence == 0 {
			return o, false
		}
		return p.effort.Acknowledged(now)
	}
	switch ack.Error.Code {
	case apiStoreFailed, apiNoResources, apiAccountResources:
		p.keepBack(ack.Error.Description)
		return p.effort.Refused(try, now, actor.Failure(actor.CodeOverloaded, "the command stream takes nothing more at present"))
	case apiMessageTooLarge, apiHeadersTooLarge:
		return p.effort.Refused(try, now, actor.Failure(actor.CodeTooLarge, "the command is larger than what the command stream takes"))
	default:
		p.keepBack(ack.Error.Description)
		p.effort.Disturbed(actor.Failure(actor.CodeNoOwner, detailStreamUnsettled))
		return o, false
	}
}

// jitter spreads waits of equal length over a quarter of it, so that calls which
// began together do not go on together.
func jitter(d time.Duration) time.Duration { return d - d/8 + rand.N(d/4+1) }
