package actor

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Performed is embedded, beside [Replies], in the command by which an aggregate gets the
// result of an effect that it has asked for. Such a command is [Internal].
type Performed[R any] struct {
	Result R `json:"result"`
}

func (Performed[R]) resultOf(R)  {} //nolint:unused // it is what ResultCommand asks for
func (Performed[R]) endsEffect() {}

// ResultCommand is satisfied by every command that embeds [Performed] of R.
type ResultCommand[R any] interface {
	Command
	resultOf(R)
}

// GivenUp is embedded, beside [Replies], in the command by which an aggregate hears that
// an effect which it has asked for was given up. Such a command is [Internal].
type GivenUp struct {
	Failure EffectFailure `json:"failure"`
}

func (GivenUp) isGivenUp()  {} //nolint:unused // it is what GivenUpCommand asks for
func (GivenUp) endsEffect() {}

// endsEffect reports whether a command embeds [Performed] or [GivenUp]: what the world has
// done is not for callers to say.
func endsEffect[C any]() bool {
	var c C
	_, ok := any(c).(interface{ endsEffect() })
	return ok
}

// GivenUpCommand is satisfied by every command that embeds [GivenUp].
type GivenUpCommand interface {
	Command
	isGivenUp()
}

// EffectFailure says why an effect was given up. That it was does not mean that nothing
// has happened: the outside service may have done it, and its answer was lost.
type EffectFailure struct {
	Effect   string       `json:"effect"`
	Key      string       `json:"key"`             // Call.Key
	Attempts int          `json:"attempts"`        // that have begun
	Reason   GiveUpReason `json:"reason"`          // why no more are made
	Error    string       `json:"error,omitempty"` // of the last attempt that failed
	Asked    time.Time    `json:"asked"`
}

// GiveUpReason says why an effect was given up.
type GiveUpReason string

// The reasons.
const (
	GaveUpFinal    GiveUpReason = "final"    // the last error was a [Final] one
	GaveUpAttempts GiveUpReason = "attempts" // EffectPolicy.MaxAttempts
	GaveUpTime     GiveUpReason = "time"     // EffectPolicy.GiveUpAfter
	GaveUpOperator GiveUpReason = "operator" // an operator has given it up
)

// EffectReply is the command that ends an effect: with its result, or because it was
// given up.
type EffectReply struct {
	Name string          `json:"name"`
	Data json.RawMessage `json:"data"` // JSON object
}

// EffectTask is the stored form of an effect that was asked for, and of what has come of
// it so far: the data of a command under the name [PerformCommand].
type EffectTask struct {
	Effect    string          `json:"effect"`
	Input     json.RawMessage `json:"input"`
	Asked     time.Time       `json:"asked"`
	OnResult  *EffectReply    `json:"onResult,omitempty"`  // without the result; nil: nobody wants to know
	OnGivenUp *EffectReply    `json:"onGivenUp,omitempty"` // without the failure; nil: nobody wants to know

	// The rest is noted by who carries it out.
	Order    int64        `json:"order,omitempty"`    // of the note: a later one is higher
	Node     string       `json:"node,omitempty"`     // that made the note
	Attempt  int          `json:"attempt,omitempty"`  // the last one that has begun
	Failures int          `json:"failures,omitempty"` // attempts that have failed
	Cut      int          `json:"cut,omitempty"`      // attempts in a row that ended with their node
	Started  time.Time    `json:"started,omitzero"`   // of the attempt that is under way; zero: none is
	Since    time.Time    `json:"since,omitzero"`     // of the first attempt
	Next     time.Time    `json:"next,omitzero"`      // no attempt before that
	Error    string       `json:"error,omitempty"`    // of the last attempt that failed
	Reply    *EffectReply `json:"reply,omitempty"`    // what it has come to; nil: nothing yet
	Op       EffectOp     `json:"op,omitempty"`       // what an operator wants; empty: nothing
}

// EffectOp is what an operator can ask of a pending effect.
type EffectOp string

// What can be asked.
const (
	EffectRetry  EffectOp = "retry"  // the next attempt at once, if it is the effect's turn
	EffectGiveUp EffectOp = "giveUp" // no more attempts
)

const (
	// PerformCommand is the name under which an effect is brought to the owner of the
	// aggregate that has asked for it.
	PerformCommand = reservedPrefix + "perform"
	// performedCommand ends an effect of which its aggregate does not want to hear.
	performedCommand = reservedPrefix + "performed"
	effectPrefix     = reservedPrefix + "effect."
)

// EffectGrace is after which time an effect that nobody looks after comes back to the
// owner of its aggregate: what it takes at the most until an attempt is repeated whose
// node has died.
const EffectGrace = 15 * time.Second

// effectTimer returns the name of the timer by which an aggregate knows what it has asked
// for: the nth of a decision at a version. By their names those of one effect are in the
// order in which they were asked for.
func effectTimer(effect string, version Version, n int) string {
	return fmt.Sprintf("%s%s.%014x%02x", effectPrefix, effect, uint64(version), n)
}

// EffectOf returns the name of the effect that a timer stands for; false: it is another
// timer.
func EffectOf(timer string) (effect string, ok bool) {
	rest, ok := strings.CutPrefix(timer, effectPrefix)
	end := strings.LastIndexByte(rest, '.')
	if !ok || end <= 0 {
		return "", false
	}
	return rest[:end], true
}

func isEffect(timer string) bool { return strings.HasPrefix(timer, effectPrefix) }

// Perform asks for the effect, once what the handler decides is durable. What was asked
// for is carried out at least once, in the order of an aggregate and an effect: the next
// one begins when the command that ended the one before it is stored. Those of
// different effects, and of different aggregates, do not wait for each other.
//
// It ends with one of two commands, which the aggregate itself declares and gets exactly
// once: onResult with the result, or onGivenUp with the failure. What else is in them
// comes back as it is. nil: the aggregate does not want to know.
//
// Nothing is done if the handler returns an error. An aggregate that has ended ([Context.End])
// still has done what it asked for before, and refuses the command. The key that Perform
// returns is that of [Call.Key].
//
// Perform panics like [Context.Send], for a command that the aggregate does not declare, and
// for an effect that is not among those it declares ([Definition.Effects]). Beyond [MaxEffects] or [MaxEffectInputBytes] the command is refused with
// [ErrTooLarge], and nothing of it is stored.
func (e *Effect[I, R]) Perform(ctx *Context, input I, onResult ResultCommand[R], onGivenUp GivenUpCommand) (key string) {
	data, err := json.Marshal(input)
	if err != nil {
		panic(fmt.Sprintf("actor: encode %T: %v", input, err))
	}
	task := EffectTask{Effect: e.name, Input: data, Asked: ctx.Now()}
	if onResult != nil {
		var none R
		onResult.resultOf(none) // as its type says
		task.OnResult = ctx.effectReply(onResult)
	}
	if onGivenUp != nil {
		onGivenUp.isGivenUp()
		task.OnGivenUp = ctx.effectReply(onGivenUp)
	}
	return ctx.ask(e.name, &task)
}

// effectReply encodes a command that is to end an effect.
func (c *Context) effectReply(command Command) *EffectReply {
	name, data := c.mustBeOwn(command)
	if len(data) > MaxFallbackBytes {
		c.tooBulky(fmt.Sprintf("%s has %d bytes, the limit is %d", name, len(data), MaxFallbackBytes))
	}
	return &EffectReply{Name: name, Data: data}
}

func (c *Context) ask(effect string, task *EffectTask) (key string) {
	c.instance.behavior.mustAskFor(effect)
	if n := len(task.Input); n > MaxEffectInputBytes {
		c.tooBulky(fmt.Sprintf("the input of %s has %d bytes, the limit is %d", effect, n, MaxEffectInputBytes))
	}
	c.bounded("the input of "+effect, task.Input)
	key = EffectKey(c.nextOut())
	c.emit(Outgoing{
		To: c.instance.address, Name: PerformCommand, Data: mustMarshal(task),
		At: wireTime(c.Now().Add(EffectGrace)), Timer: effectTimer(effect, c.instance.was.version, len(c.out)),
	})
	return key
}

// EffectKey returns the key of what was asked for under the id of its command.
func EffectKey(id CommandID) string { return string(id.Formerly()) }

// PendingEffects returns the timers by which the aggregate knows what it has asked for
// and is not over, by effect in the order in which it asked; nil: nothing.
func (i *Instance) PendingEffects() []string {
	var all []string
	for name := range i.timers {
		if isEffect(name) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// performed is the decision that ends an effect of which the aggregate does not want to
// hear.
func (i *Instance) performed(m *Message) Decision {
	i.tainted = true
	i.replayReserved(EventEffects)
	return Decision{
		Outcome: Outcome{Version: i.shown, Reply: []byte("null")},
		Events:  []Event{{Name: EventEffects, Data: mustMarshal(map[string]string{"performed": m.Timer})}},
	}
}

// Message returns the task as the command that brings it to the owner of the aggregate
// at a time, in the place of an earlier one.
func (t *EffectTask) Message(of EffectID, at time.Time) Message {
	return Message{
		Target: of.Address, ID: of.Command, Name: PerformCommand, Data: mustMarshal(t), Time: wireTime(at), Attempt: 1,
		Metadata: of.Metadata, Timer: of.Timer,
	}
}

// EffectID is which effect of which aggregate a task is, and what travels with it.
type EffectID struct {
	Address  Address
	Timer    string
	Command  CommandID
	Metadata Metadata
}

// Key returns the key for the outside service.
func (e *EffectID) Key() string { return EffectKey(e.Command) }

// ReadEffectTask reads what [EffectTask.Message] wrote, or what was asked for as it was
// stored.
func ReadEffectTask(m *Message) (EffectTask, EffectID, error) {
	var t EffectTask
	effect, ok := EffectOf(m.Timer)
	if !ok || m.Name != PerformCommand {
		return t, EffectID{}, fmt.Errorf("%s of timer %q is no effect: %w", m.Name, m.Timer, ErrMessage)
	}
	if err := json.Unmarshal(m.Data, &t); err != nil {
		return t, EffectID{}, fmt.Errorf("effect of timer %q: %w: %w", m.Timer, ErrMessage, err)
	}
	t.Effect = effect
	return t, EffectID{Address: m.Target, Timer: m.Timer, Command: m.ID, Metadata: m.Metadata}, nil
}

// OfEffect reports whether the message is one of the runtime's own that brings an effect to its
// owner, or ends one of which its aggregate does not want to hear. Every kind takes them in,
// whatever it declares; [Behavior.CheckCommand] is for what it declares.
func (m *Message) OfEffect() bool {
	switch m.Name {
	case PerformCommand:
		_, _, err := ReadEffectTask(m)
		return err == nil
	case performedCommand:
		return isEffect(m.Timer)
	default:
		return false
	}
}

// Succeed notes the result, which is JSON.
func (t *EffectTask) Succeed(result []byte) { t.Reply = t.OnResult.with("result", result) }

// GiveUp notes that no more attempts are made.
func (t *EffectTask) GiveUp(of EffectID, reason GiveUpReason) {
	t.Reply = t.OnGivenUp.with("failure", mustMarshal(EffectFailure{
		Effect: t.Effect, Key: of.Key(), Attempts: t.Attempt, Reason: reason, Error: t.Error, Asked: t.Asked,
	}))
}

// Begin notes that an attempt begins.
func (t *EffectTask) Begin(now time.Time) {
	t.Attempt++
	t.Started = now.UTC()
	if t.Since.IsZero() {
		t.Since = t.Started
	}
}

// Fail notes that an attempt has failed, and when the next one is: after the pause of the
// policy, of which random (0 to 1) is the chance in it, and not later than the effect is
// given up. It returns why no more are made; empty: one is.
func (t *EffectTask) Fail(of EffectID, err error, policy EffectPolicy, now time.Time, random float64) GiveUpReason {
	t.Started, t.Cut = time.Time{}, 0
	t.Failures++
	t.Error = shortText(err.Error(), MaxEffectErrorBytes)
	last := t.Since.Add(policy.GiveUpAfter)
	var reason GiveUpReason
	switch {
	case IsFinal(err):
		reason = GaveUpFinal
	case policy.MaxAttempts > 0 && t.Failures >= policy.MaxAttempts:
		reason = GaveUpAttempts
	case !now.Before(last):
		reason = GaveUpTime
	default:
		t.Next = now.Add(policy.Pause(t.Failures, random)).UTC()
		if t.Next.After(last) {
			t.Next = last
		}
		return ""
	}
	t.GiveUp(of, reason)
	return reason
}

// shortText returns valid UTF-8 of so many bytes at the most.
func shortText(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// Undeliverable notes that the reply can never be sent: the effect is given up instead, and
// without a word if that cannot be sent either. It returns false when that was tried.
func (t *EffectTask) Undeliverable(of EffectID, why string) bool {
	if t.Reply != nil && t.Reply.Name == performedCommand {
		return false
	}
	failed := t.OnGivenUp != nil && t.Reply != nil && t.Reply.Name == t.OnGivenUp.Name
	t.Error, t.Reply = why, nil
	if failed {
		t.OnGivenUp = nil
	}
	t.GiveUp(of, GaveUpFinal)
	return true
}

// with returns the reply with a field more.
func (r *EffectReply) with(field string, value []byte) *EffectReply {
	if r == nil {
		return &EffectReply{Name: performedCommand, Data: json.RawMessage("{}")}
	}
	fields := map[string]json.RawMessage{}
	if json.Unmarshal(r.Data, &fields) != nil || fields == nil {
		fields = map[string]json.RawMessage{}
	}
	fields[field] = value
	return &EffectReply{Name: r.Name, Data: mustMarshal(fields)}
}

// Conclusion returns the command that ends the effect. It is executed once, as the firing
// of the timer by which the aggregate knows the effect.
func (t *EffectTask) Conclusion(of EffectID, now time.Time) Message {
	return Message{
		Target: of.Address, ID: of.Command, Name: t.Reply.Name, Data: t.Reply.Data, Time: now.UTC(), Attempt: 1,
		Metadata: of.Metadata, Timer: of.Timer,
	}
}
