package runtime_test

import (
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// TestNode_Watch_AnswersReads: two nodes were killed while they answered reads of an
// aggregate. Reads have no ids that would tell them apart, and none was seen to kill: the
// next owner answers them, and names none.
func TestNode_Watch_AnswersReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		id := s.idsIn(1, 1)[0]
		s.want(s.add(id, 5), actor.CodeOK)
		s.close()
		c := s.claim(1)
		c.Revision += 1000
		c.Deaths = 3
		c.Suspect = `{"session":"gone","aggregate":"` + address(id).String() + `","id":"","name":"sum","deaths":1}`
		if err := s.store.SaveWatermarks(t.Context(), []store.Claim{c}); err != nil {
			t.Fatal(err)
		}
		s.start("n1")
		for range 3 {
			if sum, v := s.read(id); sum != 5 || v != 1 {
				t.Errorf("sum %d at version %d", sum, v)
			}
		}
		s.want(s.ask(direct(s.message(id, "add", add{N: 1}))), actor.CodeOK)
	})
}
