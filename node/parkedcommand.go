package node

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// parkedCommand is what an operator does with what is parked.
type parkedCommand struct {
	List  parkedListCommand  `cmd:"" default:"withargs" help:"Show what is parked (the default)."`
	Show  parkedShowCommand  `cmd:"" help:"Show a parked command, or the events of an aggregate that are parked for a projection."`
	Retry parkedRetryCommand `cmd:"" help:"Execute a parked command, or apply parked events."`
	Skip  parkedSkipCommand  `cmd:"" help:"Have a parked command never take effect, or leave out the event that failed."`
}

type parkedListCommand struct {
	adminTarget
	Aggregate string `help:"Only this aggregate's: kind/id."`
	Limit     int    `help:"Show at most so many, up to 1000." default:"100"`
	Offset    int    `help:"Leave out so many."`
}

// Run prints what is parked.
func (c *parkedListCommand) Run(out io.Writer) error {
	q := url.Values{"aggregate": {c.Aggregate}, "limit": {strconv.Itoa(c.Limit)}, "offset": {strconv.Itoa(c.Offset)}}
	return c.print(out, http.MethodGet, "/parked?"+q.Encode())
}

func (t adminTarget) print(out io.Writer, method, path string) error {
	body, err := t.call(method, path)
	if err != nil {
		return err
	}
	return indent(out, body)
}

// parkedThing is the parked command, or the events, that are meant.
type parkedThing struct {
	adminTarget
	Aggregate  string `arg:"" help:"Address of the aggregate: kind/id."`
	ID         string `help:"Id of the command."`
	Projection string `help:"Projection, saga or policy for which its events are parked."`
}

func (c *parkedThing) do(out io.Writer, method, action string, force bool) error {
	if (c.ID == "") == (c.Projection == "") {
		return fmt.Errorf("%w: either --id or --projection is required", ErrConfig)
	}
	q := url.Values{"aggregate": {c.Aggregate}}
	for name, value := range map[string]string{"id": c.ID, "projection": c.Projection} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if force {
		q.Set("force", "true")
	}
	return c.print(out, method, "/parked/"+action+"?"+q.Encode())
}

type parkedShowCommand struct{ parkedThing }

// Run prints it.
func (c *parkedShowCommand) Run(out io.Writer) error { return c.do(out, http.MethodGet, "show", false) }

type parkedRetryCommand struct{ parkedThing }

// Run prints what became of it.
func (c *parkedRetryCommand) Run(out io.Writer) error {
	return c.do(out, http.MethodPost, "retry", false)
}

type parkedSkipCommand struct {
	parkedThing
	Force bool `help:"Only take a command off the list, if no node can decide anything for its aggregate: who repeats it has it executed then."`
}

// Run prints what became of it.
func (c *parkedSkipCommand) Run(out io.Writer) error {
	return c.do(out, http.MethodPost, "skip", c.Force)
}
