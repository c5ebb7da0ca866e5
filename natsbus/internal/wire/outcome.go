package wire

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
)

// The headers of an outcome. Its payload is the reply, or the rejection as JSON.
const (
	headerVersion = "Gn-Version" // of the aggregate; always there, also with events
	headerCode    = "Gn-Code"    // absent: ok
	headerDetail  = "Gn-Detail"

	headerReplayed = "Gn-Replayed" // "1": decided by an earlier attempt

	headerEnded = "Gn-Ended" // "1": a saga that has ended

	headerIncident = "Gn-Incident" // absent: nothing is kept back
)

const maxDetailBytes = 1024

// EncodeOutcome writes an outcome to an inbox. Its detail is cut to 1024 bytes.
func EncodeOutcome(inbox string, o actor.Outcome) *nats.Msg {
	h := newHeaders(4)
	h.set(headerVersion, strconv.FormatUint(uint64(o.Version), 10))
	if o.Code != actor.CodeOK {
		h.set(headerCode, string(o.Code))
	}
	if o.Replayed {
		h.set(headerReplayed, "1")
	}
	if o.Ended {
		h.set(headerEnded, "1")
	}
	h.setText(headerDetail, strings.ToValidUTF8(o.Detail[:min(len(o.Detail), maxDetailBytes)], ""))
	h.setText(headerIncident, o.Incident)
	msg := &nats.Msg{Subject: inbox, Header: h.to}
	switch {
	case o.Code == actor.CodeOK:
		msg.Data = o.Reply
	case o.Rejection != nil:
		data, err := json.Marshal(o.Rejection)
		if err != nil { // details of a type that JSON does not have
			data, _ = json.Marshal(actor.Rejection{Code: o.Rejection.Code, Message: o.Rejection.Message})
		}
		msg.Data = data
	}
	return msg
}

// DecodeOutcome is the inverse of [EncodeOutcome]. The outcome owns the message's
// data from now on.
func DecodeOutcome(msg *nats.Msg) (actor.Outcome, error) {
	o := actor.Outcome{Code: actor.Code(First(msg.Header, headerCode))}
	version, err := strconv.ParseUint(First(msg.Header, headerVersion), 10, 64)
	if err != nil {
		return o, fmt.Errorf("version of an outcome: %w", ErrWire)
	}
	o.Version, o.Replayed = actor.Version(version), First(msg.Header, headerReplayed) == "1"
	o.Ended = First(msg.Header, headerEnded) == "1"
	if o.Detail, err = unescape(First(msg.Header, headerDetail)); err != nil {
		return o, err
	}
	if o.Incident, err = unescape(First(msg.Header, headerIncident)); err != nil {
		return o, err
	}
	switch o.Code {
	case actor.CodeOK:
		o.Reply = msg.Data
	case actor.CodeRejected:
		o.Rejection = new(actor.Rejection)
		if err := decodeRejection(msg.Data, o.Rejection); err != nil {
			return o, fmt.Errorf("rejection: %w: %w", ErrWire, err)
		}
	default:
	}
	return o, nil
}
