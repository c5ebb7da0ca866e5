package actor

import "encoding/json"

// ErrSkipped is the outcome of a command that was parked and that an operator has
// skipped: it had no effect, and never will.
var ErrSkipped = Reject("skipped_by_operator", "the command had failed, and an operator has skipped it")

// commandSkip is the name of a skip. It is one that no definition can have, so that a
// node of a build that knows no skips refuses it, and does not execute what it skips.
const commandSkip = reservedPrefix + "skip"

type skip struct {
	Command string `json:"command"` // the name of what is skipped
}

// Skip returns the message that has a command skipped, in its place and under its id:
// whichever of the two the aggregate decides first is the outcome of both. A skip is
// a refusal with [ErrSkipped] that is part of the history as [EventRefused]. So it is
// as durable as a success, also if nobody waits for it; the sender hears of it
// ([OnRefusal]), and the timer whose command it was is over. It is an operator's, also if
// the command came from outside.
func Skip(m Message) Message {
	m.Data = mustMarshal(skip{Command: m.Name})
	m.Name, m.Expect, m.Outside = commandSkip, Expectation{}, false
	return m
}

// Skips reports whether the message is a [Skip].
func (m *Message) Skips() bool { return m.Type == TypeCommand && m.Name == commandSkip }

func (i *Instance) skip(m *Message) Decision {
	var s skip
	if err := json.Unmarshal(m.Data, &s); err != nil || !validName(s.Command) {
		return Decision{Outcome: Failure(CodeMalformed, "a skip that names no command")}
	}
	of := *m
	of.Name = s.Command
	return i.refused(&of, Outcome{Code: CodeRejected, Version: i.was.shown, Rejection: ErrSkipped})
}
