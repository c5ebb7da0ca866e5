package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// overviewBody is what the first page shows.
type overviewBody struct {
	Look     *Look
	Warnings []warning // all of them; warningsShown are listed
	Members  []memberRow
	Traffic  Traffic // of all nodes that answer
	Owned    int     // partitions that have an owner
	Streams  []Stream
	Answers  int // live members that answer
	Alive    int
	Lag      uint64
}

// warningsShown bounds the list.
const warningsShown = 40

// Listed are the warnings that are listed, the worst of them.
func (b *overviewBody) Listed() []warning { return b.Warnings[:min(len(b.Warnings), warningsShown)] }

// Unlisted is how many are not.
func (b *overviewBody) Unlisted() int { return len(b.Warnings) - len(b.Listed()) }

// warning is something that somebody should look at.
type warning struct {
	Where string // whose it is
	Text  string
	Path  string // where more is shown; empty: nowhere
	Bad   bool   // it fails now; else it may
}

// memberRow is a member of the cluster as it is shown.
type memberRow struct {
	*Member
	Class   string
	Traffic Traffic
	Ready   string // in a word
	Self    bool
}

// Started is when the member's session began, or its process, whichever is known.
func (m memberRow) Started() time.Time { return m.Opened }

// skewTolerated is the difference of clocks from which on it is worth a warning.
const skewTolerated = time.Second

func (d *Dashboard) overview(ctx context.Context, _ *http.Request, s Source) (string, any, error) {
	look, err := d.looks.look(ctx, s)
	if err != nil {
		return "", nil, err
	}
	body := &overviewBody{Look: look, Warnings: warnings(look), Streams: shownStreams(look.NATS.Streams)}
	owners := ownersOf(look)
	for i := range look.Members {
		m := &look.Members[i]
		row := memberRow{Member: m, Class: owners[m.Name], Ready: readiness(m), Self: m.Name == look.Self}
		if m.State != MemberDead {
			body.Alive++
		}
		if m.Figures != nil {
			body.Answers++
			for _, t := range look.traffic(m.Figures) {
				row.Traffic.join(t)
			}
			body.Traffic.join(&row.Traffic)
			row.Traffic.measure()
		}
		body.Members = append(body.Members, row)
	}
	body.Traffic.measure()
	for i := range look.Partitions {
		if p := &look.Partitions[i]; p.Owner != "" {
			body.Owned++
		}
		body.Lag += look.Partitions[i].Lag
	}
	return "Overview", body, nil
}

// streamsShown bounds the streams on the overview: those that lack something come first.
const streamsShown = 40

func shownStreams(all []Stream) []Stream {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Stream) int {
		switch {
		case a.Lacks() == b.Lacks():
			return 0
		case a.Lacks():
			return -1
		}
		return 1
	})
	return all[:min(len(all), streamsShown)]
}

// readiness says in a word whether a member serves.
func readiness(m *Member) string {
	switch {
	case m.State == MemberDead:
		return "dead"
	case m.Figures == nil:
		return "silent"
	case m.State == MemberDraining:
		return "draining"
	case len(m.Figures.Faults) > 0:
		return "not ready"
	}
	return "ready"
}

// warnings gathers what somebody should look at, the worst first.
func warnings(l *Look) []warning {
	var all []warning
	add := func(bad bool, where, path, format string, args ...any) {
		all = append(all, warning{Where: where, Text: warningText(format, args...), Path: path, Bad: bad})
	}
	for _, text := range l.Problems {
		add(true, l.Self, "", "%s", text)
	}
	if l.Store.Err != "" {
		add(true, "store", "", "The store does not answer: %s", l.Store.Err)
	}
	if l.NATS.Err != "" {
		add(true, "NATS", "", "%s", l.NATS.Err)
	}
	for _, s := range l.NATS.Streams {
		if s.Leader == "" && s.Replicas > 1 {
			add(true, "NATS", "", "The stream %s has no leader: nothing is written to it.", s.Name)
		} else if s.Lacks() {
			add(false, "NATS", "", "The stream %s has %d of %d replicas.", s.Name, s.Live, s.Replicas)
		}
	}
	unowned, awaiting := 0, 0
	for i := range l.Partitions {
		if l.Partitions[i].Owner == "" {
			unowned++
		}
		awaiting += l.Partitions[i].AwaitingParking
	}
	if unowned > 0 {
		add(true, "partitions", Path+"partitions", "%d %s no owner: commands for them wait.", unowned, plural(unowned, "partition has", "partitions have"))
	}
	if awaiting > 0 {
		add(true, "partitions", Path+"partitions", "%d %s still, as no more can be parked.", awaiting, plural(awaiting, "command stands", "commands stand"))
	}
	if l.Parked > 0 {
		add(false, "parked", Path+"parked", "%s %s parked.", most(l.Parked, l.ParkedMost), plural(l.Parked, "command is", "commands are"))
	}
	for i := range l.Members {
		all = append(all, memberWarnings(&l.Members[i])...)
	}
	all = together(all)
	slices.SortStableFunc(all, func(a, b warning) int {
		switch {
		case a.Bad == b.Bad:
			return 0
		case a.Bad:
			return -1
		}
		return 1
	})
	return all
}

// together makes one of what several nodes say in the same words.
func together(all []warning) []warning {
	type same struct{ text, path string }
	at := map[same]int{}
	var merged []warning
	for _, w := range all {
		key := same{w.Text, w.Path}
		if i, ok := at[key]; ok {
			merged[i].Where += ", " + w.Where
			continue
		}
		at[key] = len(merged)
		merged = append(merged, w)
	}
	return merged
}

// warningText is a line of the list.
func warningText(format string, args ...any) string {
	return cut(clean(fmt.Sprintf(format, args...)), 300)
}

// most writes a count that was cut off.
func most(n, limit int) string {
	if n >= limit && limit > 0 {
		return "At least " + count(n)
	}
	return count(n)
}

func memberWarnings(m *Member) []warning {
	var all []warning
	add := func(bad bool, path, format string, args ...any) {
		all = append(all, warning{Where: m.Name, Text: warningText(format, args...), Path: path, Bad: bad})
	}
	if m.State == MemberDead {
		return nil
	}
	if d := m.ClockAhead; d.Abs() >= skewTolerated {
		way := "ahead"
		if d < 0 {
			way = "behind"
		}
		add(false, "", "Its clock is %s %s, at the least.", span(d.Abs()), way)
	}
	if m.Cut {
		add(true, "", "It is cut off from NATS: other nodes take its partitions.")
	}
	f := m.Figures
	if f == nil {
		add(true, "", "Silent: %s.", m.Silent)
		return all
	}
	for _, text := range f.Faults {
		add(true, "", "Not ready: %s.", short(text))
	}
	for _, text := range f.Warnings {
		add(false, "", "%s", short(text))
	}
	for i := range f.Projections {
		if p := &f.Projections[i]; p.Stuck > 0 {
			add(false, Path+"parked", "%d %s for an operator in the projection %s.", p.Stuck, plural(p.Stuck, "aggregate waits", "aggregates wait"), p.Name)
		}
	}
	for i := range f.Effects {
		switch e := &f.Effects[i]; {
		case e.Stuck > 0:
			add(true, Path+"effects", "%d %s of the effect %s do not return.", e.Stuck, plural(e.Stuck, "handler", "handlers"), e.Effect)
		case !e.Handled:
			add(false, Path+"effects", "Aggregates here ask for the effect %s, which this node does not carry out.", e.Effect)
		case e.Overdue > 0:
			add(false, Path+"effects", "%d of the effect %s %s longer than they are tried for.", e.Overdue, e.Effect, plural(e.Overdue, "waits", "wait"))
		}
	}
	return all
}

// owners is the number of colours that owners of partitions have.
const owners = 6

// ownersOf gives each member a colour by its place in the list, which is the same on all pages.
func ownersOf(l *Look) map[string]string {
	all := map[string]string{}
	for i := range l.Members {
		if _, ok := all[l.Members[i].Name]; !ok {
			all[l.Members[i].Name] = ownerClass(len(all))
		}
	}
	return all
}

// ownerClass is the class of an owner's colour.
func ownerClass(i int) string { return fmt.Sprintf("o%d", i%owners) }

// bars is the number of lengths that bars have.
const bars = 20

// barClass is the class of a bar's length.
func barClass(n, most uint64) string {
	if most == 0 || n == 0 {
		return "w0"
	}
	return fmt.Sprintf("w%d", max(int(float64(n)/float64(most)*bars+0.5), 1))
}
