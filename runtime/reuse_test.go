package runtime_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// TestNode_KeyReused: the same id with another command, or with other data, is refused
// and executed by nobody: while the first is under way, from memory, from the store, from
// a snapshot, at the next owner, whatever the first came to. The same command, written in
// another way, gets its outcome, and is told that it is a repetition.
func TestNode_KeyReused(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int64{"a success": 3, "a refusal": -100, "without an event": 0} {
		for _, id := range []actor.CommandID{"order-1", ""} {
			for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
				t.Run(fmt.Sprintf("%s, id %q, lane %d", name, id, lane), func(t *testing.T) {
					bubble(t, func(t *testing.T) { testKeyReused(t, id, lane, n) })
				})
			}
		}
	}
}

func testKeyReused(t *testing.T, id actor.CommandID, lane actor.Lane, n int64) {
	t.Helper()
	h := newHooked()
	s := newSetup(t, h, func(c *runtime.Config) { c.RingMax, c.PassivateAfter = 8, passivateAfter },
		counters(nil, func(d *actor.Definition[counter]) { d.SnapshotEvery(6) }))
	s.want(s.add("a", 5), actor.CodeOK)
	first := s.message("a", "add", add{N: n})
	first.Lane = lane
	if id != "" {
		first.ID = id
	}
	otherData, otherName, spaced := first, first, first
	otherData.Data = []byte(`{"n":1000}`)
	otherName.Name = "bloat"
	spaced.Data = fmt.Appendf(nil, " {\"n\" : %d.0e0 } ", n)
	first.Metadata.User, spaced.Metadata.User = "ann", "ann"
	somebodyElses, nobodys := first, first
	somebodyElses.Metadata.User, nobodys.Metadata.User = "bob", ""
	appends := h.holdAppends()
	told := s.send(first)
	inFlight := <-appends
	reused := []reply{s.send(otherData), s.send(otherName), s.send(somebodyElses)}
	s.eventually("all have come", func() bool { return s.unfinished() == 4 })
	h.letAppends()
	inFlight.write(t, h.Store)
	outcome := s.await(told)
	if outcome.Replayed {
		t.Error("the first is told as a repetition")
	}
	for _, r := range reused {
		s.want(s.await(r), actor.CodeKeyReused)
	}
	check := func(where string) {
		t.Helper()
		for _, m := range []actor.Message{otherData, otherName, somebodyElses} {
			o := s.want(s.ask(m), actor.CodeKeyReused)
			if !errors.Is(o.Err(), actor.ErrKeyReused) || o.Replayed {
				t.Errorf("%s: %+v", where, o)
			}
		}
		for _, m := range []actor.Message{first, spaced, nobodys} {
			again := s.ask(m)
			if diff := differ(outcome, again); diff != "" || !again.Replayed {
				t.Errorf("%s: %+v, %s", where, again, diff)
			}
		}
	}
	check("in memory")
	for range 5 {
		s.want(s.add("a", 1), actor.CodeOK)
	}
	s.restart()
	check("from a snapshot")
	for range 20 {
		s.want(s.add("a", 1), actor.CodeOK)
	}
	check("forgotten by the ring")
	s.restart()
	check("at the next owner")
	if sum, _ := s.read("a"); sum != 30+max(n, 0) {
		t.Errorf("sum %d", sum)
	}
}

// TestNode_KeyReused_OfAnEarlierBuild: what it was used for is not known, so nothing is
// compared.
func TestNode_KeyReused_OfAnEarlierBuild(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		s.foreignBy("order-1", "a", "added.v1", `{"n":5}`, "5")
		m := s.message("a", "add", add{N: 1000})
		m.ID = "order-1"
		if o := s.want(s.ask(m), actor.CodeOK); string(o.Reply) != "5" || !o.Replayed {
			t.Errorf("%+v", o)
		}
	})
}

// TestNode_KeyReused_Renamed: a command under the name that it had before is the same.
func TestNode_KeyReused_Renamed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type former struct {
			actor.Replies[int64]
			Amount int64 `json:"amount"`
		}
		renamed := actor.Define("counter", func(d *actor.Definition[counter]) {
			actor.On(d, (*counter).add, actor.From("increase", func(f former) add { return add{N: f.Amount} }))
			actor.On(d, (*counter).bloat)
			actor.Apply(d, (*counter).added)
			actor.Apply(d, (*counter).bloated)
			actor.Query(d, (*counter).sum)
			d.Rejections(errNegative)
		})
		s := newSetup(t, nil, nil, renamed)
		m := s.message("a", "increase", former{Amount: 5})
		first := s.want(s.ask(m), actor.CodeOK)
		now := m
		now.Name, now.Data = "add", []byte(`{"n":5}`)
		for _, again := range []actor.Message{m, now} {
			if diff := differ(first, s.ask(again)); diff != "" {
				t.Errorf("%s: %s", again.Name, diff)
			}
		}
		now.Name = "bloat"
		s.want(s.ask(now), actor.CodeKeyReused)
	})
}

// TestNode_KeyReused_Skipped: a command that an operator has skipped is told so to whoever
// repeats it, and a skip of one with an outcome is told that.
func TestNode_KeyReused_Skipped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		done, refused := s.message("a", "add", add{N: 5}), s.message("a", "add", add{N: 7})
		s.want(s.ask(done), actor.CodeOK)
		s.want(s.ask(actor.Skip(done)), actor.CodeOK)
		s.want(s.ask(actor.Skip(refused)), actor.CodeRejected)
		for range 2 {
			if o := s.ask(refused); !errors.Is(o.Err(), actor.ErrSkipped) {
				t.Errorf("%+v", o)
			}
			s.restart()
		}
	})
}

// TestNode_Outcomes_NameTheirCommand: commits, and snapshots, say which command it was.
func TestNode_Outcomes_NameTheirCommand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		m := s.message("a", "add", add{N: 5})
		s.want(s.ask(m), actor.CodeOK)
		no := s.message("a", "raiseThenReject", raiseThenReject{})
		s.want(s.ask(no), actor.CodeRejected)
		for _, one := range []actor.Message{m, no} {
			all := s.outcomes("a", one.ID)
			if len(all) != 1 || all[0].Outcome.Name != one.Name || all[0].Outcome.Digest == "" {
				t.Errorf("%s: %+v", one.Name, all)
			}
		}
		s.bus.earlier = false
		own := s.message("a", "add", add{N: 1})
		own.ID = actor.InternalID(time.Now(), "test")
		s.want(s.ask(own), actor.CodeOK)
		var last store.Outcome
		for _, o := range s.outcomes("a", own.ID) {
			last = o.Outcome
		}
		if last.Name != "add" || last.Digest != "" {
			t.Errorf("the runtime's own: %+v", last)
		}
		var data json.RawMessage = own.Data
		own.Data = append([]byte(" "), data...)
		s.want(s.ask(own), actor.CodeOK)
	})
}
