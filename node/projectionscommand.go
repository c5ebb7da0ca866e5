package node

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
)

// projectionsCommand is what an operator does with projections.
type projectionsCommand struct {
	List    projectionsListCommand   `cmd:"" default:"withargs" help:"Show all projections (the default)."`
	Parked  projectionsParkedCommand `cmd:"" help:"Show what is parked for a projection."`
	Pause   pauseCommand             `cmd:"" help:"Stop applying events."`
	Resume  resumeCommand            `cmd:"" help:"Go on applying events."`
	Rebuild rebuildCommand           `cmd:"" help:"Make the view anew beside the live one."`
	Cancel  cancelCommand            `cmd:"" help:"Give a rebuild up."`
	Retry   retryCommand             `cmd:"" help:"Apply the events of a parked aggregate."`
	Skip    skipCommand              `cmd:"" help:"Leave out the event that failed, and apply those behind it."`
}

type projectionsListCommand struct{ adminTarget }

// Run prints a line per projection. The lag is that of the partitions of the node that
// is asked.
func (c *projectionsListCommand) Run(out io.Writer) error {
	body, err := c.call(http.MethodGet, "/projections")
	if err != nil {
		return err
	}
	var answer struct {
		Projections []projectionView `json:"projections"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "PROJECTION\tSTATE\tEVENTS\tPARKED\tLAG HERE\tREBUILD")
	for i := range answer.Projections {
		p := &answer.Projections[i]
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", p.Name, projectionState(p), p.Done, p.Parked, p.Here.Lag, rebuildState(p))
	}
	return w.Flush()
}

func projectionState(p *projectionView) string {
	switch {
	case !p.Started:
		return "new"
	case p.Paused:
		return "paused"
	default:
		return "running"
	}
}

func rebuildState(p *projectionView) string {
	r := p.Rebuild
	if r == nil {
		return "-"
	}
	share := 100.0
	if r.Total > 0 {
		share = min(100*float64(r.Done)/float64(r.Total), 100)
	}
	return fmt.Sprintf("%s %.0f%%", r.Phase, share)
}

// named is the projection that is meant.
type named struct {
	adminTarget
	Projection string `arg:"" help:"Name of the projection."`
}

func (c *named) do(out io.Writer, action, query string) error {
	if _, err := c.call(http.MethodPost, "/projections/"+url.PathEscape(c.Projection)+"/"+action+query); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "accepted")
	return err
}

type projectionsParkedCommand struct {
	named
	Aggregate string `help:"Show the events of this one: kind/id."`
}

// Run prints what is parked.
func (c *projectionsParkedCommand) Run(out io.Writer) error {
	path := "/projections/" + url.PathEscape(c.Projection) + "/parked"
	if c.Aggregate != "" {
		path += "?aggregate=" + url.QueryEscape(c.Aggregate)
	}
	body, err := c.call(http.MethodGet, path)
	if err != nil {
		return err
	}
	return indent(out, body)
}

type pauseCommand struct{ named }

// Run pauses.
func (c *pauseCommand) Run(out io.Writer) error { return c.do(out, "pause", "") }

type resumeCommand struct{ named }

// Run resumes.
func (c *resumeCommand) Run(out io.Writer) error { return c.do(out, "resume", "") }

type rebuildCommand struct{ named }

// Run begins a rebuild.
func (c *rebuildCommand) Run(out io.Writer) error { return c.do(out, "rebuild", "") }

type cancelCommand struct{ named }

// Run gives a rebuild up.
func (c *cancelCommand) Run(out io.Writer) error { return c.do(out, "cancel-rebuild", "") }

// oneParked is the parked aggregate that is meant.
type oneParked struct {
	named
	Aggregate string `arg:"" help:"Address of the aggregate: kind/id."`
}

type retryCommand struct{ oneParked }

// Run asks for another try.
func (c *retryCommand) Run(out io.Writer) error {
	return c.do(out, "retry", "?aggregate="+url.QueryEscape(c.Aggregate))
}

type skipCommand struct{ oneParked }

// Run asks for the event to be left out.
func (c *skipCommand) Run(out io.Writer) error {
	return c.do(out, "skip", "?aggregate="+url.QueryEscape(c.Aggregate))
}
