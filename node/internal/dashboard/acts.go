package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

var (
	errTicket      = errors.New("nobody was asked about it")
	errTicketOld   = errors.New("the question is too old")
	errTicketUsed  = errors.New("it was done already, by this very page")
	errTicketsFull = errors.New("too much is done at this node")
)

// act is something that an operator may do: what it is called, what it does, and the request
// of the admin server that does it.
type act struct {
	Do      string // the button, as a sentence without its dot
	Does    string // what will happen
	Danger  bool   // it cannot be taken back
	Target  string // path and query; empty: it is a job
	Back    string // the page that it comes from
	Every   []ParkedItem
	Each    func(ParkedItem) string // target of each of Every
	Partial bool                    // others may be of the same cause
}

// fields are the names in a form that say what is to be done.
func fields() []string {
	return []string{"act", "aggregate", "id", "key", "name", "effect", "projection", "cause", "member"}
}

// whatOf takes what is to be done out of a form.
func whatOf(form url.Values) url.Values {
	what := url.Values{}
	for _, name := range fields() {
		if v := form.Get(name); v != "" {
			what.Set(name, v)
		}
	}
	return what
}

// target writes the path and query of a request.
func target(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// actOf finds out what a form asks for.
func actOf(ctx context.Context, s Source, what url.Values, self string) (*act, error) {
	family, verb, _ := strings.Cut(what.Get("act"), ".")
	var a *act
	var err error
	switch family {
	case "parked":
		a = parkedAct(verb, what)
	case "cause":
		a, err = causeAct(ctx, s, verb, what)
	case "projection":
		a = projectionAct(verb, what.Get("name"))
	case "effect":
		a = effectAct(verb, what)
	case "node":
		a = nodeAct(verb, what, self)
	}
	if err == nil && a == nil {
		err = &fault{http.StatusBadRequest, "There is no such action.", "Nothing was done."}
	}
	return a, err
}

func parkedAct(verb string, what url.Values) *act {
	ref := ParkedRef{Aggregate: what.Get("aggregate"), CommandID: what.Get("id"), Projection: what.Get("projection")}
	of := short(ref.Aggregate)
	a := &act{Back: Path + "parked", Target: parkedTarget(verb, ref)}
	switch {
	case verb == "retry" && ref.Projection != "":
		a.Do, a.Does = "Retry the events of "+of, "The projection "+short(ref.Projection)+" applies the events of "+of+" in order, from the one that failed on."
	case verb == "retry":
		a.Do, a.Does = "Retry the command of "+of, "The command "+short(ref.CommandID)+" is sent to "+of+" again, under its id: it is executed at most once. If it fails again it stays parked."
	case verb == "skip" && ref.Projection != "":
		a.Do, a.Danger = "Skip the event of "+of, true
		a.Does = "The projection " + short(ref.Projection) + " leaves the event of " + of + " out that failed, and applies those behind it. Its view will not have what that event says."
	case verb == "skip":
		a.Do, a.Danger = "Skip the command of "+of, true
		a.Does = "The command " + short(ref.CommandID) + " is refused for good: whoever repeats it gets that answer. " + of + " decides nothing for it."
	case verb == "forget" && ref.Projection == "":
		a.Do, a.Danger = "Take the command of "+of+" off the list", true
		a.Does = "The command " + short(ref.CommandID) + " is taken off the list, and nothing is decided: whoever repeats it has it executed."
	default:
		return nil
	}
	return a
}

// parkedTarget is the request that does something to what is parked.
func parkedTarget(verb string, ref ParkedRef) string {
	force := ""
	if verb == "forget" {
		verb, force = "skip", "true"
	}
	return target("/parked/"+verb, "aggregate", ref.Aggregate, "id", ref.CommandID, "projection", ref.Projection, "force", force)
}

// causeAct does it to all of a cause, one after the other.
func causeAct(ctx context.Context, s Source, verb string, what url.Values) (*act, error) {
	if verb != "retry" && verb != "skip" {
		return nil, nil //nolint:nilnil // the caller says so
	}
	c, more, err := findCause(ctx, s, what.Get("cause"))
	if err != nil {
		return nil, err
	}
	n := count(len(c.Items)) + " " + plural(len(c.Items), "entry", "entries")
	a := &act{
		Back: Path + "parked", Every: c.Items, Partial: more,
		Each: func(i ParkedItem) string { return parkedTarget(verb, i.ParkedRef) },
	}
	if verb == "retry" {
		a.Do, a.Does = "Retry "+n, "Each of them is tried again, the oldest first, one after the other: "+short(c.What())+". What fails again stays parked. You see the result of each."
	} else {
		a.Do, a.Danger = "Skip "+n, true
		a.Does = "Each of them is given up for good, the oldest first: " + short(c.What()) + ". You see the result of each."
	}
	return a, nil
}

func projectionAct(verb, name string) *act {
	if name == "" {
		return nil
	}
	a := &act{Back: Path + "projections", Target: target("/projections/" + url.PathEscape(name) + "/" + verb)}
	of := short(name)
	switch verb {
	case "pause":
		a.Do, a.Does = "Pause "+of, "All nodes stop applying events to "+of+" within a second, a rebuild included. Readers see what it has, which grows old."
	case "resume":
		a.Do, a.Does = "Resume "+of, "All nodes go on applying events to "+of+" where they stopped."
	case "rebuild":
		a.Do, a.Does = "Rebuild "+of, "A new view of "+of+" is made from the first event on, beside the one that readers see, and takes its place when it is level. It costs as much as reading the whole event stream."
	case "cancel-rebuild":
		a.Do, a.Does = "Give the rebuild of "+of+" up", "What the rebuild has made is thrown away. Readers keep the view that they see."
	default:
		return nil
	}
	return a
}

func effectAct(verb string, what url.Values) *act {
	effect, aggregate, key := what.Get("effect"), what.Get("aggregate"), what.Get("key")
	a := &act{Back: Path + "effects"}
	one := aggregate != "" && key != ""
	switch {
	case verb == "pause" && effect != "":
		a.Do, a.Does = "Pause "+short(effect), "No node begins an attempt of "+short(effect)+" from now on. Attempts under way end. What is asked for waits."
		a.Target = target("/effects/pause", "effect", effect)
	case verb == "resume" && effect != "":
		a.Do, a.Does = "Resume "+short(effect), "Nodes attempt what waits for "+short(effect)+"."
		a.Target = target("/effects/resume", "effect", effect)
	case verb == "retry" && one:
		a.Do, a.Does = "Retry the effect of "+short(aggregate), "The next attempt, of key "+short(key)+", is made now."
		a.Target = target("/effects/retry", "aggregate", aggregate, "key", key)
	case verb == "give-up" && one:
		a.Do, a.Danger = "Give the effect of "+short(aggregate)+" up", true
		a.Does = "No more attempts are made of key " + short(key) + ". The aggregate is told so, if it asked to be. What an attempt under way does is not undone."
		a.Target = target("/effects/give-up", "aggregate", aggregate, "key", key)
	default:
		return nil
	}
	return a
}

func nodeAct(verb string, what url.Values, self string) *act {
	a := &act{Back: Path}
	switch member := what.Get("member"); {
	case verb == "drain":
		a.Do, a.Danger = "Drain "+short(self)+" and end it", true
		a.Does = "The node " + short(self) + ", whose page this is, hands its partitions over to other nodes, and ends. Whatever watches it may start it again."
		a.Target = "/drain"
	case verb == "replace" && member != "":
		a.Do, a.Danger = "Take the NATS member "+short(member)+" out for good", true
		a.Does = "Its replicas go to the other members. Start the node that takes its place first, under a new name."
		a.Target = "/nats-members/" + url.PathEscape(member) + "/replace"
	default:
		return nil
	}
	return a
}

// askBody is the page that says what will happen.
type askBody struct {
	*act
	Fields []field
}

// field is a hidden field of a form.
type field struct{ Name, Value string }

func fieldsOf(all ...url.Values) []field {
	var list []field
	for _, values := range all {
		for name := range values {
			list = append(list, field{name, values.Get(name)})
		}
	}
	return list
}

// ask says what will happen, and does nothing.
func (d *Dashboard) ask(w http.ResponseWriter, r *http.Request, v visitor, s Source) {
	ctx, cancel := context.WithTimeout(r.Context(), readMax)
	defer cancel()
	what := whatOf(r.PostForm)
	a, err := actOf(ctx, s, what, d.cfg.Node)
	if f, bad := faultOf(err); bad {
		d.problem(w, r, v, f.status, f.what, f.then)
		return
	}
	body := askBody{act: a, Fields: fieldsOf(what, d.tickets.issue(d.access, v, what))}
	d.render(w, r, http.StatusOK, &page{Title: a.Do, Template: "ask", Visitor: v, Body: body})
}

// doneBody says how it ended.
type doneBody struct {
	*act
	Result
}

// do does what a page has asked about.
func (d *Dashboard) do(w http.ResponseWriter, r *http.Request, v visitor, s Source) {
	what := whatOf(r.PostForm)
	if err := d.tickets.redeem(d.access, v, r.PostForm, what); err != nil {
		d.problem(w, r, v, http.StatusConflict, "It was not done: "+err.Error()+".", "Go to the page of what it is about, and see how it is.")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readMax)
	defer cancel()
	a, err := actOf(ctx, s, what, d.cfg.Node)
	if f, bad := faultOf(err); bad {
		d.problem(w, r, v, f.status, f.what, f.then)
		return
	}
	by := operatorOf(r, v)
	if a.Target == "" {
		d.startJob(w, r, v, s, a, by)
		return
	}
	result := s.Act(r.Context(), by, a.Target)
	status := http.StatusOK
	if !result.OK {
		status = http.StatusConflict
	}
	d.render(w, r, status, &page{Title: a.Do, Template: "done", Visitor: v, Body: doneBody{a, result}})
}

// operatorOf is on whose behalf a request acts.
func operatorOf(r *http.Request, v visitor) Operator {
	who := "dashboard"
	if v.who != "" {
		who = v.who + " (dashboard)"
	}
	return Operator{Who: who, From: r.RemoteAddr, Credentials: r.Header["Ganglion-Operator-Authorization"]}
}
