package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// History is what the gateway reads from the store. It is safe for concurrent
// use. Failures that are [*actor.Error]s reach the caller under their code; all
// others as "unavailable", without their text.
type History interface {
	// Events returns events with versions above after, in order and without
	// gaps, also those that the gateway passes over ([actor.EventOutcome]): at least one if there is any, at most limit. It may return fewer
	// than there are to bound the size of an answer, and may cut inside a
	// commit. An aggregate without a history has no events.
	Events(ctx context.Context, addr actor.Address, after actor.Version, limit int) ([]Event, error)

	// Watch returns a channel that receives when the aggregate may have new
	// events, until stop is called. Wake-ups may be missed or needless; one that
	// nobody has taken yet stands for all later ones. It does not block.
	Watch(ctx context.Context, addr actor.Address) (wake <-chan struct{}, stop func())

	// Aggregates returns ids of aggregates of a kind that exist, in the order of their
	// bytes: those that begin with prefix and come after one, from the first if after is
	// empty; at most limit, and fewer only at the end. One that is created meanwhile may
	// be missing.
	Aggregates(ctx context.Context, kind actor.Kind, prefix, after string, limit int) ([]string, error)

	// At returns the state at a moment of the past, as a majority has stored it; of no
	// version for an aggregate that did not exist then. The error is a [*NoVersionError]
	// or a [*ReplayError] among others.
	At(ctx context.Context, addr actor.Address, m Moment) (PastState, error)

	// Local returns the state as this node reads it from the store, which may be
	// behind, with its version; 0 for an aggregate without a history.
	Local(ctx context.Context, addr actor.Address) (state json.RawMessage, v actor.Version, err error)
}

// Moment is a place in a history: the last version that is not behind Version and was
// committed until Time.
type Moment struct {
	Version actor.Version // 0: before the first event; [AnyVersion]: no bound
	Time    time.Time     // the zero time: no bound
}

// AnyVersion is no bound of a [Moment].
const AnyVersion actor.Version = math.MaxUint64

// Latest is the end of a history.
func Latest() Moment { return Moment{Version: AnyVersion} }

// PastState is an aggregate's state at a moment.
type PastState struct {
	State   json.RawMessage
	Version actor.Version // that callers were told then; 0: the aggregate did not exist
}

// NoVersionError says that a history ends before a version.
type NoVersionError struct {
	Target  actor.Address
	Version actor.Version
}

func (e *NoVersionError) Error() string {
	return fmt.Sprintf("the history of %s ends before version %d", e.Target, e.Version)
}

// ReplayError says that a past state is more events away from what it can be made of than
// are replayed for a read.
type ReplayError struct {
	Target actor.Address
	Max    int // events
}

func (e *ReplayError) Error() string {
	return fmt.Sprintf("more than %d events of %s would have to be replayed: only its newest snapshot is kept", e.Max, e.Target)
}

// Event is a stored event, with the command that raised it.
type Event struct {
	Version       actor.Version   `json:"version"`
	Type          string          `json:"type"`
	Data          json.RawMessage `json:"data"`                    // null if callers see nothing of it
	Redacted      bool            `json:"redacted,omitempty"`      // Data is not, or not all of, what is stored; set by the gateway
	CommandID     actor.CommandID `json:"commandId"`               // that raised it
	Command       string          `json:"command,omitempty"`       // its name; empty where a build stored it that did not keep names
	User          string          `json:"user,omitempty"`          // by whom; empty: nobody had to say
	CorrelationID string          `json:"correlationId,omitempty"` // of the conversation that the command belongs to
	CausationID   string          `json:"causationId,omitempty"`   // of what caused the command: another command, as a rule
	Time          time.Time       `json:"time"`                    // of its commit

	// Outgoing is what the command's decision sent, did to timers, and asked of the world,
	// in order. It is with the last event of the command.
	Outgoing []Outgoing `json:"outgoing,omitempty"`
}

// Outgoing is one thing that a decision asked for. What a command carries is not shown.
type Outgoing struct {
	Action    OutgoingAction  `json:"action"`
	To        string          `json:"to,omitempty"`        // kind/id of the aggregate that is sent a command
	Command   string          `json:"command,omitempty"`   // its name; of a timer, what the aggregate then gets itself
	CommandID actor.CommandID `json:"commandId,omitempty"` // under which the aggregate's own history shows it; of an effect, its end
	Timer     string          `json:"timer,omitempty"`     // its name
	At        *time.Time      `json:"at,omitempty"`        // when a timer is due
	OnRefusal string          `json:"onRefusal,omitempty"` // name of the command that comes back if that one is refused
	Effect    string          `json:"effect,omitempty"`    // what was asked of the world
	Key       string          `json:"key,omitempty"`       // that the outside service gets with it, see actor.Call
	OnResult  string          `json:"onResult,omitempty"`  // name of the command that ends the effect with its result
	OnGivenUp string          `json:"onGivenUp,omitempty"` // name of the command that ends it if it is given up
}

// OutgoingAction says what kind of thing a decision asked for. There may be more.
type OutgoingAction string

// The actions.
const (
	ActionSend        OutgoingAction = "send"
	ActionSetTimer    OutgoingAction = "set_timer"
	ActionCancelTimer OutgoingAction = "cancel_timer"
	ActionPerform     OutgoingAction = "perform" // an effect was asked for
)
