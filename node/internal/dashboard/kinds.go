package dashboard

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"time"
)

// kindsBody shows what each kind is asked, by all live nodes that answer.
type kindsBody struct {
	Look  *Look
	Nodes []nodeTraffic
	Kinds []kindRow
	Pager pager
	Left  int // names that found no room in what the nodes answer
}

// nodeTraffic is a node's part.
type nodeTraffic struct {
	Name    string
	Silent  string
	Older   bool
	Traffic Traffic
}

// kindRow is a kind with its commands.
type kindRow struct {
	Kind     string
	Traffic  Traffic
	Loads    float64 // aggregates brought into memory, per second
	Drops    float64 // given up
	InMemory int64
	Parked   uint64 // since the nodes began
	Known    bool
	Commands []commandRow
	Nodes    []nodeTraffic
}

// commandRow is a command of a kind.
type commandRow struct {
	Command string // as it is shown
	Query   bool
	Total   uint64 // since the nodes began
	Traffic Traffic
	Buckets []bucketRow
}

// bucketRow is a bar of a histogram.
type bucketRow struct {
	Bound string
	Count uint64
	Class string // of its length
}

const kindsPage = 50

func (d *Dashboard) kinds(ctx context.Context, r *http.Request, s Source) (string, any, error) {
	look, err := d.looks.look(ctx, s)
	if err != nil {
		return "", nil, err
	}
	all := kindRows(look, "")
	body := &kindsBody{Look: look, Nodes: nodesOf(look, ""), Pager: pagerOf(r, len(all), kindsPage)}
	for _, m := range look.Live() {
		if m.Figures != nil {
			body.Left += m.Figures.Left
		}
	}
	body.Kinds = all[body.Pager.From:body.Pager.To]
	return "Kinds", body, nil
}

// kind is the page of one kind: its commands' latencies, and its nodes.
func (d *Dashboard) kind(ctx context.Context, r *http.Request, s Source) (string, any, error) {
	look, err := d.looks.look(ctx, s)
	if err != nil {
		return "", nil, err
	}
	name := r.PathValue("kind")
	rows := kindRows(look, name)
	if len(rows) == 0 {
		return "", nil, &fault{http.StatusNotFound, "No node that answers has a kind of that name.", "The list of kinds has those that there are."}
	}
	row := rows[0]
	row.Nodes = nodesOf(look, name)
	for i := range row.Commands {
		c := &row.Commands[i]
		c.Buckets = histogram(c.Traffic.buckets)
	}
	return "Kind " + short(name), &row, nil
}

// nodesOf returns what each live node executes; of one kind, or of all.
func nodesOf(look *Look, kind string) []nodeTraffic {
	var all []nodeTraffic
	for _, m := range look.Live() {
		n := nodeTraffic{Name: m.Name, Silent: m.Silent}
		if m.Figures != nil {
			for key, t := range look.traffic(m.Figures) {
				if kind == "" || key.kind == kind {
					n.Traffic.join(t)
				}
			}
			n.Traffic.measure()
		}
		all = append(all, n)
	}
	return all
}

// kindRows sums over the nodes.
func kindRows(look *Look, only string) []kindRow {
	kinds := map[string]*kindRow{}
	kindOf := func(name string) *kindRow {
		if kinds[name] == nil {
			kinds[name] = &kindRow{Kind: name}
		}
		return kinds[name]
	}
	commands := map[commandKey]*commandRow{}
	for _, m := range look.Live() {
		f := m.Figures
		if f == nil {
			continue
		}
		gains := look.traffic(f)
		for i := range f.Commands {
			c := &f.Commands[i]
			key := commandKey{c.Kind, c.Command}
			if only != "" && c.Kind != only {
				continue
			}
			row := commands[key]
			if row == nil {
				row = &commandRow{Command: cmp.Or(c.Command, "(others)"), Query: c.Query}
				commands[key] = row
			}
			row.Total += c.OK + c.Refused + c.Failed
			row.Traffic.join(gains[key])
			kindOf(c.Kind).Traffic.join(gains[key])
		}
		addKinds(look, f, only, kindOf)
	}
	for _, key := range slices.SortedFunc(maps.Keys(commands), func(a, b commandKey) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(commands[a].Command, commands[b].Command))
	}) {
		row := commands[key]
		row.Traffic.measure()
		of := kindOf(key.kind)
		of.Commands = append(of.Commands, *row)
	}
	rows := make([]kindRow, 0, len(kinds))
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		kinds[name].Traffic.measure()
		rows = append(rows, *kinds[name])
	}
	return rows
}

// addKinds sums what became of aggregates in memory.
func addKinds(look *Look, f *Figures, only string, kindOf func(string) *kindRow) {
	before, over := look.since(f)
	was := map[string]KindFigures{}
	if before != nil {
		for _, k := range before.Kinds {
			was[k.Kind] = k
		}
	}
	for _, k := range f.Kinds {
		if only != "" && k.Kind != only {
			continue
		}
		row := kindOf(k.Kind)
		row.Parked += k.Parked
		row.InMemory += k.Activations
		if over > 0 {
			row.Known = true
			row.Loads += float64(gained(k.Loaded, was[k.Kind].Loaded)) / over.Seconds()
			row.Drops += float64(gained(k.Passivated, was[k.Kind].Passivated)) / over.Seconds()
		}
	}
}

// histogram returns the bars of what was measured, without empty ends.
func histogram(buckets []uint64) []bucketRow {
	first, last, most := -1, -1, uint64(0)
	for i, n := range buckets {
		if n > 0 {
			if first < 0 {
				first = i
			}
			last, most = i, max(most, n)
		}
	}
	if first < 0 {
		return nil
	}
	bounds := LatencyBounds()
	var rows []bucketRow
	for i := first; i <= last; i++ {
		row := bucketRow{Bound: "more than " + span(bounds[len(bounds)-1]), Count: buckets[i], Class: barClass(buckets[i], most)}
		if i < len(bounds) {
			row.Bound = "up to " + boundText(bounds[i])
		}
		rows = append(rows, row)
	}
	return rows
}

func boundText(d time.Duration) string {
	if d < time.Millisecond {
		return d.String()
	}
	return d.Round(time.Millisecond).String()
}
