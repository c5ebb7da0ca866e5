package node

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// effectsCommand is what an operator does with what aggregates have asked of the world.
type effectsCommand struct {
	List   effectsListCommand   `cmd:"" default:"withargs" help:"Show what is pending (the default)."`
	Pause  effectsPauseCommand  `cmd:"" help:"Let no attempts of an effect begin, on any node."`
	Resume effectsResumeCommand `cmd:"" help:"Let attempts of an effect begin again."`
	Retry  effectsRetryCommand  `cmd:"" help:"Make the next attempt of a pending effect at once, if it is its turn."`
	GiveUp effectsGiveUpCommand `cmd:"" name:"give-up" help:"Make no more attempts of a pending effect, and tell its aggregate."`
}

type effectsListCommand struct {
	adminTarget
	Effect    string `help:"Only this effect's."`
	Aggregate string `help:"Only this aggregate's: kind/id."`
	Limit     int    `help:"Show at most so many, up to 1000." default:"100"`
	JSON      bool   `help:"Print all that is known, as JSON."`
}

// Run prints the effects of the node that is asked, and what is pending in the cluster.
func (c *effectsListCommand) Run(out io.Writer) error {
	q := url.Values{"effect": {c.Effect}, "aggregate": {c.Aggregate}, "limit": {strconv.Itoa(c.Limit)}}
	body, err := c.call(http.MethodGet, "/effects?"+q.Encode())
	if err != nil {
		return err
	}
	if c.JSON {
		return indent(out, body)
	}
	list, err := readEffects(body)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "EFFECT\tHERE\tRUNNING\tOF\tSTUCK\tASKED FOR BY")
	for _, e := range list.Effects {
		state := "handled"
		switch {
		case e.Paused:
			state = "paused"
		case !e.Handled:
			state = "not handled"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", e.Effect, state, e.Busy, e.Slots, e.Stuck, cmp.Or(joinKinds(e.AskedBy), "-"))
	}
	_, _ = fmt.Fprintln(w, "\nAGGREGATE\tEFFECT\tKEY\tSTATE\tATTEMPTS\tASKED\tNEXT\tLAST ERROR")
	for _, p := range list.Pending {
		next := "-"
		if !p.Next.IsZero() {
			next = p.Next.Format(time.RFC3339)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", p.Aggregate, p.Effect, p.Key, p.State, p.Attempts,
			p.Asked.Format(time.RFC3339), next, cmp.Or(shortLine(p.Error), "-"))
	}
	if list.More > 0 || !list.Complete {
		_, _ = fmt.Fprintf(w, "\n%d more, or some that were not looked at\n", list.More)
	}
	return w.Flush()
}

func joinKinds(kinds []actor.Kind) string {
	texts := make([]string, len(kinds))
	for i, k := range kinds {
		texts[i] = string(k)
	}
	return strings.Join(texts, ", ")
}

// shortLine returns the beginning of a text on one line.
func shortLine(s string) string {
	const most = 80
	line := []rune{}
	for _, r := range s {
		if len(line) == most {
			return string(line) + "…"
		}
		if r < ' ' {
			r = ' '
		}
		line = append(line, r)
	}
	return string(line)
}

// oneEffect is the effect, by its name, that is meant.
type oneEffect struct {
	adminTarget
	Effect string `arg:"" help:"Name of the effect."`
}

func (c *oneEffect) do(out io.Writer, action string) error {
	return c.accept(out, "/effects/"+action+"?"+url.Values{"effect": {c.Effect}}.Encode())
}

func (t adminTarget) accept(out io.Writer, path string) error {
	if _, err := t.call(http.MethodPost, path); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "accepted")
	return err
}

type effectsPauseCommand struct{ oneEffect }

// Run pauses.
func (c *effectsPauseCommand) Run(out io.Writer) error { return c.do(out, "pause") }

type effectsResumeCommand struct{ oneEffect }

// Run resumes.
func (c *effectsResumeCommand) Run(out io.Writer) error { return c.do(out, "resume") }

// pendingEffect is the pending effect that is meant.
type pendingEffect struct {
	adminTarget
	Aggregate string `arg:"" help:"Address of the aggregate that asked: kind/id."`
	Key       string `arg:"" help:"Key of the effect."`
}

func (c *pendingEffect) do(out io.Writer, action string) error {
	return c.accept(out, "/effects/"+action+"?"+url.Values{"aggregate": {c.Aggregate}, "key": {c.Key}}.Encode())
}

type effectsRetryCommand struct{ pendingEffect }

// Run asks for the next attempt.
func (c *effectsRetryCommand) Run(out io.Writer) error { return c.do(out, "retry") }

type effectsGiveUpCommand struct{ pendingEffect }

// Run gives the effect up.
func (c *effectsGiveUpCommand) Run(out io.Writer) error { return c.do(out, "give-up") }
