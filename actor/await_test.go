package actor_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// scripted answers reads one after another, and goes on with the last.
type scripted struct {
	answers []actor.Outcome
	asked   []actor.Message
}

func (s *scripted) Deliver(_ context.Context, m actor.Message) actor.Outcome {
	s.asked = append(s.asked, m)
	o := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	return o
}

func (*scripted) Enqueue(context.Context, actor.Message) error { return nil }

func stateShown(balance string, v actor.Version) actor.Outcome {
	return actor.Outcome{Version: v, Reply: []byte(`{"balance":` + balance + `}`)}
}

func ended(o actor.Outcome) actor.Outcome {
	o.Ended = true
	return o
}

func TestState(t *testing.T) {
	t.Parallel()
	c := &fakeClient{instance: with(t, 2)}
	to := accounts.ID("a-1")
	got, v, err := actor.State[receipt](t.Context(), c, to, actor.WithMetadata(actor.Metadata{User: "ann"}))
	if err != nil || got.Balance != 20 || v != 2 || c.messages[0].Metadata.User != "ann" {
		t.Errorf("got %+v at %d, %v", got, v, err)
	}
	if _, _, err := actor.State[[]int](t.Context(), c, to); err == nil {
		t.Error("a state was read as a list")
	}
	c = &fakeClient{instance: with(t, 0)}
	if got, v, err := actor.State[receipt](t.Context(), c, to); !errors.Is(err, actor.ErrDoesNotExist) || v != 0 || got.Balance != 0 {
		t.Errorf("without a history: %+v at %d, %v", got, v, err)
	}
}

func TestAskVersion(t *testing.T) {
	t.Parallel()
	c := &fakeClient{instance: with(t, 1)}
	to := accounts.ID("a-1")
	if got, v, err := actor.AskVersion(t.Context(), c, to, deposit{Amount: 5}); err != nil || got.Balance != 15 || v != 2 {
		t.Errorf("got %+v at %d, %v", got, v, err)
	}
	if _, v, err := actor.AskVersion(t.Context(), c, to, deposit{Amount: -5}); !errors.Is(err, errAmount) || v != 2 {
		t.Errorf("rejected at %d, %v", v, err)
	}
	if got, v, err := actor.ReadVersion(t.Context(), c, to, balance{}); err != nil || got.Balance != 15 || v != 2 {
		t.Errorf("got %+v at %d, %v", got, v, err)
	}
	c.outcome = &actor.Outcome{Code: actor.CodeNoOwner}
	if _, v, err := actor.AskVersion(t.Context(), c, to, deposit{Amount: 5}); !errors.Is(err, actor.ErrNoOwner) || v != 0 {
		t.Errorf("undecided at %d, %v", v, err)
	}
}

func is(balance int64) func(actor.Shown[receipt]) bool {
	return func(s actor.Shown[receipt]) bool { return s.State.Balance == balance }
}

// A wait passes over what is not there yet and over owners that are gone, and asks each
// time for what is beyond the version that it has seen.
func TestAwait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		missing := actor.Outcome{Code: actor.CodeDoesNotExist}
		c := &scripted{answers: []actor.Outcome{missing, actor.Failure(actor.CodeNoOwner, "gone"), stateShown("1", 1), actor.Failure(actor.CodeOverloaded, ""), stateShown("2", 4), stateShown("3", 5)}}
		s, err := actor.Await(t.Context(), c, accounts.ID("a-1"), is(3))
		if err != nil || s.State.Balance != 3 || s.Version != 5 || s.Ended {
			t.Errorf("got %+v, %v", s, err)
		}
		var beyond []actor.Version
		for i, m := range c.asked {
			beyond = append(beyond, m.Wait.Beyond)
			if m.Type != actor.TypeState || (m.Wait.For > 0) != (i > 0) || m.Wait.For > actor.MaxWait {
				t.Errorf("read %d: %+v", i, m)
			}
		}
		if want := [...]actor.Version{0, 0, 0, 1, 1, 4}; len(beyond) != len(want) || [6]actor.Version(beyond) != want {
			t.Errorf("asked for what is beyond %v, want %v", beyond, want)
		}
		c = &scripted{answers: []actor.Outcome{stateShown("1", 1), ended(stateShown("2", 4))}}
		if got, v, err := actor.AwaitEnd[receipt](t.Context(), c, accounts.ID("a-1")); err != nil || got.Balance != 2 || v != 4 {
			t.Errorf("ended as %+v at %d, %v", got, v, err)
		}
	})
}

func TestAwait_Ends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		missing := actor.Outcome{Code: actor.CodeDoesNotExist}
		gone := actor.Failure(actor.CodeNoOwner, "gone")
		for what, c := range map[string]struct {
			answers []actor.Outcome
			is      []error
			not     []error
			version actor.Version
		}{
			"it never is so":        {[]actor.Outcome{stateShown("1", 1)}, []error{context.DeadlineExceeded}, []error{actor.ErrDoesNotExist}, 1},
			"there is none":         {[]actor.Outcome{missing}, []error{context.DeadlineExceeded, actor.ErrDoesNotExist}, nil, 0},
			"there was none":        {[]actor.Outcome{missing, gone}, []error{context.DeadlineExceeded, actor.ErrDoesNotExist}, nil, 0},
			"nobody ever answers":   {[]actor.Outcome{gone}, []error{context.DeadlineExceeded, actor.ErrNoOwner}, nil, 0},
			"nobody answers more":   {[]actor.Outcome{stateShown("1", 1), gone}, []error{context.DeadlineExceeded}, []error{actor.ErrNoOwner}, 1},
			"it has ended":          {[]actor.Outcome{stateShown("1", 1), ended(stateShown("2", 2))}, []error{actor.ErrEnded}, []error{context.DeadlineExceeded}, 2},
			"it cannot be":          {[]actor.Outcome{actor.Failure(actor.CodeUnknownKind, "")}, []error{actor.ErrUnknownKind}, []error{context.DeadlineExceeded}, 0},
			"it cannot be loaded":   {[]actor.Outcome{stateShown("1", 1), actor.Failure(actor.CodeUnloadable, "")}, []error{actor.ErrUnloadable}, []error{context.DeadlineExceeded}, 0},
			"it is of another form": {[]actor.Outcome{stateShown(`"x"`, 1)}, nil, []error{context.DeadlineExceeded}, 1},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			client := &scripted{answers: c.answers}
			s, err := actor.Await(ctx, client, accounts.ID("a-1"), is(7))
			cancel()
			if err == nil || s.Version != c.version {
				t.Errorf("%s: %+v, %v", what, s, err)
			}
			for _, want := range c.is {
				if !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", what, err, want)
				}
			}
			for _, other := range c.not {
				if errors.Is(err, other) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if n := len(client.asked); n > 300 { // an owner who holds nothing back is not asked all the time
				t.Errorf("%s: %d reads in a minute", what, n)
			}
		}
	})
}
