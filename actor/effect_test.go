package actor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
)

type (
	mailInput  struct{ To string }
	mailResult struct{ ID string }

	letter struct{ Sent []string }

	write struct {
		actor.Replies[string]
		To    string
		Times int
	}
	writeThenReject struct{ actor.Replies[actor.None] }
	mailed          struct {
		actor.Replies[actor.None]
		actor.Performed[mailResult]
		Kept string
	}
	notMailed struct {
		actor.Replies[actor.None]
		actor.GivenUp
	}
	wasMailed struct{ ID string }
)

var errLetter = actor.Reject("letter", "no")

func mailEffect() *actor.Effect[mailInput, mailResult] {
	return actor.DefineEffect[mailInput, mailResult]("mail", actor.EffectPolicy{})
}

func letters() *actor.Aggregate[letter] {
	mail := mailEffect()
	return actor.Define("letter", func(d *actor.Definition[letter]) {
		actor.On(d, func(_ *letter, ctx *actor.Context, w write) (string, error) {
			key := ""
			for range w.Times {
				key = mail.Perform(ctx, mailInput{To: w.To}, mailed{Kept: "k"}, notMailed{})
			}
			return key, nil
		})
		actor.On(d, func(_ *letter, ctx *actor.Context, _ writeThenReject) (actor.None, error) {
			mail.Perform(ctx, mailInput{}, nil, nil)
			return actor.None{}, errLetter
		})
		actor.On(d, func(_ *letter, ctx *actor.Context, m mailed) (actor.None, error) {
			ctx.Raise(wasMailed{ID: m.Result.ID + m.Kept})
			return actor.None{}, nil
		})
		actor.On(d, func(*letter, *actor.Context, notMailed) (actor.None, error) { return actor.None{}, nil })
		actor.Apply(d, func(l *letter, e wasMailed) { l.Sent = append(l.Sent, e.ID) })
	})
}

func letterCommand(n int, name string, payload any) *actor.Message {
	data, err := json.Marshal(payload)
	if err != nil {
		panic(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	return &actor.Message{Target: actor.Address{Kind: "letter", ID: "a"}, Name: name, Data: data, Time: at, Attempt: 1, ID: actor.StampID(at.UnixMilli(), 0, uint64(n))}
}

// TestEffect_StoredForm holds the form in which what was asked for is stored.
func TestEffect_StoredForm(t *testing.T) {
	t.Parallel()
	i := letters().Behavior().New(actor.Address{Kind: "letter", ID: "a"})
	d := i.Decide(letterCommand(1, "write", write{To: "x", Times: 1}))
	if len(d.Out) != 1 || len(d.Events) != 1 || string(d.Events[0].Data) != `{"asked":1}` {
		t.Fatalf("decision %+v", d)
	}
	o := d.Out[0]
	if o.Timer != "ganglion.effect.mail.0000000000000000" || o.Name != "ganglion.perform" || o.To != i.Address() || `"`+actor.EffectKey(o.ID)+`"` != string(d.Outcome.Reply) {
		t.Errorf("entry %+v, reply %s", o, d.Outcome.Reply)
	}
	want := `{"effect":"mail","input":{"To":"x"},"asked":"2026-01-02T03:04:05.000006Z",` +
		`"onResult":{"name":"mailed","data":{"result":{"ID":""},"Kept":"k"}},` +
		`"onGivenUp":{"name":"notMailed","data":{"failure":{"effect":"","key":"","attempts":0,"reason":"","asked":"0001-01-01T00:00:00Z"}}}}`
	if diff := cmp.Diff(want, string(o.Data)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if want := []string{o.Timer}; !cmp.Equal(want, i.PendingEffects()) {
		t.Errorf("pending %v", i.PendingEffects())
	}
	m := o.Message(time.Time{})
	task, id, err := actor.ReadEffectTask(&m)
	if err != nil {
		t.Fatal(err)
	}
	task.Begin(m.Time)
	task.Fail(id, errors.New("x"), actor.EffectPolicy{Jitter: -1}.WithDefaults(), m.Time, 0.5)
	task.Order, task.Node = 7, "n1"
	again := task.Message(id, m.Time)
	read, _, err := actor.ReadEffectTask(&again)
	if err != nil || !cmp.Equal(task, read) {
		t.Errorf("read again: %v\n%s", err, cmp.Diff(task, read))
	}
}

// TestEffect_EndsOnce has two attempts end the same effect, and a copy of an instance
// that was rebuilt know the same.
func TestEffect_EndsOnce(t *testing.T) {
	t.Parallel()
	b := letters().Behavior()
	i := b.New(actor.Address{Kind: "letter", ID: "a"})
	d := i.Decide(letterCommand(1, "write", write{To: "x", Times: 2}))
	m := d.Out[0].Message(time.Time{})
	task, id, err := actor.ReadEffectTask(&m)
	if err != nil {
		t.Fatal(err)
	}
	task.Succeed([]byte(`{"ID":"7"}`))
	end := task.Conclusion(id, m.Time)
	now := m.Time.Add(time.Hour)
	if d := i.DecideAt(&end, now); d.Outcome.Code != actor.CodeOK || len(d.Events) != 1 || string(d.Events[0].Data) != `{"ID":"7k"}` {
		t.Fatalf("decision %+v", d)
	}
	task.GiveUp(id, actor.GaveUpTime)
	other := task.Conclusion(id, m.Time)
	if d := i.Decide(&other); d.Outcome.Code != actor.CodeCancelled {
		t.Errorf("the second end: %+v", d)
	}
	if n := len(i.PendingEffects()); n != 1 {
		t.Errorf("%d pending", n)
	}
	rebuilt := b.New(i.Address())
	for _, e := range d.Events {
		if err := rebuilt.Replay(e); err != nil {
			t.Fatal(err)
		}
	}
	rebuilt.ReplayEffects(func(func(actor.CommandID) bool) {}, d.Out)
	rebuilt.ReplayEffects(func(yield func(actor.CommandID) bool) { yield(end.ID) }, nil)
	if !cmp.Equal(i.PendingEffects(), rebuilt.PendingEffects()) {
		t.Errorf("rebuilt %v, live %v", rebuilt.PendingEffects(), i.PendingEffects())
	}
}

func TestEffect_Bounds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		command string
		payload any
		code    actor.Code
	}{
		"many":              {"write", write{Times: 256}, actor.CodeOK},
		"too many":          {"write", write{Times: 257}, actor.CodeTooLarge},
		"input":             {"write", write{To: strings.Repeat("x", actor.MaxEffectInputBytes-9), Times: 1}, actor.CodeOK},
		"too large":         {"write", write{To: strings.Repeat("x", actor.MaxEffectInputBytes), Times: 1}, actor.CodeTooLarge},
		"too large at once": {"write", write{To: strings.Repeat("x", 50<<10), Times: 6}, actor.CodeTooLarge},
		"rejected":          {"writeThenReject", writeThenReject{}, actor.CodeRejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := letters().Behavior().New(actor.Address{Kind: "letter", ID: "a"})
			d := i.Decide(letterCommand(1, test.command, test.payload))
			if d.Outcome.Code != test.code || d.Outcome.Code != actor.CodeOK && (len(d.Out) > 0 || len(d.Events) > 0) {
				t.Errorf("%+v, %d out", d.Outcome, len(d.Out))
			}
		})
	}
	i := letters().Behavior().New(actor.Address{Kind: "letter", ID: "a"})
	for n := range 5 {
		want := actor.CodeOK
		if n > 3 {
			want = actor.CodeTooLarge
		}
		if d := i.Decide(letterCommand(n, "write", write{Times: 64})); d.Outcome.Code != want {
			t.Errorf("%d times 64: %+v", n, d.Outcome)
		}
	}
}

// TestDefinition_Effects: who declares its effects asks for no others.
func TestDefinition_Effects(t *testing.T) {
	t.Parallel()
	mail, fax := mailEffect(), actor.DefineEffect[mailInput, mailResult]("fax", actor.EffectPolicy{})
	if names, ok := letters().Behavior().Effects(); ok {
		t.Errorf("a definition that does not say has effects %v", names)
	}
	define := func(declared ...actor.AnyEffect) *actor.Behavior {
		return actor.Define("letter", func(d *actor.Definition[letter]) {
			d.Effects(declared...)
			actor.On(d, func(_ *letter, ctx *actor.Context, _ write) (string, error) {
				return mail.Perform(ctx, mailInput{}, nil, nil), nil
			})
		}).Behavior()
	}
	asks := func(b *actor.Behavior) actor.Decision {
		return b.New(actor.Address{Kind: "letter", ID: "a"}).Decide(letterCommand(1, "write", write{}))
	}
	if d := asks(define(mail, fax)); d.Outcome.Code != actor.CodeOK || len(d.Out) != 1 {
		t.Errorf("a declared effect: %+v", d)
	}
	for name, b := range map[string]*actor.Behavior{"another": define(fax), "none": define()} {
		if d := asks(b); d.Panic == nil || !strings.Contains(d.Outcome.Detail, "asks for effect mail") {
			t.Errorf("%s is declared: %+v", name, d)
		}
	}
	if names, ok := define(mail, fax).Effects(); !ok || !cmp.Equal(names, []string{"fax", "mail"}) {
		t.Errorf("declared %v", names)
	}
	defer func() {
		if recover() == nil {
			t.Error("one effect twice: no panic")
		}
	}()
	define(mail, mail)
}

func TestDefineEffect_Refuses(t *testing.T) {
	t.Parallel()
	for name, define := range map[string]func(){
		"no name":        func() { actor.DefineEffect[mailInput, mailResult]("", actor.EffectPolicy{}) },
		"reserved":       func() { actor.DefineEffect[mailInput, mailResult]("ganglion.x", actor.EffectPolicy{}) },
		"long name":      func() { actor.DefineEffect[mailInput, mailResult](strings.Repeat("x", 65), actor.EffectPolicy{}) },
		"slash":          func() { actor.DefineEffect[mailInput, mailResult]("a/b", actor.EffectPolicy{}) },
		"timeout":        func() { actor.DefineEffect[mailInput, mailResult]("a", actor.EffectPolicy{Timeout: -1}) },
		"factor":         func() { actor.DefineEffect[mailInput, mailResult]("a", actor.EffectPolicy{Factor: 0.5}) },
		"parallel":       func() { actor.DefineEffect[mailInput, mailResult]("a", actor.EffectPolicy{Parallel: 20000}) },
		"not kept":       func() { actor.DefineEffect[mailInput, chan int]("a", actor.EffectPolicy{}) },
		"not kept input": func() { actor.DefineEffect[struct{ f func() }, mailResult]("a", actor.EffectPolicy{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			define()
		})
	}
}

func TestEffectPolicy_Pause(t *testing.T) {
	t.Parallel()
	p := actor.EffectPolicy{FirstRetry: time.Second, MaxRetry: time.Minute, Jitter: 0.5}
	for _, test := range []struct {
		failures int
		random   float64
		want     time.Duration
	}{
		{1, 0.5, time.Second},
		{1, 0, 500 * time.Millisecond},
		{1, 1, 1500 * time.Millisecond},
		{3, 0.5, 4 * time.Second},
		{7, 0.5, time.Minute},
		{100_000, 0.5, time.Minute},
		{0, 0.5, time.Second},
	} {
		if got := p.Pause(test.failures, test.random); got != test.want {
			t.Errorf("pause after %d failures: %v, want %v", test.failures, got, test.want)
		}
	}
}

func TestPerformer(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", actor.MaxEffectResultBytes)
	for name, test := range map[string]struct {
		input string
		ret   mailResult
		err   error
		want  string
		final bool
	}{
		"result":    {input: `{"To":"x"}`, ret: mailResult{ID: "1"}, want: `{"ID":"1"}`},
		"error":     {input: `{}`, err: fmt.Errorf("wrapped: %w", actor.Final(errLetter)), final: true},
		"malformed": {input: `{"To":1}`},
		"large":     {input: `{}`, ret: mailResult{ID: large}, final: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mailEffect().By(func(context.Context, actor.Call, mailInput) (mailResult, error) { return test.ret, test.err })
			got, err := p.Perform(t.Context(), actor.Call{}, []byte(test.input))
			if string(got) != test.want || (err == nil) != (test.want != "") || actor.IsFinal(err) != test.final {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
	if actor.Final(nil) != nil {
		t.Error("nil became an error")
	}
}
