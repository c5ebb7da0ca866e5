package runtime_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

func (s *setup) query(id string) actor.Message {
	return actor.Message{Type: actor.TypeQuery, Lane: actor.LaneDirect, Target: address(id), Name: "sum", Time: time.Now()}
}

// TestNode_OutputGate: what was decided on a state that is not durable leaves
// when it is, and is decided anew when it cannot become so.
func TestNode_OutputGate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		settle  func(s *setup, h *hooked, in heldAppend)
		sum     string
		refused actor.Code
		want    int64
	}{
		{"commit lands", func(s *setup, h *hooked, in heldAppend) { in.write(s.t, h.Store) }, "6", actor.CodeRejected, 6},
		{"conflict", func(s *setup, h *hooked, in heldAppend) {
			s.foreign("a", "added.v1", `{"n":100}`)
			in.write(s.t, h.Store)
		}, "106", actor.CodeOK, 96},
		{"unknown, not written", func(_ *setup, _ *hooked, in heldAppend) { in.fail(store.ErrUnknown) }, "6", actor.CodeRejected, 6},
		{"unknown, and another's was written", func(s *setup, _ *hooked, in heldAppend) {
			s.foreign("a", "added.v1", `{"n":100}`)
			in.fail(store.ErrUnknown)
		}, "106", actor.CodeOK, 96},
		{"unknown, written", func(s *setup, h *hooked, in heldAppend) {
			h.Store.Append(s.t.Context(), in.commits)
			in.fail(store.ErrUnknown)
		}, "6", actor.CodeRejected, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHooked()
				s := newSetup(t, h, nil)
				s.want(s.add("a", 5), actor.CodeOK)
				appends := h.holdAppends()
				x := s.send(s.message("a", "add", add{N: 1}))
				inFlight := <-appends
				read := s.send(s.query("a"))
				no := s.send(direct(s.message("a", "add", add{N: -10})))
				s.unanswered(x, 200*time.Millisecond)
				s.unanswered(read, 0)
				s.unanswered(no, 0)
				h.letAppends()
				c.settle(s, h, inFlight)
				s.want(s.await(x), actor.CodeOK)
				if o := s.await(read); string(o.Reply) != c.sum {
					t.Errorf("read %s, want %s", o.Reply, c.sum)
				}
				s.want(s.await(no), c.refused)
				if sum, _ := s.read("a"); sum != c.want {
					t.Errorf("sum %d, want %d", sum, c.want)
				}
			})
		})
	}
}

// TestNode_LateWrite_AfterTheReload: the outcome of a write is unknown, the
// state is loaded again without it, the command is decided again, and then the
// first write arrives after all. The command without effect, which comes first in
// the commit after that, has an event of its own there.
func TestNode_LateWrite_AfterTheReload(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		s.want(s.add("a", 5), actor.CodeOK)
		appends := h.holdAppends()
		var replies []reply
		replies = append(replies, s.send(s.message("a", "add", add{N: 1})))
		first := <-appends
		for i := range 20 {
			replies = append(replies, s.send(until(s.message("a", "add", add{N: int64(i)}), time.Now().Add(time.Second))))
		}
		s.eventually("all are decided", func() bool { return s.unfinished() == len(replies) })
		first.fail(store.ErrUnknown)
		second := <-appends // the same command, and all that waited
		if second.commits[0].First != first.commits[0].First {
			t.Fatalf("first %d, then %d", first.commits[0].First, second.commits[0].First)
		}
		if err := h.Store.Append(t.Context(), first.commits)[0]; err != nil { // the late one
			t.Fatal(err)
		}
		h.letAppends()
		second.write(t, h.Store)
		sum := int64(5)
		for i, r := range replies {
			sum += max(1, int64(i)-1)
			if i == 1 {
				sum-- // 0 was added
			}
			if o := s.want(s.await(r), actor.CodeOK); string(o.Reply) != fmt.Sprint(sum) {
				t.Fatalf("reply %d is %s, want %d", i, o.Reply, sum)
			}
		}
		if got, v := s.read("a"); got != sum || v != 22 {
			t.Fatalf("sum %d at version %d, want %d at 22", got, v, sum)
		}
	})
}

// limitedTo makes the store refuse commits above a size.
func (h *hooked) limitedTo(bytes int) {
	h.with(func(h *hooked) {
		h.append = func(ctx context.Context, commits []store.Commit) []error {
			errs := make([]error, len(commits))
			for i := range commits {
				if errs[i] = store.ErrTooLarge; commits[i].Size() <= bytes {
					errs[i] = h.Store.Append(ctx, commits[i:i+1])[0]
				}
			}
			return errs
		}
	})
}

// TestNode_TooLarge: a batch that the store does not take is written one by one,
// and only what is too large by itself is refused.
func TestNode_TooLarge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		s.want(s.add("a", 1), actor.CodeOK)
		appends := h.holdAppends()
		replies := []reply{s.send(s.message("a", "add", add{N: 1}))}
		inFlight := <-appends
		for i := range 12 {
			size := 3000
			if i == 5 {
				size = 9000
			}
			replies = append(replies, s.send(s.message("a", "bloat", bloat{Bytes: size})))
		}
		s.eventually("all are decided", func() bool { return s.unfinished() == len(replies) })
		h.limitedTo(30_000) // JSON writes a zero byte as six
		inFlight.write(t, h.Store)
		for i, r := range replies {
			code := actor.CodeOK
			if i == 6 {
				code = actor.CodeTooLarge
			}
			s.want(s.await(r), code)
		}
		if n := len(s.history("a")); n != 13 {
			t.Errorf("%d commands in the history, want 13", n)
		}
		s.want(s.add("a", 1), actor.CodeOK)
	})
}

// TestNode_TooLarge_ByRefusals: outcomes that raised nothing wait for the commit under
// way. The one that holds all of them is more than the store takes.
func TestNode_TooLarge_ByRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		s.want(s.add("a", 1), actor.CodeOK)
		appends := h.holdAppends()
		x := s.send(s.message("a", "add", add{N: 1}))
		inFlight := <-appends
		var all []actor.Message
		var replies []reply
		for i := range 50 {
			m := s.message("a", "add", add{N: -100 * int64(i%2)}) // in turns without effect, and refused
			all, replies = append(all, m), append(replies, s.send(m))
		}
		s.eventually("all are decided", func() bool { return s.unfinished() == 51 })
		h.limitedTo(1000)
		inFlight.write(t, h.Store)
		s.want(s.await(x), actor.CodeOK)
		for i, m := range all {
			o := s.want(s.await(replies[i]), map[int]actor.Code{0: actor.CodeOK, 1: actor.CodeRejected}[i%2])
			if o.Version != 2 || len(s.outcomes("a", m.ID)) != 1 {
				t.Fatalf("%+v, in %d commits", o, len(s.outcomes("a", m.ID)))
			}
		}
		if sum, v := s.read("a"); sum != 2 || v != 2 {
			t.Fatalf("sum %d at version %d", sum, v)
		}
	})
}

// TestNode_Reads_DoNotPutOffTheCommitTheyStandOn: reads come in faster than they
// are decided. The commit that they stand on is written when there are many.
func TestNode_Reads_DoNotPutOffTheCommitTheyStandOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const batch, reads = 10, 3000
		h := newHooked()
		held := make(chan struct{})
		var decided atomic.Int64
		s := newSetup(t, h, func(c *runtime.Config) { c.BatchEvents = batch }, counters(held, func(d *actor.Definition[counter]) {
			actor.Query(d, func(c *counter, _ *actor.QueryContext, _ peek) (int64, error) {
				decided.Add(1)
				return c.Sum, nil
			})
		}))
		replies := []reply{
			s.send(direct(s.message("a", "hold", hold{}))),
			s.send(direct(s.message("a", "add", add{N: 1}))),
		}
		peeking := s.query("a")
		peeking.Name = "peek"
		for range reads {
			replies = append(replies, s.send(peeking))
		}
		appends := h.holdAppends()
		close(held)
		inFlight := <-appends
		synctest.Wait()
		if n := decided.Load(); n == 0 || n > 4*batch {
			t.Errorf("%d reads were decided while their commit was not durable", n)
		}
		h.letAppends()
		inFlight.write(t, h.Store)
		for _, r := range replies {
			s.want(s.await(r), actor.CodeOK)
		}
	})
}

type peek struct{ actor.Replies[int64] }

// TestNode_Refusals_FitTheirCommits: a thousand large refusals that wait for a commit
// are written in several.
func TestNode_Refusals_FitTheirCommits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, func(c *runtime.Config) { c.BatchBytes = 256 << 10 }, counters(nil, func(d *actor.Definition[counter]) {
			actor.On(d, func(_ *counter, _ *actor.Context, c wordy) (actor.None, error) {
				return actor.None{}, actor.Reject("wordy", "no").With("why", string(make([]byte, c.Bytes)))
			})
		}))
		appends := h.holdAppends()
		x := s.send(s.message("a", "add", add{N: 1}))
		inFlight := <-appends
		var replies []reply
		for range 1000 {
			replies = append(replies, s.send(direct(s.message("a", "wordy", wordy{Bytes: 1000}))))
		}
		h.letAppends()
		inFlight.write(t, h.Store)
		s.want(s.await(x), actor.CodeOK)
		for _, r := range replies {
			s.want(s.await(r), actor.CodeRejected)
		}
		s.want(s.ask(direct(s.message("a", "wordy", wordy{Bytes: 1 << 20}))), actor.CodeTooLarge)
		s.want(s.add("a", 1), actor.CodeOK)
		commits := s.commits("a")
		for _, c := range commits {
			if size := c.Size(); size > 512<<10 {
				t.Errorf("a commit has %d bytes", size)
			}
		}
		if len(commits) > 60 {
			t.Errorf("%d commits", len(commits))
		}
	})
}

type wordy struct {
	actor.Replies[actor.None]
	Bytes int `json:"bytes"`
}
