package runtime_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// pay validates itself, by rules that a build may change.
type pay struct {
	actor.Replies[actor.None]
	N int64 `json:"n"`
}

var harder atomic.Bool // stands for the rules of the newer build

func (p pay) Validate() error {
	if p.N < 0 && harder.Load() {
		return errors.New("less than nothing")
	}
	return nil
}

// TestNode_Invalid_IsNotStored: a command that its Validate refuses makes no commit. It is
// validated again when it comes again, by the rules of then; but what was decided once is
// answered from the record, whatever the rules are now.
func TestNode_Invalid_IsNotStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil, counters(nil, func(d *actor.Definition[counter]) {
			actor.On(d, func(_ *counter, ctx *actor.Context, p pay) (actor.None, error) {
				ctx.Raise(added{N: p.N})
				return actor.None{}, nil
			})
		}))
		for i, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
			id := fmt.Sprint("a", i)
			earlier := s.message(id, "pay", pay{N: -1})
			earlier.Lane = lane
			harder.Store(false)
			want := s.want(s.ask(earlier), actor.CodeOK)
			harder.Store(true)
			m := s.message(id, "pay", pay{N: -2})
			m.Lane = lane
			for range 2 {
				if o := s.want(s.ask(m), actor.CodeRejected); o.Rejection.Code != "invalid" || o.Rejection.Message != "less than nothing" || o.Version != 0 || o.Replayed {
					t.Errorf("lane %d: %+v", lane, o)
				}
				m.Attempt++
			}
			if n := len(s.commits(id)); n != 1 {
				t.Errorf("lane %d: %d commits", lane, n)
			}
			again := earlier
			again.Attempt = 2
			if diff := differ(want, s.ask(again)); diff != "" {
				t.Errorf("lane %d: recorded: %s", lane, diff)
			}
			harder.Store(false)
			s.want(s.ask(m), actor.CodeOK)
			if sum, _ := s.read(id); sum != -3 {
				t.Errorf("lane %d: sum %d", lane, sum)
			}
		}
	})
}

// TestNode_Invalid_IsToldWhenNobodyCanReadItAgain: the next owner may be of a build that
// takes the command. So its caller hears that it was refused once the watermark has passed
// it, and not while an earlier command of the partition is under way.
func TestNode_Invalid_IsToldWhenNobodyCanReadItAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		held := make(chan struct{})
		s := newSetup(t, nil, nil, counters(held, func(d *actor.Definition[counter]) {
			actor.On(d, func(*counter, *actor.Context, never) (actor.None, error) { return actor.None{}, nil })
		}))
		beside := ""
		for i := 0; beside == ""; i++ {
			if id := fmt.Sprint("b", i); actor.Partitions(partitions).Of(address(id)) == actor.Partitions(partitions).Of(address("a")) {
				beside = id
			}
		}
		before := s.send(s.message("a", "hold", hold{}))
		refused := s.send(s.message(beside, "never", never{}))
		s.unanswered(refused, time.Minute)
		direct := s.message(beside, "never", never{})
		direct.Lane = actor.LaneDirect
		s.want(s.ask(direct), actor.CodeRejected) // nobody reads that again
		close(held)
		s.want(s.await(before), actor.CodeOK)
		s.want(s.await(refused), actor.CodeRejected)
	})
}

type never struct{ actor.Replies[actor.None] }

func (never) Validate() error { return errors.New("never") }
