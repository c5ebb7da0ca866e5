package actor

import (
	"encoding/json"
	"strings"
)

// Refusal says why a command that an aggregate sent was refused. Its sender gets it
// with the command that it named by [OnRefusal].
type Refusal struct {
	Target    string         `json:"target"`            // the aggregate that refused: Address.String
	Command   string         `json:"command"`           // name of the refused command
	CommandID CommandID      `json:"commandId"`         // of the refused command
	Code      Code           `json:"code"`              // CodeRejected, CodeDoesNotExist, CodeTooLarge and so on
	Reason    string         `json:"reason,omitempty"`  // the aggregate's own code, under CodeRejected
	Message   string         `json:"message,omitempty"` // for people
	Details   map[string]any `json:"details,omitempty"` // of a rejection
}

// Err returns the refusal as the error that a caller would have got: a [*Rejection]
// or an [*Error], for errors.Is.
func (r Refusal) Err() error {
	if r.Code == CodeRejected {
		return &Rejection{Code: r.Reason, Message: r.Message, Details: r.Details}
	}
	return &Error{Code: r.Code, Detail: r.Message}
}

// Refused is embedded, beside [Replies], in a command by which an aggregate hears
// that a command which it sent was refused, see [OnRefusal].
type Refused struct {
	Refusal Refusal `json:"refusal"`
}

func (Refused) isRefusal() {}

// RefusalCommand is satisfied by every command that embeds [Refused].
type RefusalCommand interface {
	Command
	refusing
}

type refusing interface{ isRefusal() }

// maxRefusalBytes bounds what a refusal carries of a rejection.
const maxRefusalBytes = 8 << 10

func refusalOf(m *Message, o Outcome) Refusal {
	r := Refusal{Target: m.Target.String(), Command: m.Name, CommandID: m.ID, Code: o.Code, Message: o.Detail}
	if o.Rejection != nil {
		r.Reason, r.Message, r.Details = o.Rejection.Code, o.Rejection.Message, o.Rejection.Details
	}
	if len(mustMarshal(r)) > maxRefusalBytes {
		r.Details = nil
		r.Message = strings.ToValidUTF8(r.Message[:min(len(r.Message), maxRefusalBytes/8)], "")
	}
	return r
}

// outgoing returns what tells the sender of m that it was refused.
func (r *Refusal) outgoing(m *Message) Outgoing {
	fields := map[string]json.RawMessage{}
	if json.Unmarshal(m.OnRefusal.Data, &fields) != nil || fields == nil {
		fields = map[string]json.RawMessage{} // not made by OnRefusal: the refusal alone
	}
	fields["refusal"] = mustMarshal(r)
	return Outgoing{
		ID:       InternalID(m.Time, "refused", m.Target.String(), string(m.ID)),
		To:       m.OnRefusal.To,
		Name:     m.OnRefusal.Name,
		Data:     mustMarshal(fields),
		Metadata: m.handOn(),
	}
}

// event is the data of [EventRefused].
func (r *Refusal) event(m *Message) []byte {
	return mustMarshal(struct {
		Command   string    `json:"command"`
		CommandID CommandID `json:"commandId"`
		Code      Code      `json:"code"`
		Reason    string    `json:"reason,omitempty"`
		Timer     string    `json:"timer,omitempty"`
		Told      string    `json:"told,omitempty"` // the sender
	}{r.Command, r.CommandID, r.Code, r.Reason, m.Timer, m.told()})
}

func (m *Message) told() string {
	if m.OnRefusal == nil {
		return ""
	}
	return m.OnRefusal.To.String()
}
