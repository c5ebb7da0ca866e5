package effort_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/effort"
)

func exactly(d time.Duration) time.Duration { return d }

func begun(g effort.Goal, attempt int) (*effort.Effort, time.Time) {
	now := time.Unix(1_000_000, 0)
	e := effort.New(g, attempt, effort.DefaultPatience(), exactly)
	e.Begin(now)
	return e, now
}

func TestEffort_Answered(t *testing.T) {
	t.Parallel()
	const lost, noOwner = actor.CodeUnknownOutcome, actor.CodeNoOwner
	tests := []struct {
		name    string
		goal    effort.Goal
		attempt int
		tries   int // begun in all
		try     uint32
		code    actor.Code
		final   bool
		giveUp  actor.Code // if it is not final
	}{
		{"recorded", effort.GoalOutcome, 1, 1, 1, actor.CodeOK, true, ""},
		{"recorded, of an earlier try", effort.GoalOutcome, 1, 3, 1, actor.CodeRejected, true, ""},
		{"the id is another command's", effort.GoalOutcome, 1, 3, 1, actor.CodeKeyReused, true, ""},
		{"the owner does not know either", effort.GoalDirect, 1, 1, 1, actor.CodeUnknownOutcome, true, ""},
		{"not executed, nothing in doubt", effort.GoalDirect, 1, 1, 1, actor.CodeOverloaded, true, ""},
		{"not executed, an earlier try in doubt", effort.GoalDirect, 1, 2, 2, actor.CodeOverloaded, false, lost},
		{"not executed, a later try in doubt", effort.GoalOutcome, 1, 2, 1, actor.CodeExpired, false, lost},
		{"malformed, an earlier try in doubt", effort.GoalOutcome, 1, 2, 2, actor.CodeMalformed, false, lost},
		{"not executed, the caller tried before", effort.GoalDirect, 2, 1, 1, actor.CodeOverloaded, false, lost},
		{"no owner here, but perhaps there too", effort.GoalDirect, 1, 1, 1, actor.CodeNoOwner, false, lost},
		{"no owner here, an earlier try in doubt", effort.GoalDirect, 1, 2, 2, actor.CodeNoOwner, false, lost},
		{"no owner here, but it is in the stream", effort.GoalOutcome, 1, 1, 1, actor.CodeNoOwner, false, lost},
		{"a read is never in doubt", effort.GoalRead, 1, 2, 2, actor.CodeOverloaded, true, ""},
		{"a read without an owner", effort.GoalRead, 1, 2, 2, actor.CodeNoOwner, false, noOwner},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e, now := begun(tt.goal, tt.attempt)
			for range tt.tries - 1 {
				e.Begin(now)
			}
			final := e.Answered(tt.try, now, actor.Outcome{Code: tt.code})
			if final != tt.final {
				t.Errorf("final = %v, want %v", final, tt.final)
			}
			if got := e.GiveUp("").Code; !final && got != tt.giveUp {
				t.Errorf("gives up with %q, want %q", got, tt.giveUp)
			}
		})
	}
}

func TestEffort_AllTriesAnswered_IsFinal(t *testing.T) {
	t.Parallel()
	e, now := begun(effort.GoalDirect, 1)
	e.Begin(now)
	e.Unreached(2, now, actor.Failure(actor.CodeNoOwner, ""))
	if !e.Answered(1, now, actor.Failure(actor.CodeOverloaded, "")) {
		t.Error("nothing is in doubt any more, but the refusal of the first try is not final")
	}
}

func TestEffort_Refused(t *testing.T) {
	t.Parallel()
	full := actor.Failure(actor.CodeOverloaded, "full")
	e, now := begun(effort.GoalStored, 1)
	if o, final := e.Refused(1, now, full); !final || o.Code != actor.CodeOverloaded {
		t.Errorf("first try refused: %v, final %v", o, final)
	}
	e, now = begun(effort.GoalStored, 1)
	e.Begin(now)
	if _, final := e.Refused(2, now, full); final {
		t.Error("final, though the first try may be stored")
	}
	if got := e.GiveUp("").Code; got != actor.CodeUnknownOutcome {
		t.Errorf("gives up with %q", got)
	}
}

// TestEffort_Waits follows the times of the tries of each goal.
func TestEffort_Waits(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	tests := map[string]struct {
		goal  effort.Goal
		event func(e *effort.Effort, try uint32, now time.Time)
		waits []time.Duration // between tries
		told  []int           // attempts
	}{
		"silent stream": {
			effort.GoalOutcome, func(*effort.Effort, uint32, time.Time) {},
			[]time.Duration{1000 * ms, 2000 * ms, 4000 * ms, 4000 * ms},
			[]int{1, 2, 3, 4},
		},
		"stored, silent owner": {
			effort.GoalOutcome, func(e *effort.Effort, _ uint32, now time.Time) { e.Acknowledged(now) },
			[]time.Duration{2000 * ms, 4000 * ms, 8000 * ms, 8000 * ms},
			[]int{1, 2, 3, 4},
		},
		"no stream": {
			effort.GoalOutcome,
			func(e *effort.Effort, try uint32, now time.Time) {
				e.Unreached(try, now, actor.Failure(actor.CodeNoOwner, ""))
			},
			[]time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1000 * ms, 1000 * ms},
			[]int{1, 1, 1, 1, 1, 1},
		},
		"no owner": {
			effort.GoalDirect,
			func(e *effort.Effort, try uint32, now time.Time) {
				e.Unreached(try, now, actor.Failure(actor.CodeNoOwner, ""))
			},
			[]time.Duration{20 * ms, 40 * ms, 80 * ms, 160 * ms, 250 * ms, 250 * ms},
			[]int{1, 1, 1, 1, 1, 1},
		},
		"silent owner": {
			effort.GoalDirect, func(*effort.Effort, uint32, time.Time) {},
			[]time.Duration{1000 * ms, 2000 * ms, 4000 * ms, 8000 * ms, 8000 * ms},
			[]int{1, 2, 3, 4, 5},
		},
		"connection lost after each try": {
			effort.GoalDirect, func(e *effort.Effort, _ uint32, now time.Time) { e.Reconnected(now) },
			[]time.Duration{300 * ms, 300 * ms},
			[]int{1, 2},
		},
		"stored, read only after the connection was lost": {
			effort.GoalOutcome, func(e *effort.Effort, _ uint32, now time.Time) {
				e.Reconnected(now)
				e.Acknowledged(now.Add(-1 * ms))
			},
			[]time.Duration{300 * ms, 300 * ms},
			[]int{1, 2},
		},
		"stored after the connection was lost": {
			effort.GoalOutcome, func(e *effort.Effort, _ uint32, now time.Time) {
				e.Reconnected(now)
				e.Acknowledged(now)
			},
			[]time.Duration{2000 * ms, 4000 * ms},
			[]int{1, 2},
		},
		"new owner, half a second after each try": {
			effort.GoalDirect, func(e *effort.Effort, _ uint32, now time.Time) {
				e.OwnerChanged(now.Add(500 * ms))
			},
			[]time.Duration{500 * ms, 500 * ms, 500 * ms},
			[]int{1, 2, 3},
		},
		"new owner, when it was due anyway": {
			effort.GoalDirect, func(e *effort.Effort, _ uint32, now time.Time) { e.OwnerChanged(now.Add(time.Hour)) },
			[]time.Duration{1000 * ms, 2000 * ms},
			[]int{1, 2},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Unix(1_000_000, 0)
			never := start.Add(time.Hour)
			e := effort.New(tt.goal, 0, effort.DefaultPatience(), exactly)
			var waits []time.Duration
			var told []int
			for now := start; len(waits) < len(tt.waits); {
				if !e.Due(now) {
					t.Fatalf("not due at %v", now.Sub(start))
				}
				try, attempt := e.Begin(now)
				tt.event(e, try, now)
				told = append(told, attempt)
				next := e.WakeAt(never)
				waits = append(waits, next.Sub(now))
				now = next
			}
			if diff := cmp.Diff(tt.waits, waits); diff != "" {
				t.Errorf("waits (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.told, told); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEffort_BoundsTriesThatMayHaveReachedAnOwner(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	deadline := now.Add(24 * time.Hour)
	e := effort.New(effort.GoalOutcome, 1, effort.DefaultPatience(), exactly)
	tries := 0
	for now.Before(deadline) {
		if e.Due(now) {
			e.Begin(now)
			tries++
		}
		now = e.WakeAt(deadline)
	}
	if want := effort.DefaultPatience().MaxExposed; tries != want {
		t.Errorf("%d tries in a day of silence, want %d", tries, want)
	}
}

// TestEffort_NeverClaimsMoreThanIsKnown plays random fates of random tries, with
// the truth about each known to the test.
func TestEffort_NeverClaimsMoreThanIsKnown(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 100_000 {
		goal := []effort.Goal{effort.GoalOutcome, effort.GoalDirect}[r.IntN(2)]
		executed, silent, told, script := play(r, goal)
		switch {
		case executed && !told.Code.Recorded() && told.Code != actor.CodeUnknownOutcome:
			t.Fatalf("told %q of a command that was executed: %v", told.Code, script)
		case !executed && told.Code.Recorded():
			t.Fatalf("told %q of a command that was not executed: %v", told.Code, script)
		case !silent && told.Code == actor.CodeUnknownOutcome:
			t.Fatalf("told unknown, though the fate of every try was told: %v", script)
		}
	}
}

// play has up to five tries run into random fates, whose news arrive in random
// order. silent: no news of some try.
func play(r *rand.Rand, goal effort.Goal) (executed, silent bool, told actor.Outcome, script []string) {
	type news struct {
		try       uint32
		unreached bool
		code      actor.Code
	}
	now := time.Unix(1_000_000, 0)
	e := effort.New(goal, 1, effort.DefaultPatience(), exactly)
	var mail []news
	for range 1 + r.IntN(5) {
		try, _ := e.Begin(now)
		fate := r.IntN(6)
		switch fate {
		case 0:
			mail = append(mail, news{try: try, unreached: true})
		case 1: // refused by its owner
			mail = append(mail, news{try: try, code: actor.CodeOverloaded})
		case 2: // likewise, but the answer is lost
			silent = true
		case 3:
			executed, silent = true, true
		case 4:
			executed = true
			mail = append(mail, news{try: try, code: actor.CodeOK})
		case 5: // met somebody who is not the owner any more, and perhaps the owner, too
			mail = append(mail, news{try: try, code: actor.CodeNoOwner})
			executed, silent = executed || r.IntN(2) == 0, true
		}
		script = append(script, fmt.Sprintf("try %d: fate %d", try, fate))
		for len(mail) > 0 && r.IntN(2) == 0 {
			i := r.IntN(len(mail))
			n := mail[i]
			mail = append(mail[:i], mail[i+1:]...)
			script = append(script, fmt.Sprintf("news of %d", n.try))
			if n.unreached {
				e.Unreached(n.try, now, actor.Failure(actor.CodeNoOwner, ""))
			} else if o := (actor.Outcome{Code: n.code}); e.Answered(n.try, now, o) {
				return executed, silent, o, script
			}
		}
	}
	return executed, silent || len(mail) > 0, e.GiveUp(""), script
}
