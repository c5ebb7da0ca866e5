package runtime_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
	c.Suspect = fmt.Sprintf(`{"aggregate":%q,%s}`, address(id), suspect)
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
		{`"session":"gone","deaths":0`, actor.CodeOK}, // and the one of who named it
		{`"session":"gone","deaths":1`, actor.CodeParked},
		{`"session":"gone","deaths":1,"executed":true`, actor.CodeOK},
		{`"session":"gone","deaths":1,"executed":true,"spared":4`, actor.CodeOK},
		{`"session":"gone","deaths":1,"executed":true,"spared":5`, actor.CodeParked},
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

// TestNode_Watch_ProcessesThatLived: a death under the name of a command does not count if
// the process is seen again, however late within the time that is waited for.
func TestNode_Watch_ProcessesThatLived(t *testing.T) {
	t.Parallel()
	const blamed = `"node":"n2","session":"P-3","deaths":1,"blamed":[{"node":"n3","session":"Q-1"}]`
	for name, c := range map[string]struct {
		seen map[string]string // incarnations by node
		late map[string]string // of nodes that are seen later
		want actor.Code
	}{
		"nobody is seen":            {nil, nil, actor.CodeParked},
		"both have died":            {map[string]string{"n2": "R-1", "n3": "S-1"}, nil, actor.CodeParked},
		"both have lived":           {map[string]string{"n2": "P-4", "n3": "Q-9"}, nil, actor.CodeOK},
		"one has lived":             {map[string]string{"n2": "R-1", "n3": "Q-2"}, nil, actor.CodeOK},
		"one lives, late":           {map[string]string{"n2": "R-1"}, map[string]string{"n3": "Q-2"}, actor.CodeOK},
		"one has died, late":        {map[string]string{"n2": "R-1"}, map[string]string{"n3": "S-1"}, actor.CodeParked},
		"the same session, as dead": {map[string]string{"n2": "R-1", "n3": "Q-1"}, nil, actor.CodeParked},
		"of a build without it":     {map[string]string{"n2": "R", "n3": "Q"}, nil, actor.CodeParked},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSetup(t, nil, nil)
				open := func(seen map[string]string) {
					for node, incarnation := range seen {
						session := store.Session{Name: node, Incarnation: incarnation, Beat: 1, Kinds: []string{"account"}, Lease: time.Hour}
						if err := s.store.OpenSession(t.Context(), session, nil); err != nil {
							t.Fatal(err)
						}
						if err := s.store.DeclareDead(t.Context(), session); err != nil {
							t.Fatal(err)
						}
					}
				}
				open(c.seen)
				id := s.suspected(`"id":"key","name":"add",` + blamed)
				m := direct(s.message(id, "add", add{N: 1}))
				m.ID = "key"
				got := s.send(m)
				if c.late != nil {
					<-time.After(5 * time.Second)
					open(c.late)
				}
				s.want(s.await(got), c.want)
			})
		})
	}
}

// TestNode_SessionsOfOneProcess: the incarnations of a node say that its process is the same,
// and those of the next process that it is another.
func TestNode_SessionsOfOneProcess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		process := func(incarnation string) string {
			process, _, _ := strings.Cut(incarnation, "-")
			return process
		}
		first, _ := s.session("n1")
		if err := s.store.DeclareDead(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		var second store.Session
		s.eventually("the node lives again", func() bool {
			second, _ = s.session("n1")
			return !second.Dead && second.Incarnation != first.Incarnation
		})
		if process(second.Incarnation) != process(first.Incarnation) {
			t.Errorf("%s, then %s", first.Incarnation, second.Incarnation)
		}
		s.close()
		s.start("n1")
		if third, _ := s.session("n1"); process(third.Incarnation) == process(first.Incarnation) {
			t.Errorf("%s is the next process after %s", third.Incarnation, second.Incarnation)
		}
	})
}

// TestNode_Watch_AnswersReads: two nodes were killed while they answered reads of an
// aggregate. Reads have no ids that would tell them apart, and none was seen to kill: the
// next owner answers them, and names none.
func TestNode_Watch_AnswersReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		id := s.suspected(`"session":"gone","id":"","name":"sum","deaths":1`)
		for range 3 {
			if sum, v := s.read(id); sum != 5 || v != 1 {
				t.Errorf("sum %d at version %d", sum, v)
			}
		}
		s.want(s.ask(direct(s.message(id, "add", add{N: 1}))), actor.CodeOK)
	})
}

// TestNode_Watch_FormerOwnerThatLived: a node that was paused is declared dead, and its
// partitions are watched, as processes seem to have died with them. Once its process is seen
// again there is nothing to fear: nothing is named any more.
func TestNode_Watch_FormerOwnerThatLived(t *testing.T) {
	t.Parallel()
	for next, lives := range map[string]bool{"P-4": true, "Q-1": false} {
		t.Run(next, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := prepare(t, nil, nil)
				paused := store.Session{Name: "n2", Incarnation: "P-3", Beat: 1, Kinds: []string{"counter"}, Lease: lease}
				want := make([]store.Claim, partitions)
				for p := range want {
					want[p].Partition = store.Partition(p)
				}
				if err := s.store.OpenSession(t.Context(), paused, nil); err != nil {
					t.Fatal(err)
				}
				held, err := s.store.TakeClaims(t.Context(), paused, want)
				if err != nil || len(held) != partitions {
					t.Fatal(held, err)
				}
				for i := range held { // and one before it
					held[i].Deaths, held[i].Revision = 1, 1
				}
				if err := s.store.SaveWatermarks(t.Context(), held); err != nil {
					t.Fatal(err)
				}
				if err := s.store.DeclareDead(t.Context(), paused); err != nil {
					t.Fatal(err)
				}
				s.start("n1")
				began := time.Now()
				id := s.idsIn(1, 1)[0]
				s.want(s.ask(direct(s.message(id, "add", add{N: 1}))), actor.CodeOK)
				if c := s.claim(1); c.Suspect == "" || c.Deaths != 2 {
					t.Fatalf("not watched: %+v", c)
				}
				seen, _ := s.session("n2")
				again := store.Session{Name: "n2", Incarnation: next, Beat: 1, Kinds: paused.Kinds, Lease: lease}
				if err := s.store.OpenSession(t.Context(), again, &seen); err != nil {
					t.Fatal(err)
				}
				if err := s.store.DeclareDead(t.Context(), again); err != nil { // so that it wants no share
					t.Fatal(err)
				}
				s.eventually("nothing is feared", func() bool { c := s.claim(1); return c.Suspect == "" && c.Deaths == 0 })
				if took := time.Since(began); lives != (took < 10*time.Second) {
					t.Errorf("watched for %v", took)
				}
			})
		})
	}
}

// TestNode_Watch_RepeatedWhileItWaits: callers repeat a command that waits for the nodes of
// those that died with it. All copies have their answer when the wait is over, and what comes
// behind them does not wait for each.
func TestNode_Watch_RepeatedWhileItWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		id := s.suspected(`"id":"key","name":"add","node":"n2","session":"P-3","deaths":1,"blamed":[{"node":"n3","session":"Q-1"}]`)
		began := time.Now()
		var copies []reply
		for range 10 {
			m := direct(s.message(id, "add", add{N: 1}))
			m.ID = "key"
			copies = append(copies, s.send(m))
			s.pause(2 * time.Second)
		}
		other := s.send(direct(s.message(s.idsIn(1, 2)[1], "add", add{N: 1})))
		for _, c := range copies {
			s.want(s.await(c), actor.CodeParked)
		}
		s.want(s.await(other), actor.CodeOK)
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("10 copies within 20 s were answered after %v", took)
		}
	})
}
