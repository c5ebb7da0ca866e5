package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// A command that was promised, and that no node can execute at present: no build that is
// there knows its kind, its name, or its form. Nobody waits who could be told, so it is
// parked with that reason, and whoever can execute it sends it again (node/unserved.go).
//
//	a caller with 202, an aggregate by   who waits for an answer is refused, and told;
//	Send, a saga, a policy, a timer      of these, each promise is kept
//	unknown kind                         once a look at the sessions shows that no node
//	                                     has it, see aside
//	unknown name or form                 the aggregate's owner says so. A timer stays set
//	                                     to the command, so that the retry is its firing
//	OnRefusal, unknown name or form      is a refusal, which the sender gets

// promised reports whether somebody was told that the command will be executed, and
// nobody would hear otherwise. A timer's is promised although somebody waits, until a
// deadline of his own: who sends it again is an operator or a node. They are told no; a
// refusal would end the timer, and with it what is promised:
//
//	node A, which does not know X   store                   node B, which does
//	parks X; its timer stays set    X is parked
//	                                                        sends X again
//	refuses X, were it no promise   X's timer is over
//	hands the partition over                                X is cancelled: nobody executes it
func (d *delivery) promised() bool {
	m := &d.Message
	if d.Sequence == 0 || m.Type != actor.TypeCommand || m.Skips() {
		return false
	}
	return m.Timer != "" || d.Responder == nil && m.Deadline.IsZero()
}

// logUnheard says that a command was not executed whose sender does not wait, and has set
// it a deadline: that is what it was for, so it is not parked. There is a line a second at
// most; all are counted, by Decided.
func (p *partition) logUnheard(d *delivery, code actor.Code) {
	m := &d.Message
	if d.Sequence == 0 || d.Responder != nil || m.Type != actor.TypeCommand || m.Deadline.IsZero() || m.OnRefusal != nil {
		return
	}
	now, last := p.cfg.Clock.Elapsed(), p.memory.unheard.Load()
	if !due(time.Duration(last), now, struggleLogEvery) || !p.memory.unheard.CompareAndSwap(last, int64(max(now, 1))) {
		return
	}
	p.cfg.Logger.Warn("a command was not executed before its deadline, and nobody waits for its outcome", "aggregate", m.Target.String(),
		"name", m.Name, "command_id", string(m.ID), "deadline", m.Deadline, "outcome", string(code))
}

// unserved takes a promised command out of the way that this build cannot execute. It
// returns false for any other decision.
func (a *activation) unserved(d *delivery, dec *actor.Decision) bool {
	code := dec.Outcome.Code
	if code != actor.CodeUnknownCommand && code != actor.CodeMalformed {
		return false
	}
	if !d.promised() || d.Message.OnRefusal != nil {
		a.partition.logUnheard(d, code)
		return false
	}
	if len(dec.Events) > 0 || dec.Tainted { // of a timer: that it is over. It is not
		a.discard(DiscardTainted)
	}
	if a.partition.parkUnserved(d, &dec.Outcome) {
		a.passed(d)
		a.stand(answer{delivery: d, outcome: dec.Outcome})
	}
	return true
}

// parkUnserved parks a command that waits for a node that can execute it.
func (p *partition) parkUnserved(d *delivery, o *actor.Outcome) bool {
	d.rarely().waits = o.Code
	if !p.park(d, o.Detail, "") {
		return false
	}
	p.cfg.Logger.Warn("a command waits for a node that can execute it", "aggregate", d.Message.Target.String(),
		"name", d.Message.Name, "command_id", string(d.Message.ID), "reason", o.Detail)
	return true
}

// unreadableMax bounds the stored messages that a partition keeps, while it is served
// here, although they cannot be read. Whoever may send commands can send such ones, and
// parking is for what was promised. Those beyond are counted and logged by the bus.
const unreadableMax = 50

// unreadableBytes bounds the data of one that is kept.
const unreadableBytes = 512 << 10

// WaitsUnreadable is why a stored message waits that no build which is there can read.
const WaitsUnreadable actor.Code = "unreadable"

// KindUnreadable stands for the kind of a message that cannot be read.
const KindUnreadable actor.Kind = "unreadable"

// takeUnreadable keeps a stored message that cannot be read, beside the flow. The
// watermark does not pass it before it is kept. It is parked under an id of its own: its
// sender could otherwise replace a command that is parked.
func (p *partition) takeUnreadable(d actor.Delivery) {
	dl := &delivery{Delivery: d}
	p.mu.Lock()
	if p.stopped || !p.tracker.begin(ordinalOf(&d)) {
		p.mu.Unlock()
		return
	}
	p.unfinished++
	p.unreadable++
	if p.unreadable > unreadableMax || len(d.Unreadable.Data) > unreadableBytes {
		p.mu.Unlock()
		p.cfg.Logger.Error("a stored message that cannot be read is dropped: it is too large, or too many are kept",
			"subject", d.Unreadable.Subject, "bytes", len(d.Unreadable.Data))
		p.finish(dl)
		return
	}
	p.running.Go(func() {
		if p.keepUnreadable(dl) {
			p.finish(dl)
			return
		}
		p.giveUp(dl)
	})
	p.mu.Unlock()
}

func (p *partition) keepUnreadable(d *delivery) bool {
	at := p.place(d)
	parked := store.Parked{
		Aggregate: store.Aggregate(actor.Address{Kind: KindUnreadable, ID: strconv.FormatUint(uint64(p.id), 10)}.String()),
		CommandID: fmt.Sprintf("ganglion.unreadable.%s.%d.%d", at.Stream, at.Sequence, at.Rest),
		Name:      string(KindUnreadable),
		Reason:    d.Unreadable.Reason, Time: p.cfg.Clock.Now(), Message: encodeUnreadable(d.Unreadable),
	}
	if p.retryBounded(func(ctx context.Context) error { return p.store.Park(ctx, parked) }) != nil {
		return false
	}
	if f := p.cfg.Listener.Parked; f != nil {
		f(KindUnreadable)
	}
	return true
}

// encodeUnreadable returns the stored form of a message that cannot be read.
func encodeUnreadable(u *actor.Unreadable) []byte {
	data, err := json.Marshal(parkedMessage{Format: parkedFormat, Waits: string(WaitsUnreadable), Unreadable: u})
	if err != nil {
		panic("runtime: encode unreadable message: " + err.Error()) // it has no part that cannot be encoded
	}
	return data
}

// ParkedUnreadable returns the stored message that was parked as nobody could read it;
// false: it is a command.
func ParkedUnreadable(p *store.Parked) (*actor.Unreadable, bool) {
	var r parkedMessage
	if json.Unmarshal(p.Message, &r) != nil || r.Format != parkedFormat || r.Unreadable == nil {
		return nil, false
	}
	r.Unreadable.Reason = p.Reason
	return r.Unreadable, true
}

// ParkedWaits returns why a parked command waits for a node that can execute it:
// [actor.CodeUnknownKind], [actor.CodeUnknownCommand], [actor.CodeMalformed], or
// [WaitsUnreadable]; or that it waits to be sent at all: [WaitsUnsent]; or that the events of its
// aggregate wait: [WaitsHistory]. It is
// [actor.CodeOK] for one that waits for an operator.
func ParkedWaits(p *store.Parked) actor.Code {
	var r struct {
		Waits actor.Code `json:"waits"`
	}
	if json.Unmarshal(p.Message, &r) != nil {
		return actor.CodeOK
	}
	return r.Waits
}
