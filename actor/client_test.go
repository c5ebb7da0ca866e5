package actor_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
)

// fakeClient decides on one instance, or answers what it was told to.
type fakeClient struct {
	instance *actor.Instance
	outcome  *actor.Outcome
	refuse   error
	mu       sync.Mutex
	messages []actor.Message
}

func (c *fakeClient) Deliver(_ context.Context, m actor.Message) actor.Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages = append(c.messages, m)
	if c.outcome != nil {
		return *c.outcome
	}
	return c.instance.Decide(&m).Outcome
}

func (c *fakeClient) Enqueue(_ context.Context, m actor.Message) error {
	c.messages = append(c.messages, m)
	return c.refuse
}

func TestAsk(t *testing.T) {
	t.Parallel()
	c := &fakeClient{instance: with(t, 1)}
	to := accounts.ID("a-1")
	got, err := actor.Ask(t.Context(), c, to, deposit{Amount: 5})
	if err != nil || got.Balance != 15 {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := actor.Read(t.Context(), c, to, balance{}); err != nil || got.Balance != 15 {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := actor.Ask(t.Context(), c, to, &deposit{Amount: 5}); err != nil || got.Balance != 20 {
		t.Errorf("by reference: got %v, %v", got, err)
	}
	if _, err := actor.Ask(t.Context(), c, to, &renamed{}); err != nil {
		t.Errorf("by reference, named: %v", err)
	}
	_, err = actor.Ask(t.Context(), c, to, deposit{Amount: -5})
	r, ok := errors.AsType[*actor.Rejection](err)
	if !errors.Is(err, errAmount) || errors.Is(err, errFunds) || !ok || r.Details["amount"] != int64(-5) {
		t.Errorf("got %v", err)
	}
	if _, err := actor.Ask(t.Context(), c, to, open{}); !errors.Is(err, actor.ErrAlreadyExists) || errors.Is(err, actor.ErrDoesNotExist) {
		t.Errorf("got %v", err)
	}
	want := []actor.Message{
		{Target: to, Name: "deposit", Data: []byte(`{"amount":5}`)},
		{Target: to, Name: "balance", Data: []byte(`{}`), Type: actor.TypeQuery},
		{Target: to, Name: "deposit", Data: []byte(`{"amount":5}`)},
		{Target: to, Name: "Rename.v2", Data: []byte(`{}`)},
		{Target: to, Name: "deposit", Data: []byte(`{"amount":-5}`)},
		{Target: to, Name: "open", Data: []byte(`{}`)},
	}
	if diff := cmp.Diff(want, c.messages); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAsk_Options(t *testing.T) {
	t.Parallel()
	c := &fakeClient{outcome: &actor.Outcome{Reply: []byte(`null`)}}
	_, err := actor.Ask(t.Context(), c, accounts.ID("a-1"), open{}, actor.WithCommandID("c-7"), actor.ExpectVersion(3),
		actor.ExpectExisting(), actor.Direct(), actor.Until(at), actor.WithMetadata(actor.Metadata{User: "ann"}))
	if err != nil {
		t.Fatal(err)
	}
	want := []actor.Message{{
		Lane: actor.LaneDirect, Target: accounts.ID("a-1"), ID: "c-7", Name: "open", Data: []byte(`{}`), Deadline: at,
		Expect:   actor.Expectation{Creation: actor.MustExist, Exact: true, Version: 3},
		Metadata: actor.Metadata{User: "ann"},
	}}
	if diff := cmp.Diff(want, c.messages); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAsk_Fails(t *testing.T) {
	t.Parallel()
	to := accounts.ID("a-1")
	unknown := &fakeClient{outcome: &actor.Outcome{Code: actor.CodeUnknownOutcome, Detail: "timed out"}}
	if _, err := actor.Ask(t.Context(), unknown, to, open{}); !errors.Is(err, actor.ErrUnknownOutcome) || err.Error() != "outcome_unknown: timed out" {
		t.Errorf("got %v", err)
	}
	rejected := &fakeClient{outcome: &actor.Outcome{Code: actor.CodeRejected}}
	if _, err := actor.Ask(t.Context(), rejected, to, open{}); err == nil || err.Error() != "rejected" {
		t.Errorf("a rejection without its reason: got %v", err)
	}
	garbled := &fakeClient{outcome: &actor.Outcome{Reply: []byte(`{"balance":"x"}`)}}
	if _, err := actor.Ask(t.Context(), garbled, to, deposit{}); err == nil {
		t.Error("a reply of another type is no error")
	}
	never := &fakeClient{}
	if _, err := actor.Ask(t.Context(), never, to, inexpressible{}); !errors.Is(err, actor.ErrMalformed) {
		t.Errorf("got %v", err)
	}
	if err := actor.Send(t.Context(), never, to, inexpressible{}); !errors.Is(err, actor.ErrMalformed) {
		t.Errorf("got %v", err)
	}
	if err := actor.Send[int](t.Context(), never, to, nil); !errors.Is(err, actor.ErrMalformed) {
		t.Errorf("got %v", err)
	}
	if len(never.messages) > 0 {
		t.Errorf("sent %v", never.messages)
	}
}

type inexpressible struct {
	actor.Replies[int]
	F func()
}

func TestSend(t *testing.T) {
	t.Parallel()
	c := &fakeClient{refuse: actor.ErrOverloaded}
	err := actor.Send(t.Context(), c, accounts.ID("a-1"), deposit{Amount: 2}, actor.WithCommandID("c-1"))
	if !errors.Is(err, actor.ErrOverloaded) {
		t.Errorf("got %v", err)
	}
	want := []actor.Message{{Target: accounts.ID("a-1"), ID: "c-1", Name: "deposit", Data: []byte(`{"amount":2}`)}}
	if diff := cmp.Diff(want, c.messages); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMessage_Validate(t *testing.T) {
	t.Parallel()
	valid := func() actor.Message {
		return actor.Message{Target: accounts.ID("a-1"), ID: "c-1", Name: "open"}
	}
	long := func(n int) string { return string(make([]byte, n)) }
	tests := map[string]struct {
		change func(m *actor.Message)
		want   error
	}{
		"valid":             {func(*actor.Message) {}, nil},
		"query without id":  {func(m *actor.Message) { m.Type, m.ID = actor.TypeQuery, "" }, nil},
		"state":             {func(m *actor.Message) { m.Type, m.ID, m.Name = actor.TypeState, "", "" }, nil},
		"longest id":        {func(m *actor.Message) { m.ID = actor.CommandID(long(actor.MaxCommandIDBytes)) }, nil},
		"address":           {func(m *actor.Message) { m.Target.ID = "" }, actor.ErrAddress},
		"kind":              {func(m *actor.Message) { m.Target.Kind = "" }, actor.ErrAddress},
		"type":              {func(m *actor.Message) { m.Type = 9 }, actor.ErrMessage},
		"no name":           {func(m *actor.Message) { m.Name = "" }, actor.ErrMessage},
		"name":              {func(m *actor.Message) { m.Name = "a b" }, actor.ErrMessage},
		"name too long":     {func(m *actor.Message) { m.Name = long(129) }, actor.ErrMessage},
		"no id":             {func(m *actor.Message) { m.ID = "" }, actor.ErrMessage},
		"id too long":       {func(m *actor.Message) { m.ID = actor.CommandID(long(actor.MaxCommandIDBytes + 1)) }, actor.ErrMessage},
		"id not UTF-8":      {func(m *actor.Message) { m.ID = "k\xff" }, actor.ErrMessage},
		"user not UTF-8":    {func(m *actor.Message) { m.Metadata.User = "\xff" }, actor.ErrMessage},
		"metadata":          {func(m *actor.Message) { m.Metadata.User = long(actor.MaxMetadataBytes) }, nil},
		"metadata too long": {func(m *actor.Message) { m.Metadata = actor.Metadata{User: long(actor.MaxMetadataBytes), Trace: "t"} }, actor.ErrMessage},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := valid()
			test.change(&m)
			if err := m.Validate(); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestCode_Recorded(t *testing.T) {
	t.Parallel()
	recorded := map[actor.Code]bool{
		actor.CodeOK: true, actor.CodeRejected: true, actor.CodeAlreadyExists: true,
		actor.CodeDoesNotExist: true, actor.CodeVersionMismatch: true,
	}
	for _, code := range []actor.Code{
		actor.CodeOK, actor.CodeRejected, actor.CodeAlreadyExists, actor.CodeDoesNotExist, actor.CodeVersionMismatch,
		actor.CodeMalformed, actor.CodeUnknownKind, actor.CodeUnknownCommand, actor.CodeTooLarge, actor.CodeOverloaded,
		actor.CodeNoOwner, actor.CodeExpired, actor.CodeUnknownOutcome, actor.CodeParked, actor.CodeUnloadable, actor.CodeStorageFull, "new",
	} {
		if code.Recorded() != recorded[code] {
			t.Errorf("%q: got %v", code, code.Recorded())
		}
	}
}

func TestRejection(t *testing.T) {
	t.Parallel()
	one := errAmount.With("a", 1).With("b", 2).With("a", 3)
	if diff := cmp.Diff(map[string]any{"a": 3, "b": 2}, one.Details); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if errAmount.Details != nil || !errors.Is(one, errAmount) || errors.Is(one, errFunds) || errors.Is(one, errNever) {
		t.Error("a copy with details is the same rejection, and its original is untouched")
	}
	if errFunds.Error() != "insufficient_funds" || errAmount.Error() != "the amount must be positive" {
		t.Errorf("got %q and %q", errFunds.Error(), errAmount.Error())
	}
	data, err := json.Marshal(one)
	var back actor.Rejection
	if err := errors.Join(err, json.Unmarshal(data, &back)); err != nil || !errors.Is(&back, errAmount) {
		t.Errorf("comes back as %v, %v", back, err)
	}
}

func TestBehavior_Describes(t *testing.T) {
	t.Parallel()
	b := accounts.Behavior()
	var names []string
	for h := range b.Commands() {
		names = append(names, h.Name)
		if !b.HasCommand(h.Name) || b.HasQuery(h.Name) {
			t.Errorf("%s is a command", h.Name)
		}
	}
	for h := range b.Queries() {
		names = append(names, "?"+h.Name)
		if !b.HasQuery(h.Name) || b.HasCommand(h.Name) {
			t.Errorf("%s is a query", h.Name)
		}
	}
	for e := range b.Events() {
		names = append(names, e.Name+">"+e.Becomes+":"+e.Stored.Name())
	}
	want := []string{
		"Rename.v2", "deposit", "describe", "misbehave", "open", "withdraw", "?balance", "?meddle",
		"deposited.v0>deposited.v1:depositV0", "deposited.v1>deposited.v1:deposited", "forgotten.v1>forgotten.v1:forgotten",
		"name-changed.v3>name-changed.v3:renamedNow", "opened.v1>opened.v1:opened", "paid-in>deposited.v1:depositV0",
		"withdrawn.v1>withdrawn.v1:withdrawn",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]*actor.Rejection{errAmount, errFunds}, b.Rejections()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if b.Kind() != "account" || b.StateType().Name() != "account" || b.PassivateAfter() != 0 || b.Behavior() != b {
		t.Errorf("got %s, %v, %v", b.Kind(), b.StateType(), b.PassivateAfter())
	}
	tuned := define(func(d *actor.Definition[plain]) {
		d.PassivateAfter(time.Minute)
		d.SnapshotEvery(7)
		actor.View(d, func(p *plain) string { return p.Name })
	})
	if tuned.PassivateAfter() != time.Minute || tuned.SnapshotEvery() != 7 || tuned.StateType().Name() != "string" {
		t.Errorf("got %v, %d, %v", tuned.PassivateAfter(), tuned.SnapshotEvery(), tuned.StateType())
	}
}

func TestBehavior_CheckCommand(t *testing.T) {
	t.Parallel()
	b := accounts.Behavior()
	for name, test := range map[string]struct {
		typ     actor.MessageType
		command string
		data    string
		want    error
	}{
		"command":           {actor.TypeCommand, "deposit", `{"amount":-1}`, nil},
		"no data":           {actor.TypeCommand, "deposit", ``, nil},
		"query":             {actor.TypeQuery, "balance", `{}`, nil},
		"unknown":           {actor.TypeCommand, "balance", `{}`, actor.ErrUnknownCommand},
		"malformed":         {actor.TypeCommand, "deposit", `[`, actor.ErrMalformed},
		"malformed, string": {actor.TypeCommand, "deposit", `"x"`, actor.ErrMalformed},
		"malformed, type":   {actor.TypeQuery, "balance", `7`, actor.ErrMalformed},
	} {
		if err := b.CheckCommand(test.typ, test.command, []byte(test.data)); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}
