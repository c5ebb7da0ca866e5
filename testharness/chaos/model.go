package chaos

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/ganglion-go/ganglion/actor"
)

// Model says what an aggregate in state S does, apart from its code. S must be
// comparable and a value: functions return a new one.
type Model[S comparable] struct {
	// Kind is the kind of aggregate.
	Kind actor.Kind

	// Next makes a call.
	Next func(rnd *rand.Rand) Call

	// Create is a command that is sent to each aggregate before anything breaks, and
	// once more when all is at rest. The second one shows that all that went before
	// it has been decided, so without a Create, commands that were accepted with
	// 202 may be missed. The zero Call: none.
	Create Call

	// Decide says what the aggregate answers to a command in a state, and the state
	// after it. The zero value of S is a new aggregate.
	Decide func(s S, c Call) (S, Decision)

	// Shows reports whether a read may show this JSON of the state. It is not asked
	// about an aggregate that nothing has changed.
	Shows func(s S, state json.RawMessage) bool
}

// Decision is what a [Model] expects of a command.
type Decision struct {
	Events int             // that it raises; 0 with Refuse
	Refuse string          // the code of the rejection; empty: it is executed
	Reply  json.RawMessage // where it is not nil, the reply must be this
}

// checkTimeout bounds the search for an order of one aggregate's calls.
const checkTimeout = 30 * time.Second

// versioned is a state with its version, which counts its changes, and how many calls have been put there that
// belong to that version.
type versioned[S comparable] struct {
	version actor.Version
	state   S
	here    int
}

// observation is a call with what is known of its result.
type observation struct {
	call    Call
	fate    Fate // done, refused; unknown: it took effect, and nobody was told
	version actor.Version
	answer  json.RawMessage
	code    string
	stored  bool // with events: it has led to version
}

// stays reports whether the call belongs to the state at its version, and leaves that as
// it is: what was read, was refused there, or raised no event.
func (o *observation) stays() bool {
	return o.call.Command == "" || o.fate == FateRefused && o.version > 0 || o.fate == FateDone && !o.stored
}

// step says whether the observation fits the state, and gives the state after it. A call
// that leads to the next version fits only after all that belong to this one: none of
// those could follow. Porcupine would find that out by itself, but only after it had
// tried what else may come in between, in any order and any selection.
func (m *Model[S]) step(v versioned[S], o *observation, stay map[actor.Version]int) (bool, versioned[S]) {
	fits, after := m.decide(v, o)
	switch {
	case !fits || o.stays() && after.version != v.version:
		return false, v
	case o.stays():
		v.here++
		return true, v
	case after.version == v.version: // refused, nobody knows where
		return true, v
	}
	return v.here == stay[v.version], after
}

func (m *Model[S]) decide(v versioned[S], o *observation) (bool, versioned[S]) {
	if o.call.Command == "" {
		return o.version == v.version && (v.version == 0 || m.Shows(v.state, o.answer)), v
	}
	next, want := m.Decide(v.state, o.call)
	if o.fate == FateRefused {
		return want.Refuse == o.code && (o.version == 0 || o.version == v.version), v
	}
	after := versioned[S]{version: v.version + actor.Version(want.Events), state: next}
	switch {
	case want.Refuse != "", after.version != o.version:
		return false, v
	case o.fate == FateDone && want.Reply != nil && !bytes.Equal(want.Reply, o.answer):
		return false, v
	default:
		return true, after
	}
}

// linearize looks for an order of the operations of one aggregate.
func (m *Model[S]) linearize(operations []porcupine.Operation) (porcupine.CheckResult, porcupine.LinearizationInfo, porcupine.Model) {
	stay := map[actor.Version]int{}
	for i := range operations {
		if o := operations[i].Input.(*observation); o.stays() {
			stay[o.version]++
		}
	}
	model := porcupine.Model{
		Init: func() any { return versioned[S]{} },
		Step: func(state, input, _ any) (bool, any) {
			ok, next := m.step(state.(versioned[S]), input.(*observation), stay)
			return ok, next
		},
		DescribeOperation: func(input, _ any) string { return input.(*observation).String() },
		DescribeState: func(state any) string {
			v := state.(versioned[S])
			return fmt.Sprintf("version %d %+v", v.version, v.state)
		},
	}
	result, info := porcupine.CheckOperationsVerbose(model, operations, checkTimeout)
	return result, info, model
}

// String tells the observation for pictures.
func (o *observation) String() string {
	what := o.call.Command + string(o.call.Body)
	if o.call.Command == "" {
		what = "read"
	}
	switch o.fate {
	case FateRefused:
		return fmt.Sprintf("%s -> %s at %d", what, o.code, o.version)
	case FateUnknown:
		return fmt.Sprintf("%s -> nobody was told, in the store at %d", what, o.version)
	default:
		return fmt.Sprintf("%s -> %d %.120s", what, o.version, o.answer)
	}
}

// never is the time at which a call ends whose client was not told.
const never = math.MaxInt64

// observed is an operation for porcupine, as its client saw it, at the change that it was
// told.
func observed(op *Operation, told actor.Version, stored bool) porcupine.Operation {
	return porcupine.Operation{
		ClientId: max(op.Client, 0), Call: int64(op.Start), Return: int64(op.End),
		Input: &observation{call: op.Call, fate: op.Fate, version: told, answer: op.Answer, code: op.Code, stored: stored},
	}
}

// effect is an operation that took effect at a version, some time after its start.
func effect(op *Operation, at actor.Version) porcupine.Operation {
	return porcupine.Operation{
		ClientId: max(op.Client, 0), Call: int64(op.Start), Return: never,
		Input: &observation{call: op.Call, fate: FateUnknown, version: at, stored: true},
	}
}

// lived is a state of an aggregate, and the latest time at which it was left.
type lived[S comparable] struct {
	state S
	until int64
}

// lived returns the states that an aggregate was in, one after another. There is an
// order of the operations: the versions of those that changed something say which.
func (m *Model[S]) lived(operations []porcupine.Operation) []lived[S] {
	var changes []porcupine.Operation
	for _, o := range operations {
		if o.Input.(*observation).stored {
			changes = append(changes, o)
		}
	}
	version := func(o porcupine.Operation) actor.Version { return o.Input.(*observation).version }
	slices.SortFunc(changes, func(a, b porcupine.Operation) int { return cmp.Compare(version(a), version(b)) })
	all := make([]lived[S], len(changes)+1)
	for i := range changes {
		all[i].until = changes[i].Return
		all[i+1].state, _ = m.Decide(all[i].state, changes[i].Input.(*observation).call)
	}
	all[len(changes)].until = never
	for i := range slices.Backward(changes) { // a state is left before the next one is
		all[i].until = min(all[i].until, all[i+1].until)
	}
	return all
}

// cameToNothing reports whether a command that was accepted, and is not in the store, may
// have been decided without effect, with nobody to be told: it must have been refused, or
// have raised nothing, in one of the states from its start on.
//
// It changes nothing, so it can be put wherever it fits whatever the order of the others
// is. As one more operation of theirs, which ends at any time, it would have the search
// try each of them with and without it.
func (m *Model[S]) cameToNothing(op *Operation, states []lived[S]) bool {
	return slices.ContainsFunc(states, func(l lived[S]) bool {
		if l.until < int64(op.Start) {
			return false
		}
		_, want := m.Decide(l.state, op.Call)
		return want.Refuse != "" || want.Events == 0
	})
}
