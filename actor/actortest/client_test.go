package actortest_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
)

func TestClient_Ask(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, Accounts)
	c := s.Client()
	r, err := actor.Ask(t.Context(), c, a1, Deposit{Amount: 5})
	if err != nil || r.Balance != 5 {
		t.Fatalf("%+v, %v", r, err)
	}
	s.ThenReply(Receipt{Balance: 5}).ThenRaised(Deposited{Amount: 5, ID: string(s.Events()[0].CommandID)}).ThenNothingElse()
	if r, err := actor.Read(t.Context(), c, a1, Statement{}); err != nil || r.Balance != 5 {
		t.Errorf("%+v, %v", r, err)
	}
	s.ThenVersion(1).ThenReply(Receipt{Balance: 5}) // still about the command
	s.When(a1, Deposit{Amount: 1}).ThenReply(Receipt{Balance: 6})
	if r, err := actor.Ask(t.Context(), c, a1, &Deposit{Amount: 1}, actor.ExpectVersion(2)); err != nil || r.Balance != 7 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestClient_Failures: a refusal is the caller's affair, and is what a node would say.
func TestClient_Failures(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, Accounts).Given(a1, Deposited{Amount: 5})
	c := s.Client()
	_, err := actor.Ask(t.Context(), c, a1, Deposit{Amount: -5})
	r, ok := errors.AsType[*actor.Rejection](err)
	if !ok || !errors.Is(err, ErrAmount) || r.Details["amount"] != -5.0 {
		t.Errorf("%v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ask  func() error
		want error
	}{
		"creation policy": {func() error { _, err := actor.Ask(t.Context(), c, a1, Open{}); return err }, actor.ErrAlreadyExists},
		"version":         {func() error { _, err := actor.Ask(t.Context(), c, a1, Deposit{}, actor.ExpectVersion(9)); return err }, actor.ErrVersionMismatch},
		"panic":           {func() error { _, err := actor.Ask(t.Context(), c, a1, Explode{}); return err }, actor.ErrParked},
		"error":           {func() error { _, err := actor.Ask(t.Context(), c, a1, Withdraw{Amount: 99}); return err }, actor.ErrParked},
		"unknown kind":    {func() error { _, err := actor.Ask(t.Context(), c, clocks.ID("c"), tick{}); return err }, actor.ErrUnknownKind},
		"unknown command": {func() error { _, err := actor.Ask(t.Context(), c, a1, tick{}); return err }, actor.ErrUnknownCommand},
		"empty id":        {func() error { _, err := actor.Ask(t.Context(), c, Accounts.ID(""), Deposit{}); return err }, actor.ErrMalformed},
		"the runtime's": {func() error {
			_, err := actor.Ask(t.Context(), c, a1, Deposit{}, actor.WithCommandID("ganglion.x"))
			return err
		}, actor.ErrMalformed},
		"context": {func() error { _, err := actor.Ask(ended, c, a1, Deposit{Amount: 1}); return err }, actor.ErrNoOwner},
		"deadline": {func() error {
			_, err := actor.Ask(t.Context(), c, a1, Deposit{}, actor.Until(s.Now().Add(-1)))
			return err
		}, actor.ErrExpired},
		"sent, context":  {func() error { return actor.Send(ended, c, a1, Deposit{Amount: 1}) }, actor.ErrNoOwner},
		"sent, empty id": {func() error { return actor.Send(t.Context(), c, Accounts.ID(""), Deposit{}) }, actor.ErrMalformed},
		"query enqueued": {func() error {
			return c.Enqueue(t.Context(), actor.Message{Type: actor.TypeQuery, Target: a1, Name: "Statement"})
		}, actor.ErrMalformed},
		"no state": {func() error {
			return c.Deliver(t.Context(), actor.Message{Type: actor.TypeState, Target: Accounts.ID("none")}).Err()
		}, actor.ErrDoesNotExist},
	} {
		if err := test.ask(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if n := len(s.Events()); n != 1 {
		t.Errorf("%d events", n)
	}
	if o := c.Deliver(t.Context(), actor.Message{Type: actor.TypeState, Target: a1}); o.Version != 1 || !strings.Contains(string(o.Reply), `"Balance":5`) {
		t.Errorf("%+v %s", o, o.Reply)
	}
}

func TestClient_Repeats(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, Accounts)
	c := s.Client()
	m, err := actor.NewMessage(a1, Deposit{Amount: 5}, actor.WithCommandID("k"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if o := c.Deliver(t.Context(), m); o.Code != actor.CodeOK || o.Version != 1 || o.Replayed != (i > 0) {
			t.Errorf("%d: %+v", i, o)
		}
	}
	if _, err := actor.Ask(t.Context(), c, a1, Deposit{Amount: 6}, actor.WithCommandID("k")); !errors.Is(err, actor.ErrKeyReused) {
		t.Errorf("other data: %v", err)
	}
	if _, err := actor.Ask(t.Context(), c, a1, Withdraw{Amount: 5}, actor.WithCommandID("k")); !errors.Is(err, actor.ErrKeyReused) {
		t.Errorf("other command: %v", err)
	}
	s.WhenJSON(a1, "Deposit", `{"amount":7}`, actor.WithCommandID("k")).ThenFails(actor.CodeKeyReused)
	if n := len(s.Events()); n != 1 {
		t.Errorf("%d events", n)
	}
}

// TestClient_Drives: sagas, refusals and timers are at rest between two calls, unless the
// client is told to hold them.
func TestClient_Drives(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, Orders, Wallets, Payments)
	c := s.Client()
	if _, err := actor.Ask(t.Context(), c, Wallets.ID("w"), Fill{Cents: 10}); err != nil {
		t.Fatal(err)
	}
	if _, err := actor.Ask(t.Context(), c, Orders.ID("o-1"), Place{Wallet: "w", Cents: 7}); err != nil {
		t.Fatal(err)
	}
	s.ThenRaised(Placed{Wallet: "w", Cents: 7}) // about the command, and not about what followed
	s.ThenStateOf(Wallets.ID("w"), func(w *Wallet) {
		if w.Cents != 3 {
			t.Errorf("%d cents are left", w.Cents)
		}
	})
	held := actortest.New(t, Orders, Wallets, Payments).Given(Wallets.ID("w"), Filled{Cents: 10})
	c = held.Client(actortest.Held())
	if err := actor.Send(t.Context(), c, Orders.ID("o-1"), Place{Wallet: "w", Cents: 7}); err != nil {
		t.Fatal(err)
	}
	if n := len(held.Events()); n != 1 {
		t.Errorf("%d events, and the command was only enqueued", n)
	}
	held.Deliver().ThenStateOf(Wallets.ID("w"), func(w *Wallet) {
		if w.Cents != 3 {
			t.Errorf("%d cents are left", w.Cents)
		}
	})
}

// TestClient_ConcurrentCalls: an HTTP server has a goroutine for each request.
func TestClient_ConcurrentCalls(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, Accounts)
	c := s.Client()
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			if _, err := actor.Ask(t.Context(), c, a1, Deposit{Amount: 1}); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	s.ThenStateOf(a1, Account{Balance: 20})
}

// TestClient_FindsFaultyHandlers: what every When checks, every call does, and a call that
// cannot go on ends alone.
func TestClient_FindsFaultyHandlers(t *testing.T) {
	t.Parallel()
	r := record(t, func(t testing.TB) {
		c := actortest.New(t, clocks).Client()
		if _, err := actor.Ask(t.Context(), c, clocks.ID("c"), tick{Fault: "outside"}); err != nil {
			t.Errorf("%v", err)
		}
	})
	r.wantReport(t, "tick", "state was changed outside apply")
}

// TestClient_Time: handlers see the scenario's, whatever clock made the message.
func TestClient_Time(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, Accounts).At(time.Date(2040, 1, 2, 3, 4, 5, 0, time.UTC))
	m, err := actor.NewMessage(a1, Open{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	m.Time, m.Deadline = time.Now(), time.Now().Add(time.Minute)
	if o := s.Client().Deliver(t.Context(), m); o.Code != actor.CodeOK {
		t.Errorf("%+v", o)
	}
	s.ThenState(Account{Owner: "ann", Opened: s.Now()})
}
