package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
)

// The headers of a message that is to become a command at a time.
const (
	headerTarget   = "Gn-To"         // the aggregate, as kind/id
	HeaderOrder    = "Gn-Order"      // of settings of the same timer
	headerSchedule = "Nats-Schedule" // when
	headerDue      = "Nats-Schedule-Target"
	headerTimeZone = "Nats-Schedule-Time-Zone"
	headerCron     = "Gn-Cron" // name of the cluster's schedule that the message is of
)

// DeadlineStream is the name of the stream of messages that are to become commands.
func (ns Namespace) DeadlineStream() string { return string(ns) + "_DEADLINES" }

// Timers matches all timers.
func (ns Namespace) Timers() string { return string(ns) + ".timer.>" }

// Due is where a message comes to at its time. It is one subject for all, so that
// what has been forwarded can be purged without a look at the others.
func (ns Namespace) Due() string { return string(ns) + ".due" }

// maxTimerToken is the longest name of a timer, encoded, that is part of a subject.
// Of a longer one it is a hash.
const maxTimerToken = 192

// Timer is where a timer of an aggregate is kept.
func (ns Namespace) Timer(of actor.Address, name string) string {
	token := actor.Address{ID: name}.Token()
	if len(token) > maxTimerToken {
		sum := sha256.Sum256([]byte(name))
		token = "%-" + hex.EncodeToString(sum[:]) // no token has that
	}
	return string(ns) + ".timer.at." + string(of.Kind) + "." + of.Token() + "." + token
}

// AllTimers matches the timers of all aggregates.
func (ns Namespace) AllTimers() string { return string(ns) + ".timer.at.>" }

// TimersOf matches the timers of one aggregate.
func (ns Namespace) TimersOf(of actor.Address) string {
	return string(ns) + ".timer.at." + string(of.Kind) + "." + of.Token() + ".*"
}

// Cron is where a schedule of the cluster is kept.
func (ns Namespace) Cron(name string) string {
	return string(ns) + ".timer.cron." + actor.Address{ID: name}.Token()
}

// EncodeTimer writes a command that is to be sent at its time, in the place of an
// earlier setting of the same timer.
//
// The server keeps the time to the nanosecond. nats.go would write whole seconds, and
// the command would come up to a second early.
func (ns Namespace) EncodeTimer(m *actor.Message, name string, order int64) *nats.Msg {
	h := EncodeMessage(m)
	h[headerTarget] = []string{escape(m.Target.String())}
	h[HeaderOrder] = []string{strconv.FormatInt(order, 10)}
	h[headerSchedule] = []string{"@at " + m.Time.UTC().Format(time.RFC3339Nano)}
	h[headerDue] = []string{ns.Due()}
	return &nats.Msg{Subject: ns.Timer(m.Target, name), Header: h, Data: m.Data}
}

// Schedule reads when a waiting message is to come due, as the server has it; empty: it is none.
func Schedule(h nats.Header) string { return First(h, headerSchedule) }

// Crons matches all schedules of the cluster.
func (ns Namespace) Crons() string { return string(ns) + ".timer.cron.>" }

// Cron is a command that is sent again and again.
type Cron struct {
	Name, Schedule, Zone string
}

// EncodeCron writes a command that is sent whenever the schedule says so.
func (ns Namespace) EncodeCron(m *actor.Message, c Cron) *nats.Msg {
	h := EncodeMessage(m)
	h[headerTarget] = []string{escape(m.Target.String())}
	h[headerCron] = []string{escape(c.Name)}
	h[headerSchedule] = []string{c.Schedule}
	h[headerDue] = []string{ns.Due()}
	if c.Zone != "" {
		h[headerTimeZone] = []string{c.Zone}
	}
	return &nats.Msg{Subject: ns.Cron(c.Name), Header: h, Data: m.Data}
}

// DecodeDue reads a message that has come due, at a sequence and a time of its
// stream. Errors wrap [ErrWire], [actor.ErrAddress] or [actor.ErrMessage].
func DecodeDue(h nats.Header, data []byte, sequence uint64, at time.Time) (actor.Message, error) {
	address, err := unescape(First(h, headerTarget))
	if err != nil {
		return actor.Message{}, err
	}
	to, err := actor.ParseAddress(address)
	if err != nil {
		return actor.Message{}, fmt.Errorf("%s: %w", headerTarget, err)
	}
	m, err := DecodeMessage(to, actor.LaneDurable, h, data)
	if err != nil || First(h, headerCron) == "" {
		return m, err
	}
	name, err := unescape(First(h, headerCron))
	m.Time = TruncateTime(at)
	m.ID = actor.InternalID(m.Time, "cron", name, strconv.FormatUint(sequence, 10), at.UTC().Format(time.RFC3339Nano))
	return m, err
}

// DueCommand reads from the headers of a timer, waiting or due, whose command it is and
// under which name. Errors are those of [DecodeDue], and [ErrWire] for a schedule of the
// cluster.
func DueCommand(h nats.Header) (to actor.Address, name string, err error) {
	if First(h, headerCron) != "" {
		return to, "", fmt.Errorf("%s: %w", headerCron, ErrWire)
	}
	if name, err = CommandName(h); err != nil {
		return to, "", err
	}
	address, err := unescape(First(h, headerTarget))
	if err != nil {
		return to, "", err
	}
	if to, err = actor.ParseAddress(address); err != nil {
		return to, "", fmt.Errorf("%s: %w", headerTarget, err)
	}
	return to, name, nil
}

// CommandName reads the name of a stored command from its headers.
func CommandName(h nats.Header) (string, error) {
	name, err := unescape(First(h, headerName))
	if err == nil && (name == "" || First(h, headerType) != "") {
		err = fmt.Errorf("%s: no command: %w", headerName, ErrWire)
	}
	return name, err
}

// IsRuntimes reports whether a stored command has an id of the runtime's own.
func IsRuntimes(h nats.Header) bool {
	id, err := unescape(First(h, headerID))
	return err == nil && actor.CommandID(id).Internal()
}

// The headers of a message that came due and could not be read: where it was in its stream, and when.
const (
	headerDueSequence = "Gn-Due-Sequence"
	headerDueTime     = "Gn-Due-Time" // RFC 3339
)

// UnreadableDue keeps what [DecodeDue] could not read, for [RereadDue].
func UnreadableDue(h nats.Header, data []byte, sequence uint64, at time.Time) *actor.Unreadable {
	kept := maps.Clone(h)
	if kept == nil {
		kept = nats.Header{}
	}
	kept[headerDueSequence] = []string{strconv.FormatUint(sequence, 10)}
	kept[headerDueTime] = []string{at.UTC().Format(time.RFC3339Nano)}
	return &actor.Unreadable{Header: kept, Data: data}
}

// RereadDue reads what [UnreadableDue] kept. Errors are those of [DecodeDue].
func RereadDue(u *actor.Unreadable) (actor.Message, error) {
	sequence, err := strconv.ParseUint(First(u.Header, headerDueSequence), 10, 64)
	at, err2 := time.Parse(time.RFC3339Nano, First(u.Header, headerDueTime))
	if err != nil || err2 != nil {
		return actor.Message{}, fmt.Errorf("%s %q, %s %q: %w", headerDueSequence, First(u.Header, headerDueSequence), headerDueTime, First(u.Header, headerDueTime), ErrWire)
	}
	m, err := DecodeDue(u.Header, u.Data, sequence, at)
	if err == nil {
		err = m.Validate()
	}
	return m, err
}

// Order reads what [Namespace.EncodeTimer] wrote, 0 from other messages.
func Order(h nats.Header) int64 {
	order, err := strconv.ParseInt(First(h, HeaderOrder), 10, 64)
	if err != nil {
		return 0
	}
	return order
}
