package runtime_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

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
				id := s.idsIn(1, 1)[0]
				s.want(s.add(id, 5), actor.CodeOK)
				s.close()
				claim := s.claim(1)
				claim.Revision += 1000
				claim.Deaths = 3
				claim.Suspect = fmt.Sprintf(`{"session":"gone","aggregate":%q,"id":"key","name":"add",%s}`, address(id), c.suspect)
				if err := s.store.SaveWatermarks(t.Context(), []store.Claim{claim}); err != nil {
					t.Fatal(err)
				}
				s.start("n1")
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
