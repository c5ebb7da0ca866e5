package gateway

import (
	"context"
	"encoding/json"
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

	// Local returns the state as this node reads it from the store, which may be
	// behind, with its version; 0 for an aggregate without a history.
	Local(ctx context.Context, addr actor.Address) (state json.RawMessage, v actor.Version, err error)
}

// Event is a stored event.
type Event struct {
	Version   actor.Version   `json:"version"`
	Type      string          `json:"type"`
	Data      json.RawMessage `json:"data"`
	CommandID actor.CommandID `json:"commandId"`         // that raised it
	Command   string          `json:"command,omitempty"` // its name; empty where a build stored it that did not keep names
	Time      time.Time       `json:"time"`              // of its commit
}
