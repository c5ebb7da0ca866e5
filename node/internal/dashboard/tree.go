package dashboard

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node/internal/lineage"
)

// Bounds of the page of one command.
const (
	chainMost  = 12
	chainTime  = 350 * time.Millisecond
	treeTime   = 400 * time.Millisecond
	wholeShown = 50 // events whose data is shown
)

func treeBounds() lineage.Bounds { return lineage.Bounds{Depth: 3, Breadth: 12, Nodes: 48} }

// treeBody is a command, with what caused it and what it caused.
type treeBody struct {
	Of        string
	Version   actor.Version
	Command   decisionRow
	Whole     []eventRow // with their data
	By        string     // the address that is suggested as the sender
	Above     []aboveRow // what caused it, the first cause first
	AboveErr  string
	Tree      lineage.Node
	Rows      []branchRow
	First     int // of the branches
	NextFirst int
	Now       time.Time
}

// aboveRow is a step of what caused a command: Origin says what caused Command.
type aboveRow struct {
	lineage.Step
	This bool // it is the command that the page is about
}

func (d *Dashboard) command(ctx context.Context, r *http.Request, s Source) (string, any, error) {
	of, err := aggregateOf(r)
	if err != nil {
		return "", nil, err
	}
	b := treeBody{Of: of.String(), Now: d.cfg.Now()}
	if b.Version, err = versionIn(r, "version", 0); err != nil {
		return "", nil, err
	}
	if _, err := s.LastVersion(ctx, of); err != nil { // also of a kind that is not shown
		return "", nil, readFault(err)
	}
	reader := s.Lineage()
	command, found, err := reader.At(ctx, of, b.Version)
	if err != nil {
		return "", nil, readFault(err)
	}
	if !found {
		return "", nil, &fault{http.StatusNotFound, "No command of " + idText(b.Of) + " has version " + count(uint64(b.Version)) + ".", "Choose one of its history."}
	}
	b.Command = rowOf(&command)
	for i := range command.Events[:min(len(command.Events), wholeShown)] {
		e := &command.Events[i]
		b.Whole = append(b.Whole, eventRow{Version: e.Version, Name: e.Name, Data: pretty(e.Data)})
	}
	b.First, _ = strconv.Atoi(r.URL.Query().Get("first"))
	b.First = min(max(b.First, 0), 1<<20)
	b.climb(ctx, r, reader, &command)
	down, cancel := context.WithTimeout(ctx, treeTime)
	defer cancel()
	b.Tree = reader.Tree(down, &command, b.First, treeBounds())
	b.Rows, b.NextFirst = branchesOf(&b.Tree), b.First+len(b.Tree.Children)
	return commandTitle(&command), b, nil
}

// branchRow is a branch of a tree.
type branchRow struct {
	lineage.Node
	By   string // the aggregate that has caused it
	Rows []branchRow
}

func branchesOf(n *lineage.Node) []branchRow {
	rows := make([]branchRow, 0, len(n.Children))
	for i := range n.Children {
		child := &n.Children[i]
		rows = append(rows, branchRow{Node: *child, By: n.To.String(), Rows: branchesOf(child)})
	}
	return rows
}

// From is the time from which to look for it.
func (b branchRow) From() string { return strconv.FormatInt(b.Since().UnixMicro(), 10) }

// climb reads what caused the command.
func (b *treeBody) climb(ctx context.Context, r *http.Request, reader *lineage.Reader, c *lineage.Command) {
	ctx, cancel := context.WithTimeout(ctx, chainTime)
	defer cancel()
	by := actor.Address{}
	if b.By = r.URL.Query().Get("by"); b.By != "" {
		by, _ = actor.ParseAddress(b.By) // one that is none proves nothing
	}
	steps, err := reader.Chain(ctx, c, by, chainMost)
	switch {
	case ctx.Err() != nil:
		b.AboveErr = "this page has a bound of time; open the first of these to go on"
	case err != nil:
		b.AboveErr = short(err.Error())
	}
	for i, step := range steps {
		b.Above = append(b.Above, aboveRow{Step: step, This: i == 0})
	}
	slices.Reverse(b.Above)
}

func commandTitle(c *lineage.Command) string {
	name := c.Name
	if name == "" {
		name = "A command"
	}
	return short(name) + " of " + idText(c.Aggregate.String())
}

// fartherBody is a look for a command farther on in a history.
type fartherBody struct {
	To, ID, By string
	Reached    actor.Version
	Complete   bool
	Found      *lineage.Command
}

// farther looks for a command behind what a tree has read of a history.
func (d *Dashboard) farther(ctx context.Context, r *http.Request, s Source) (string, any, error) {
	to, err := aggregateOf(r)
	if err != nil {
		return "", nil, err
	}
	after, err := versionIn(r, "after", 0)
	if err != nil {
		return "", nil, err
	}
	micros, _ := strconv.ParseInt(r.URL.Query().Get("at"), 10, 64)
	b := fartherBody{To: to.String(), ID: r.URL.Query().Get("command"), By: r.URL.Query().Get("by")}
	look, err := s.Lineage().Beyond(ctx, to, actor.CommandID(b.ID), after, time.UnixMicro(micros))
	if err != nil {
		return "", nil, readFault(err)
	}
	b.Reached, b.Complete = look.Reached, look.Complete
	if look.Found {
		b.Found = &look.Command
	}
	return "Look for a command of " + idText(b.To), b, nil
}
