package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
)

// The headers of a message. What has its most common value is left out, and
// headers that a reader does not know are ignored. Times are microseconds since
// 1970. Free text is escaped, see escape.go.
const (
	headerFormat      = "Gn-Format"   // of the wire; absent: 1
	headerType        = "Gn-Type"     // query or state; absent: command
	headerID          = "Gn-Id"       // command id
	headerName        = "Gn-Name"     // of the command or query
	headerTime        = "Gn-Time"     // when the caller made it
	headerDeadline    = "Gn-Deadline" // not executed after it, by the caller's clock
	HeaderPatience    = "Gn-Patience" // microseconds until then when it was published; absent: of an earlier build
	headerExpect      = "Gn-Expect"   // new or exists, and v42; comma between
	HeaderAttempt     = "Gn-Attempt"  // absent: 1
	HeaderReply       = "Gn-Reply"    // inbox of whoever waits, on the durable lane
	headerTrace       = "Gn-Trace"
	headerCorrelation = "Gn-Correlation"
	headerCausation   = "Gn-Causation"
	headerUser        = "Gn-User"
	headerWait        = "Gn-Wait"         // of a read of state: the version beyond, and microseconds; comma between
	headerTimer       = "Gn-Timer"        // name of the timer that has fired
	headerRefusedTo   = "Gn-Refused-To"   // whom to send what follows, should the command be refused
	headerRefusedName = "Gn-Refused-Name" // name of that command
	headerRefusedData = "Gn-Refused-Data" // its data
	headerOutside     = "Gn-Outside"      // 1: a node has it from outside; absent: the subject tells
	HeaderRelayed     = "Gn-Relayed"      // 1: of a node, where clients ask: for owners of earlier builds alone
)

const (
	// Format is the version of headers, subjects and stream metadata.
	Format = "1"

	typeQuery = "query"
	typeState = "state"

	expectNew    = "new"
	expectExists = "exists"
)

// ErrWire reports headers that are not of our making.
var ErrWire = errors.New("malformed headers")

// headers fills a nats.Header. The values of one message share an array.
type headers struct {
	to     nats.Header
	values []string
}

func newHeaders(size int) headers {
	return headers{to: make(nats.Header, size), values: make([]string, 0, size)}
}

func (h *headers) set(name, value string) {
	h.values = append(h.values, value)
	n := len(h.values)
	h.to[name] = h.values[n-1 : n : n]
}

func (h *headers) setText(name, value string) {
	if value != "" {
		h.set(name, escape(value))
	}
}

// First is the plain value of a header: nats.Header.Get without its surprises.
func First(h nats.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// reader parses headers until the first that is malformed, which it keeps.
type reader struct {
	from nats.Header
	err  error
}

func read[T any](r *reader, name string, parse func(string) (T, error)) T {
	v, err := parse(First(r.from, name))
	if r.err == nil {
		r.err = err
	}
	return v
}

func (r *reader) text(name string) string { return read(r, name, unescape) }

// EncodeMessage writes everything but the attempt and the inbox, which change
// from one attempt to the next.
func EncodeMessage(m *actor.Message) nats.Header {
	h := newHeaders(16)
	writeMessage(&h, m)
	return h.to
}

// headerWriter takes the headers of a message one by one.
type headerWriter interface {
	set(name, value string)
	setText(name, value string) // escaped; nothing for an empty one
}

func writeMessage(h headerWriter, m *actor.Message) {
	switch m.Type {
	case actor.TypeQuery:
		h.set(headerType, typeQuery)
	case actor.TypeState:
		h.set(headerType, typeState)
	case actor.TypeCommand:
	}
	h.setText(headerID, string(m.ID))
	h.setText(headerName, m.Name)
	h.set(headerTime, formatTime(m.Time))
	if !m.Deadline.IsZero() {
		h.set(headerDeadline, formatTime(m.Deadline))
	}
	if e := formatExpectation(m.Expect); e != "" {
		h.set(headerExpect, e)
	}
	if m.Wait.For > 0 {
		h.set(headerWait, formatWait(m.Wait))
	}
	h.setText(headerTrace, m.Metadata.Trace)
	h.setText(headerCorrelation, m.Metadata.Correlation)
	h.setText(headerCausation, m.Metadata.Causation)
	h.setText(headerUser, m.Metadata.User)
	h.setText(headerTimer, m.Timer)
	if f := m.OnRefusal; f != nil {
		h.setText(headerRefusedTo, f.To.String())
		h.setText(headerRefusedName, f.Name)
		h.setText(headerRefusedData, string(f.Data))
	}
	if m.Outside {
		h.set(headerOutside, "1")
	}
}

// DecodeMessage is the inverse of EncodeMessage. The message owns data from now on.
func DecodeMessage(to actor.Address, lane actor.Lane, h nats.Header, data []byte) (actor.Message, error) {
	m := actor.Message{Lane: lane, Target: to, Data: data, Attempt: 1}
	if f := First(h, headerFormat); f != "" && f != Format {
		return m, fmt.Errorf("format %q: %w", f, ErrWire)
	}
	switch t := First(h, headerType); t {
	case "":
	case typeQuery:
		m.Type = actor.TypeQuery
	case typeState:
		m.Type = actor.TypeState
	default:
		return m, fmt.Errorf("type %q: %w", t, ErrWire)
	}
	r := reader{from: h}
	m.ID = actor.CommandID(r.text(headerID))
	m.Name = r.text(headerName)
	m.Time = read(&r, headerTime, parseTime)
	m.Deadline = read(&r, headerDeadline, parseTime)
	m.Expect = read(&r, headerExpect, parseExpectation)
	m.Attempt = read(&r, HeaderAttempt, parseAttempt)
	m.Wait = read(&r, headerWait, parseWait)
	m.Metadata.Trace = r.text(headerTrace)
	m.Metadata.Correlation = r.text(headerCorrelation)
	m.Metadata.Causation = r.text(headerCausation)
	m.Metadata.User = r.text(headerUser)
	m.Timer = r.text(headerTimer)
	m.OnRefusal = r.fallback()
	m.Outside = First(h, headerOutside) != ""
	if r.err != nil {
		return m, r.err
	}
	if m.Time.IsZero() {
		return m, fmt.Errorf("no %s: %w", headerTime, ErrWire)
	}
	return m, m.Validate()
}

func (r *reader) fallback() *actor.Fallback {
	if First(r.from, headerRefusedTo) == "" {
		return nil
	}
	f := &actor.Fallback{To: read(r, headerRefusedTo, parseAddress), Name: r.text(headerRefusedName)}
	if data := r.text(headerRefusedData); data != "" {
		f.Data = []byte(data)
	}
	return f
}

func parseAddress(s string) (actor.Address, error) {
	text, err := unescape(s)
	if err != nil {
		return actor.Address{}, err
	}
	to, err := actor.ParseAddress(text)
	if err != nil {
		return to, fmt.Errorf("%w: %w", ErrWire, err)
	}
	return to, nil
}

// TruncateTime is t as the wire has it, so that both ends see the same time.
func TruncateTime(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.UnixMicro(micros(t)).UTC()
}

func formatTime(t time.Time) string { return strconv.FormatInt(micros(t), 10) }

// latestTime returns the last that JSON can have. What lies beyond it, like a deadline that
// means never, travels as it: some of it would not fit into 64 bits of microseconds, and
// come out as the past.
func latestTime() time.Time { return time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC) }

func micros(t time.Time) int64 {
	switch {
	case t.IsZero() || t.Before(time.Time{}):
		return time.Time{}.UnixMicro()
	case t.After(latestTime()):
		return latestTime().UnixMicro()
	default:
		return t.UnixMicro()
	}
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	us, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("time %q: %w", s, ErrWire)
	}
	return time.UnixMicro(us).UTC(), nil
}

// maxPatience is longer than anybody waits.
const maxPatience = 100 * 365 * 24 * time.Hour

// FormatPatience writes what is left of the time until the deadline, a microsecond at least.
func FormatPatience(left time.Duration) string {
	return strconv.FormatInt(max(left.Microseconds(), 1), 10)
}

// Patience reads what was left of the time until the deadline when the message was
// published; 0: its client is of an earlier build. The error wraps [ErrWire].
func Patience(h nats.Header) (time.Duration, error) {
	s := First(h, HeaderPatience)
	if s == "" {
		return 0, nil
	}
	us, err := strconv.ParseInt(s, 10, 64)
	if err != nil || us <= 0 {
		return 0, fmt.Errorf("patience %q: %w", s, ErrWire)
	}
	return time.Duration(min(us, maxPatience.Microseconds())) * time.Microsecond, nil
}

func formatWait(w actor.Wait) string {
	return strconv.FormatUint(uint64(w.Beyond), 10) + "," + strconv.FormatInt(w.For.Microseconds(), 10)
}

func parseWait(s string) (actor.Wait, error) {
	if s == "" {
		return actor.Wait{}, nil
	}
	version, micros, _ := strings.Cut(s, ",")
	beyond, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return actor.Wait{}, fmt.Errorf("wait %q: %w", s, ErrWire)
	}
	us, err := strconv.ParseInt(micros, 10, 64)
	if err != nil || us < 0 {
		return actor.Wait{}, fmt.Errorf("wait %q: %w", s, ErrWire)
	}
	return actor.Wait{Beyond: actor.Version(beyond), For: time.Duration(min(us, actor.MaxWait.Microseconds())) * time.Microsecond}, nil
}

func parseAttempt(s string) (int, error) {
	if s == "" {
		return 1, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("attempt %q: %w", s, ErrWire)
	}
	return int(n), nil
}

func formatExpectation(e actor.Expectation) string {
	var s string
	switch e.Creation {
	case actor.MustBeNew:
		s = expectNew
	case actor.MustExist:
		s = expectExists
	case actor.CreateOrUse:
	}
	if !e.Exact {
		return s
	}
	version := "v" + strconv.FormatUint(uint64(e.Version), 10)
	if s == "" {
		return version
	}
	return s + "," + version
}

func parseExpectation(s string) (actor.Expectation, error) {
	var e actor.Expectation
	for s != "" {
		var part string
		part, s, _ = strings.Cut(s, ",")
		version, exact := strings.CutPrefix(part, "v")
		switch {
		case part == expectNew:
			e.Creation = actor.MustBeNew
		case part == expectExists:
			e.Creation = actor.MustExist
		case exact:
			v, err := strconv.ParseUint(version, 10, 64)
			if err != nil {
				return e, fmt.Errorf("expectation %q: %w", part, ErrWire)
			}
			e.Exact, e.Version = true, actor.Version(v)
		default:
			return e, fmt.Errorf("expectation %q: %w", part, ErrWire)
		}
	}
	return e, nil
}
