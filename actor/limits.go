package actor

import (
	"bytes"
	"fmt"
	"time"
)

// MaxDepth is how many levels of objects and arrays JSON may have: commands, queries,
// replies, events, states, details of rejections, and documents of views. It is far
// below what any reader of JSON takes, so that what is stored can be read, also by
// readers that are not ours. A command or query from outside that is deeper is
// malformed; a command whose events, reply or sends would be deeper is refused with
// [ErrTooLarge], and nothing of it is stored. Details of a rejection that are deeper
// are left out.
const MaxDepth = 100

// maxWrappedDepth is the bound of what travels: the runtime puts an event into the
// command of a saga, and a refusal into that of a sender.
const maxWrappedDepth = MaxDepth + 8

// MaxTimerTime is the latest time that a timer may be set for; what fires timers counts
// nanoseconds in 64 bits, which end later in that year. See [ErrTimerTime].
//
//nolint:gochecknoglobals // a constant of a type that has none
var MaxTimerTime = time.Date(2262, time.January, 1, 0, 0, 0, 0, time.UTC)

// ErrTimerTime refuses a command that sets a timer, or the deadline of a saga, for a
// time after [MaxTimerTime]. Nothing of the command is stored.
var ErrTimerTime = Reject("timer_out_of_range", "a timer would be set for a time that is too far in the future")

// TooDeep reports whether JSON has more than [MaxDepth] levels of objects and arrays.
// It says nothing of data that is not JSON.
func TooDeep(data []byte) bool { return deeper(data, MaxDepth) }

// deeper reports whether JSON has more than so many levels. Most JSON has fewer
// brackets altogether, which is fast to see.
func deeper(data []byte, levels int) bool {
	if len(data) <= 2*levels || bytes.Count(data, []byte{'{'})+bytes.Count(data, []byte{'['}) <= levels {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > levels {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// tooDeep is what [deeper] data is refused with.
func tooDeep(what string) string {
	return fmt.Sprintf("%s is nested deeper than %d levels of objects and arrays", what, MaxDepth)
}

// bounded notes that a decision would have something in it that is nested too deeply.
func (c *Context) bounded(what string, data []byte) {
	if !TooDeep(data) {
		return
	}
	if x := c.beyondBounds(); x.deep == "" {
		x.deep = what
	}
}

// tooBulky notes that an effect's input or reply is too large.
func (c *Context) tooBulky(what string) {
	if x := c.beyondBounds(); x.bulky == "" {
		x.bulky = what
	}
}

// beyond returns what a decision is refused with that goes beyond a bound.
func (c *Context) beyond() (Outcome, bool) {
	var x excess
	if c.excess != nil {
		x = *c.excess
	}
	switch i := c.instance; {
	case c.overflow:
		return Failure(CodeTooLarge, fmt.Sprintf("%s sends more than %d commands, %d bytes, or %d bytes to be sent on refusal",
			c.message.Name, MaxOutgoing, MaxOutgoingBytes, MaxFallbackBytes)), true
	case x.deep != "":
		return Failure(CodeTooLarge, fmt.Sprintf("%s: %s", c.message.Name, tooDeep(x.deep))), true
	case x.bulky != "":
		return Failure(CodeTooLarge, fmt.Sprintf("%s: %s", c.message.Name, x.bulky)), true
	case x.lateTimer != "":
		return Outcome{Code: CodeRejected, Version: i.was.shown, Rejection: ErrTimerTime.With("timer", x.lateTimer).With("latest", MaxTimerTime)}, true
	default:
		return Outcome{}, false
	}
}
