package runtime

import (
	"encoding/json"

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
// nobody would hear otherwise.
func (d *delivery) promised() bool {
	m := &d.Message
	return d.Sequence > 0 && d.Responder == nil && m.Type == actor.TypeCommand && m.Deadline.IsZero() && !m.Skips()
}

// unserved takes a promised command out of the way that this build cannot execute. It
// returns false for any other decision.
func (a *activation) unserved(d *delivery, dec *actor.Decision) bool {
	code := dec.Outcome.Code
	if code != actor.CodeUnknownCommand && code != actor.CodeMalformed || !d.promised() || d.Message.OnRefusal != nil {
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
	d.waits = o.Code
	if !p.park(d, o.Detail, "") {
		return false
	}
	p.cfg.Logger.Warn("a command waits for a node that can execute it", "aggregate", d.Message.Target.String(),
		"name", d.Message.Name, "command_id", string(d.Message.ID), "reason", o.Detail)
	return true
}

// ParkedWaits returns why a parked command waits for a node that can execute it:
// [actor.CodeUnknownKind], [actor.CodeUnknownCommand] or [actor.CodeMalformed]. It is
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
