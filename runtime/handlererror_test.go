package runtime_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
)

// TestNode_HandlerError_IsNoDecision: an error that is no rejection is a fault of the
// handler. It is not what the aggregate has decided for that id, for ever: once the fault
// is gone, whoever repeats the command has it executed.
func TestNode_HandlerError_IsNoDecision(t *testing.T) {
	t.Parallel()
	for name, lane := range map[string]actor.Lane{"durable": actor.LaneDurable, "direct": actor.LaneDirect} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var mended atomic.Bool
				s := newSetup(t, nil, nil, counters(nil, func(d *actor.Definition[counter]) {
					actor.On(d, func(c *counter, ctx *actor.Context, _ fuse) (int64, error) {
						ctx.Raise(added{N: 1})
						if !mended.Load() {
							return 0, errors.New("no connection")
						}
						return c.Sum, nil
					})
					actor.Query(d, func(*counter, *actor.QueryContext, peek) (int64, error) { return 0, errors.New("no connection") })
				}))
				s.want(s.add("a", 5), actor.CodeOK)
				m := s.message("a", "fuse", fuse{})
				m.ID, m.Lane = "key", lane
				s.want(s.ask(m), actor.CodeParked)
				if n := len(s.parked("a")); n != 1 {
					t.Errorf("%d parked, want 1", n)
				}
				if sum, v := s.read("a"); sum != 5 || v != 1 {
					t.Errorf("sum %d at version %d: the fault left a trace", sum, v)
				}
				q := s.query("a")
				q.Name = "peek"
				s.want(s.ask(q), actor.CodeUnloadable)
				mended.Store(true)
				again := m
				again.Attempt = 2
				s.want(s.ask(again), actor.CodeOK)
				if sum, v := s.read("a"); sum != 6 || v != 2 {
					t.Errorf("sum %d at version %d", sum, v)
				}
			})
		})
	}
}
