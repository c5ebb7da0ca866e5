package node

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

// projectionView is a projection as operators see it.
type projectionView struct {
	projection.Status
	Here projection.Load `json:"here"` // what the asked node runs of it
}

// parkedSource is an aggregate that is parked for a projection, as operators see it.
type parkedSource struct {
	Aggregate string                 `json:"aggregate"`
	State     projection.ParkedState `json:"state"`
	Event     string                 `json:"event"`
	Version   actor.Version          `json:"version"`
	Position  uint64                 `json:"position"`
	Events    int                    `json:"events"` // that wait
	Attempts  int                    `json:"attempts"`
	Reason    string                 `json:"reason"`
	Stack     string                 `json:"stack,omitempty"`
	Since     time.Time              `json:"since"`
	Next      time.Time              `json:"next"`
}

func viewParkedSource(p *projection.Parked) parkedSource {
	return parkedSource{
		Aggregate: p.Source.String(), State: p.State, Event: p.Event, Version: p.Version, Position: p.Position, Events: p.Count,
		Attempts: p.Attempts, Reason: p.Reason, Stack: p.Stack, Since: p.Since, Next: p.Next,
	}
}

type parkedEventView struct {
	Version   actor.Version   `json:"version"`
	Position  uint64          `json:"position"`
	Type      string          `json:"type"`
	Time      time.Time       `json:"time"`
	CommandID actor.CommandID `json:"commandId"`
	Data      json.RawMessage `json:"data"`
}

// parkedSourcesShown bounds the list of the aggregates that are parked for a projection.
const parkedSourcesShown = 1000

// parkedEventsShown bounds the events of a parked aggregate that are shown.
const parkedEventsShown = 100

// register adds the paths of operation. A node without projections has none.
func (p *projections) register(mux *http.ServeMux) {
	if p == nil {
		return
	}
	mux.HandleFunc("GET /projections", p.serveList)
	mux.HandleFunc("GET /projections/{name}/parked", p.serveParked)
	mux.HandleFunc("POST /projections/{name}/{action}", p.serveAction)
}

func (p *projections) serveList(w http.ResponseWriter, r *http.Request) {
	all, err := p.control.List(r.Context())
	if err != nil {
		answerProjectionError(w, err)
		return
	}
	here := p.engine.Load()
	views := make([]projectionView, len(all))
	for i, s := range all {
		views[i] = projectionView{s, here[s.Name]}
	}
	answerJSON(w, http.StatusOK, map[string]any{"projections": views})
}

// serveParked lists what is parked, or shows one aggregate's events.
func (p *projections) serveParked(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !r.URL.Query().Has("aggregate") {
		parked, err := p.control.ParkedList(r.Context(), name, parkedSourcesShown)
		if err != nil {
			answerProjectionError(w, err)
			return
		}
		views := make([]parkedSource, len(parked))
		for i := range parked {
			views[i] = viewParkedSource(&parked[i])
		}
		answerJSON(w, http.StatusOK, map[string]any{"parked": views})
		return
	}
	source, err := actor.ParseAddress(r.URL.Query().Get("aggregate"))
	if err != nil {
		answerJSON(w, http.StatusBadRequest, map[string]any{"code": "malformed", "detail": err.Error()})
		return
	}
	parked, events, err := p.control.ParkedShow(r.Context(), name, source, parkedEventsShown)
	if err != nil {
		answerProjectionError(w, err)
		return
	}
	views := make([]parkedEventView, len(events))
	for i, e := range events {
		views[i] = parkedEventView{Version: e.Version, Position: e.Position, Type: e.Name, Time: e.Time, CommandID: e.CommandID, Data: e.Data}
		if len(e.Data) == 0 { // too large to be kept
			views[i].Data = json.RawMessage("null")
		}
	}
	answerJSON(w, http.StatusOK, map[string]any{"parked": viewParkedSource(&parked), "events": views})
}

func (p *projections) serveAction(w http.ResponseWriter, r *http.Request) {
	ctx, name, action := r.Context(), r.PathValue("name"), r.PathValue("action")
	var err error
	switch action {
	case "pause":
		err = p.control.Pause(ctx, name)
	case "resume":
		err = p.control.Resume(ctx, name)
	case "rebuild":
		err = p.control.Rebuild(ctx, name)
	case "cancel-rebuild":
		err = p.control.CancelRebuild(ctx, name)
	case "retry", "skip":
		var source actor.Address
		if source, err = actor.ParseAddress(r.URL.Query().Get("aggregate")); err != nil {
			break
		}
		if action == "retry" {
			err = p.control.Retry(ctx, name, source)
		} else {
			err = p.control.Skip(ctx, name, source)
		}
	default:
		answerJSON(w, http.StatusNotFound, map[string]any{"code": "unknown_action", "detail": action})
		return
	}
	if err != nil {
		answerProjectionError(w, err)
		return
	}
	p.engine.Poke()
	answerJSON(w, http.StatusAccepted, map[string]any{"status": "accepted"})
}

func answerProjectionError(w http.ResponseWriter, err error) {
	status, code := http.StatusServiceUnavailable, "unavailable"
	switch {
	case errors.Is(err, projection.ErrNotFound):
		status, code = http.StatusNotFound, "not_found"
	case errors.Is(err, projection.ErrRebuilding), errors.Is(err, projection.ErrNotRebuilding), errors.Is(err, projection.ErrRouter):
		status, code = http.StatusConflict, "conflict"
	case errors.Is(err, actor.ErrAddress):
		status, code = http.StatusBadRequest, "malformed"
	}
	answerJSON(w, status, map[string]any{"code": code, "detail": err.Error()})
}
