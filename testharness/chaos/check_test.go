package chaos_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/testharness/chaos"
)

// record is a history that is written down by hand: one aggregate, one call after
// another, a millisecond each, unless a test moves them.
type record struct {
	chaos.History
	target actor.Address
	last   store.Version
}

func newRecord() *record {
	return &record{target: actor.Address{Kind: "portfolio", ID: "p"}, History: chaos.History{Commits: map[actor.Address][]store.Commit{}}}
}

func (r *record) add(id, command, body string, fate chaos.Fate, version actor.Version, answer string) *chaos.Operation {
	at := time.Duration(len(r.Operations)) * time.Millisecond
	op := &chaos.Operation{
		Target: r.target, ID: actor.CommandID(id), Call: call(command, body), Fate: fate, Version: version,
		Start: at, End: at + time.Millisecond/2,
	}
	switch {
	case fate == chaos.FateRefused:
		op.Code = answer
	case command == "":
		op.Answer = json.RawMessage(answer)
	}
	r.Operations = append(r.Operations, op)
	return op
}

// store appends a commit with one event for each id.
func (r *record) store(ids ...string) {
	c := store.Commit{Aggregate: store.Aggregate(r.target.String()), First: r.last + 1}
	for _, id := range ids {
		c.Outcomes = append(c.Outcomes, store.Outcome{CommandID: id, Events: 1})
		c.Events = append(c.Events, store.Event{Name: "e"})
		r.last++
	}
	r.Commits[r.target] = append(r.Commits[r.target], c)
}

// refuse appends a commit with the outcome of one that raised no event.
func (r *record) refuse(id string) {
	r.store(id)
	all := r.Commits[r.target]
	all[len(all)-1].Events[0].Name = actor.EventOutcome
}

// after is a deposit behind the commits so far, and a read that is told a version.
func (r *record) after(told actor.Version) {
	r.add("more", "DepositCash", `{"amount":1}`, chaos.FateDone, 5, "")
	r.store("more")
	r.add("", "", "", chaos.FateDone, told, `{"cash":7}`)
}

// sound is a history with nothing wrong: created, 10 in, 4 out, and a read.
func sound() *record {
	r := newRecord()
	r.add("create", "CreatePortfolio", `{}`, chaos.FateDone, 1, "")
	r.add("in", "DepositCash", `{"amount":10}`, chaos.FateDone, 2, "")
	r.add("much", "WithdrawCash", `{"amount":11}`, chaos.FateRefused, 2, "insufficient_cash")
	r.add("out", "WithdrawCash", `{"amount":4}`, chaos.FateDone, 3, "")
	r.add("", "", "", chaos.FateDone, 3, `{"cash":6}`)
	r.store("create", "in")
	r.store("out")
	return r
}

// TestCheck tells right histories from wrong ones.
func TestCheck(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(r *record)
		want   string // in a violation; empty: there is none
	}{
		"sound":                             {func(*record) {}, ""},
		"unknown, in the store":             {func(r *record) { r.Operations[3].Fate = chaos.FateUnknown }, ""},
		"unknown, and long over":            {func(r *record) { r.add("x", "DepositCash", `{"amount":1}`, chaos.FateUnknown, 0, "") }, ""},
		"accepted, in the store":            {func(r *record) { r.Operations[3].Fate = chaos.FateAccepted }, ""},
		"accepted, and could be refused":    {func(r *record) { r.add("x", "WithdrawCash", `{"amount":9}`, chaos.FateAccepted, 0, "") }, ""},
		"accepted, lost":                    {func(r *record) { r.add("x", "DepositCash", `{"amount":9}`, chaos.FateAccepted, 0, "") }, "nothing stood against it"},
		"not executed, not in the store":    {func(r *record) { r.add("x", "DepositCash", `{"amount":1}`, chaos.FateNotExecuted, 0, "") }, ""},
		"not executed, in the store":        {func(r *record) { r.Operations[3].Fate = chaos.FateNotExecuted }, "told as not executed"},
		"refused, in the store":             {func(r *record) { r.Operations[3].Fate, r.Operations[3].Code = chaos.FateRefused, "insufficient_cash" }, "was refused, and is in the store"},
		"done, and not in the store":        {func(r *record) { r.add("x", "DepositCash", `{"amount":1}`, chaos.FateDone, 4, "") }, "nothing above version 3"},
		"done, at another's version":        {func(r *record) { r.add("x", "DepositCash", `{"amount":1}`, chaos.FateDone, 3, "") }, "not linearizable"},
		"done, stored at another version":   {func(r *record) { r.Operations[1].Version = 1 }, "is in the store at version 2"},
		"twice":                             {func(r *record) { r.store("in") }, "took effect at versions [2 4]"},
		"another answer":                    {func(r *record) { again(r, 1, 3) }, "a second answer"},
		"the same answer":                   {func(r *record) { again(r, 1, 2) }, ""},
		"a gap":                             {func(r *record) { r.Commits[r.target][1].First = 4 }, "follows version 2"},
		"sent by nobody":                    {func(r *record) { r.store("stray") }, "nobody sent it"},
		"refused although there was enough": {func(r *record) { r.Operations[2].Call.Body = json.RawMessage(`{"amount":3}`) }, "not linearizable"},
		"a stale refusal":                   {func(r *record) { shift(r, 2, 10*time.Millisecond) }, "not linearizable"},
		"a stale read":                      {func(r *record) { r.Operations[4].Version, r.Operations[4].Answer = 2, json.RawMessage(`{"cash":10}`) }, "not linearizable"},
		"a read of the past, while it was": {func(r *record) {
			r.Operations[4].Version, r.Operations[4].Answer = 2, json.RawMessage(`{"cash":10}`)
			r.Operations[4].Start = 0
		}, ""},
		"a read of what never was": {func(r *record) { r.Operations[4].Answer = json.RawMessage(`{"cash":7}`) }, "not linearizable"},
		"refusals in the history":  {func(r *record) { r.refuse("much"); r.after(5) }, ""},
		"a read of a refusal":      {func(r *record) { r.refuse("much"); r.after(4) }, "nothing changed at that version"},
		"done by an event of outcomes": {func(r *record) {
			r.refuse("x")
			r.add("x", "DepositCash", `{"amount":1}`, chaos.FateDone, 4, "")
		}, "nothing above version 3"},
		"out of order": {func(r *record) { shift(r, 1, 20*time.Millisecond); shift(r, 3, 10*time.Millisecond) }, "not linearizable"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, m := sound(), portfolios()
			tt.change(r)
			got := strings.Join(chaos.Check(&m, &r.History).Violations, "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("violations %q, want %q", got, tt.want)
			}
		})
	}
}

// again makes two attempts of a command that was done, the second of which was told
// a version of its own.
func again(r *record, index int, version actor.Version) {
	op := r.Operations[index]
	first := chaos.Attempt{Start: op.Start, End: op.End, Status: 200, Version: op.Version, Fate: chaos.FateDone}
	second := first
	second.Start, second.End, second.Version = op.End+1, op.End+2, version
	op.Attempts = []chaos.Attempt{first, second}
}

// TestCheck_RefusalForgotten: a refused command that was sent again took effect then,
// or came to another refusal, or was refused although an earlier copy of it, of which
// nobody knew, took effect.
func TestCheck_RefusalForgotten(t *testing.T) {
	t.Parallel()
	no := chaos.Attempt{Start: 2 * time.Millisecond, End: 2*time.Millisecond + 1, Version: 2, Code: "insufficient_cash", Fate: chaos.FateRefused}
	later := chaos.Attempt{Start: time.Second, End: 2 * time.Second, Version: 5, Fate: chaos.FateDone}
	other, lost, same := no, no, no
	other.Code = "portfolio_closed"
	lost.Fate, lost.Start = chaos.FateUnknown, time.Millisecond
	same.Version = 3
	for name, tt := range map[string]struct {
		attempts []chaos.Attempt
		effect   bool
		want     []string // one in each violation
	}{
		"the same":                  {[]chaos.Attempt{no, no}, false, nil},
		"the same, of later":        {[]chaos.Attempt{no, same}, false, []string{"a second answer"}},
		"done":                      {[]chaos.Attempt{no, later}, true, []string{"a second answer", "was refused, and is in the store"}},
		"done, and nobody was told": {[]chaos.Attempt{no}, true, []string{"was refused, and is in the store"}},
		"done by an earlier copy":   {[]chaos.Attempt{lost, no}, true, []string{"was refused, and is in the store"}},
		"another refusal":           {[]chaos.Attempt{no, other}, false, []string{"a second answer"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, m := sound(), portfolios()
			r.Operations[2].Attempts = tt.attempts
			shift(r, 4, 1)
			r.Operations[4].End = time.Minute
			r.add("more", "DepositCash", `{"amount":10}`, chaos.FateDone, 4, "")
			r.store("more")
			if tt.effect {
				r.store("much")
			}
			found := chaos.Check(&m, &r.History).Violations
			if len(found) != len(tt.want) {
				t.Fatalf("violations %q, want %q", found, tt.want)
			}
			for i, want := range tt.want {
				if !strings.Contains(found[i], want) {
					t.Errorf("violation %q, want %q", found[i], want)
				}
			}
		})
	}
}

// shift makes a call take place at a later time.
func shift(r *record, index int, at time.Duration) {
	r.Operations[index].Start, r.Operations[index].End = at, at+1
}

func TestPlan(t *testing.T) {
	t.Parallel()
	const duration = time.Minute
	first := chaos.Describe(chaos.Plan(7, duration))
	if again := chaos.Describe(chaos.Plan(7, duration)); again != first {
		t.Errorf("the same seed made\n%sand then\n%s", first, again)
	}
	if other := chaos.Describe(chaos.Plan(8, duration)); other == first {
		t.Error("another seed made the same schedule")
	}
	systems := map[string]int{}
	for seed := range uint64(50) {
		overlap := 0
		plan := chaos.Plan(seed, duration)
		for i, f := range plan {
			system, _, _ := strings.Cut(f.Name, ":")
			systems[system]++
			if f.At < 0 || f.For < 0 || f.At+f.For > duration {
				t.Errorf("seed %d: %s is not over in time", seed, f.Name)
			}
			if i > 0 && f.At < plan[i-1].At+plan[i-1].For {
				overlap++
			}
		}
		if overlap == 0 {
			t.Errorf("seed %d: no two faults overlap", seed)
		}
	}
	for _, system := range []string{"node", "nats", "mongo"} {
		if systems[system] < 50 {
			t.Errorf("%d faults of %s in 50 schedules", systems[system], system)
		}
	}
}

func ExampleDescribe() {
	fmt.Print(chaos.Describe([]chaos.Fault{{Name: "node: pause", At: 1500 * time.Millisecond, For: 14 * time.Second}}))
	// Output:
	//    1.500s  node: pause                                      for 14.000s
}
