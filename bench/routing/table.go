package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// rows are a table's head and cells, for the terminal and for Markdown alike.
type rows struct {
	head  []string
	cells [][]string
}

// table is the figures of one number of aggregates.
func (r *report) table(aggregates int) rows {
	t := rows{head: []string{
		"", "servers", "commands/s", "p50 ms", "p99 ms", "conflicts per command", "store reads per command",
		"store writes per command", "commands that failed", "stale reads",
	}}
	for _, servers := range r.servers() {
		for _, w := range ways() {
			x, ok := r.find(w.Name, servers, aggregates)
			if !ok {
				continue
			}
			t.cells = append(t.cells, []string{
				w.Title, fmt.Sprint(servers), thousands(x.PerSecond), fmt.Sprintf("%.1f", x.P50), fmt.Sprintf("%.1f", x.P99),
				fmt.Sprintf("%.2f", x.Conflicts), fmt.Sprintf("%.2f", x.Reads), fmt.Sprintf("%.2f", x.Writes),
				share(x.failed()), share(x.stale()),
			})
		}
	}
	return t
}

// comparison is how many times as many commands a second each lane of Ganglion
// does as the fastest of the ways without routing.
func (r *report) comparison() rows {
	t := rows{head: []string{"aggregates", "servers", "the best without routing", "durable lane", "direct lane"}}
	for _, aggregates := range r.aggregates() {
		for _, servers := range r.servers() {
			best, ok := r.bestUnrouted(servers, aggregates)
			if !ok {
				continue
			}
			t.cells = append(t.cells, []string{
				thousands(float64(aggregates)), fmt.Sprint(servers),
				fmt.Sprintf("%s/s (%s)", thousands(best.PerSecond), titleOf(best.Way)),
				r.times("durable", best), r.times("direct", best),
			})
		}
	}
	return t
}

func (r *report) bestUnrouted(servers, aggregates int) (best result, ok bool) {
	for _, w := range ways() {
		x, found := r.find(w.Name, servers, aggregates)
		if found && !w.Routed && (!ok || cmp.Less(best.PerSecond, x.PerSecond)) {
			best, ok = x, true
		}
	}
	return best, ok
}

func (r *report) times(way string, best result) string {
	x, ok := r.find(way, best.Servers, best.Aggregates)
	if !ok {
		return "–"
	}
	return fmt.Sprintf("%.1f times", x.PerSecond/best.PerSecond)
}

func titleOf(name string) string {
	for _, w := range ways() {
		if w.Name == name {
			return w.Title
		}
	}
	return name
}

// share shows a percentage, and never a small one as none.
func share(percent float64) string {
	switch {
	case percent == 0:
		return "0"
	case percent < 0.1:
		return "< 0.1 %"
	default:
		return fmt.Sprintf("%.1f %%", percent)
	}
}

func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", math.Round(v))
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (t rows) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, cells := range append([][]string{t.head}, t.cells...) {
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t")+"\t")
	}
	_ = w.Flush()
	_, _ = fmt.Fprintln(out)
}

func (t rows) markdown() string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(t.head)
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = "---:"
	}
	rule[0] = "---"
	line(rule)
	for _, cells := range t.cells {
		line(cells)
	}
	return b.String()
}

func aggregatesTitle(n int) string {
	if n == 1 {
		return "One aggregate"
	}
	return thousands(float64(n)) + " aggregates"
}

// conditions says how the figures were taken, in one sentence.
func (r *report) conditions() string {
	s := r.Settings
	rounds := "one round"
	if s.Rounds > 1 {
		rounds = fmt.Sprintf("median of %d rounds", s.Rounds)
	}
	return fmt.Sprintf("%d CPUs (%s) shared by clients, balancer, servers, NATS and %d mongods (MongoDB %s, w:majority j:true, %d MiB of cache each); "+
		"%d clients with one request in flight each; a read after every %s command of a client; %s of %.0f s",
		r.Machine.CPUs, r.Machine.Model, s.Members, r.Versions["mongod"], s.CacheMB, s.InFlight, ordinal(s.ReadEvery), rounds, s.RoundSeconds)
}

func ordinal(n int) string {
	switch {
	case n%10 == 1 && n%100 != 11:
		return fmt.Sprintf("%dst", n)
	case n%10 == 2 && n%100 != 12:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3 && n%100 != 13:
		return fmt.Sprintf("%drd", n)
	default:
		return fmt.Sprintf("%dth", n)
	}
}

func (r *report) print(out io.Writer) {
	_, _ = fmt.Fprintf(out, "\n%s, %s\n%s\n\n", r.Machine.OS, r.Machine.Kernel, r.conditions())
	for _, n := range r.aggregates() {
		_, _ = fmt.Fprintln(out, aggregatesTitle(n))
		r.table(n).print(out)
	}
	r.comparison().print(out)
}
