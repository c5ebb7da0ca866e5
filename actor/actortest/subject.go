package actortest

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
)

// subject is one aggregate of a scenario: the instance that lives through all
// steps, as an activation does, and the history that it can be rebuilt from.
type subject struct {
	behavior *actor.Behavior
	address  actor.Address
	live     *actor.Instance
	history  []actor.Event
	outcomes map[actor.CommandID]outcome
	commits  []commit                  // that did something with timers, in order
	timers   map[string]actor.Outgoing // that are set
	effects  map[string]*asked         // that are not over, by the names of their timers
	foreign  actor.Version             // events of it that WhenEvent has made up
}

// outcome is what is recorded of a command.
type outcome struct {
	of actor.Message
	is actor.Outcome
}

// answers is what another command under the same id gets: the record if it is the same
// command with the same data, as on a node.
func (o outcome) answers(b *actor.Behavior, m *actor.Message) actor.Outcome {
	same := cmp.Equal(documentOr(o.of.Data), documentOr(m.Data))
	if o.of.Name != m.Name {
		same = slices.Contains(b.CommandNames(m.Name), o.of.Name)
	}
	if !same && !m.ID.Internal() && !actor.Reserved(m.Name) {
		return actor.Failure(actor.CodeKeyReused, "the id was used for another command, or for the same with other data")
	}
	again := o.is
	again.Replayed = again.Code.Recorded()
	return again
}

// documentOr is the document of a command's data, of which none is an empty object.
func documentOr(data []byte) any {
	if len(bytes.TrimSpace(data)) == 0 {
		return map[string]any{}
	}
	return document(data)
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
