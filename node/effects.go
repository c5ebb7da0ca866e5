package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// Handle gives the node what carries effects out, beside the performers of its
// configuration. It is called before [Node.Run]; the error wraps [ErrConfig].
func (n *Node) Handle(performers ...*actor.Performer) error {
	if err := n.runtime.Handle(performers...); err != nil {
		return errors.Join(err, ErrConfig)
	}
	return nil
}

// effects is how operators see and change what aggregates have asked of the world.
type effects struct {
	bus   *natsbus.Bus
	store store.Parking
	here  *runtime.Node
}

// Bounds of a list of pending effects.
const (
	effectsShown  = 1000
	effectsLooked = 20_000 // timers that are read for it
)

// effectView is a pending effect as operators see it.
type effectView struct {
	Effect    string              `json:"effect"`
	Aggregate string              `json:"aggregate"`
	Key       string              `json:"key"`
	State     runtime.EffectState `json:"state"` // as the asked node knows; "noted": another one looks after it, or none
	Node      string              `json:"node,omitempty"`
	Asked     time.Time           `json:"asked"`
	Attempts  int                 `json:"attempts"`
	Failures  int                 `json:"failures"`
	Error     string              `json:"error,omitempty"`
	Started   time.Time           `json:"started,omitzero"`
	Next      time.Time           `json:"next,omitzero"`
	Returns   time.Time           `json:"returns,omitzero"`  // when it comes back to its owner if nobody looks after it
	Command   string              `json:"command,omitempty"` // that is to end it, once that is known
}

// effectNoted is the state of an effect that the asked node does not look after.
const effectNoted runtime.EffectState = "noted"

func (e *effects) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /effects", e.serveList)
	mux.HandleFunc("POST /effects/{action}", e.serveAction)
}

// serveList shows what is known of each effect here, and what is pending in the cluster.
func (e *effects) serveList(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit := effectsShown
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > effectsShown {
			answerJSON(w, http.StatusBadRequest, map[string]any{"code": "malformed", "detail": fmt.Sprintf("limit is 1 to %d", effectsShown)})
			return
		}
		limit = n
	}
	var of actor.Address
	if text := q.Get("aggregate"); text != "" {
		var err error
		if of, err = actor.ParseAddress(text); err != nil {
			answerJSON(w, http.StatusBadRequest, map[string]any{"code": "malformed", "detail": err.Error()})
			return
		}
	}
	pending, complete, err := e.pending(r.Context(), of, q.Get("effect"))
	if err != nil {
		answerJSON(w, http.StatusServiceUnavailable, map[string]any{"code": "unavailable", "detail": err.Error()})
		return
	}
	more := max(len(pending)-limit, 0)
	answerJSON(w, http.StatusOK, map[string]any{
		"effects": e.here.EffectStatus(), "pending": pending[:len(pending)-more], "more": more, "complete": complete,
	})
}

// pending returns what is noted and what is in memory here, oldest first.
func (e *effects) pending(ctx context.Context, of actor.Address, effect string) (all []effectView, complete bool, err error) {
	return e.pendingOf(ctx, of, effect, effectsLooked)
}

// pendingOf is pending, of which at most so many timers are read.
func (e *effects) pendingOf(ctx context.Context, of actor.Address, effect string, looked int) (all []effectView, complete bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, adminReadTimeout)
	defer cancel()
	known := map[actor.CommandID]effectView{}
	add := func(v effectView, id actor.CommandID) {
		if (effect == "" || v.Effect == effect) && (of == (actor.Address{}) || v.Aggregate == of.String()) {
			known[id] = v
		}
	}
	complete, err = e.bus.EffectNotes(ctx, of, looked, func(m actor.Message, _ int64) {
		if task, id, err := actor.ReadEffectTask(&m); err == nil {
			v := viewEffect(&task, id, effectNoted)
			v.Returns = m.Time
			add(v, id.Command)
		}
	})
	if err != nil {
		return nil, false, err
	}
	for _, p := range e.here.PendingEffects() {
		v := viewEffect(&p.Task, p.ID, p.State)
		v.Returns = known[p.ID.Command].Returns
		add(v, p.ID.Command)
	}
	all = make([]effectView, 0, len(known))
	for _, v := range known {
		all = append(all, v)
	}
	slices.SortFunc(all, func(x, y effectView) int { return cmp.Or(x.Asked.Compare(y.Asked), cmp.Compare(x.Key, y.Key)) })
	return all, complete, nil
}

// adminReadTimeout bounds a look at what is pending.
const adminReadTimeout = 10 * time.Second

func viewEffect(task *actor.EffectTask, id actor.EffectID, state runtime.EffectState) effectView {
	v := effectView{
		Effect: task.Effect, Aggregate: id.Address.String(), Key: id.Key(), State: state, Node: task.Node, Asked: task.Asked,
		Attempts: task.Attempt, Failures: task.Failures, Error: task.Error, Started: task.Started, Next: task.Next,
	}
	if task.Reply != nil {
		v.Command = task.Reply.Name
	}
	return v
}

var errNoSuchEffect = errors.New("no effect of that key is pending for the aggregate, or it comes to its owner at this moment")

// serveAction does what an operator asks for.
func (e *effects) serveAction(w http.ResponseWriter, r *http.Request) {
	ctx, q, action := r.Context(), r.URL.Query(), r.PathValue("action")
	var err error
	status := http.StatusAccepted
	switch action {
	case "pause", "resume":
		err = e.turn(ctx, action == "pause", q.Get("effect"), operatorOf(r))
	case "retry":
		err = e.ask(ctx, q.Get("aggregate"), q.Get("key"), actor.EffectRetry)
	case "give-up":
		err = e.ask(ctx, q.Get("aggregate"), q.Get("key"), actor.EffectGiveUp)
	default:
		answerJSON(w, http.StatusNotFound, map[string]any{"code": "unknown_action", "detail": action})
		return
	}
	code := "unavailable"
	switch {
	case err == nil:
		answerJSON(w, status, map[string]any{"status": "accepted"})
		return
	case errors.Is(err, errNoSuchEffect):
		status, code = http.StatusNotFound, "not_found"
	case errors.Is(err, actor.ErrAddress), errors.Is(err, ErrConfig):
		status, code = http.StatusBadRequest, "malformed"
	default:
		status = http.StatusServiceUnavailable
	}
	answerJSON(w, status, map[string]any{"code": code, "detail": err.Error()})
}

func (e *effects) turn(ctx context.Context, pause bool, effect, by string) error {
	if effect == "" || len(effect) > actor.MaxEffectName || (actor.Address{Kind: runtime.KindPausedEffect, ID: effect}).Validate() != nil {
		return fmt.Errorf("effect %.80q: %w", effect, ErrConfig)
	}
	if pause {
		return runtime.PauseEffect(ctx, e.store, effect, cmp.Or(by, "an operator"))
	}
	return runtime.ResumeEffect(ctx, e.store, effect)
}

// ask sends what an operator wants of one effect to its owner.
func (e *effects) ask(ctx context.Context, aggregate, key string, op actor.EffectOp) error {
	of, err := actor.ParseAddress(aggregate)
	if err != nil {
		return err
	}
	note, err := e.find(ctx, of, key)
	if err != nil {
		return err
	}
	return runtime.AskOfEffect(ctx, e.bus, note, op)
}

func (e *effects) find(ctx context.Context, of actor.Address, key string) (*actor.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, adminReadTimeout)
	defer cancel()
	var found *actor.Message
	if _, err := e.bus.EffectNotes(ctx, of, effectsLooked, func(m actor.Message, _ int64) {
		if actor.EffectKey(m.ID) == key {
			found = &m
		}
	}); err != nil {
		return nil, err
	}
	if found == nil {
		for _, p := range e.here.PendingEffects() { // its note may not be written yet
			if p.ID.Address == of && p.ID.Key() == key {
				m := p.Task.Message(p.ID, time.Now())
				found = &m
			}
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s, key %.80q: %w", of, key, errNoSuchEffect)
	}
	return found, nil
}

// effectList is the answer to a list, as the subcommand reads it.
type effectList struct {
	Effects  []runtime.EffectStatus `json:"effects"`
	Pending  []effectView           `json:"pending"`
	More     int                    `json:"more"`
	Complete bool                   `json:"complete"`
}

func readEffects(body []byte) (list effectList, err error) {
	err = json.Unmarshal(body, &list)
	return list, err
}
