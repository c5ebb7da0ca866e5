package node

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/store"
)

// parkedView is a parked command, or an aggregate whose events are parked for a
// projection or a router, as operators see it.
type parkedView struct {
	Type       string    `json:"type"` // command or event
	Aggregate  string    `json:"aggregate"`
	CommandID  string    `json:"commandId,omitempty"`  // of a command
	Projection string    `json:"projection,omitempty"` // for which events are parked
	Name       string    `json:"name"`                 // of the command, or of the event that failed
	Reason     string    `json:"reason"`
	Stack      string    `json:"stack,omitempty"`
	Attempts   int       `json:"attempts"`
	Time       time.Time `json:"time"` // when it was parked, last

	State   projection.ParkedState `json:"state,omitempty"`
	Version actor.Version          `json:"version,omitempty"` // of the event
	Events  int                    `json:"events,omitempty"`  // that wait

	Command *commandView `json:"command,omitempty"` // when one is shown
	Stored  *storedView  `json:"stored,omitempty"`  // when a message is shown that could not be read
}

// storedView is a message of the command stream that could not be read.
type storedView struct {
	Subject string              `json:"subject"`
	Header  map[string][]string `json:"header"`
	Data    any                 `json:"data"` // a string if it is not JSON
}

func viewParked(p *store.Parked) parkedView {
	return parkedView{
		Type: "command", Aggregate: string(p.Aggregate), CommandID: p.CommandID, Name: p.Name,
		Reason: p.Reason, Stack: p.Stack, Attempts: p.Attempts, Time: p.Time,
	}
}

func viewParkedEvent(name string, p *projection.Parked) parkedView {
	return parkedView{
		Type: "event", Aggregate: p.Source.String(), Projection: name, Name: p.Event, Reason: p.Reason, Stack: p.Stack,
		Attempts: p.Attempts, Time: p.Since, State: p.State, Version: p.Version, Events: p.Count,
	}
}

// commandView is a command with all that travels with it.
type commandView struct {
	ID        actor.CommandID  `json:"id"`
	Name      string           `json:"name"`
	Data      any              `json:"data"` // a string if it is not JSON
	Time      time.Time        `json:"time"`
	Expect    *expectationView `json:"expect,omitempty"`
	Metadata  actor.Metadata   `json:"metadata"`
	Timer     string           `json:"timer,omitempty"`
	OnRefusal *fallbackView    `json:"onRefusal,omitempty"`
}

type expectationView struct {
	Version *actor.Version `json:"version,omitempty"`
	Exists  *bool          `json:"exists,omitempty"`
}

type fallbackView struct {
	To   string `json:"to"`
	Name string `json:"name"`
	Data any    `json:"data"`
}

func viewCommand(m *actor.Message) *commandView {
	v := &commandView{ID: m.ID, Name: m.Name, Data: viewData(m.Data), Time: m.Time, Metadata: m.Metadata, Timer: m.Timer}
	if f := m.OnRefusal; f != nil {
		v.OnRefusal = &fallbackView{To: f.To.String(), Name: f.Name, Data: viewData(f.Data)}
	}
	if m.Expect == (actor.Expectation{}) {
		return v
	}
	v.Expect = &expectationView{}
	if m.Expect.Exact {
		v.Expect.Version = &m.Expect.Version
	}
	if c := m.Expect.Creation; c != actor.CreateOrUse {
		exists := c == actor.MustExist
		v.Expect.Exists = &exists
	}
	return v
}

func viewData(data []byte) any {
	switch {
	case len(data) == 0:
		return json.RawMessage("{}")
	case json.Valid(data):
		return json.RawMessage(data)
	default:
		return string(data)
	}
}

// outcomeView is what became of a command.
type outcomeView struct {
	Code      actor.Code       `json:"code"` // ok, or why not
	Version   actor.Version    `json:"version,omitempty"`
	Reply     json.RawMessage  `json:"reply,omitempty"`
	Rejection *actor.Rejection `json:"rejection,omitempty"`
	Detail    string           `json:"detail,omitempty"`
}

func viewOutcome(o *actor.Outcome) outcomeView {
	v := outcomeView{Code: o.Code, Version: o.Version, Reply: o.Reply, Rejection: o.Rejection, Detail: o.Detail}
	if v.Code == actor.CodeOK {
		v.Code = "ok"
	}
	return v
}

// Bounds of one answer of the list, and of how far it can be paged through.
const (
	parkedLimit     = 100
	parkedLimitMax  = 1000
	parkedOffsetMax = 100_000
)

// page gathers the part of a list that is asked for.
type page struct {
	skip, limit int
	views       []parkedView
	more        bool
}

// add returns false when there is no need for more.
func (p *page) add(v parkedView) bool {
	switch {
	case p.skip > 0:
		p.skip--
	case len(p.views) == p.limit:
		p.more = true
	default:
		p.views = append(p.views, v)
	}
	return !p.more
}

// serveList lists commands, oldest first, then what is parked for projections and
// routers. The answer has the offset of the next page if there is one; what is taken
// off the list in the meantime moves what is behind it.
func (p *parking) serveList(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	aggregate := q.Get("aggregate")
	limit, limitOK := number(q.Get("limit"), parkedLimit, parkedLimitMax)
	offset, offsetOK := number(q.Get("offset"), 0, parkedOffsetMax)
	_, err := actor.ParseAddress(aggregate)
	if aggregate != "" && err != nil || !limitOK || !offsetOK || limit == 0 {
		answerProblem(w, http.StatusBadRequest, codeMalformed, "aggregate=kind/id, limit=1 to 1000 and offset=0 to 100000 are allowed")
		return
	}
	pg := &page{skip: offset, limit: limit, views: []parkedView{}}
	if err := p.list(r.Context(), aggregate, offset, pg); err != nil {
		answerProblem(w, http.StatusServiceUnavailable, codeUnavailable, err.Error())
		return
	}
	body := map[string]any{"parked": pg.views}
	if pg.more {
		body["next"] = offset + limit
	}
	answerJSON(w, http.StatusOK, body)
}

func number(s string, otherwise, most int) (int, bool) {
	if s == "" {
		return otherwise, true
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && n <= most
}

func (p *parking) list(ctx context.Context, aggregate string, offset int, pg *page) error {
	for one, err := range p.store.ListParked(ctx, store.Aggregate(aggregate)) {
		if errors.Is(err, store.ErrCorrupt) { // the others are listed all the same
			one.Reason, err = "the record cannot be read: "+err.Error(), nil
		}
		if err != nil {
			return err
		}
		if !pg.add(viewParked(&one)) {
			return nil
		}
	}
	if p.projections == nil {
		return nil
	}
	all, err := p.projections.control.List(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		parked, err := p.projections.parkedOf(ctx, s.Name, aggregate, offset+pg.limit+1)
		if err != nil {
			return err
		}
		for i := range parked {
			if !pg.add(viewParkedEvent(s.Name, &parked[i])) {
				return nil
			}
		}
	}
	return nil
}

// parkedOf returns at most so many of what is parked for a projection.
func (p *projections) parkedOf(ctx context.Context, name, aggregate string, limit int) ([]projection.Parked, error) {
	if aggregate == "" {
		all, err := p.control.ParkedList(ctx, name, limit)
		if errors.Is(err, projection.ErrNotFound) {
			return nil, nil // it has not begun yet
		}
		return all, err
	}
	source, err := actor.ParseAddress(aggregate)
	if err != nil {
		return nil, err
	}
	one, _, err := p.control.ParkedShow(ctx, name, source, 1)
	if errors.Is(err, projection.ErrNotFound) {
		return nil, nil
	}
	return []projection.Parked{one}, err
}
