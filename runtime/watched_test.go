package runtime_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// suspected starts the node anew as one that follows on three dead sessions, the last of
// which has named what it was about to execute for an aggregate that is at 5.
func (s *setup) suspected(suspect string) (id string) {
	s.t.Helper()
	id = s.idsIn(1, 1)[0]
	s.want(s.add(id, 5), actor.CodeOK)
	s.close()
	c := s.claim(1)
	c.Revision += 1000
	c.Deaths = 3
	c.Suspect = fmt.Sprintf(`{"session":"gone","aggregate":%q,%s}`, address(id), suspect)
	if err := s.store.SaveWatermarks(s.t.Context(), []store.Claim{c}); err != nil {
		s.t.Fatal(err)
	}
	s.start("n1")
	return id
}

// TestNode_Watch_DeathsAfterExecution: who dies after a suspect was executed, as while the
// store takes nothing, is no proof against it. Many are.
func TestNode_Watch_DeathsAfterExecution(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		suspect string
		want    actor.Code
	}{
		{`"deaths":0`, actor.CodeOK}, // and the one of who named it
		{`"deaths":1`, actor.CodeParked},
		{`"deaths":1,"executed":true`, actor.CodeOK},
		{`"deaths":1,"executed":true,"spared":4`, actor.CodeOK},
		{`"deaths":1,"executed":true,"spared":5`, actor.CodeParked},
	} {
		t.Run(c.suspect, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHooked()
				s := newSetup(t, h, nil)
				id := s.suspected(`"id":"key","name":"add",` + c.suspect)
				held := h.holdAppends()
				m := direct(s.message(id, "add", add{N: 1}))
				m.ID = "key"
				got := s.send(m)
				if c.want == actor.CodeOK {
					write := <-held
					synctest.Wait()
					if named := s.claim(1).Suspect; !strings.Contains(named, `"executed":true`) {
						t.Errorf("while it is written, the claim says %s", named)
					}
					write.write(t, h.Store)
				}
				s.want(s.await(got), c.want)
			})
		})
	}
}

// TestNode_Watch_AnswersReads: two nodes were killed while they answered reads of an
// aggregate. Reads have no ids that would tell them apart, and none was seen to kill: the
// next owner answers them, and names none.
func TestNode_Watch_AnswersReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		id := s.suspected(`"id":"","name":"sum","deaths":1`)
		for range 3 {
			if sum, v := s.read(id); sum != 5 || v != 1 {
				t.Errorf("sum %d at version %d", sum, v)
			}
		}
		s.want(s.ask(direct(s.message(id, "add", add{N: 1}))), actor.CodeOK)
	})
}
