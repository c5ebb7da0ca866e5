package runtime_test

import (
	"testing"

	"github.com/ganglion-go/ganglion/actor"
)

func TestNode_Command_IsDurableBeforeItsReply(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil, nil)
	for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
		m := s.message("a", "add", add{N: 5})
		m.Lane = lane
		o := s.ask(m)
		if o.Code != actor.CodeOK {
			t.Fatalf("lane %d: %+v", lane, o)
		}
		ids := s.history("a")
		if len(ids) == 0 || ids[len(ids)-1] != string(m.ID) {
			t.Fatalf("lane %d: %s is not in the history %v", lane, m.ID, ids)
		}
	}
	if sum, v := s.read("a"); sum != 10 || v != 2 {
		t.Fatalf("sum %d at version %d", sum, v)
	}
}
