package actortest_test

import (
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
)

func TestScenario_Holds(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC)
	s := actortest.New(t, Accounts)
	s.At(at).With(actor.WithMetadata(actor.Metadata{User: "ann"})).
		When(a1, Open{Owner: "bob"}).
		ThenReply(actor.None{}).
		ThenRaised(Opened{Owner: "bob", By: "ann", At: at}).
		ThenNothingElse().
		ThenVersion(1)
	s.Advance(time.Hour)
	if want := at.Add(time.Hour); !s.Now().Equal(want) {
		t.Errorf("Now is %v, want %v", s.Now(), want)
	}
	s.When(a1, Open{Owner: "eve"}).ThenFails(actor.CodeAlreadyExists).ThenNothingElse()
	s.When(a1, Deposit{Amount: 0}).ThenRejected(ErrAmount).ThenRejected(ErrAmount.With("amount", 0)).ThenNothingElse()
	s.When(a1, Deposit{Amount: 5}, actor.WithCommandID("c-1"), actor.ExpectVersion(1)).
		ThenReply(Receipt{Balance: 5}).
		ThenRaised(Deposited{Amount: 5, ID: "c-1"}).ThenNothingElse()
	s.When(a1, Deposit{Amount: 5}, actor.ExpectVersion(1)).ThenFails(actor.CodeVersionMismatch)
	s.When(a1, Statement{}).ThenReply(Receipt{Balance: 5}).ThenNothingElse()
	s.When(a1, Withdraw{Amount: 6}).ThenFails(actor.CodeParked).ThenNothingElse()
	s.When(a1, Explode{}).ThenFails(actor.CodeParked)
	s.WhenJSON(a1, "Deposit", `[]`).ThenFails(actor.CodeMalformed)
	s.WhenJSON(a1, "Nonsense", `{}`).ThenFails(actor.CodeUnknownCommand)
	s.ThenState(Account{Balance: 5, Owner: "bob", Opened: at}).
		ThenState(&Account{Balance: 5, Owner: "bob", Opened: at}).
		ThenShown(Account{Balance: 5, Owner: "bob", Opened: at}).
		ThenState(func(a *Account) {
			if a.Balance != 5 {
				t.Errorf("balance %d", a.Balance)
			}
		})
}

func TestScenario_SeveralAggregates(t *testing.T) {
	t.Parallel()
	a2 := Accounts.ID("a-2")
	actortest.New(t, Accounts, clocks).
		Given(a1, Deposited{Amount: 10}).
		GivenStored(a2, actor.Event{Name: "deposited.v0", Data: []byte(`{"Units":2}`)}).
		When(a1, Deposit{Amount: 1}).ThenReply(Receipt{Balance: 11}).
		When(a2, Deposit{Amount: 1}).ThenReply(Receipt{Balance: 201}).
		ThenStateOf(a1, Account{Balance: 11}).
		ThenStateOf(a2, Account{Balance: 201}).
		ThenStateOf(clocks.ID("unused"), clock{})
}

func TestScenario_RetriedIsAnsweredFromTheRecord(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, Accounts).When(a1, Deposit{Amount: 5}).ThenReply(Receipt{Balance: 5})
	s.When(a1, Deposit{Amount: 1}, actor.WithCommandID("c-2")).ThenReply(Receipt{Balance: 6})
	s.WhenRetried().ThenReply(Receipt{Balance: 6}).ThenNothingElse().ThenVersion(2)
	s.WhenRepeated().ThenReply(Receipt{Balance: 7}).ThenVersion(3)
	s.When(a1, Deposit{Amount: 1}, actor.WithCommandID("c-2"), actor.ExpectVersion(77)).ThenReply(Receipt{Balance: 6})
	s.When(a1, Deposit{Amount: -1}, actor.WithCommandID("c-3")).ThenRejected(ErrAmount)
	s.WhenRetried().ThenRejected(ErrAmount)
	s.ThenState(Account{Balance: 7})
}

func TestScenario_Expired(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, Accounts)
	until := actor.Until(s.Now().Add(time.Minute))
	s.When(a1, Deposit{Amount: 1}, until).ThenReply(Receipt{Balance: 1})
	s.Advance(time.Hour).When(a1, Deposit{Amount: 1}, until).ThenFails(actor.CodeExpired).ThenNothingElse()
}

func TestReply(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, Accounts).When(a1, Deposit{Amount: 5})
	if r := actortest.Reply[Receipt](s); r.Balance != 5 {
		t.Errorf("balance %d", r.Balance)
	}
	if d := s.Decision(); len(d.Events) != 1 {
		t.Errorf("%d events", len(d.Events))
	}
}

// Every Then must be able to fail, and say by what.
func TestScenario_Reports(t *testing.T) {
	t.Parallel()
	deposit := func(t testing.TB) *actortest.Scenario {
		return actortest.New(t, Accounts).When(a1, Deposit{Amount: 2000}, actor.WithCommandID("c-1"))
	}
	first, second := Deposited{Amount: 2000, ID: "c-1"}, Deposited{Fee: 1}
	tests := map[string]struct {
		body  func(t testing.TB)
		want  []string
		fatal bool
	}{
		"reply":             {body: func(t testing.TB) { deposit(t).ThenReply(Receipt{Balance: 1}) }, want: []string{"Deposit to account/a-1", "reply", "1999"}},
		"reply, type":       {body: func(t testing.TB) { deposit(t).ThenReply(actor.None{}) }, want: []string{"Receipt"}, fatal: true},
		"raised, value":     {body: func(t testing.TB) { deposit(t).ThenRaised(Deposited{Amount: 1999}) }, want: []string{"events", "2000"}},
		"raised, too many":  {body: func(t testing.TB) { deposit(t).ThenRaised(first, second, second) }, want: []string{"events", "fee"}},
		"raised, order":     {body: func(t testing.TB) { deposit(t).ThenRaised(second, first) }, want: []string{"events"}},
		"raised, unknown":   {body: func(t testing.TB) { deposit(t).ThenRaised(Receipt{}) }, want: []string{"does not apply"}, fatal: true},
		"nothing else":      {body: func(t testing.TB) { deposit(t).ThenRaised(first).ThenNothingElse() }, want: []string{"raised as well", `"fee":1`}},
		"nothing at all":    {body: func(t testing.TB) { deposit(t).ThenNothingElse() }, want: []string{"raised as well"}},
		"rejected, carried": {body: func(t testing.TB) { deposit(t).ThenRejected(ErrAmount) }, want: []string{"the amount must be positive", "reply"}},
		"fails, carried":    {body: func(t testing.TB) { deposit(t).ThenFails(actor.CodeMalformed) }, want: []string{"malformed", "reply"}},
		"version":           {body: func(t testing.TB) { deposit(t).ThenVersion(7) }, want: []string{"version 7, got 2"}},
		"state":             {body: func(t testing.TB) { deposit(t).ThenState(Account{Balance: 3}) }, want: []string{"state", "Balance", "1999"}},
		"state, type":       {body: func(t testing.TB) { deposit(t).ThenState(Receipt{}) }, want: []string{"Account"}, fatal: true},
		"state, nil":        {body: func(t testing.TB) { deposit(t).ThenState(nil) }, want: []string{"nil"}, fatal: true},
		"shown":             {body: func(t testing.TB) { deposit(t).ThenShown(Account{}) }, want: []string{"shown", "1999"}},
		"shown, nothing":    {body: func(t testing.TB) { actortest.New(t, Accounts).When(a1, Statement{}).ThenShown(Account{}) }, want: []string{"does_not_exist"}},
		"then before when":  {body: func(t testing.TB) { actortest.New(t, Accounts).ThenNothingElse() }, want: []string{"before the first When"}, fatal: true},
		"unknown command":   {body: func(t testing.TB) { actortest.New(t, Accounts).When(a1, Receipt{}) }, want: []string{"no command"}, fatal: true},
		"unknown kind":      {body: func(t testing.TB) { actortest.New(t, clocks).When(a1, Deposit{}) }, want: []string{"kind"}, fatal: true},
		"invalid address":   {body: func(t testing.TB) { actortest.New(t, Accounts).When(Accounts.ID(""), Deposit{}) }, want: []string{"empty id"}, fatal: true},
		"invalid message": {
			body: func(t testing.TB) {
				actortest.New(t, Accounts).When(a1, Deposit{}, actor.WithMetadata(actor.Metadata{User: string(make([]byte, 5000))}))
			},
			want: []string{"metadata"}, fatal: true,
		},
		"kind twice":     {body: func(t testing.TB) { actortest.New(t, Accounts, Accounts) }, want: []string{"twice"}, fatal: true},
		"given, unknown": {body: func(t testing.TB) { actortest.New(t, Accounts).Given(a1, Receipt{}) }, want: []string{"does not apply"}, fatal: true},
		"given, malformed": {body: func(t testing.TB) {
			actortest.New(t, Accounts).GivenStored(a1, actor.Event{Name: "opened.v1", Data: []byte("1")})
		}, want: []string{"opened.v1"}, fatal: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t, test.body)
			r.wantReport(t, test.want...)
			if r.fatal != test.fatal {
				t.Errorf("fatal is %v, want %v", r.fatal, test.fatal)
			}
		})
	}
}

func TestScenario_ReportsRefusals(t *testing.T) {
	t.Parallel()
	reject := func(t testing.TB) *actortest.Scenario {
		return actortest.New(t, Accounts).When(a1, Deposit{Amount: -2})
	}
	tests := map[string]struct {
		body func(t testing.TB)
		want []string
	}{
		"at the end":      {body: func(t testing.TB) { reject(t) }, want: []string{"no Then expected it", "invalid_amount"}},
		"at the next":     {body: func(t testing.TB) { reject(t).When(a1, Deposit{Amount: 1}) }, want: []string{"no Then expected it"}},
		"panic":           {body: func(t testing.TB) { actortest.New(t, Accounts).When(a1, Explode{}) }, want: []string{"boom", "explode"}},
		"reply":           {body: func(t testing.TB) { reject(t).ThenReply(Receipt{}) }, want: []string{"ThenReply", "invalid_amount"}},
		"raised":          {body: func(t testing.TB) { reject(t).ThenRaised(Deposited{}) }, want: []string{"ThenRaised", "invalid_amount"}},
		"typed reply":     {body: func(t testing.TB) { actortest.Reply[Receipt](reject(t)) }, want: []string{"invalid_amount"}},
		"other code":      {body: func(t testing.TB) { reject(t).ThenRejected(actor.Reject("other", "")) }, want: []string{"other", "invalid_amount"}},
		"other details":   {body: func(t testing.TB) { reject(t).ThenRejected(ErrAmount.With("amount", -3)) }, want: []string{"details", "-2"}},
		"other text":      {body: func(t testing.TB) { reject(t).ThenRejected(errBroke) }, want: []string{"no money left", "invalid_amount"}},
		"failure instead": {body: func(t testing.TB) { reject(t).ThenFails(actor.CodeMalformed) }, want: []string{"malformed", "invalid_amount"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			record(t, test.body).wantReport(t, test.want...)
		})
	}
}
