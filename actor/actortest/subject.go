package actortest

import (
	"fmt"
	"reflect"

	"github.com/ganglion-go/ganglion/actor"
)

// subject is one aggregate of a scenario: the instance that lives through all
// steps, as an activation does, and the history that it can be rebuilt from.
type subject struct {
	behavior *actor.Behavior
	address  actor.Address
	live     *actor.Instance
	history  []actor.Event
	outcomes map[actor.CommandID]actor.Outcome
	commits  []commit                  // that did something with timers, in order
	timers   map[string]actor.Outgoing // that are set
	foreign  actor.Version             // events of it that WhenEvent has made up
}

// commit is what a store keeps of one decision beside its events.
type commit struct {
	id  actor.CommandID
	out []actor.Outgoing
}

func (s *subject) nameOf(payload reflect.Type) (string, actor.MessageType, bool) {
	for c := range s.behavior.Commands() {
		if c.Payload == payload {
			return c.Name, actor.TypeCommand, true
		}
	}
	for q := range s.behavior.Queries() {
		if q.Payload == payload {
			return q.Name, actor.TypeQuery, true
		}
	}
	return "", 0, false
}

func (s *subject) replyTypeOf(m actor.Message) reflect.Type {
	declared := s.behavior.Commands()
	if m.Type == actor.TypeQuery {
		declared = s.behavior.Queries()
	}
	for h := range declared {
		if h.Name == m.Name {
			return h.Reply
		}
	}
	return nil
}

// rebuild replays the history into a fresh instance.
func (s *subject) rebuild() (*actor.Instance, error) {
	i := s.behavior.New(s.address)
	for _, e := range s.history {
		if err := i.Replay(e); err != nil {
			return nil, fmt.Errorf("replay: %w", err)
		}
	}
	for _, c := range s.commits {
		i.ReplayEffects(func(yield func(actor.CommandID) bool) { yield(c.id) }, c.out)
	}
	return i, nil
}

// restore takes an instance through a snapshot and back.
func (s *subject) restore(from *actor.Instance) (*actor.Instance, error) {
	data, err := from.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("take a snapshot: %w", err)
	}
	restored, err := s.behavior.Restore(s.address, from.Version(), data)
	if err != nil {
		return nil, err
	}
	restored.Resume(from.RuntimeState())
	return restored, nil
}

// snapshots: as on a node, there is none of an aggregate that does not exist.
func (s *subject) snapshots() bool {
	return s.behavior.SnapshotEvery() > 0 && (s.live.Exists() || s.live.Version() == 0)
}
