package runtime_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

type (
	grant struct {
		actor.Replies[int64]
		N int64
	}
	grantOld struct{ N int64 }
	lookup   struct{ actor.Replies[int64] }
)

// withInternals adds what is the application's own.
func withInternals(d *actor.Definition[counter]) {
	actor.On(d, func(c *counter, ctx *actor.Context, g grant) (int64, error) {
		ctx.Raise(added{N: g.N})
		return c.Sum, nil
	}, actor.Internal(), actor.From("grantOld", func(g grantOld) grant { return grant{N: g.N} }))
	actor.Query(d, func(c *counter, _ *actor.QueryContext, _ lookup) (int64, error) { return c.Sum, nil }, actor.Internal())
}

func outsideOf(m actor.Message) actor.Message {
	m.Outside = true
	return m
}

// TestNode_Internal_IsNotForOutside: the owner refuses it as what nobody has declared, on
// either lane, by every name, and whatever the id was used for before; nothing is stored or
// parked. The application's own code has it.
func TestNode_Internal_IsNotForOutside(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil, counters(nil, withInternals))
		own := s.message("a", "grant", grant{N: 5})
		own.ID = "key-of-our-own"
		s.want(s.ask(own), actor.CodeOK)
		s.want(s.ask(direct(s.message("a", "grantOld", grantOld{N: 2}))), actor.CodeOK)
		s.want(s.ask(s.message("a", "add", add{N: 1})), actor.CodeOK)
		before := len(s.commits("a"))

		same := func(name string, o actor.Outcome) {
			t.Helper()
			want := actor.Failure(actor.CodeUnknownCommand, "counter has no "+name)
			if diff := cmp.Diff(want, o); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		for _, name := range []string{"grant", "grantOld", "Grant", "nothing"} {
			m := outsideOf(s.message("a", name, grant{N: 100}))
			same(name, s.ask(m))
			same(name, s.ask(direct(outsideOf(s.message("a", name, grant{N: 100})))))
			same(name, s.ask(m)) // again, under the same id
		}
		replay := outsideOf(own)
		same("grant", s.ask(replay))
		same("grant", s.ask(direct(replay)))
		query := actor.Message{Type: actor.TypeQuery, Lane: actor.LaneDirect, Target: address("a"), Name: "lookup", Time: time.Now(), Outside: true}
		same("lookup", s.ask(query))
		unheard := outsideOf(s.message("a", "grant", grant{N: 100}))
		s.bus.publish(unheard, nil)
		s.want(s.ask(outsideOf(s.message("a", "add", add{N: 1}))), actor.CodeOK)
		if n := len(s.parked("a")); n > 0 {
			t.Errorf("%d parked", n)
		}
		if sum, version := s.read("a"); sum != 9 || version != 4 || len(s.commits("a")) != before+1 {
			t.Errorf("sum %d, version %d, %d commits", sum, version, len(s.commits("a")))
		}
		s.restart() // nobody reads them again
		if sum, _ := s.read("a"); sum != 9 {
			t.Errorf("sum %d after a restart", sum)
		}
	})
}

// TestNode_InternalKind_IsNotForOutside: nor are its queries and its state.
func TestNode_InternalKind_IsNotForOutside(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil, counters(nil, (*actor.Definition[counter]).Internal))
		s.want(s.add("a", 3), actor.CodeOK)
		want := actor.Failure(actor.CodeUnknownKind, "no node has aggregates of kind counter")
		for name, m := range map[string]actor.Message{
			"command": s.message("a", "add", add{N: 1}),
			"direct":  direct(s.message("a", "add", add{N: 1})),
			"nothing": s.message("a", "nothing", add{N: 1}),
			"query":   {Type: actor.TypeQuery, Lane: actor.LaneDirect, Target: address("a"), Name: "sum", Time: time.Now()},
			"state":   {Type: actor.TypeState, Lane: actor.LaneDirect, Target: address("a"), Time: time.Now()},
		} {
			if diff := cmp.Diff(want, s.ask(outsideOf(m))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		if sum, version := s.read("a"); sum != 3 || version != 1 {
			t.Errorf("sum %d, version %d", sum, version)
		}
	})
}

// TestNode_ExposeInternal: a node that is told so lets everybody have it.
func TestNode_ExposeInternal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, func(c *runtime.Config) { c.ExposeInternal = true }, counters(nil, withInternals))
		s.want(s.ask(outsideOf(s.message("a", "grant", grant{N: 5}))), actor.CodeOK)
		s.want(s.ask(direct(outsideOf(s.message("a", "grantOld", grantOld{N: 5})))), actor.CodeOK)
	})
}

// TestParked_SaysWhetherItCameFromOutside: what waits for a node that can execute it is sent
// again by one, and must not gain by that.
func TestParked_SaysWhetherItCameFromOutside(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		for _, outside := range []bool{true, false} {
			m := s.message("a", "declaredLater", add{N: 1})
			m.Outside = outside
			s.bus.publish(m, nil)
			s.eventually("it is parked", func() bool {
				parked, found, err := s.store.FindParked(t.Context(), store.Aggregate(m.Target.String()), string(m.ID))
				if err != nil || !found {
					return false
				}
				got, err := runtime.ParkedMessage(&parked)
				if err != nil || got.Outside != outside {
					t.Errorf("parked %+v, %v; want outside %v", got, err, outside)
				}
				return true
			})
		}
	})
}
