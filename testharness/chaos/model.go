package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
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
	// about an aggregate at version 0.
	Shows func(s S, state json.RawMessage) bool
}

// Decision is what a [Model] expects of a command.
type Decision struct {
	Events int             // by which the version grows; 0 with Refuse
	Refuse string          // the code of the rejection; empty: it is executed
	Reply  json.RawMessage // where it is not nil, the reply must be this
}

// checkTimeout bounds the search for an order of one aggregate's calls.
const checkTimeout = 30 * time.Second

// versioned is a state with its version.
type versioned[S comparable] struct {
	version actor.Version
	state   S
}

// observation is a call with what is known of its result.
type observation struct {
	call    Call
	fate    Fate // done, refused; unknown: it took effect, and nobody was told; accepted: it did not
	version actor.Version
	answer  json.RawMessage
	code    string
}

// step says whether the observation fits the state, and gives the state after it.
func (m *Model[S]) step(v versioned[S], o *observation) (bool, versioned[S]) {
	if o.call.Command == "" {
		if o.version != v.version || v.version > 0 && !m.Shows(v.state, o.answer) {
			return false, v
		}
		return true, v
	}
	next, want := m.Decide(v.state, o.call)
	if o.fate == FateAccepted { // and it is not in the store: it must have come to nothing
		return want.Refuse != "" || want.Events == 0, v
	}
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
	model := porcupine.Model{
		Init: func() any { return versioned[S]{} },
		Step: func(state, input, _ any) (bool, any) {
			ok, next := m.step(state.(versioned[S]), input.(*observation))
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
	case FateAccepted:
		return what + " -> accepted, and not in the store"
	case FateUnknown:
		return fmt.Sprintf("%s -> nobody was told, in the store at %d", what, o.version)
	default:
		return fmt.Sprintf("%s -> %d %.120s", what, o.version, o.answer)
	}
}

// never is the time at which a call ends whose client was not told.
const never = math.MaxInt64

// observed is an operation for porcupine, as its client saw it.
func observed(op *Operation) porcupine.Operation {
	return porcupine.Operation{
		ClientId: max(op.Client, 0), Call: int64(op.Start), Return: int64(op.End),
		Input: &observation{call: op.Call, fate: op.Fate, version: op.Version, answer: op.Answer, code: op.Code},
	}
}

// refusedUnheard is an operation that was accepted and then decided against, some
// time after its start, with nobody to be told.
func refusedUnheard(op *Operation) porcupine.Operation {
	return porcupine.Operation{
		ClientId: max(op.Client, 0), Call: int64(op.Start), Return: never,
		Input: &observation{call: op.Call, fate: FateAccepted},
	}
}

// effect is an operation that took effect at a version, some time after its start.
func effect(op *Operation, at actor.Version) porcupine.Operation {
	return porcupine.Operation{
		ClientId: max(op.Client, 0), Call: int64(op.Start), Return: never,
		Input: &observation{call: op.Call, fate: FateUnknown, version: at},
	}
}
