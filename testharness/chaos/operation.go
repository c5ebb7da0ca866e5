package chaos

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Call is one thing that a client asks of an aggregate: a command, or a read of
// its state where Command is empty.
type Call struct {
	Command string          `json:"command,omitempty"`
	Body    json.RawMessage `json:"body,omitempty"`
}

// Fate is what a client knows of a call after all its attempts.
type Fate string

// The fates.
const (
	FateUnknown     Fate = "unknown"      // may have taken effect, or may yet
	FateAccepted    Fate = "accepted"     // stored in the command stream; will be executed
	FateDone        Fate = "done"         // executed; of a read: answered
	FateRefused     Fate = "refused"      // decided against: a rejection or an expectation that was not met
	FateNotExecuted Fate = "not_executed" // every attempt was told so
)

// Operation is a call as its client saw it, with all its attempts.
type Operation struct {
	Client  int             `json:"client"`
	Target  actor.Address   `json:"target"`
	ID      actor.CommandID `json:"id,omitempty"` // empty: a read
	Call    Call            `json:"call"`
	Start   time.Duration   `json:"start"` // since the record began
	End     time.Duration   `json:"end"`
	Fate    Fate            `json:"fate"`
	Version actor.Version   `json:"version,omitempty"` // as told with the fate
	Answer  json.RawMessage `json:"answer,omitempty"`  // the reply, or the state of a read
	Code    string          `json:"code,omitempty"`    // of a refusal

	Attempts []Attempt `json:"attempts"`
}

// IsRead reports whether the operation only looked.
func (o *Operation) IsRead() bool { return o.Call.Command == "" }

// String tells the operation in a line.
func (o *Operation) String() string {
	what := o.Call.Command + string(o.Call.Body)
	if o.IsRead() {
		what = "read"
	}
	told := string(o.Fate)
	switch o.Fate {
	case FateDone:
		told = fmt.Sprintf("version %d %s", o.Version, o.Answer)
	case FateRefused:
		told = fmt.Sprintf("refused %s at version %d", o.Code, o.Version)
	case FateUnknown, FateAccepted, FateNotExecuted:
	}
	return fmt.Sprintf("%s %s %s (client %d, %v to %v, %d attempts): %s",
		o.Target, what, o.ID, o.Client, o.Start.Round(time.Millisecond), o.End.Round(time.Millisecond), len(o.Attempts), told)
}

// Attempt is one request, and its answer if there was one.
type Attempt struct {
	Node    int             `json:"node"`
	Lane    string          `json:"lane,omitempty"`
	Async   bool            `json:"async,omitempty"`
	Start   time.Duration   `json:"start"`
	End     time.Duration   `json:"end"`
	Status  int             `json:"status,omitempty"` // 0: no answer
	Version actor.Version   `json:"version,omitempty"`
	Code    string          `json:"code,omitempty"`
	Answer  json.RawMessage `json:"answer,omitempty"`
	Error   string          `json:"error,omitempty"`
	Fate    Fate            `json:"fate"` // as far as this attempt tells
}

// same reports whether two definite answers to one command are the same.
func (a *Attempt) same(b *Attempt) bool {
	return a.Fate == b.Fate && a.Code == b.Code && string(a.Answer) == string(b.Answer) && a.Version == b.Version
}
