package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node/internal/lineage"
)

const (
	historyShown = 25 // versions of a page of a history
	eventsShown  = 20 // events of one command in a history

	aggregateTime = 650 * time.Millisecond // for all but the history
)

// aggregateBody is one aggregate.
type aggregateBody struct {
	Aggregate
	Of      string // the address
	Owner   string // of its partition; empty: nobody, or it is not known
	MaySend bool
	History historyBody
}

// historyBody is a page of a history.
type historyBody struct {
	Of          string
	OldestFirst bool
	Rows        []decisionRow
	From, To    actor.Version // of the page
	Older       actor.Version // where the page of older ones begins; 0: there is none
	Newer       actor.Version
	HasNewer    bool
	Err         string
}

// OlderBefore is where the page of older ones ends.
func (h historyBody) OlderBefore() actor.Version { return h.Older + 1 }

// decisionRow is a command in a history.
type decisionRow struct {
	lineage.Command
	Of     string
	Events []eventRow
	More   int // events that are not shown
	Asks   []askRow
}

// eventRow is an event in a history.
type eventRow struct {
	Version actor.Version
	Name    string
	Data    string
}

// askRow is what a decision asked for.
type askRow struct {
	How  lineage.How
	To   string
	Name string
	What string // the timer or the effect
	At   time.Time
}

func (d *Dashboard) aggregate(ctx context.Context, r *http.Request, s Source) (string, any, error) {
	of, err := aggregateOf(r)
	if err != nil {
		return "", nil, err
	}
	last, err := s.LastVersion(ctx, of)
	if err != nil {
		return "", nil, readFault(err)
	}
	b := aggregateBody{Of: of.String(), MaySend: s.MaySend()}
	if b.History, err = historyOf(ctx, r, s, of, last); err != nil {
		return "", nil, err
	}
	reading, cancel := context.WithTimeout(ctx, aggregateTime)
	defer cancel()
	b.Aggregate = s.Aggregate(reading, of)
	if look, err := d.looks.look(ctx, s); err == nil && b.Partition < len(look.Partitions) {
		b.Owner = look.Partitions[b.Partition].Owner
	}
	return idText(b.Of), b, nil
}

// historyOf reads the page of a history that is asked for.
func historyOf(ctx context.Context, r *http.Request, s Source, of actor.Address, last actor.Version) (historyBody, error) {
	h := historyBody{Of: of.String(), OldestFirst: r.URL.Query().Get("order") == "oldest"}
	before, err := versionIn(r, "before", last+1)
	if err != nil {
		return h, err
	}
	after, err := versionIn(r, "after", 0)
	if err != nil {
		return h, err
	}
	if h.OldestFirst {
		h.From = min(after, last)
		h.To = min(h.From+historyShown, last)
	} else {
		h.To = min(max(before, 1)-1, last)
		h.From = h.To - min(h.To, historyShown)
	}
	h.Older, h.Newer, h.HasNewer = h.From, h.To, h.To < last
	commands, err := s.History(ctx, of, h.From, h.To)
	if err != nil {
		if len(commands) == 0 {
			return h, readFault(err)
		}
		h.Err = err.Error()
	}
	for i := range commands {
		h.Rows = append(h.Rows, rowOf(&commands[i]))
	}
	if !h.OldestFirst {
		slices.Reverse(h.Rows)
	}
	return h, nil
}

func rowOf(c *lineage.Command) decisionRow {
	row := decisionRow{Command: *c, Of: c.Aggregate.String()}
	for i := range c.Events {
		if i == eventsShown {
			row.More = len(c.Events) - i
			break
		}
		e := &c.Events[i]
		row.Events = append(row.Events, eventRow{Version: e.Version, Name: e.Name, Data: oneLine(e.Data)})
	}
	branches, _ := (&lineage.Reader{}).Branches(c) // what it has asked for itself
	for i := range branches {
		b := &branches[i]
		ask := askRow{How: b.How, Name: b.Name, What: b.Timer + b.Effect, At: b.At}
		if b.How != lineage.ByCancel && b.How != lineage.ByEffect && b.How != lineage.ByTimer {
			ask.To = b.To.String()
		}
		row.Asks = append(row.Asks, ask)
	}
	return row
}

// Shown returns the version that a page about the command asks for.
func (c decisionRow) Shown() actor.Version { return c.First() }

// outcomeOf says what became of a command, in a word or two.
func outcomeOf(c lineage.Command) string {
	switch {
	case c.Refusal == nil:
		return "carried out"
	case c.Refusal.Reason != "":
		return "refused: " + short(c.Refusal.Reason)
	default:
		return "refused: " + short(string(c.Refusal.Code))
	}
}

// oneLine is JSON in a line of a table.
func oneLine(data []byte) string {
	const looked = 16 << 10
	if len(data) > looked {
		return cut(clean(readable(data[:looked])), 400)
	}
	var out bytes.Buffer
	if json.Compact(&out, data) != nil {
		return cut(clean(string(data)), 400)
	}
	return cut(clean(readable(out.Bytes())), 400)
}

// pretty is JSON with a line for each value. Digits stay as they are.
func pretty(data []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, data, "", "  ") != nil {
		return long(string(data))
	}
	return cut(clean(readable(out.Bytes())), 256<<10)
}

// readable writes <, > and & in JSON as themselves: encoding/json escapes them for pages, where
// templates do so anyway.
func readable(data []byte) string {
	var out strings.Builder
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' || i+1 >= len(data) {
			out.WriteByte(data[i])
			continue
		}
		switch escape := string(data[i:min(i+6, len(data))]); escape {
		case `\u003c`:
			out.WriteByte('<')
		case `\u003e`:
			out.WriteByte('>')
		case `\u0026`:
			out.WriteByte('&')
		default:
			out.Write(data[i : i+2]) // of an escaped backslash, too
			i++
			continue
		}
		i += 5
	}
	return out.String()
}
