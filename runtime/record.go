package runtime

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// refusal is the stored form of a recorded outcome that is not a reply.
type refusal struct {
	Code    actor.Code     `json:"code"`
	Reason  string         `json:"reason,omitempty"` // the aggregate's own code
	Message string         `json:"message,omitempty"`
	Details map[string]any `json:"details,omitempty"`
}

// encodeOutcome returns the two columns of a recorded outcome, of which one is set.
func encodeOutcome(o actor.Outcome) (reply, rejection []byte) {
	if o.Code == actor.CodeOK {
		return o.Reply, nil
	}
	f := refusal{Code: o.Code, Message: o.Detail}
	if r := o.Rejection; r != nil {
		f.Reason, f.Message, f.Details = r.Code, r.Message, r.Details
	}
	data, err := json.Marshal(f)
	if err != nil { // details are checked when the decision is made
		panic(fmt.Sprintf("runtime: encode refusal: %v", err))
	}
	return nil, data
}

func decodeOutcome(reply, rejection []byte, v actor.Version) (actor.Outcome, error) {
	if len(rejection) == 0 {
		return actor.Outcome{Version: v, Reply: reply}, nil
	}
	var f refusal
	d := json.NewDecoder(bytes.NewReader(rejection))
	d.UseNumber() // a retry gets the same digits, also of an integer above 2^53
	if err := d.Decode(&f); err != nil {
		return actor.Outcome{}, fmt.Errorf("recorded refusal: %w: %w", store.ErrCorrupt, err)
	}
	o := actor.Outcome{Code: f.Code, Version: v}
	if f.Code == actor.CodeRejected {
		o.Rejection = &actor.Rejection{Code: f.Reason, Message: f.Message, Details: f.Details}
	} else {
		o.Detail = f.Message
	}
	return o, nil
}

// storedOutcome returns what a commit keeps of a decision.
func storedOutcome(d *delivery, o actor.Outcome, events int) (store.Outcome, command) {
	reply, rejection := encodeOutcome(o)
	of := digestOf(&d.Message)
	return store.Outcome{
		CommandID: string(d.Message.ID),
		Keyed:     d.indexed,
		Name:      d.Message.Name,
		Digest:    of.String(),
		Events:    events,
		Reply:     reply,
		Rejection: rejection,
		Metadata:  store.Metadata(d.Message.Metadata),
	}, of.of(d.Message.Name)
}
