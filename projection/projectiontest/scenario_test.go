package projectiontest_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/projectiontest"
)

type account struct{}

type (
	deposited struct {
		Amount int64  `json:"amount"`
		Note   string `json:"note,omitempty"`
	}
	depositedV0 struct{ Units int64 }
	closed      struct{}
	remind      struct {
		actor.Replies[actor.None]
		Of string `json:"of"`
	}
)

var accounts = actor.Define("account", func(d *actor.Definition[account]) {
	actor.Apply(d, func(*account, deposited) {}, actor.From("deposited.v0", func(old depositedV0) deposited { return deposited{Amount: 100 * old.Units} }))
	actor.Apply(d, func(*account, closed) {})
})

type balance struct {
	Cents int64     `json:"cents"`
	Since time.Time `json:"since,omitzero"`
	By    string    `json:"by,omitempty"`
}

var errNote = errors.New("cannot make sense of the note")

// balances is a read model with every fault that the fixture looks for, by note.
func balances(chance *int) *projection.Projection {
	return projection.Define("balances", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[balance]("accounts"), projection.NewCollection[int]("chances"), projection.NewCollection[bool]("history"))
		projection.On(d, accounts, func(ctx context.Context, tx *projection.Tx, e projection.Event[deposited]) error {
			switch e.Data.Note {
			case "fails":
				return errNote
			case "panics":
				panic("boom")
			case "chance":
				*chance++
				return tx.Put("chances", "last", *chance)
			case "history":
				return tx.Put("history", "last", e.Replayed)
			}
			return projection.Update(ctx, tx, "accounts", e.Source.ID, func(b *balance) error {
				b.Cents += e.Data.Amount
				b.Since, b.By = e.Time, e.Metadata.User
				return nil
			})
		})
		projection.On(d, accounts, func(_ context.Context, tx *projection.Tx, e projection.Event[closed]) error {
			return tx.Delete("accounts", e.Source.ID)
		})
	})
}

var a1, a2 = accounts.ID("a-1"), accounts.ID("a-2")

func TestScenario(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	s := projectiontest.New(t, balances(nil)).
		Given(a1, deposited{Amount: 10}, deposited{Amount: 5}).
		ThenDocument("accounts", "a-1", balance{Cents: 15, Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}).
		ThenDocument("accounts", "a-1", map[string]any{"cents": 15, "since": "2026-01-01T00:00:00Z"}).
		ThenNoDocument("accounts", "a-2", "A-1").
		ThenNoDocument("history").
		At(at).With(actor.Metadata{User: "ann"}).
		Given(a2, deposited{Amount: 1}).
		ThenDocument("accounts", "a-2", balance{Cents: 1, Since: at, By: "ann"}).
		Advance(time.Hour).
		GivenStored(a2, actor.Event{Name: "deposited.v0", Data: []byte(`{"Units":2}`)}).
		ThenCollection("accounts", map[string]balance{
			"a-1": {Cents: 15, Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
			"a-2": {Cents: 201, Since: at.Add(time.Hour), By: "ann"},
		}).
		Given(a1, closed{}).
		ThenNoDocument("accounts", "a-1")
	if b := projectiontest.Document[balance](s, "accounts", "a-2"); b.Cents != 201 {
		t.Errorf("%+v", b)
	}
	if b, found, err := projection.Get[balance](t.Context(), s.View(), "accounts", "a-2"); err != nil || !found || b.Cents != 201 {
		t.Errorf("%+v, %v, %v", b, found, err)
	}
}

func TestScenario_Parks(t *testing.T) {
	t.Parallel()
	projectiontest.New(t, balances(nil)).
		Given(a1, deposited{Amount: 1}, deposited{Note: "fails"}, deposited{Amount: 1}).
		ThenParked(a1, "make sense", "note").
		ThenDocument("accounts", "a-1", balance{Cents: 1, Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}). // the third waits
		Given(a2, deposited{Note: "panics"}).ThenParked(a2, "panic: boom").
		Given(accounts.ID("a-3"), deposited{Amount: 3}).
		ThenDocument("accounts", "a-3", balance{Cents: 3, Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
}

func TestScenario_Records(t *testing.T) {
	t.Parallel()
	record := func(version actor.Version, amount int) actor.EventRecord {
		return actor.EventRecord{
			Source: a1, Version: version, Name: "deposited.v1", Data: fmt.Appendf(nil, `{"amount":%d}`, amount),
			Time: time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC), Metadata: actor.Metadata{User: "bob"},
		}
	}
	other := actor.EventRecord{Source: actor.Kind("other").ID("x"), Version: 1, Name: "whatever.v1"}
	projectiontest.New(t, balances(nil)).
		GivenRecords(record(1, 5), other, record(4, 6)).
		GivenRecords(record(1, 5), record(4, 6), record(5, 7)).
		ThenDocument("accounts", "a-1", balance{Cents: 18, Since: time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC), By: "bob"})
}

// TestScenario_Router: what a policy sends.
func TestScenario_Router(t *testing.T) {
	t.Parallel()
	policy := actor.DefinePolicy("reminders", func(d *actor.PolicyDefinition) {
		actor.When(d, accounts, func(p *actor.PolicyContext, e deposited) {
			if e.Note == "panics" {
				panic("boom")
			}
			p.Send(actor.Kind("clerk").ID("c"), remind{Of: e.Note})
		})
	})
	router, ok := projection.NewReactor(policy, projection.FromBeginning)
	if !ok {
		t.Fatal("no router")
	}
	projectiontest.New(t, router, accounts).
		Given(a1, deposited{Note: "x"}, deposited{Note: "y"}).
		ThenSent(actor.Kind("clerk").ID("c"), remind{Of: "x"}).
		ThenSent(actor.Kind("clerk").ID("c"), remind{Of: "y"}).
		ThenNothingElseSent().
		Given(a2, deposited{Note: "panics"}).ThenParked(a2, "boom")
}

// TestScenario_LiveOnly: what has effects outside is run once, and not by the rebuild.
func TestScenario_LiveOnly(t *testing.T) {
	t.Parallel()
	mails := 0
	p := projection.Define("mails", func(d *projection.Definition) {
		projection.On(d, accounts, func(context.Context, *projection.Tx, projection.Event[deposited]) error {
			mails++
			return nil
		}, projection.LiveOnly())
	})
	t.Cleanup(func() { // after the scenario's end
		if mails != 1 {
			t.Errorf("%d mails", mails)
		}
	})
	projectiontest.New(t, p).Given(a1, deposited{})
}

// Every Then must be able to fail, and say by what.
func TestScenario_Reports(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body  func(s *projectiontest.Scenario)
		want  []string
		fatal bool
	}{
		"no document":              {body: func(s *projectiontest.Scenario) { s.ThenDocument("accounts", "a-2", 1) }, want: []string{`no accounts "a-2"`, `["a-1"]`}},
		"empty collection":         {body: func(s *projectiontest.Scenario) { s.ThenDocument("history", "a-1", 1) }, want: []string{"no documents", `["accounts"]`}},
		"no collection":            {body: func(s *projectiontest.Scenario) { s.ThenNoDocument("acounts") }, want: []string{"has no collection", "acounts"}, fatal: true},
		"another document":         {body: func(s *projectiontest.Scenario) { s.ThenDocument("accounts", "a-1", balance{Cents: 8}) }, want: []string{"-want +got", "8", "10"}},
		"a document":               {body: func(s *projectiontest.Scenario) { s.ThenNoDocument("accounts", "a-1") }, want: []string{`there is accounts "a-1"`}},
		"any document":             {body: func(s *projectiontest.Scenario) { s.ThenNoDocument("accounts") }, want: []string{`there is accounts "a-1"`}},
		"another collection":       {body: func(s *projectiontest.Scenario) { s.ThenCollection("accounts", map[string]balance{}) }, want: []string{"a-1"}},
		"parked":                   {body: func(s *projectiontest.Scenario) { s.Given(a2, deposited{Note: "fails"}) }, want: []string{"no ThenParked", errNote.Error(), "account/a-2"}},
		"parked, a panic":          {body: func(s *projectiontest.Scenario) { s.Given(a2, deposited{Note: "panics"}) }, want: []string{"boom", "scenario_test.go"}},
		"not parked":               {body: func(s *projectiontest.Scenario) { s.ThenParked(a1) }, want: []string{"nothing of account/a-1 is parked"}},
		"parked for another cause": {body: func(s *projectiontest.Scenario) { s.Given(a2, deposited{Note: "fails"}).ThenParked(a2, "xyz") }, want: []string{"xyz", errNote.Error()}},
		"rebuilt otherwise":        {body: func(s *projectiontest.Scenario) { s.Given(a2, deposited{Note: "chance"}) }, want: []string{"a rebuild from the same events", "chances"}},
		"rebuilt from history":     {body: func(s *projectiontest.Scenario) { s.Given(a2, deposited{Note: "history"}) }, want: []string{"a rebuild from the same events", "history"}},
		"nothing sent":             {body: func(s *projectiontest.Scenario) { s.ThenSent(a1, remind{Of: "x"}) }, want: []string{"sent to account/a-1", `remind {"of":"x"}`}},
		"unknown event":            {body: func(s *projectiontest.Scenario) { s.Given(a1, balance{}) }, want: []string{"does not apply"}, fatal: true},
		"unknown kind":             {body: func(s *projectiontest.Scenario) { s.Given(actor.Kind("x").ID("y"), deposited{}) }, want: []string{"reads no events of kind"}, fatal: true},
		"empty id":                 {body: func(s *projectiontest.Scenario) { s.Given(accounts.ID(""), deposited{}) }, want: []string{"empty id"}, fatal: true},
		"undecodable": {body: func(s *projectiontest.Scenario) {
			s.GivenStored(a1, actor.Event{Name: "deposited.v1", Data: []byte("1")})
		}, want: []string{"deposited.v1"}, fatal: true},
		"no such document":        {body: func(s *projectiontest.Scenario) { projectiontest.Document[balance](s, "accounts", "x") }, want: []string{`no accounts "x"`}, fatal: true},
		"no name of a collection": {body: func(s *projectiontest.Scenario) { s.ThenDocument("_x", "y", 1) }, want: []string{"collection"}, fatal: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t, func(t testing.TB) {
				test.body(projectiontest.New(t, balances(new(int))).Given(a1, deposited{Amount: 10}))
			})
			if len(r.reports) != 1 || r.fatal != test.fatal {
				t.Fatalf("fatal %v, reports: %q", r.fatal, r.reports)
			}
			for _, part := range test.want {
				if !strings.Contains(r.reports[0], part) {
					t.Errorf("the report does not contain %q:\n%s", part, r.reports[0])
				}
			}
		})
	}
}

func TestScenario_WithoutRebuild(t *testing.T) {
	t.Parallel()
	projectiontest.New(t, balances(new(int))).WithoutRebuild().Given(a1, deposited{Note: "history"})
}

// recorder is a testing.TB that keeps what a fixture reports.
type recorder struct {
	testing.TB
	reports  []string
	fatal    bool
	cleanups []func()
}

func (r *recorder) Helper()                   {}
func (r *recorder) Failed() bool              { return len(r.reports) > 0 }
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(f string, a ...any) { r.reports = append(r.reports, fmt.Sprintf(f, a...)) }

func (r *recorder) Fatalf(f string, a ...any) {
	r.Errorf(f, a...)
	r.fatal = true
	goruntime.Goexit()
}

// record runs a test body on its own goroutine, as testing does, with its cleanups.
func record(t *testing.T, body func(t testing.TB)) *recorder {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, f := range r.cleanups {
				f()
			}
		}()
		body(r)
	}()
	<-done
	return r
}
