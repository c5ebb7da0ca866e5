package chaos_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/testharness/chaos"
)

// hotHistory is of one account to which many clients send at once, each call up to so
// many others before and after its instant: what its model says, in order. Some clients
// are not told, some only that it was accepted.
func hotHistory(rnd *rand.Rand, calls, overlap int) *chaos.History {
	m, target := accountModel(), actor.Address{Kind: "account", ID: "hot"}
	h := &chaos.History{Commits: map[actor.Address][]store.Commit{}}
	balance, version := int64(0), actor.Version(0)
	for i := range calls {
		c := m.Next(rnd)
		switch {
		case i == 0:
			c = m.Create
		case i%10 == 0:
			c = call("Move", `{"amounts":[-1000000000]}`)
		case i%11 == 0:
			c = call("Move", `{"amounts":[]}`)
		}
		at := time.Duration(i+overlap) * time.Millisecond
		op := &chaos.Operation{
			Target: target, ID: actor.CommandID(fmt.Sprint("c", i)), Call: c, Fate: chaos.FateDone,
			Start: at - time.Duration(rnd.IntN(overlap))*time.Millisecond, End: at + time.Duration(rnd.IntN(overlap))*time.Millisecond,
		}
		h.Operations = append(h.Operations, op)
		if op.IsRead() {
			op.Version, op.Answer = version, json.RawMessage(fmt.Sprintf(`{"Balance":%d}`, balance))
			continue
		}
		next, d := m.Decide(balance, c)
		if d.Events > 0 && d.Refuse == "" {
			h.Commits[target] = append(h.Commits[target], store.Commit{
				Aggregate: store.Aggregate(target.String()), First: store.Version(version) + 1,
				Outcomes: []store.Outcome{{CommandID: string(op.ID), Events: d.Events}}, Events: make([]store.Event, d.Events),
			})
			balance, version = next, version+actor.Version(d.Events)
		}
		op.Version, op.Answer = version, d.Reply
		if d.Refuse != "" {
			op.Fate, op.Code, op.Answer = chaos.FateRefused, d.Refuse, nil
			if rnd.IntN(2) == 0 {
				op.Version = 0 // from the record of its outcome
			}
		}
		if n := rnd.IntN(10); n < 2 {
			op.Fate, op.Version, op.Answer, op.Code = []chaos.Fate{chaos.FateUnknown, chaos.FateAccepted}[n], 0, nil, ""
		}
	}
	return h
}

// TestCheck_HotAggregate finds the order of thousands of calls of one aggregate, each of
// which overlaps with dozens.
func TestCheck_HotAggregate(t *testing.T) {
	t.Parallel()
	rnd, m := testenv.Rand(t), accountModel()
	if found := chaos.Check(&m, hotHistory(rnd, 3000, 40)).Violations; len(found) != 0 {
		t.Error(found)
	}
}

// TestCheck_HotAggregateOneWrong finds the one call among hundreds that does not fit.
func TestCheck_HotAggregateOneWrong(t *testing.T) {
	t.Parallel()
	const calls = 600
	rnd, m := testenv.Rand(t), accountModel()
	h := hotHistory(rnd, calls, 6)
	for name, change := range map[string]func(op *chaos.Operation) bool{
		"a read of what never was": func(op *chaos.Operation) bool {
			op.Answer = json.RawMessage(`{"Balance":-1}`)
			return op.IsRead() && op.Version > 0
		},
		"a stale read": func(op *chaos.Operation) bool {
			op.Start, op.End = op.Start+time.Second, op.End+time.Second
			return op.IsRead() && op.Version > 0
		},
		"a stale refusal": func(op *chaos.Operation) bool {
			op.Start, op.End = op.Start+time.Second, op.End+time.Second
			return op.Fate == chaos.FateRefused && op.Version > 0
		},
		"without effect, and told of an effect": func(op *chaos.Operation) bool {
			op.Version++
			return op.Fate == chaos.FateDone && string(op.Call.Body) == `{"amounts":[]}`
		},
		"a reply of another balance": func(op *chaos.Operation) bool {
			op.Answer = json.RawMessage(`{"balance":-1}`)
			return op.Fate == chaos.FateDone && !op.IsRead()
		},
	} {
		var was chaos.Operation
		i := calls / 4
		for ; ; i++ {
			was = *h.Operations[i]
			if change(h.Operations[i]) {
				break
			}
			*h.Operations[i] = was
		}
		found := strings.Join(chaos.Check(&m, h).Violations, "\n")
		if !strings.Contains(found, "not linearizable") {
			t.Errorf("%s, at %s: %q", name, h.Operations[i], found)
		}
		*h.Operations[i] = was
	}
}
