package actor_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
)

// TestSkip: it is in the history also if nobody waits for it, tells who does, and ends
// the timer whose command it was. Expectations of the command do not matter.
func TestSkip(t *testing.T) {
	t.Parallel()
	m := actor.Skip(*do("send", 1))
	m.Expect = actor.Expectation{}
	i := newSender()
	d := i.Decide(&m)
	if !m.Skips() || !errors.Is(d.Outcome.Err(), actor.ErrSkipped) || eventNames(d) != actor.EventRefused || len(d.Out) > 0 ||
		d.Tainted || i.Version() != 1 || i.Exists() || !strings.Contains(string(d.Events[0].Data), `"command":"run"`) {
		t.Errorf("%+v", d)
	}

	expecting := do("send", 1)
	expecting.Expect = actor.Expectation{Creation: actor.MustExist, Exact: true, Version: 9}
	expecting.OnRefusal = &actor.Fallback{To: senders.ID("s-2"), Name: "pingRefused", Data: []byte(`{"Note":"n"}`)}
	m = actor.Skip(*expecting)
	if d := newSender().Decide(&m); len(d.Out) != 1 || d.Out[0].To != senders.ID("s-2") ||
		!strings.Contains(string(d.Out[0].Data), `"code":"rejected","reason":"skipped_by_operator"`) || !strings.Contains(string(d.Out[0].Data), `"command":"run"`) {
		t.Errorf("%+v", d)
	}

	i = newSender()
	fired := actor.Skip(i.Decide(do("timers", 0)).Out[0].Message(at))
	if d := i.Decide(&fired); !errors.Is(d.Outcome.Err(), actor.ErrSkipped) || timerNames(i) != "late now" {
		t.Errorf("%+v, left are %s", d, timerNames(i))
	}
	if d := i.Decide(&fired); d.Outcome.Code != actor.CodeCancelled || len(d.Events) > 0 {
		t.Errorf("skipped twice: %+v", d)
	}
	if d := newSender().Decide(toSender("c-1", m.Name, 7)); d.Outcome.Code != actor.CodeMalformed || len(d.Events) > 0 {
		t.Errorf("of nothing: %+v", d)
	}
}
