package dashboard

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node/internal/commandform"
)

// sendTimeout bounds the wait for what becomes of a command.
const sendTimeout = 12 * time.Second

// sendBody is the form of a command.
type sendBody struct {
	Of    string
	Names []string // of commands that can be sent
	Name  string
	Key   string
	Form  *commandform.Form // nil: no command is chosen
}

// reviewBody is a command that is about to be sent.
type reviewBody struct {
	Of, Name, Key string
	JSON, Shown   string
}

// sentBody is what became of a command.
type sentBody struct {
	Of, Name       string
	Result         SentResult
	Reply, Details string
}

// Became says what became of a command that was not carried out.
func (b *sentBody) Became() string {
	switch {
	case b.Result.Status == http.StatusGatewayTimeout || b.Result.Code == string(actor.CodeUnknownOutcome):
		return "It may or may not have been carried out. Send the same form again: its key makes sure that it is one command."
	case b.Result.Code == string(actor.CodeParked):
		return "Its handler failed. The command is parked, and waits for an operator."
	case b.Result.Status == http.StatusUnprocessableEntity:
		return "Refused by the aggregate. Nothing was changed."
	default:
		return "Refused. Nothing was changed."
	}
}

// descriptions keeps what was read of an API's description.
type descriptions struct {
	once sync.Once
	read *commandform.Description
	err  error
}

func (d *descriptions) of(s Source) (*commandform.Description, error) {
	d.once.Do(func() { d.read, d.err = commandform.Parse(s.Description()) })
	return d.read, d.err
}

// errMayNotSend is the page of a node that lets nobody send commands here.
func errMayNotSend() error {
	return &fault{http.StatusForbidden, "This node lets nobody send commands from here. Nothing was sent.", "It does if it is started with --dashboard-commands."}
}

// send shows the form of a command.
func (d *Dashboard) send(_ context.Context, r *http.Request, s Source) (string, any, error) {
	if !s.MaySend() {
		return "", nil, errMayNotSend()
	}
	of, err := aggregateOf(r)
	if err != nil {
		return "", nil, err
	}
	b, err := d.formOf(s, of, r.URL.Query().Get("command"))
	b.Key = "dashboard-" + rand.Text()
	return "Send a command", b, err
}

// formOf returns the commands of an aggregate, and the empty form of one.
func (d *Dashboard) formOf(s Source, of actor.Address, command string) (*sendBody, error) {
	described, err := d.described.of(s)
	if err != nil {
		return &sendBody{}, err
	}
	b := &sendBody{Of: of.String(), Name: command, Names: described.Commands(string(of.Kind))}
	if command == "" {
		return b, nil
	}
	form, ok := described.Form(string(of.Kind), command)
	if !ok {
		return b, &fault{http.StatusNotFound, fmt.Sprintf("%s has no command %s that can be sent from outside. Nothing was sent.", short(string(of.Kind)), short(command)), "Choose one of those that are offered."}
	}
	b.Form = form
	return b, nil
}

// keyMost bounds a form's key.
const keyMost = 128

// sendForm reads what forms of commands have in common.
func (d *Dashboard) sendForm(r *http.Request, s Source) (of actor.Address, b *sendBody, err error) {
	if !s.MaySend() {
		return of, nil, errMayNotSend()
	}
	if of, err = aggregateOf(r); err != nil {
		return of, nil, err
	}
	b, err = d.formOf(s, of, r.PostForm.Get("command"))
	if err == nil && b.Form == nil {
		err = &fault{http.StatusBadRequest, "The form names no command. Nothing was sent.", "Go back and choose one."}
	}
	if err != nil {
		return of, nil, err
	}
	if b.Key = r.PostForm.Get("key"); b.Key == "" || len(b.Key) > keyMost {
		return of, nil, &fault{http.StatusBadRequest, "The form has no key. Nothing was sent.", "Open the page of the command anew."}
	}
	return of, b, nil
}

// review shows what a form would send, or what is wrong with it.
func (d *Dashboard) review(w http.ResponseWriter, r *http.Request, v visitor, s Source) {
	_, b, err := d.sendForm(r, s)
	if f, bad := faultOf(err); bad {
		d.problem(w, r, v, f.status, f.what, f.then)
		return
	}
	b.Form.Fill(r.PostForm)
	data, ok := b.Form.JSON()
	if !ok {
		d.render(w, r, http.StatusBadRequest, &page{Title: "Send a command", Template: "send", Visitor: v, Body: b})
		return
	}
	d.render(w, r, http.StatusOK, &page{Title: "Send " + b.Name + "?", Template: "review", Visitor: v, Body: &reviewBody{
		Of: b.Of, Name: b.Name, Key: b.Key, JSON: string(data), Shown: pretty(data),
	}})
}

// sent sends a command that was reviewed, and shows what became of it.
func (d *Dashboard) sent(w http.ResponseWriter, r *http.Request, v visitor, s Source) {
	of, b, err := d.sendForm(r, s)
	if err == nil && !json.Valid([]byte(r.PostForm.Get("body"))) {
		err = &fault{http.StatusBadRequest, "The form has no command. Nothing was sent.", "Open the page of the command anew."}
	}
	if f, bad := faultOf(err); bad {
		d.problem(w, r, v, f.status, f.what, f.then)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), sendTimeout)
	defer cancel()
	result := s.Send(ctx, operatorOf(r, v), SentCommand{To: of, Name: b.Name, Key: b.Key, Body: []byte(r.PostForm.Get("body"))})
	status := http.StatusOK
	if !result.OK {
		status = result.Status
	}
	d.render(w, r, status, &page{Title: b.Name, Template: "sent", Visitor: v, Body: &sentBody{
		Of: b.Of, Name: b.Name, Result: result, Reply: prettyOr(result.Reply), Details: prettyOr(result.Details),
	}})
}

func prettyOr(data json.RawMessage) string {
	if len(data) == 0 || string(data) == "null" {
		return ""
	}
	return pretty(data)
}
