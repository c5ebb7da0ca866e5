package lineage

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// Command is a command that an aggregate has decided, as a commit has it.
type Command struct {
	Aggregate actor.Address
	ID        actor.CommandID
	Name      string        // empty where a build stored it that did not keep names
	Time      time.Time     // of the commit
	Version   actor.Version // of the aggregate after it
	Events    []Event
	Refusal   *Refusal // nil: carried out
	Metadata  actor.Metadata
	Asked     []store.Outgoing // what the decision sent, did to timers, and asked of the world
}

// Event is one event of a command.
type Event struct {
	Version actor.Version
	Name    string
	Data    []byte // JSON
}

// Refusal says why a command was refused.
type Refusal struct {
	Code    actor.Code `json:"code"`
	Reason  string     `json:"reason,omitempty"` // the aggregate's own code
	Message string     `json:"message,omitempty"`
}

// First returns the version of the first event, or that of the aggregate for a command
// without events.
func (c Command) First() actor.Version {
	if len(c.Events) == 0 {
		return c.Version
	}
	return c.Events[0].Version
}

// CommandsOf returns the commands of a commit, in the order of their decisions. A commit of
// an aggregate whose address cannot be read has none.
func CommandsOf(c *store.Commit) []Command {
	address, err := actor.ParseAddress(string(c.Aggregate))
	if err != nil {
		return nil
	}
	asked := Attribute(c)
	commands := make([]Command, 0, len(c.Outcomes))
	next := 0
	for i := range c.Outcomes {
		o := &c.Outcomes[i]
		one := Command{
			Aggregate: address, ID: actor.CommandID(o.CommandID), Name: o.Name, Time: time.UnixMicro(c.Time).UTC(),
			Metadata: actor.Metadata(o.Metadata), Refusal: refusalOf(o),
		}
		for ; len(one.Events) < o.Events && next < len(c.Events); next++ {
			e := &c.Events[next]
			one.Events = append(one.Events, Event{Version: actor.Version(c.First) + actor.Version(next), Name: e.Name, Data: e.Data})
		}
		one.Version = actor.Version(c.First) + actor.Version(next) - 1
		for _, k := range asked[o.CommandID] {
			one.Asked = append(one.Asked, c.Out[k])
		}
		delete(asked, o.CommandID) // of two outcomes of one id, the first has it
		commands = append(commands, one)
	}
	return commands
}

func refusalOf(o *store.Outcome) *Refusal {
	if len(o.Rejection) == 0 {
		return nil
	}
	var r Refusal
	if json.Unmarshal(o.Rejection, &r) != nil {
		r.Message = "the recorded refusal cannot be read"
	}
	return &r
}

// Attribute returns the places in c.Out of what each command asked for, by the id of the
// command. Commits say so of every entry, but for two cases: builds before that noted it
// for commands and set timers alone, and where the ids of a conversation were too long,
// none is kept. Such an entry goes with the next one that says so, else with the last one
// before, else with the last command that raised an event.
func Attribute(c *store.Commit) map[string][]int {
	if len(c.Out) == 0 {
		return nil
	}
	raised := map[string]bool{}
	last := ""
	for i := range c.Outcomes {
		if o := &c.Outcomes[i]; o.Events > 0 {
			raised[o.CommandID], last = true, o.CommandID
		}
	}
	owners := make([]string, len(c.Out))
	next := ""
	for i, o := range slices.Backward(c.Out) {
		if by := o.Metadata.Causation; raised[by] {
			next = by
		}
		owners[i] = next
	}
	asked := map[string][]int{}
	before := last
	for i := range c.Out {
		if owners[i] == "" {
			owners[i] = before
		}
		before = owners[i]
		asked[before] = append(asked[before], i)
	}
	return asked
}
