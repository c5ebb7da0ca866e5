package page

import (
	"strings"
	"time"
)

// verdict is the answer to the question of the page: does it lose anything, and how long
// does anybody notice?
type verdict struct {
	Class   string // of the mark and the word
	Mark    string
	Word    string
	Figures []verdictFigure
	When    string
	How     string
	More    []string
	Problem string
	Say     string // for screen readers; the same until there is another verdict
}

type verdictFigure struct {
	Text, Name, Class string
}

// newVerdict puts what was found into words.
func newVerdict(s Snapshot) verdict {
	v := s.Verdict
	out := verdict{How: v.How, Problem: v.Problem}
	switch v.State {
	case Right:
		out.Class, out.Mark, out.Word = "right", "✓", "Nothing lost"
		if v.Lost != 0 || v.Doubled != 0 || v.Changed != 0 || v.Broken != 0 { // two sources that contradict each other are no good news
			out.Class, out.Mark, out.Word = "wrong", "✗", "Wrong"
		}
	case Wrong:
		out.Class, out.Mark, out.Word = "wrong", "✗", "Wrong"
	case Checking:
		out.Class, out.Mark, out.Word = "checking", "…", "Checking"
	case Failed:
		out.Class, out.Mark, out.Word = "failed", "!", "Check failed"
	default:
		out.Class, out.Mark, out.Word = "none", "?", "Not yet checked"
	}
	checked := !v.Checked.IsZero()
	shown := func(n int64) string {
		if !checked {
			return unknown
		}
		return count(n)
	}
	wait := unknown
	if checked {
		wait = span(v.LongestWait)
	}
	out.Figures = []verdictFigure{
		{Text: shown(v.Acknowledged), Name: "acknowledged"},
		{Text: shown(v.Stored), Name: "stored"},
		{Text: shown(v.Lost), Name: "lost", Class: faultless(checked, out.Class, v.Lost)},
		{Text: shown(v.Doubled), Name: "doubled", Class: faultless(checked, out.Class, v.Doubled)},
	}
	if v.Changed != 0 {
		out.Figures = append(out.Figures, verdictFigure{Text: shown(v.Changed), Name: "changed", Class: "bad"})
	}
	if v.Broken != 0 {
		out.Figures = append(out.Figures, verdictFigure{Text: shown(v.Broken), Name: "broken records", Class: "bad"})
	}
	out.Figures = append(out.Figures, verdictFigure{Text: wait, Name: "longest wait a user saw"})
	out.When, out.More = verdictWhen(s), verdictMore(s)
	out.Say = verdictWords(v, out)
	return out
}

// faultless is the colour of a figure that is to be 0: only a check that was right makes it
// green, and what was found stays red while the next check runs.
func faultless(checked bool, class string, n int64) string {
	switch {
	case checked && n != 0:
		return "bad"
	case checked && class == "right":
		return "good"
	}
	return ""
}

func verdictWhen(s Snapshot) string {
	v := s.Verdict
	var parts []string
	if !v.Checked.IsZero() {
		when := "checked " + age(s.Time.Sub(v.Checked)) + " ago"
		if v.Took > 0 {
			when += " in " + span(v.Took)
		}
		parts = append(parts, when)
		if v.After != "" {
			parts = append(parts, "after "+v.After)
		}
	}
	if v.Live > v.Acknowledged || v.Live > 0 && v.Checked.IsZero() {
		parts = append(parts, count(v.Live)+" acknowledged by now")
	}
	return title(strings.Join(parts, ", "))
}

// verdictMore has what else is known, a sentence each.
func verdictMore(s Snapshot) (all []string) {
	v := s.Verdict
	if v.Unknown > 0 {
		all = append(all, "Not known yet of "+plural(int(v.Unknown), "command", "commands")+", which are sent again with their keys.")
	}
	var gaps []string
	for _, g := range v.Gaps {
		gaps = append(gaps, g.Track+" "+span(g.Longest))
	}
	if len(gaps) > 0 {
		all = append(all, "Longest time without an answer: "+strings.Join(gaps, ", ")+".")
	}
	if v.Audit != "" {
		text := "Audit at rest"
		if !v.Audited.IsZero() {
			text += ", " + age(s.Time.Sub(v.Audited)) + " ago"
		}
		all = append(all, text+": "+v.Audit)
	}
	return all
}

// verdictWords says a verdict in a sentence, without anything that changes until the next.
func verdictWords(v Verdict, out verdict) string {
	text := out.Word + "."
	if v.State != Right && v.State != Wrong || v.Checked.IsZero() {
		return text
	}
	text += " Checked at " + v.Checked.UTC().Format(time.TimeOnly) + " UTC"
	if v.After != "" {
		text += ", after " + v.After
	}
	text += ": " + count(v.Acknowledged) + " acknowledged, " + count(v.Stored) + " stored, " + count(v.Lost) + " lost, " + count(v.Doubled) + " doubled"
	if v.Changed != 0 {
		text += ", " + count(v.Changed) + " changed"
	}
	if v.Broken != 0 {
		text += ", " + plural(int(v.Broken), "broken record", "broken records")
	}
	return text + ", longest wait " + span(v.LongestWait) + "."
}
