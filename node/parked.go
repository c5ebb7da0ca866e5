package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// parking is what operators see of parked commands and events, and do with them. What
// can meet, when two of them are at it, is written down in runtime/parking.go.
type parking struct {
	store       store.Parking
	client      actor.Client
	projections *projections // nil: the node has none
	reread      func(*actor.Unreadable) ([]actor.Message, error)
	outbox      runtime.Outbox
	commits     store.Commits
}

// retryTimeout bounds the wait for what becomes of a retry or a skip. What is met
// later than that is not executed, and stays parked.
const retryTimeout = 10 * time.Second

func (p *parking) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /parked", p.serveList)
	mux.HandleFunc("GET /parked/show", p.serveShow)
	mux.HandleFunc("POST /parked/retry", p.serveRetry)
	mux.HandleFunc("POST /parked/skip", p.serveSkip)
}

// serveShow shows one: the command with all that travels with it, or the events.
func (p *parking) serveShow(w http.ResponseWriter, r *http.Request) {
	if name := r.URL.Query().Get("projection"); name != "" {
		if p.projections == nil {
			answerProblem(w, http.StatusNotFound, codeNotFound, "the node has no projections")
			return
		}
		r.SetPathValue("name", name)
		p.projections.serveParked(w, r)
		return
	}
	parked, ok := p.find(w, r)
	if !ok {
		return
	}
	view := viewParked(&parked)
	if stored, unreadable := runtime.ParkedUnreadable(&parked); unreadable {
		view.Stored = &storedView{Subject: stored.Subject, Header: stored.Header, Data: viewData(stored.Data)}
	} else if m, err := runtime.ParkedMessage(&parked); err == nil {
		view.Command = viewCommand(&m)
	}
	answerJSON(w, http.StatusOK, view)
}

// Codes of the answers to operators, beside those of outcomes.
const (
	codeNotFound    actor.Code = "not_found"
	codeMalformed   actor.Code = "malformed"
	codeUnavailable actor.Code = "unavailable"
	codeDecided     actor.Code = "decided" // what should be skipped had an outcome before
)

// find looks up the parked command that is asked for. If there is none, it answers.
func (p *parking) find(w http.ResponseWriter, r *http.Request) (store.Parked, bool) {
	q := r.URL.Query()
	if _, err := actor.ParseAddress(q.Get("aggregate")); err != nil || q.Get("id") == "" {
		answerProblem(w, http.StatusBadRequest, codeMalformed, "aggregate=kind/id and id= of the command, or projection=, are required")
		return store.Parked{}, false
	}
	parked, found, err := p.store.FindParked(r.Context(), store.Aggregate(q.Get("aggregate")), q.Get("id"))
	switch {
	case err != nil:
		answerProblem(w, http.StatusServiceUnavailable, codeUnavailable, err.Error())
	case !found:
		answerProblem(w, http.StatusNotFound, codeNotFound, "the command is not parked, or not any more")
	}
	return parked, found && err == nil
}

// again returns the command as it is sent again: under the same id, with the same time,
// expectation, metadata, timer and fallback. Its deadline and its attempts were its
// caller's, who was told that it waits for an operator.
func again(m actor.Message) actor.Message {
	m.Lane, m.Deadline, m.Attempt = actor.LaneDurable, time.Time{}, 0
	return m
}

// final reports whether a command is done with: a decision was made that is in the
// history or recorded, or none will be, as its timer is not set to it any more.
func final(o *actor.Outcome) bool {
	return o.Code.Recorded() || o.Code == actor.CodeCancelled || o.Version > 0
}

// settle brings a message to the owner of the parked command. It takes the command
// off the list when the outcome is final. Otherwise it answers, and returns false.
func (p *parking) settle(w http.ResponseWriter, r *http.Request, parked *store.Parked, message func(actor.Message) actor.Message) (actor.Outcome, bool) {
	m, err := runtime.ParkedMessage(parked)
	if err != nil {
		answerProblem(w, http.StatusConflict, codeMalformed, err.Error())
		return actor.Outcome{}, false
	}
	// Once it is sent it goes on, though nobody may hear of it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), retryTimeout)
	defer cancel()
	o := p.client.Deliver(ctx, message(again(m)))
	decided := final
	if runtime.ParkedWaits(parked) != actor.CodeOK {
		decided = served
	}
	if !decided(&o) {
		answerProblem(w, statusOf(o.Code), o.Code, "the command stays parked: "+p.why(ctx, parked, &o))
		return o, false
	}
	return o, p.remove(w, r, parked)
}

// why says why a command stays parked. The outcome's text is for callers: of a fault it names
// an incident. An operator gets what the record says.
func (p *parking) why(ctx context.Context, parked *store.Parked, o *actor.Outcome) string {
	if o.Code == actor.CodeParked {
		if now, found, err := p.store.FindParked(ctx, parked.Aggregate, parked.CommandID); err == nil && found {
			return o.Detail + ": " + now.Reason
		}
	}
	return o.Detail
}

func (p *parking) remove(w http.ResponseWriter, r *http.Request, parked *store.Parked) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), retryTimeout)
	defer cancel()
	if err := p.store.Unpark(ctx, parked.Aggregate, parked.CommandID); err != nil {
		answerProblem(w, http.StatusServiceUnavailable, codeUnavailable, "it is decided, but still on the list; do it again: "+err.Error())
		return false
	}
	return true
}

// statusOf tells whether it makes sense to try again without a change: 502.
func statusOf(c actor.Code) int {
	switch c {
	case actor.CodeOverloaded, actor.CodeNoOwner, actor.CodeExpired, actor.CodeUnknownOutcome:
		return http.StatusBadGateway
	default:
		return http.StatusConflict
	}
}

// ownCommand returns the parked command that a request means; false: it has been
// answered, here or, if it means events, by those who know them.
func (p *parking) ownCommand(w http.ResponseWriter, r *http.Request, action string) (parked store.Parked, ok bool) {
	if p.delegated(w, r, action) {
		return parked, false
	}
	return p.find(w, r)
}

// serveRetry has the command executed, under its id: at most once, whoever else
// repeats it. It answers with the outcome if that is final, a refusal included.
func (p *parking) serveRetry(w http.ResponseWriter, r *http.Request) {
	parked, ok := p.ownCommand(w, r, "retry")
	if !ok {
		return
	}
	if stored, unreadable := runtime.ParkedUnreadable(&parked); unreadable {
		p.retryUnreadable(w, r, &parked, stored)
		return
	}
	if runtime.ParkedWaits(&parked) == runtime.WaitsUnsent {
		p.release(w, r, &parked)
		return
	}
	if _, held := runtime.HeldHistory(&parked); held {
		p.retryHistory(w, r, &parked)
		return
	}
	o, ok := p.settle(w, r, &parked, func(m actor.Message) actor.Message { return m })
	if ok {
		answerJSON(w, http.StatusOK, map[string]any{"status": "finished", "outcome": viewOutcome(&o)})
	}
}

// retryUnreadable has the commands of a message executed that could not be read, if this
// build can read it.
func (p *parking) retryUnreadable(w http.ResponseWriter, r *http.Request, parked *store.Parked, stored *actor.Unreadable) {
	messages, err := p.reread(stored)
	if err != nil {
		answerProblem(w, http.StatusConflict, codeMalformed, "this build cannot read the message, either: "+err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), retryTimeout)
	defer cancel()
	outcomes := make([]outcomeView, 0, len(messages))
	for i := range messages {
		o := p.client.Deliver(ctx, again(messages[i]))
		if !final(&o) {
			answerProblem(w, statusOf(o.Code), o.Code, "the message stays parked: "+o.Detail)
			return
		}
		outcomes = append(outcomes, viewOutcome(&o))
	}
	if p.remove(w, r, parked) {
		answerJSON(w, http.StatusOK, map[string]any{"status": "finished", "outcomes": outcomes})
	}
}

// release sends what could not be sent to the aggregate, in order: the one that is named,
// what waits before it, and what waits behind it.
func (p *parking) release(w http.ResponseWriter, r *http.Request, parked *store.Parked) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), retryTimeout)
	defer cancel()
	if err := runtime.Release(ctx, p.store, p.outbox, parked.Aggregate, retryTimeout/2); err != nil {
		answerProblem(w, http.StatusBadGateway, codeUnavailable, "it cannot be sent still, and stays parked with what waits behind it: "+err.Error())
		return
	}
	answerJSON(w, http.StatusOK, map[string]any{"status": "sent"})
}

// retryHistory says why a commit cannot be read, or that the relay goes on with it.
func (p *parking) retryHistory(w http.ResponseWriter, r *http.Request, parked *store.Parked) {
	ctx, cancel := context.WithTimeout(r.Context(), retryTimeout)
	defer cancel()
	if err := runtime.RetryHistory(ctx, p.commits, parked); err != nil {
		answerProblem(w, http.StatusConflict, codeMalformed, "the commit cannot be read still: "+err.Error())
		return
	}
	answerJSON(w, http.StatusAccepted, map[string]any{"status": "readable", "detail": "the relay brings the events out within some seconds"})
}

// skipHistory gives up a commit that cannot be read.
func (p *parking) skipHistory(w http.ResponseWriter, r *http.Request, parked *store.Parked) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), retryTimeout)
	defer cancel()
	if err := runtime.SkipHistory(ctx, p.store, parked); err != nil {
		answerProblem(w, http.StatusServiceUnavailable, codeUnavailable, err.Error())
		return
	}
	answerJSON(w, http.StatusAccepted, map[string]any{"status": "given up", "detail": "the relay puts " + actor.EventSkipped + " in the place of its events"})
}

// serveSkip has the command never take effect. With force=true it is only taken off
// the list, which is all that can be done if nobody can decide anything for its
// aggregate: who repeats the command has it executed then.
func (p *parking) serveSkip(w http.ResponseWriter, r *http.Request) {
	parked, ok := p.ownCommand(w, r, "skip")
	if !ok {
		return
	}
	if _, held := runtime.HeldHistory(&parked); held { // nothing can be taken off the list without a gap in the event stream
		p.skipHistory(w, r, &parked)
		return
	}
	if _, unreadable := runtime.ParkedUnreadable(&parked); unreadable || r.URL.Query().Get("force") == "true" {
		if p.remove(w, r, &parked) {
			answerJSON(w, http.StatusOK, map[string]any{"status": "removed"})
		}
		return
	}
	o, ok := p.settle(w, r, &parked, actor.Skip)
	switch {
	case !ok:
	case errors.Is(o.Err(), actor.ErrSkipped), o.Code == actor.CodeCancelled:
		answerJSON(w, http.StatusOK, map[string]any{"status": "skipped", "outcome": viewOutcome(&o)})
	default:
		answerProblem(w, http.StatusConflict, codeDecided, "it had an outcome before, and is not parked any more: "+outcomeText(&o))
	}
}

// delegated does it to the events of a projection, if one is named.
func (p *parking) delegated(w http.ResponseWriter, r *http.Request, action string) bool {
	name := r.URL.Query().Get("projection")
	if name == "" {
		return false
	}
	if p.projections == nil {
		answerProblem(w, http.StatusNotFound, codeNotFound, "the node has no projections")
		return true
	}
	r.SetPathValue("name", name)
	r.SetPathValue("action", action)
	p.projections.serveAction(w, r)
	return true
}

func outcomeText(o *actor.Outcome) string {
	if err := o.Err(); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("carried out, version %d", o.Version)
}

func answerProblem(w http.ResponseWriter, status int, code actor.Code, detail string) {
	answerWith(w, gateway.Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail})
}

func answerWith(w http.ResponseWriter, p gateway.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client has gone
}
