package actor_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.FixedZone("", 3600))

// with returns an account with a history of the given number of deposits of 10.
func with(t testing.TB, deposits int) *actor.Instance {
	t.Helper()
	i := accounts.Behavior().New(accounts.ID("a-1"))
	for range deposits {
		if err := i.Replay(actor.Event{Name: "deposited.v1", Data: []byte(`{"amount":10}`)}); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

func command(name, data string) *actor.Message {
	return &actor.Message{Target: accounts.ID("a-1"), ID: "c-1", Name: name, Data: []byte(data), Time: at}
}

func query(name string) *actor.Message {
	return &actor.Message{Type: actor.TypeQuery, Target: accounts.ID("a-1"), Name: name, Time: at}
}

func expecting(m *actor.Message, opt actor.CallOption) *actor.Message {
	opt(m)
	return m
}

func TestInstance_Decide(t *testing.T) {
	t.Parallel()
	type outcome struct {
		Code      actor.Code
		Version   actor.Version
		Reply     string
		Rejection string
		Events    string
		Panicked  bool
		Tainted   bool
	}
	parked := outcome{Code: actor.CodeParked, Panicked: true, Tainted: true}
	tests := map[string]struct {
		history int
		message *actor.Message
		want    outcome
	}{
		"carried out":                {0, command("deposit", `{"amount":5}`), outcome{Version: 1, Reply: `{"balance":5}`, Events: `deposited.v1{"amount":5}`}},
		"carried out, unknown field": {1, command("deposit", `{"amount":5,"x":[1]}`), outcome{Version: 2, Reply: `{"balance":15}`, Events: `deposited.v1{"amount":5}`}},
		"no data is an empty object": {1, command("open", ``), outcome{Code: actor.CodeAlreadyExists, Version: 1}},
		"reply of nothing is null":   {0, command("open", ` `), outcome{Version: 1, Reply: `null`, Events: `opened.v1{}`}},
		"names of one's own":         {0, command("Rename.v2", `{}`), outcome{Version: 1, Reply: `null`, Events: `name-changed.v3{}`}},
		"new only, new":              {0, command("open", `{}`), outcome{Version: 1, Reply: `null`, Events: `opened.v1{}`}},
		"new only, existing":         {2, command("open", `{}`), outcome{Code: actor.CodeAlreadyExists, Version: 2}},
		"existing only, new":         {0, command("withdraw", `{}`), outcome{Code: actor.CodeDoesNotExist}},
		"existing only, existing":    {1, command("withdraw", `{"amount":1}`), outcome{Version: 2, Reply: `null`, Events: `withdrawn.v1{"Amount":1}`}},
		"caller wants new, existing": {1, expecting(command("deposit", `{"amount":1}`), actor.ExpectNew()), outcome{Code: actor.CodeAlreadyExists, Version: 1}},
		"caller wants new, new":      {0, expecting(command("deposit", `{"amount":1}`), actor.ExpectNew()), outcome{Version: 1, Reply: `{"balance":1}`, Events: `deposited.v1{"amount":1}`}},
		"caller wants existing, new": {0, expecting(command("deposit", `{"amount":1}`), actor.ExpectExisting()), outcome{Code: actor.CodeDoesNotExist}},
		"caller wants existing":      {1, expecting(command("deposit", `{"amount":1}`), actor.ExpectExisting()), outcome{Version: 2, Reply: `{"balance":11}`, Events: `deposited.v1{"amount":1}`}},
		"expected version, met":      {3, expecting(command("deposit", `{"amount":1}`), actor.ExpectVersion(3)), outcome{Version: 4, Reply: `{"balance":31}`, Events: `deposited.v1{"amount":1}`}},
		"expected version 0, met":    {0, expecting(command("deposit", `{"amount":1}`), actor.ExpectVersion(0)), outcome{Version: 1, Reply: `{"balance":1}`, Events: `deposited.v1{"amount":1}`}},
		"expected version, not met":  {3, expecting(command("deposit", `{"amount":1}`), actor.ExpectVersion(2)), outcome{Code: actor.CodeVersionMismatch, Version: 3}},
		"policy before version":      {0, expecting(command("withdraw", `{}`), actor.ExpectVersion(7)), outcome{Code: actor.CodeDoesNotExist}},
		"unknown command":            {1, command("nonsense", `{}`), outcome{Code: actor.CodeUnknownCommand}},
		"a query is no command":      {1, command("balance", `{}`), outcome{Code: actor.CodeUnknownCommand}},
		"malformed: array":           {1, command("deposit", `[]`), outcome{Code: actor.CodeMalformed}},
		"malformed: null":            {1, command("deposit", `null`), outcome{Code: actor.CodeMalformed}},
		"malformed: not JSON":        {1, command("deposit", `nul`), outcome{Code: actor.CodeMalformed}},
		"malformed: cut off":         {1, command("deposit", `{"amount":`), outcome{Code: actor.CodeMalformed}},
		"malformed: trailing":        {1, command("deposit", `{} {}`), outcome{Code: actor.CodeMalformed}},
		"malformed: type":            {1, command("deposit", `{"amount":"5"}`), outcome{Code: actor.CodeMalformed}},
		"malformed: overflow":        {1, command("deposit", `{"amount":9223372036854775808}`), outcome{Code: actor.CodeMalformed}},
		"malformed: fraction":        {1, command("deposit", `{"amount":1.5}`), outcome{Code: actor.CodeMalformed}},
		"rejected, with details":     {2, command("deposit", `{"amount":-5}`), outcome{Code: actor.CodeRejected, Version: 2, Rejection: `{"code":"invalid_amount","message":"the amount must be positive","details":{"amount":-5}}`}},
		"rejected, wrapped, tainted": {1, command("withdraw", `{"amount":11}`), outcome{Code: actor.CodeRejected, Version: 1, Rejection: `{"code":"insufficient_funds"}`, Tainted: true}},
		"fault: a plain error":       {1, command("misbehave", `{"how":"plain error"}`), parked},
		"fault: the runtime's error": {1, command("misbehave", `{"how":"runtime's error"}`), parked},
		"details not in JSON":        {1, command("misbehave", `{"how":"details not in JSON"}`), outcome{Code: actor.CodeRejected, Version: 1, Rejection: `{"code":"invalid_amount","message":"the amount must be positive"}`, Tainted: true}},
		"panic":                      {1, command("misbehave", `{"how":"panic"}`), parked},
		"panic with nothing":         {1, command("misbehave", `{"how":"panic with nothing"}`), parked},
		"reply not in JSON":          {1, command("misbehave", `{"how":"reply not in JSON"}`), parked},
		"event not in JSON":          {1, command("misbehave", `{"how":"event not in JSON"}`), parked},
		"unknown event":              {1, command("misbehave", `{"how":"unknown event"}`), parked},
		"apply panics":               {1, command("misbehave", `{"how":"apply panics"}`), parked},
		"query":                      {2, query("balance"), outcome{Version: 2, Reply: `{"balance":20}`}},
		"query of a new one":         {0, query("balance"), outcome{Reply: `{"balance":0}`}},
		"query that panics":          {2, query("meddle"), parked},
		"a command is no query":      {2, query("deposit"), outcome{Code: actor.CodeUnknownCommand}},
		"state":                      {2, &actor.Message{Type: actor.TypeState}, outcome{Version: 2, Reply: `{"balance":20}`}},
		"state of a new one":         {0, &actor.Message{Type: actor.TypeState}, outcome{Code: actor.CodeDoesNotExist}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := with(t, test.history).Decide(test.message)
			got := outcome{Code: d.Outcome.Code, Version: d.Outcome.Version, Reply: string(d.Outcome.Reply), Panicked: d.Panic != nil, Tainted: d.Tainted}
			if d.Outcome.Rejection != nil {
				data, err := json.Marshal(d.Outcome.Rejection)
				if err != nil {
					t.Fatal(err)
				}
				got.Rejection = string(data)
			}
			for _, e := range d.Events {
				got.Events += e.Name + string(e.Data)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if failed := d.Outcome.Code != actor.CodeOK && d.Outcome.Code != actor.CodeRejected; failed == (d.Outcome.Detail == "") {
				t.Errorf("code %q with detail %q", d.Outcome.Code, d.Outcome.Detail)
			}
		})
	}
}

func TestInstance_Decide_PanicKeepsItsStack(t *testing.T) {
	t.Parallel()
	d := with(t, 1).Decide(command("misbehave", `{"how":"panic"}`))
	if d.Panic.Error() != "boom" || !strings.Contains(string(d.Panic.Stack), "misbehave") {
		t.Errorf("got %v with\n%s", d.Panic, d.Panic.Stack)
	}
}

func TestInstance_Decide_Context(t *testing.T) {
	t.Parallel()
	m := expecting(command("describe", ``), actor.WithMetadata(actor.Metadata{User: "ann", Trace: "t"}))
	var got, again description
	for _, into := range []*description{&got, &again} {
		if err := json.Unmarshal(with(t, 2).Decide(m).Outcome.Reply, into); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("not the same when decided again (-first +second):\n%s", diff)
	}
	if got.IDs[0] == got.IDs[1] {
		t.Errorf("the same id twice: %v", got.IDs)
	}
	for _, id := range got.IDs {
		if ms, ok := actor.CommandID(id).UnixMilli(); !ok || ms != at.UnixMilli() {
			t.Errorf("id %s carries %d, %v", id, ms, ok)
		}
	}
	got.IDs = nil
	want := description{
		Address: "account/a-1", Version: 3, Command: "c-1",
		Now: at.UTC(), Metadata: actor.Metadata{User: "ann", Trace: "t"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInstance_Decide_IDsDependOnAggregateAndCommand(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, id := range []string{"a-1", "a-2"} {
		for _, c := range []actor.CommandID{"c-1", "c-2"} {
			m := expecting(command("describe", ``), actor.WithCommandID(c))
			var d description
			if err := json.Unmarshal(accounts.Behavior().New(accounts.ID(id)).Decide(m).Outcome.Reply, &d); err != nil {
				t.Fatal(err)
			}
			for _, made := range d.IDs {
				if other, taken := seen[made]; taken {
					t.Errorf("%s: made for %s and for %s by %s", made, other, id, c)
				}
				seen[made] = id + " by " + string(c)
			}
		}
	}
}

func TestInstance_Replay(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		event   actor.Event
		balance int64
		fails   string
	}{
		"present form":    {event: actor.Event{Name: "deposited.v1", Data: []byte(`{"amount":7,"new":1}`)}, balance: 17},
		"older form":      {event: actor.Event{Name: "deposited.v0", Data: []byte(`{"Units":7}`)}, balance: 710},
		"unknown":         {event: actor.Event{Name: "deposited.v9"}, fails: `event 2 is "deposited.v9"`},
		"malformed":       {event: actor.Event{Name: "deposited.v1", Data: []byte(`{`)}, fails: "deposited.v1"},
		"no data":         {event: actor.Event{Name: "deposited.v1"}, fails: "deposited.v1"},
		"older malformed": {event: actor.Event{Name: "deposited.v0", Data: []byte(`[]`)}, fails: "deposited.v0"},
		"upcast panics":   {event: actor.Event{Name: "paid-in", Data: []byte(`{}`)}, fails: "upcast failed"},
		"apply panics":    {event: actor.Event{Name: "forgotten.v1", Data: []byte(`{}`)}, fails: "apply failed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := with(t, 1)
			err := i.Replay(test.event)
			if test.fails != "" {
				if !errors.Is(err, actor.ErrUndecodable) || !strings.Contains(err.Error(), test.fails) || i.Version() != 1 {
					t.Errorf("got %v at version %d", err, i.Version())
				}
				return
			}
			if got := i.State().(*account).Balance; err != nil || got != test.balance || i.Version() != 2 {
				t.Errorf("got balance %d at version %d, %v", got, i.Version(), err)
			}
		})
	}
}

func TestBehavior_EncodeDecode(t *testing.T) {
	t.Parallel()
	b := accounts.Behavior()
	e, err := b.Encode(deposited{Amount: 3})
	if want := (actor.Event{Name: "deposited.v1", Data: []byte(`{"amount":3}`)}); err != nil || !cmp.Equal(e, want) {
		t.Errorf("got %v, %v", e, err)
	}
	if v, err := b.Decode(e); err != nil || v != (deposited{Amount: 3}) {
		t.Errorf("got %v, %v", v, err)
	}
	if v, err := b.Decode(actor.Event{Name: "deposited.v0", Data: []byte(`{"Units":2}`)}); err != nil || v != (deposited{Amount: 200}) {
		t.Errorf("got %v, %v", v, err)
	}
	for _, bad := range []any{receipt{}, nil, &deposited{}, deposited{Ratio: inf()}} {
		if e, err := b.Encode(bad); err == nil {
			t.Errorf("%T: got %v", bad, e)
		}
	}
	for _, bad := range []actor.Event{{Name: "x"}, {Name: "deposited.v1"}, {Name: "paid-in", Data: []byte(`{}`)}} {
		if v, err := b.Decode(bad); !errors.Is(err, actor.ErrUndecodable) {
			t.Errorf("%s: got %v, %v", bad.Name, v, err)
		}
	}
}

type (
	basket struct{ Items map[string]int }
	refuse struct{ actor.Replies[actor.None] }
	filled struct{ Item string }
)

// TestRejection_DetailsAreOfTheDecision: a detail that is part of the state does not
// change with it, as it is encoded later, when what the decision stands on is durable.
func TestRejection_DetailsAreOfTheDecision(t *testing.T) {
	t.Parallel()
	b := define(func(d *actor.Definition[basket]) {
		actor.On(d, func(s *basket, _ *actor.Context, _ refuse) (actor.None, error) {
			return actor.None{}, actor.Reject("full", "").With("items", s.Items).With("count", len(s.Items))
		})
		actor.Apply(d, func(s *basket, e filled) {
			if s.Items == nil {
				s.Items = map[string]int{}
			}
			s.Items[e.Item]++
		})
	})
	i := b.New(actor.Address{Kind: "subject", ID: "s"})
	fill := func(item string) {
		if err := i.Replay(actor.Event{Name: "filled.v1", Data: []byte(`{"Item":"` + item + `"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	fill("a")
	d := i.Decide(&actor.Message{Target: i.Address(), ID: "1", Name: "refuse", Data: []byte("{}")})
	fill("b")
	data, err := json.Marshal(d.Outcome.Rejection)
	if want := `{"code":"full","details":{"count":1,"items":{"a":1}}}`; err != nil || string(data) != want {
		t.Errorf("the rejection is %s, %v, want %s", data, err, want)
	}
}
