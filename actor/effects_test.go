package actor_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
)

// sender does what its command says.
type sender struct{ Heard []string }

type (
	run struct {
		actor.Replies[actor.None]
		Do string
		N  int
	}
	ping struct {
		actor.Replies[actor.None]
		Text string
	}
	pingRefused struct {
		actor.Replies[actor.None]
		actor.Refused
		Note string
	}
	stranger struct{ actor.Replies[actor.None] }
	heard    struct{ What string }
)

var errNo = actor.Reject("no", "it said no")

func (s *sender) run(ctx *actor.Context, c run) (actor.None, error) {
	other := actor.Address{Kind: "other", ID: "o-1"}
	switch c.Do {
	case "send":
		for range c.N {
			ctx.Send(other, ping{Text: "hello"})
		}
	case "send and raise":
		ctx.Raise(heard{"run"})
		ctx.Send(other, &ping{Text: "by pointer"}, actor.OnRefusal(pingRefused{Note: "n"}))
	case "send and reject":
		ctx.Send(other, ping{})
		return actor.None{}, errNo
	case "timers":
		ctx.After(time.Minute, ping{Text: "soon"})
		ctx.At(ctx.Now().Add(time.Hour+time.Nanosecond), ping{Text: "later"}, actor.TimerName("late"))
		ctx.At(time.Time{}, ping{Text: "at once"}, actor.TimerName("now"))
	case "many timers":
		for i := range c.N {
			ctx.After(time.Minute, ping{}, actor.TimerName(fmt.Sprintf("%s-%d", ctx.CommandID(), i)))
		}
	case "cancel":
		ctx.Cancel("late")
		ctx.Cancel("late")
		ctx.Cancel("never set")
	case "set and cancel":
		ctx.After(time.Minute, ping{}, actor.TimerName("brief"))
		ctx.Cancel("brief")
	case "large":
		ctx.Raise(heard{"large"})
		ctx.Send(other, ping{Text: strings.Repeat("x", actor.MaxOutgoingBytes)})
	case "large fallback":
		ctx.Send(other, ping{}, actor.OnRefusal(pingRefused{Note: strings.Repeat("x", actor.MaxFallbackBytes)}))
	case "bad address":
		ctx.Send(actor.Address{Kind: "other"}, ping{})
	case "foreign timer":
		ctx.After(0, stranger{})
	case "nothing to send":
		ctx.Send(other, nil)
	case "end":
		ctx.End()
	}
	return actor.None{}, nil
}

func (s *sender) ping(ctx *actor.Context, c ping) (actor.None, error) {
	switch c.Text {
	case "no":
		return actor.None{}, errNo.With("limit", 7)
	case "again":
		ctx.After(time.Minute, c)
	case "quiet", "soon", "later":
	default:
		ctx.Raise(heard{c.Text})
	}
	return actor.None{}, nil
}

func (s *sender) refused(ctx *actor.Context, c pingRefused) (actor.None, error) {
	ctx.Raise(heard{c.Refusal.Reason})
	return actor.None{}, nil
}

var senders = actor.Define("sender", func(d *actor.Definition[sender]) {
	actor.On(d, (*sender).run)
	actor.On(d, (*sender).ping)
	actor.On(d, (*sender).refused)
	actor.Apply(d, func(s *sender, e heard) { s.Heard = append(s.Heard, e.What) })
})

func newSender() *actor.Instance { return senders.Behavior().New(senders.ID("s-1")) }

func toSender(id, name string, payload any) *actor.Message {
	data, err := json.Marshal(payload)
	if err != nil {
		panic(err)
	}
	return &actor.Message{
		Target: senders.ID("s-1"), ID: actor.CommandID(id), Name: name, Data: data, Time: at,
		Metadata: actor.Metadata{Trace: "00-ab", User: "ann", Causation: "c-0"},
	}
}

func do(what string, n int) *actor.Message { return toSender("c-1", "run", run{Do: what, N: n}) }

func eventNames(d actor.Decision) string {
	var names []string
	for _, e := range d.Events {
		names = append(names, e.Name)
	}
	return strings.Join(names, " ")
}

func TestContext_Send(t *testing.T) {
	t.Parallel()
	i := newSender()
	d := i.Decide(do("send", 2))
	if got := eventNames(d); got != actor.EventEffects || string(d.Events[0].Data) != `{"sent":2}` {
		t.Errorf("events %s %s", got, d.Events[0].Data)
	}
	if d.Outcome.Version != 1 || i.Version() != 1 || !i.Exists() {
		t.Errorf("version %d, instance %d, exists %v", d.Outcome.Version, i.Version(), i.Exists())
	}
	want := actor.Outgoing{
		To: actor.Address{Kind: "other", ID: "o-1"}, Name: "ping", Data: []byte(`{"Text":"hello"}`),
		Metadata: actor.Metadata{Trace: "00-ab", Correlation: "c-1", Causation: "c-1", User: "ann"},
	}
	for k, o := range d.Out {
		if ms, ok := o.ID.UnixMilli(); !ok || ms != at.UnixMilli() {
			t.Errorf("id %s tells %d, want %d", o.ID, ms, at.UnixMilli())
		}
		o.ID = ""
		if diff := cmp.Diff(want, o); diff != "" {
			t.Errorf("out %d (-want +got):\n%s", k, diff)
		}
	}
	if d.Out[0].ID == d.Out[1].ID {
		t.Error("two commands with one id")
	}
	if diff := cmp.Diff(d, newSender().Decide(do("send", 2))); diff != "" {
		t.Errorf("decided again (-first +second):\n%s", diff)
	}
	other := do("send", 2)
	other.ID = "c-2"
	if d2 := newSender().Decide(other); d2.Out[0].ID == d.Out[0].ID {
		t.Error("another command sends under the same id")
	}

	d = newSender().Decide(do("send and raise", 0))
	o := d.Out[0]
	if eventNames(d) != "heard.v1" || o.Name != "ping" || string(o.OnRefusal.Data) == "" || o.OnRefusal.To != senders.ID("s-1") || o.OnRefusal.Name != "pingRefused" {
		t.Errorf("%s, %+v", eventNames(d), o)
	}
	m := o.Message(at.Add(time.Second))
	if err := m.Validate(); err != nil || !m.Time.Equal(at.Add(time.Second)) || m.ID != o.ID || m.OnRefusal != o.OnRefusal {
		t.Errorf("message %+v: %v", m, err)
	}
	if d := newSender().Decide(do("send and reject", 0)); len(d.Out) > 0 || len(d.Events) > 0 || d.Tainted {
		t.Errorf("rejected: %+v", d)
	}
}

func TestContext_Bounds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		m    *actor.Message
		code actor.Code
		out  int
	}{
		"as many as allowed":     {do("send", actor.MaxOutgoing), actor.CodeOK, actor.MaxOutgoing},
		"one more":               {do("send", actor.MaxOutgoing+1), actor.CodeTooLarge, 0},
		"too many bytes":         {do("large", 0), actor.CodeTooLarge, 0},
		"too large a fallback":   {do("large fallback", 0), actor.CodeTooLarge, 0},
		"as many timers":         {do("many timers", actor.MaxTimers), actor.CodeOK, actor.MaxTimers},
		"no such address":        {do("bad address", 0), actor.CodeParked, 0},
		"not its own command":    {do("foreign timer", 0), actor.CodeParked, 0},
		"nothing to send":        {do("nothing to send", 0), actor.CodeParked, 0},
		"the end of what cannot": {do("end", 0), actor.CodeParked, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newSender().Decide(test.m)
			if d.Outcome.Code != test.code || len(d.Out) != test.out {
				t.Errorf("%q (%s), %d sent", d.Outcome.Code, d.Outcome.Detail, len(d.Out))
			}
			if test.code == actor.CodeTooLarge && len(d.Events) > 0 {
				t.Errorf("events %s", eventNames(d))
			}
			if err := d.Outcome.Err(); test.code == actor.CodeTooLarge && !errors.Is(err, actor.ErrTooLarge) {
				t.Errorf("error %v", err)
			}
		})
	}
	i := newSender()
	i.Decide(do("many timers", actor.MaxTimers))
	if d := i.Decide(toSender("c-2", "run", run{Do: "many timers", N: 1})); d.Outcome.Code != actor.CodeTooLarge || !d.Tainted {
		t.Errorf("one timer more than allowed: %+v", d.Outcome)
	}
}

func TestContext_MetadataThatDoesNotFit(t *testing.T) {
	t.Parallel()
	m := do("send", 1)
	m.Metadata = actor.Metadata{Trace: "00-ab", Correlation: "co", User: strings.Repeat("u", actor.MaxMetadataBytes-6)}
	if err := m.Validate(); err != nil && !errors.Is(err, actor.ErrMessage) {
		t.Fatal(err)
	}
	sent := newSender().Decide(m).Out[0]
	msg := sent.Message(at)
	if err := msg.Validate(); err != nil {
		t.Error(err)
	}
	if sent.Metadata.User != m.Metadata.User || sent.Metadata.Trace != "" {
		t.Errorf("metadata %+v", sent.Metadata)
	}
}

func timerNames(i *actor.Instance) string {
	var names []string
	for _, t := range i.RuntimeState().Timers {
		names = append(names, t.Name)
	}
	return strings.Join(names, " ")
}

func TestTimers(t *testing.T) {
	t.Parallel()
	i := newSender()
	d := i.Decide(do("timers", 0))
	if eventNames(d) != actor.EventEffects || timerNames(i) != "late now ping" {
		t.Fatalf("events %s, timers %s", eventNames(d), timerNames(i))
	}
	for k, want := range []time.Time{at.Add(time.Minute), at.Add(time.Hour + time.Microsecond), time.UnixMicro(1)} {
		if o := d.Out[k]; !o.At.Equal(want) || o.To != i.Address() {
			t.Errorf("timer %s of %s at %s, want %s", o.Timer, o.To, o.At, want)
		}
	}

	// Cancelled once; what was never set is not cancelled at all.
	late := d.Out[1].Message(at)
	d = i.Decide(toSender("c-2", "run", run{Do: "cancel"}))
	if len(d.Out) != 1 || d.Out[0].Timer != "late" || d.Out[0].Name != "" || d.Out[0].ID != "" || timerNames(i) != "now ping" {
		t.Errorf("cancelled by %+v, left are %s", d.Out, timerNames(i))
	}
	if d := i.Decide(&late); d.Outcome.Code != actor.CodeCancelled || len(d.Events) > 0 || i.Version() != 2 {
		t.Errorf("a cancelled timer fired: %+v", d)
	}

	// Set again: the first setting is over.
	first, _ := json.Marshal(i.RuntimeState().Timers[1])
	d = i.Decide(toSender("c-3", "run", run{Do: "timers"}))
	var replaced actor.Timer
	if err := json.Unmarshal(first, &replaced); err != nil {
		t.Fatal(err)
	}
	old := actor.Message{Target: i.Address(), ID: replaced.ID, Name: "ping", Time: at, Timer: "ping", Data: []byte(`{"Text":"soon"}`)}
	if d := i.Decide(&old); d.Outcome.Code != actor.CodeCancelled {
		t.Errorf("a replaced timer fired: %+v", d)
	}

	// It fires, raises nothing, and is over all the same.
	fired := d.Out[0].Message(at)
	if !fired.Time.Equal(at.Add(time.Minute)) {
		t.Errorf("time of the firing %s", fired.Time)
	}
	fired.Time = at // what whoever fires it says does not count
	d = i.Decide(&fired)
	if eventNames(d) != actor.EventEffects || string(d.Events[0].Data) != `{"fired":"ping"}` || timerNames(i) != "late now" {
		t.Errorf("fired: %s, left are %s", eventNames(d), timerNames(i))
	}
	if d := i.Decide(&fired); d.Outcome.Code != actor.CodeCancelled {
		t.Errorf("fired twice: %+v", d)
	}
	d = i.Decide(toSender("c-4", "run", run{Do: "set and cancel"}))
	if len(d.Out) != 2 || timerNames(i) != "late now" {
		t.Errorf("set and cancelled at once: %+v, %s", d.Out, timerNames(i))
	}
}

// TestTimers_FiringRefused: that a timer's command was refused is in the history, so
// that it is over for whoever loads the aggregate, and a handler may set it anew.
func TestTimers_FiringRefused(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{"rejected": `{"Text":"no"}`, "malformed": `{"Text":1}`} {
		i := newSender()
		d := i.Decide(do("timers", 0))
		fired := d.Out[0].Message(at)
		fired.Data = []byte(data)
		d = i.Decide(&fired)
		if d.Outcome.Code == actor.CodeOK || eventNames(d) != actor.EventRefused || d.Outcome.Version != 2 || i.Version() != 2 || timerNames(i) != "late now" || d.Tainted {
			t.Errorf("%s: %+v, left are %s", name, d, timerNames(i))
		}
	}
	i := newSender()
	d := i.Decide(do("timers", 0))
	fired := d.Out[0].Message(at)
	fired.Data = []byte(`{"Text":"again"}`)
	d = i.Decide(&fired)
	if len(d.Out) != 1 || !d.Out[0].At.Equal(at.Add(2*time.Minute)) || timerNames(i) != "late now ping" {
		t.Errorf("set again by its own command: %+v, %s", d, timerNames(i))
	}
}

func TestInstance_SetAgain(t *testing.T) {
	t.Parallel()
	i := newSender()
	o := i.Decide(do("timers", 0)).Out[0]
	early := o.Message(at)
	d := i.SetAgain(&early)
	if d.Outcome.Code != actor.CodeCancelled || d.Outcome.Version != 2 || eventNames(d) != actor.EventEffects || len(d.Out) != 1 {
		t.Fatalf("%+v", d)
	}
	again := d.Out[0]
	if again.ID == o.ID || !again.At.Equal(o.At) || again.Timer != o.Timer || string(again.Data) != string(o.Data) {
		t.Errorf("set to %+v, was %+v", again, o)
	}
	if d := i.Decide(&early); d.Outcome.Code != actor.CodeCancelled || len(d.Events) > 0 {
		t.Errorf("the early one fired: %+v", d)
	}
	m := again.Message(at)
	if d := i.Decide(&m); d.Outcome.Code != actor.CodeOK {
		t.Errorf("the later one: %+v", d)
	}
	if d := i.SetAgain(&m); d.Outcome.Code != actor.CodeCancelled || len(d.Events) > 0 {
		t.Errorf("set again what has fired: %+v", d)
	}
}

// TestRefusal: with a fallback, every definite refusal is an event and is sent.
func TestRefusal(t *testing.T) {
	t.Parallel()
	saga := actor.Address{Kind: "saga", ID: "s"}
	awaited := func(m *actor.Message) *actor.Message {
		m.OnRefusal = &actor.Fallback{To: saga, Name: "heard", Data: []byte(`{"note":"n","refusal":{}}`)}
		return m
	}
	for name, test := range map[string]struct {
		m       *actor.Message
		history int
		code    actor.Code
		reason  string
	}{
		"rejected":             {command("withdraw", `{"amount":100}`), 1, actor.CodeRejected, "insufficient_funds"},
		"does not exist":       {command("withdraw", `{"amount":1}`), 0, actor.CodeDoesNotExist, ""},
		"exists":               {command("open", `{}`), 1, actor.CodeAlreadyExists, ""},
		"another version":      {expecting(command("deposit", `{}`), actor.ExpectVersion(5)), 1, actor.CodeVersionMismatch, ""},
		"unknown command":      {command("nonsense", `{}`), 1, actor.CodeUnknownCommand, ""},
		"malformed":            {command("deposit", `[]`), 1, actor.CodeMalformed, ""},
		"raised, and rejected": {command("misbehave", `{"How":"details not in JSON"}`), 1, actor.CodeRejected, "invalid_amount"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := with(t, test.history)
			d := i.Decide(awaited(test.m))
			if d.Outcome.Code != test.code || eventNames(d) != actor.EventRefused || len(d.Out) != 1 {
				t.Fatalf("%+v", d)
			}
			if want := actor.Version(test.history + 1); d.Outcome.Version != want || i.Version() != want {
				t.Errorf("version %d, instance %d, want %d", d.Outcome.Version, i.Version(), want)
			}
			if i.Exists() != (test.history > 0) {
				t.Errorf("exists: %v", i.Exists())
			}
			var told struct {
				Note    string
				Refusal actor.Refusal
			}
			if err := json.Unmarshal(d.Out[0].Data, &told); err != nil {
				t.Fatal(err)
			}
			r := told.Refusal
			if told.Note != "n" || r.Code != test.code || r.CommandID != "c-1" || r.Target != "account/a-1" || test.reason != "" && r.Reason != test.reason {
				t.Errorf("told %+v", told)
			}
			if !errors.Is(d.Outcome.Err(), r.Err()) {
				t.Errorf("error %v, want %v", r.Err(), d.Outcome.Err())
			}
			if o := d.Out[0]; o.To != saga || o.Name != "heard" || o.Metadata.Causation != "c-1" {
				t.Errorf("sent %+v", o)
			}
		})
	}
}

func TestRefusal_OfManyDetails(t *testing.T) {
	t.Parallel()
	long := actor.Reject("long", strings.Repeat("é", 1<<15)).With("list", strings.Repeat("x", 1<<16))
	d := newSender().Refuse(&actor.Message{
		Target: senders.ID("s-1"), ID: "c-1", Name: "ping", Time: at,
		OnRefusal: &actor.Fallback{To: senders.ID("s-2"), Name: "pingRefused", Data: []byte(`null`)},
	}, actor.Outcome{Code: actor.CodeRejected, Rejection: long})
	if n := len(d.Out[0].Data); n > 2048 {
		t.Errorf("%d bytes are sent", n)
	}
	if !json.Valid(d.Out[0].Data) || !strings.Contains(string(d.Out[0].Data), `"reason":"long"`) {
		t.Errorf("sent %s", d.Out[0].Data)
	}
}

// TestReplay: events and effects alone bring an instance back.
func TestInstance_ReplayEffects(t *testing.T) {
	t.Parallel()
	live, other := newSender(), newSender()
	apply := func(m *actor.Message) actor.Decision {
		d := live.Decide(m)
		for _, e := range d.Events {
			if err := other.Replay(e); err != nil {
				t.Fatal(err)
			}
		}
		other.ReplayEffects(slices.Values([]actor.CommandID{m.ID}), d.Out)
		if diff := cmp.Diff(live.RuntimeState(), other.RuntimeState()); diff != "" {
			t.Fatalf("after %s (-live +replayed):\n%s", m.ID, diff)
		}
		return d
	}
	d := apply(do("timers", 0))
	apply(toSender("c-2", "run", run{Do: "cancel"}))
	fired := d.Out[0].Message(at)
	apply(&fired)
	d = apply(toSender("c-3", "run", run{Do: "timers"}))
	fired = d.Out[1].Message(at)
	fired.Data = []byte(`{"Text":"no"}`)
	apply(&fired)
	if live.Version() != other.Version() || live.Version() != 5 || timerNames(live) != "now ping" {
		t.Errorf("versions %d and %d, timers %s", live.Version(), other.Version(), timerNames(live))
	}
	if err := other.Replay(actor.Event{Name: "ganglion.other.v1"}); !errors.Is(err, actor.ErrUndecodable) {
		t.Errorf("a reserved event of a newer build: %v", err)
	}
}

func TestReservedNames(t *testing.T) {
	t.Parallel()
	for name, define := range map[string]func(){
		"command": func() {
			actor.Define("x", func(d *actor.Definition[sender]) {
				actor.On(d, func(*sender, *actor.Context, reservedCommand) (actor.None, error) { return actor.None{}, nil })
			})
		},
		"event": func() {
			actor.Define("x", func(d *actor.Definition[sender]) { actor.Apply(d, func(*sender, reservedEvent) {}) })
		},
		"older event": func() {
			actor.Define("x", func(d *actor.Definition[sender]) {
				actor.Apply(d, func(*sender, heard) {}, actor.From("ganglion.old.v1", func(heard) heard { return heard{} }))
			})
		},
		"timer": func() { actor.TimerName("ganglion.deadline") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("accepted")
				}
			}()
			define()
		})
	}
}

type (
	reservedCommand struct{ actor.Replies[actor.None] }
	reservedEvent   struct{}
)

func (reservedCommand) WireName() string { return "ganglion.x" }
func (reservedEvent) WireName() string   { return "ganglion.x.v1" }

// TestInstance_ExpectedVersion_AfterRefusals: what was expected before a refusal is met
// after it, whether the refusal is shown in the history or not. A version that nobody was
// told is not.
func TestInstance_ExpectedVersion_AfterRefusals(t *testing.T) {
	t.Parallel()
	refused := func(snapshot bool) *actor.Instance {
		i := with(t, 1)
		awaited := command("withdraw", `{"amount":100}`)
		awaited.OnRefusal = &actor.Fallback{To: actor.Address{Kind: "saga", ID: "s"}, Name: "heard", Data: []byte(`{}`)}
		i.Decide(awaited) // is shown at version 2
		i.Record(i.Decide(command("withdraw", `{"amount":100}`)))
		if i.Version() != 3 || i.Told() != 2 {
			t.Fatalf("version %d, told %d, want 3 and 2", i.Version(), i.Told())
		}
		if !snapshot {
			return i
		}
		restored, err := accounts.Behavior().Restore(i.Address(), i.Version(), []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		restored.Resume(i.RuntimeState())
		return restored
	}
	for _, snapshot := range []bool{false, true} {
		for version, met := range map[actor.Version]bool{0: false, 1: true, 2: true, 3: false, 4: false} {
			d := refused(snapshot).Decide(expecting(command("withdraw", `{"amount":100}`), actor.ExpectVersion(version)))
			if got := d.Outcome.Code == actor.CodeRejected; got != met || d.Outcome.Version != 2 {
				t.Errorf("snapshot %v, expecting %d: %+v", snapshot, version, d.Outcome)
			}
		}
	}
}
