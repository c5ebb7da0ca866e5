package page

import (
	"strings"
	"time"
)

// oldAfter is the age from which figures are called old, and nothing moves any more.
const oldAfter = 3 * time.Second

// model is what the templates show: a snapshot in words.
type model struct {
	Snapshot
	Age     string // that the figures are old; empty: they are not
	Running string // for how long
	Pills   []pill
	Verdict verdict
	Check   []*control

	LoadNow  string
	LoadSet  int
	LoadStop *control
	LoadGo   *control
	Pictures []picture
	Groups   []group

	Phase       string
	CompareGo   *control
	CompareStop *control
	Charts      []chart
	Ways        []way

	Steps    []step
	TourGo   *control
	TourSkip *control
	TourNew  *control

	ViewRows []viewRow
	Lines    []line
	PartRows []partRow
}

type pill struct{ Text, Tone string }

type way struct {
	Class, Name, Orders, P50, P99, Conflicts, Failed, Stale string
}

type step struct{ Class, Name, Text string }

type viewRow struct{ Name, Behind, Events string }

type line struct{ At, Class, Mark, Text string }

type partRow struct {
	Part
	Tone, Words string
}

// newModel puts a snapshot into words, as they are right now.
func newModel(s Snapshot, now time.Time) model {
	m := model{Snapshot: s, Verdict: newVerdict(s), Groups: groups(s), Age: ageWords(s, now)}
	if !s.Started.IsZero() {
		m.Running = clock(s.Time.Sub(s.Started))
	}
	m.Pills = pills(s)
	m.Check = buttons(button(s, ActCheck, "Check now", "second"), button(s, ActAudit, "Audit everything", "second"))
	m.LoadGo, m.LoadStop = button(s, ActLoad, "Start load", "go"), button(s, ActStop, "Stop load", "second")
	m.LoadSet = max(1, min(s.Load.Wanted, s.Load.Max))
	if s.Load.Wanted <= 0 {
		m.LoadSet = max(1, s.Load.Max*2/5) // what the slider proposes
	}
	if s.Load.Running {
		m.LoadNow = number(s.Load.Orders) + " orders/s · p50 " + span(s.Load.P50) + " · p99 " + span(s.Load.P99)
		if m.LoadGo != nil {
			m.LoadGo.Label, m.LoadGo.Class = "Set load", "second"
		}
	}
	m.Pictures = []picture{wide(s, m.Age != ""), tall(s, m.Age != "")}
	m.compare()
	m.tour()
	for _, v := range s.Views {
		m.ViewRows = append(m.ViewRows, viewRow{Name: v.Name, Behind: duration(v.Behind), Events: figure(v.Events)})
	}
	for _, e := range s.Log {
		m.Lines = append(m.Lines, newLine(e, s.Started))
	}
	for _, p := range s.Parts {
		words := stateWord(p.State)
		if age := since(p.Since, s.Time); age != "" {
			words += " for " + age
		}
		m.PartRows = append(m.PartRows, partRow{Part: p, Tone: tone(p.State), Words: words})
	}
	return m
}

// ageWords says that figures are old; empty: they are not.
func ageWords(s Snapshot, now time.Time) string {
	switch old := now.Sub(s.Time); {
	case s.Time.IsZero():
		return "no figures yet"
	case old > oldAfter:
		return "figures are " + span(old) + " old"
	}
	return ""
}

// buttons leaves out those that are not to be had.
func buttons(all ...*control) (some []*control) {
	for _, c := range all {
		if c != nil {
			some = append(some, c)
		}
	}
	return some
}

// pills are what the head of the page says about the machine.
func pills(s Snapshot) (all []pill) {
	if s.Load.Running {
		text := "trading"
		if age := s.Time.Sub(s.Load.Since); !s.Load.Since.IsZero() && age >= 0 {
			text += " for " + clock(age)
		}
		all = append(all, pill{text, "up"})
	} else {
		all = append(all, pill{"no load", ""})
	}
	if s.Store != "" {
		all = append(all, pill{s.Store + members(s.Mongo, "member", "members"), health(s.Mongo)})
	}
	if len(s.NATS) > 0 {
		all = append(all, pill{"NATS" + members(s.NATS, "server", "servers"), health(s.NATS)})
	}
	return all
}

// members says how many of them are up.
func members(all []Server, one, many string) string {
	if len(all) == 0 {
		return ""
	}
	up := 0
	for _, m := range all {
		if m.State == Up {
			up++
		}
	}
	if up == len(all) {
		return " · " + plural(up, one, many)
	}
	return " · " + count(int64(up)) + " of " + plural(len(all), one, many)
}

func health(all []Server) string {
	for _, m := range all {
		if m.State != Up {
			return "dead"
		}
	}
	return ""
}

func (m *model) compare() {
	c := m.Compare
	m.CompareGo, m.CompareStop = button(m.Snapshot, ActCompare, "Compare", "go"), button(m.Snapshot, ActCompareStop, "Stop", "second")
	m.Compare.Max = max(c.Max, 1)
	m.Compare.Accounts = max(1, min(c.Accounts, m.Compare.Max))
	switch {
	case c.Problem != "":
		m.Phase = c.Problem
	case c.Phase == Preparing:
		m.Phase = "Preparing the accounts"
	case c.Phase == OursRuns:
		m.Phase = "Now: routed to one owner"
	case c.Phase == OtherRuns:
		m.Phase = "Now: balancer and database alone"
	case c.Phase == Done:
		m.Phase = "Done, on " + plural(m.Compare.Accounts, "account", "accounts")
	default:
		m.Phase = "Not run yet"
	}
	if running := c.Phase == OursRuns || c.Phase == OtherRuns; running && c.Problem == "" {
		if c.Rounds > 0 {
			m.Phase += ", turn " + count(int64(c.Round)) + " of " + count(int64(c.Rounds))
		}
		if left := c.Ends.Sub(m.Time); !c.Ends.IsZero() && left > 0 {
			m.Phase += ", " + age(left+time.Second-1) + " left"
		}
	}
	if len(c.Ours.Points)+len(c.Other.Points) > 0 {
		m.Charts = charts(c)
	}
	m.Ways = []way{newWay("a", "Routed to one owner", c.Ours), newWay("b", "Balancer and database alone", c.Other)}
}

func newWay(class, name string, w Way) way {
	return way{
		Class: class, Name: name, Orders: figure(w.Orders), P50: duration(w.P50), P99: duration(w.P99),
		Conflicts: figure(w.Conflicts), Failed: share(w.Failed), Stale: share(w.Stale),
	}
}

func (m *model) tour() {
	label := ""
	for _, one := range m.Tour {
		st := step{Class: one.State, Name: one.Name}
		if one.State == "now" {
			st.Text, label = one.Text, one.Action
		}
		m.Steps = append(m.Steps, st)
	}
	if label == "" {
		label = "Start the tour"
	}
	m.TourGo = button(m.Snapshot, ActTour, label, "go")
	m.TourSkip = button(m.Snapshot, ActTourSkip, "Skip", "second")
	m.TourNew = button(m.Snapshot, ActTourAgain, "Start again", "second")
}

func newLine(e Entry, started time.Time) line {
	out := line{At: offset(e.Time, started), Text: e.Text, Class: "plain"}
	switch strings.ToLower(e.Kind) {
	case "fault":
		out.Class, out.Mark = "fault", "▲"
	case "right":
		out.Class, out.Mark = "right", "✓"
	case "wrong":
		out.Class, out.Mark = "wrong", "✗"
	}
	return out
}
