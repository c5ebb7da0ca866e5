package actor_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
)

type (
	patient     struct{ Name, Illness string }
	patientView struct{ Name string }

	admitted   struct{ Name, Illness string }
	admittedV0 struct{ Full string }
	diagnosed  struct{ Illness string }
	nicknamed  struct{ Name string }
	broken     struct{ Name string }
)

func patients(view, public bool) *actor.Behavior {
	return actor.Define("patient", func(d *actor.Definition[patient]) {
		if public {
			d.PublicEvents()
		}
		if view {
			actor.View(d, func(p *patient) patientView { return patientView{p.Name} })
		}
		actor.Apply(d, func(p *patient, e admitted) { p.Name, p.Illness = e.Name, e.Illness },
			actor.Redact(func(e admitted) any { return patientView{e.Name} }),
			actor.From("admitted.v0", func(e admittedV0) admitted { return admitted{Name: e.Full, Illness: "unknown"} }))
		actor.Apply(d, func(p *patient, e diagnosed) { p.Illness = e.Illness })
		actor.Apply(d, func(p *patient, e nicknamed) { p.Name = e.Name }, actor.Public(),
			actor.From("nicknamed.v0", func(e admittedV0) nicknamed { return nicknamed{Name: e.Full} }))
		actor.Apply(d, func(*patient, broken) {}, actor.Redact(func(e broken) any {
			switch e.Name {
			case "panic":
				panic("in a redactor")
			case "unencodable":
				return func() {}
			case "deep":
				return nested(actor.MaxDepth + 1)
			}
			return nil
		}))
	}).Behavior()
}

// TestBehavior_Shown: what a view hides is hidden in events, too, unless it is declared;
// what goes wrong shows nothing.
func TestBehavior_Shown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, data    string
		with, without string // as it is shown; "": not at all, "=": whole
	}{
		{"admitted.v1", `{"Name":"n","Illness":"i"}`, `{"Name":"n"}`, `{"Name":"n"}`},
		{"admitted.v0", `{"Full":"n"}`, `{"Name":"n"}`, `{"Name":"n"}`},
		{"admitted.v1", `{"Name":1}`, ``, ``},
		{"diagnosed.v1", `{"Illness":"i"}`, ``, `=`},
		{"nicknamed.v1", `{"Name":"n"}`, `=`, `=`},
		{"nicknamed.v0", `{"Full":"n"}`, `=`, `=`},
		{"broken.v1", `{"Name":"panic"}`, ``, ``},
		{"broken.v1", `{"Name":"unencodable"}`, ``, ``},
		{"broken.v1", `{"Name":"deep"}`, ``, ``},
		{"broken.v1", `{"Name":"nothing"}`, ``, ``},
		{"ofAnotherBuild.v1", `{}`, ``, `=`},
		{actor.EventEffects, `{"set":1}`, `=`, `=`},
		{actor.EventRefused, `{"x":1}`, ``, `=`},
		{"ganglion.ofAnotherBuild.v1", `{"x":1}`, ``, `=`},
	} {
		public := c.without
		if strings.Contains(c.name, "ofAnotherBuild") {
			public = "" // it may have a declaration of its own
		}
		for name, want := range map[string]string{"view": c.with, "no view": c.without, "public": public} {
			data, whole := patients(name != "no view", name == "public").Shown(actor.Event{Name: c.name, Data: []byte(c.data)})
			if want == "=" && (string(data) != c.data || !whole) || want != "=" && (string(data) != want || whole) {
				t.Errorf("%s %s, %s: %q, whole %v", c.name, c.data, name, data, whole)
			}
		}
	}
}

// TestDefine_Disclosure: what contradicts itself is found at the start.
func TestDefine_Disclosure(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]actor.EventOption{
		"both":         {actor.Public(), actor.Redact(func(nicknamed) any { return nil })},
		"twice":        {actor.Public(), actor.Public()},
		"another type": {actor.Redact(func(admitted) any { return nil })},
	} {
		func() {
			defer func() {
				if v := recover(); v == nil {
					t.Errorf("%s: it is taken", name)
				}
			}()
			actor.Define("patient", func(d *actor.Definition[patient]) {
				actor.Apply(d, func(*patient, nicknamed) {}, options...)
			})
		}()
	}
}

func ExampleRedact() {
	type patient struct{ Name, Illness string }
	type view struct{ Name string }
	type admitted struct{ Name, Illness string }
	type diagnosed struct{ Illness string }
	kind := actor.Define("patient", func(d *actor.Definition[patient]) {
		actor.View(d, func(p *patient) view { return view{p.Name} }) // hides the illness
		actor.Apply(d, func(p *patient, e admitted) { p.Name, p.Illness = e.Name, e.Illness },
			actor.Redact(func(e admitted) any { return view{e.Name} }))
		actor.Apply(d, func(p *patient, e diagnosed) { p.Illness = e.Illness })
	})
	for _, e := range []actor.Event{
		{Name: "admitted.v1", Data: []byte(`{"Name":"Ann","Illness":"flu"}`)},
		{Name: "diagnosed.v1", Data: []byte(`{"Illness":"cold"}`)},
	} {
		shown, whole := kind.Behavior().Shown(e)
		fmt.Printf("%s: %s %v\n", e.Name, shown, whole)
	}
	// Output:
	// admitted.v1: {"Name":"Ann"} false
	// diagnosed.v1:  false
}
