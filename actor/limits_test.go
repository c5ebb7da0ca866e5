package actor_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// plan is an aggregate whose commands go as far as they can.
type plan struct{ Kept json.RawMessage }

type (
	planAt struct {
		actor.Replies[actor.None]
		At time.Time
	}
	planAfter struct {
		actor.Replies[actor.None]
		For time.Duration
	}
	planRing struct{ actor.Replies[actor.None] }
	planKeep struct {
		actor.Replies[json.RawMessage]
		X json.RawMessage
	}
	planNest struct {
		actor.Replies[any]
		Levels int
		In     string
	}
	planKept struct{ X any }
)

func nested(levels int) any {
	var v any = 1
	for range levels {
		v = []any{v}
	}
	return v
}

func plans() *actor.Aggregate[plan] {
	return actor.Define("plan", func(d *actor.Definition[plan]) {
		actor.On(d, func(_ *plan, ctx *actor.Context, c planAt) (actor.None, error) {
			ctx.At(c.At, planRing{})
			return actor.None{}, nil
		})
		actor.On(d, func(_ *plan, ctx *actor.Context, c planAfter) (actor.None, error) {
			ctx.After(c.For, planRing{})
			return actor.None{}, nil
		})
		actor.On(d, func(*plan, *actor.Context, planRing) (actor.None, error) { return actor.None{}, nil })
		actor.On(d, func(_ *plan, _ *actor.Context, c planKeep) (json.RawMessage, error) { return c.X, nil })
		actor.On(d, func(_ *plan, ctx *actor.Context, c planNest) (any, error) {
			switch c.In {
			case "event":
				ctx.Raise(planKept{X: nested(c.Levels)})
			case "reply":
				return nested(c.Levels), nil
			case "rejection":
				return nil, actor.Reject("deep", "too deep").With("x", nested(c.Levels))
			}
			return nil, nil
		})
		actor.Apply(d, func(*plan, planKept) {})
	})
}

func decidePlan(t *testing.T, c actor.Command) actor.Decision {
	t.Helper()
	p := plans()
	m, err := actor.NewMessage(p.ID("p-1"), c)
	if err != nil {
		t.Fatal(err)
	}
	m.Time = at
	return p.Behavior().New(m.Target).Decide(&m)
}

// A timer beyond what fires timers can express is refused, and nothing of its command is
// stored, whatever it is made of; one in the past is due at once.
func TestContext_At_Bounds(t *testing.T) {
	t.Parallel()
	last := actor.MaxTimerTime
	for name, test := range map[string]struct {
		command actor.Command
		refused bool
	}{
		"the last moment":            {planAt{At: last}, false},
		"a nanosecond later":         {planAt{At: last.Add(1)}, true},
		"the last moment, elsewhere": {planAt{At: last.In(time.FixedZone("", 14*3600))}, false},
		"year 9999, rounded up":      {planAt{At: time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)}, true},
		"year 9999, elsewhere":       {planAt{At: time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -12*3600))}, true},
		"the year 2263":              {planAt{At: time.Date(2263, 1, 1, 0, 0, 0, 0, time.UTC)}, true},
		"as long as there is":        {planAfter{For: math.MaxInt64}, true},
		"long ago":                   {planAt{At: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)}, false},
		"a negative time":            {planAfter{For: math.MinInt64}, false},
		"the zero time":              {planAt{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := decidePlan(t, test.command)
			if refused := errors.Is(d.Outcome.Err(), actor.ErrTimerTime); refused != test.refused || refused == (d.Outcome.Code == actor.CodeOK) {
				t.Fatalf("%v", d.Outcome.Err())
			}
			if test.refused {
				if len(d.Events) > 0 || len(d.Out) > 0 {
					t.Errorf("stored all the same: %v, %v", d.Events, d.Out)
				}
				return
			}
			if due := d.Out[0].At; due.IsZero() || due.Year() < 1970 || due.After(last) {
				t.Errorf("due at %v", due)
			}
		})
	}
}

// Nothing is stored, sent or answered that some reader of JSON refuses for its depth.
func TestMaxDepth(t *testing.T) {
	t.Parallel()
	for _, levels := range []int{actor.MaxDepth - 1, actor.MaxDepth, actor.MaxDepth + 1, 9_990} {
		text := strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1)
		_, err := actor.NewMessage(plans().ID("p"), planKeep{X: json.RawMessage(text)})
		check := plans().Behavior().CheckCommand(actor.TypeCommand, "planKeep", []byte(`{"X":`+text+`}`))
		if deep := levels > actor.MaxDepth; (err != nil) != deep || (check != nil) != deep {
			t.Errorf("%d levels: %v, %v", levels, err, check)
		}
	}
	if err := plans().Behavior().CheckCommand(actor.TypeCommand, "planKeep", []byte(`{"X":"`+strings.Repeat(`[\"{`, 500)+`"}`)); err != nil {
		t.Errorf("brackets in a text: %v", err)
	}
	for _, in := range []string{"event", "reply"} {
		for levels, code := range map[int]actor.Code{actor.MaxDepth - 2: actor.CodeOK, actor.MaxDepth + 1: actor.CodeTooLarge} {
			if d := decidePlan(t, planNest{Levels: levels, In: in}); d.Outcome.Code != code || code != actor.CodeOK && len(d.Events) > 0 {
				t.Errorf("%s with %d levels: %q, %s", in, levels, d.Outcome.Code, d.Outcome.Detail)
			}
		}
	}
	d := decidePlan(t, planNest{Levels: 500, In: "rejection"})
	if r := d.Outcome.Rejection; r == nil || r.Code != "deep" || len(r.Details) > 0 {
		t.Errorf("rejection: %+v", r)
	}
}

func FuzzTooDeep(f *testing.F) {
	f.Add(`{"a":[1,"[{\"]"]}`, 3)
	f.Add(strings.Repeat("[", 200)+strings.Repeat("]", 200), 1)
	f.Fuzz(func(t *testing.T, text string, _ int) {
		if !json.Valid([]byte(text)) {
			actor.TooDeep([]byte(text)) // must end
			return
		}
		deepest, depth := 0, 0
		d := json.NewDecoder(strings.NewReader(text))
		for {
			token, err := d.Token()
			if err != nil {
				break
			}
			switch token {
			case json.Delim('{'), json.Delim('['):
				depth++
				deepest = max(deepest, depth)
			case json.Delim('}'), json.Delim(']'):
				depth--
			}
		}
		if actor.TooDeep([]byte(text)) != (deepest > actor.MaxDepth) {
			t.Errorf("%d levels", deepest)
		}
	})
}

// TestMessage_Validate_Time: a time that JSON cannot have would have its handler panic
// with the first event or reply that holds it.
func TestMessage_Validate_Time(t *testing.T) {
	t.Parallel()
	for _, when := range []time.Time{time.UnixMicro(math.MaxInt64), time.UnixMicro(math.MinInt64), time.Unix(253402300800, 0)} {
		for _, m := range []actor.Message{{Time: when}, {Time: at, Deadline: when}} {
			m.Target, m.ID, m.Name = actor.Address{Kind: "plan", ID: "a"}, "c", "ring"
			if err := m.Validate(); !errors.Is(err, actor.ErrMessage) {
				t.Errorf("%v, %v: %v", m.Time, m.Deadline, err)
			}
		}
	}
}
