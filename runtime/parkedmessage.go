package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// ErrParkedMessage reports a parked command whose record this build cannot read: it is
// damaged, or of a newer build.
var ErrParkedMessage = errors.New("the record of the parked command cannot be read")

// parkedFormat is the version of parkedMessage. A record without one is of a build that
// stored the fields of actor.Message under their Go names: see parkedEarlier.
const parkedFormat = 1

// parkedMessage is the stored form of a parked command. Its tags and words are a
// database format, held by a golden file: they never change their meaning, and a reader
// refuses a format that it does not know.
type parkedMessage struct {
	Format    int             `json:"format"`
	Target    string          `json:"target,omitempty"` // kind/id
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Data      []byte          `json:"data,omitempty"`     // base64: it need not be JSON
	Time      *int64          `json:"time,omitempty"`     // microseconds since 1970
	Deadline  *int64          `json:"deadline,omitempty"` // likewise; absent: none
	Attempt   int             `json:"attempt,omitempty"`
	Lane      string          `json:"lane,omitempty"`   // direct; absent: durable
	Expect    *parkedExpect   `json:"expect,omitempty"` // absent: nothing
	Metadata  parkedMetadata  `json:"metadata,omitzero"`
	Timer     string          `json:"timer,omitempty"`
	OnRefusal *parkedFallback `json:"onRefusal,omitempty"`
	Outside   bool            `json:"outside,omitempty"` // absent in records of builds that did not tell: see node/unserved.go
	Waits     string          `json:"waits,omitempty"`   // what it waits for, other than an operator: see ParkedWaits
	Set       *parkedTimer    `json:"set,omitempty"`     // the timer is to be set; absent: the command is to be sent

	// In the place of all but Format and Waits: a message that cannot be read, or that the
	// events of the aggregate wait.
	Unreadable *actor.Unreadable `json:"unreadable,omitempty"`
	History    *heldHistory      `json:"history,omitempty"`
}

type parkedExpect struct {
	Creation string  `json:"creation,omitempty"` // new or exists; absent: either
	Version  *uint64 `json:"version,omitempty"`  // absent: any
}

type parkedMetadata struct {
	Trace       string `json:"trace,omitempty"`
	Correlation string `json:"correlation,omitempty"`
	Causation   string `json:"causation,omitempty"`
	User        string `json:"user,omitempty"`
}

type parkedFallback struct {
	To   string `json:"to"` // kind/id
	Name string `json:"name"`
	Data []byte `json:"data,omitempty"` // base64
}

const (
	parkedDirect = "direct"
	parkedNew    = "new"
	parkedExists = "exists"
)

// encodeParked returns the stored form of a command. waits says why no node could execute
// it; empty: it is for an operator.
func encodeParked(m *actor.Message, waits actor.Code) []byte {
	r := recordOf(m, waits)
	return r.encode()
}

func recordOf(m *actor.Message, waits actor.Code) parkedMessage {
	r := parkedMessage{
		Format: parkedFormat, Target: m.Target.String(), ID: string(m.ID), Name: m.Name, Data: m.Data,
		Time: storedTime(m.Time), Deadline: storedTime(m.Deadline), Attempt: m.Attempt,
		Metadata: parkedMetadata(m.Metadata), Timer: m.Timer, Waits: string(waits), Outside: m.Outside,
	}
	if m.Lane == actor.LaneDirect {
		r.Lane = parkedDirect
	}
	if e := m.Expect; e != (actor.Expectation{}) {
		r.Expect = &parkedExpect{}
		switch e.Creation {
		case actor.MustBeNew:
			r.Expect.Creation = parkedNew
		case actor.MustExist:
			r.Expect.Creation = parkedExists
		case actor.CreateOrUse:
		}
		if e.Exact {
			r.Expect.Version = new(uint64(e.Version))
		}
	}
	if f := m.OnRefusal; f != nil {
		r.OnRefusal = &parkedFallback{To: f.To.String(), Name: f.Name, Data: f.Data}
	}
	return r
}

func (r *parkedMessage) encode() []byte {
	data, err := json.Marshal(r)
	if err != nil { // it has no part that cannot be encoded
		panic("runtime: encode parked command: " + err.Error())
	}
	return data
}

// storedTime has room for every time that a message can carry; RFC 3339 has not.
func storedTime(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return new(t.UnixMicro())
}

func timeOf(us *int64) time.Time {
	if us == nil {
		return time.Time{}
	}
	return time.UnixMicro(*us).UTC()
}

// ParkedMessage returns the command as it was parked, by this build or an earlier one.
// The error wraps [ErrParkedMessage].
func ParkedMessage(p *store.Parked) (actor.Message, error) {
	m, err := decodeParked(p.Message)
	if err == nil && (m.Type != actor.TypeCommand || m.Target.String() != string(p.Aggregate) || string(m.ID) != p.CommandID) {
		err = errors.New("it is not a command of its aggregate and id")
	}
	if err != nil {
		return actor.Message{}, fmt.Errorf("%s of %s: %w: %w", p.CommandID, p.Aggregate, ErrParkedMessage, err)
	}
	return m, nil
}

func decodeParked(data []byte) (actor.Message, error) {
	var format struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &format); err != nil {
		return actor.Message{}, err
	}
	switch format.Format {
	case 0:
		return decodeParkedEarlier(data)
	case parkedFormat:
	default:
		return actor.Message{}, fmt.Errorf("format %d, of a newer build", format.Format)
	}
	var r parkedMessage
	if err := json.Unmarshal(data, &r); err != nil {
		return actor.Message{}, err
	}
	to, err := actor.ParseAddress(r.Target)
	if err != nil {
		return actor.Message{}, err
	}
	m := actor.Message{
		Target: to, ID: actor.CommandID(r.ID), Name: r.Name, Data: r.Data, Attempt: r.Attempt,
		Metadata: actor.Metadata(r.Metadata), Timer: r.Timer, Outside: r.Outside,
		Time: timeOf(r.Time), Deadline: timeOf(r.Deadline),
	}
	if r.Lane == parkedDirect {
		m.Lane = actor.LaneDirect
	}
	if m.Expect, err = r.Expect.expectation(); err != nil {
		return m, err
	}
	m.OnRefusal, err = r.OnRefusal.fallback()
	return m, err
}

func (e *parkedExpect) expectation() (actor.Expectation, error) {
	if e == nil {
		return actor.Expectation{}, nil
	}
	var x actor.Expectation
	switch e.Creation {
	case "":
	case parkedNew:
		x.Creation = actor.MustBeNew
	case parkedExists:
		x.Creation = actor.MustExist
	default:
		return x, fmt.Errorf("creation %q is not known", e.Creation)
	}
	if e.Version != nil {
		x.Exact, x.Version = true, actor.Version(*e.Version)
	}
	return x, nil
}

func (f *parkedFallback) fallback() (*actor.Fallback, error) {
	if f == nil {
		return nil, nil //nolint:nilnil // nobody waits for a refusal
	}
	to, err := actor.ParseAddress(f.To)
	return &actor.Fallback{To: to, Name: f.Name, Data: f.Data}, err
}

// parkedEarlier is what builds before format 1 stored: an actor.Message of their time,
// under the names of its fields.
type parkedEarlier struct {
	Type   uint8           `json:"Type"` // 0: command
	Lane   uint8           `json:"Lane"` // 0: durable, 1: direct
	Target parkedAddress   `json:"Target"`
	ID     actor.CommandID `json:"ID"`
	Name   string          `json:"Name"`
	Data   []byte          `json:"Data"`

	Time     time.Time `json:"Time"`
	Deadline time.Time `json:"Deadline"`
	Attempt  int       `json:"Attempt"`
	Expect   struct {
		Creation uint8  `json:"Creation"` // 0: either, 1: must exist, 2: must be new
		Exact    bool   `json:"Exact"`
		Version  uint64 `json:"Version"`
	} `json:"Expect"`
	Metadata  parkedMetadata `json:"Metadata"`
	Timer     string         `json:"Timer"`
	OnRefusal *struct {
		To   parkedAddress `json:"To"`
		Name string        `json:"Name"`
		Data []byte        `json:"Data"`
	} `json:"OnRefusal"`
}

type parkedAddress struct {
	Kind actor.Kind `json:"Kind"`
	ID   string     `json:"ID"`
}

func decodeParkedEarlier(data []byte) (actor.Message, error) {
	var r parkedEarlier
	if err := json.Unmarshal(data, &r); err != nil {
		return actor.Message{}, err
	}
	m := actor.Message{
		Target: actor.Address(r.Target), ID: r.ID, Name: r.Name, Data: r.Data, Time: r.Time, Deadline: r.Deadline,
		Attempt: r.Attempt, Metadata: actor.Metadata(r.Metadata), Timer: r.Timer,
		Expect: actor.Expectation{Exact: r.Expect.Exact, Version: actor.Version(r.Expect.Version)},
	}
	creations := []actor.Creation{actor.CreateOrUse, actor.MustExist, actor.MustBeNew}
	if r.Type != 0 || r.Lane > 1 || int(r.Expect.Creation) >= len(creations) {
		return m, fmt.Errorf("type %d, lane %d, creation %d", r.Type, r.Lane, r.Expect.Creation)
	}
	if r.Lane == 1 {
		m.Lane = actor.LaneDirect
	}
	m.Expect.Creation = creations[r.Expect.Creation]
	if f := r.OnRefusal; f != nil {
		m.OnRefusal = &actor.Fallback{To: actor.Address(f.To), Name: f.Name, Data: f.Data}
	}
	return m, nil
}
