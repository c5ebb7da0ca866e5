package page

import (
	"slices"
	"strings"
)

// control is a button that does something to the machine.
type control struct {
	Action, Target string
	Label          string
	Of             string // what screen readers hear behind the label
	Class          string
	Why            string // it is disabled
}

// group is what can be done to one part, or to parts of one sort.
type group struct {
	ID       string
	Title    string
	State    string
	Tone     string
	Controls []control
	Why      []string // sentences, for the buttons that are disabled
}

// words are the labels of actions on parts, in the order of their buttons.
func words() []control {
	return []control{
		{Action: ActKill, Label: "Kill\u00a0−9", Class: "danger"},
		{Action: ActPause, Label: "Pause"},
		{Action: ActCut, Label: "Cut off"},
		{Action: ActDrain, Label: "Drain"},
		{Action: ActStepDown, Label: "Step down the primary"},
		{Action: ActBack, Label: "Bring back"},
	}
}

// elsewhere are the actions whose forms have places of their own.
func elsewhere(name string) bool {
	switch name {
	case ActLoad, ActStop, ActCheck, ActAudit, ActCompare, ActCompareStop, ActTour, ActTourSkip, ActTourAgain:
		return true
	}
	return false
}

// groups sorts what can be done by what it is done to, in the order of the picture.
func groups(s Snapshot) []group {
	var all []group
	for i, t := range s.Tracks {
		g := group{Title: t.Name, State: t.State, Tone: hue(i) + " " + tone(t.State)}
		g.add(s.Actions, func(a Action) bool { return a.Target == t.Name })
		all = append(all, g)
	}
	if of := names(s.NATS); len(of) > 0 {
		g := group{Title: "NATS servers"}
		g.add(s.Actions, func(a Action) bool { return slices.Contains(of, a.Target) })
		all = append(all, g)
	}
	g := group{Title: "MongoDB"}
	members := names(s.Mongo)
	g.add(s.Actions, func(a Action) bool { return a.Name == ActStepDown || slices.Contains(members, a.Target) })
	all = append(all, g, rest(s, all, g))
	all = slices.DeleteFunc(all, func(g group) bool { return len(g.Controls) == 0 })
	for i := range all {
		all[i].ID = "group-" + count(int64(i+1))
	}
	return all
}

// rest has what is in none of the other groups, so that nothing that can be done is hidden.
func rest(s Snapshot, others []group, last group) group {
	shown := map[[2]string]bool{}
	for _, g := range append(slices.Clone(others), last) {
		for _, c := range g.Controls {
			shown[[2]string{c.Action, c.Target}] = true
		}
	}
	g := group{Title: "Other parts"}
	g.add(s.Actions, func(a Action) bool { return !shown[[2]string{a.Name, a.Target}] })
	return g
}

// add takes over the actions that are this group's.
func (g *group) add(actions []Action, ours func(Action) bool) {
	for _, a := range actions {
		if elsewhere(a.Name) || !ours(a) {
			continue
		}
		c := control{Action: a.Name, Target: a.Target, Label: a.Name, Why: a.Why}
		if i := slices.IndexFunc(words(), func(w control) bool { return w.Action == a.Name }); i >= 0 {
			c.Label, c.Class = words()[i].Label, words()[i].Class
		}
		switch a.Target {
		case "":
		case g.Title:
			c.Of = a.Target
		default:
			c.Label += " " + a.Target
		}
		g.Controls = append(g.Controls, c)
	}
	g.Why = whys(g.Controls)
}

// whys says why buttons are disabled, each reason once, with the names of the buttons unless
// it names what they are for.
func whys(controls []control) (all []string) {
	labels := map[string][]string{}
	for _, c := range controls {
		if c.Why == "" {
			continue
		}
		if labels[c.Why] == nil {
			all = append(all, c.Why)
		}
		labels[c.Why] = append(labels[c.Why], c.Label)
	}
	for i, why := range all {
		if one := labels[why]; len(one) > 1 || len(all) < 2 {
			why = strings.Join(one, ", ") + ": " + why
		}
		if !strings.HasSuffix(why, ".") {
			why += "."
		}
		all[i] = why
	}
	return all
}

func names(servers []Server) (all []string) {
	for _, one := range servers {
		all = append(all, one.Name)
	}
	return all
}

// button returns the control for an action without a target; nil: it is not to be had.
func button(s Snapshot, name, label, class string) *control {
	for _, a := range s.Actions {
		if a.Name == name {
			return &control{Action: name, Target: a.Target, Label: label, Class: class, Why: a.Why}
		}
	}
	return nil
}
