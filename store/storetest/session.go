package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

func sessionCases() []testCase {
	return []testCase{
		{"Session/open and read", testSessionOpen},
		{"Session/replace only dead", testSessionReplace},
		{"Session/renew", testSessionRenew},
		{"Session/drain", testSessionDrain},
		{"Session/lacks", testSessionLacks},
		{"Session/clock and cut", testSessionClock},
		{"Session/end", testSessionEnd},
		{"Session/openers race", testSessionOpenRace},
		{"Session/renew races with death", testSessionDeathRace},
		{"Session/confirm", testSessionConfirm},
		{"Session/confirm races with death", testSessionConfirmRace},
	}
}

func sampleSession(name, incarnation string) store.Session {
	return store.Session{
		Name: name, Incarnation: incarnation, Address: "http://127.0.0.1:8080/" + name, Build: "v1.2.3 é",
		Kinds: []string{"account", "portfolio"}, Lease: 3*time.Second + 1,
		Opened: time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC), Time: time.Date(2026, 2, 3, 4, 5, 6, 8000, time.UTC),
	}
}

// session reads the record of a name. ok is false when there is none.
func (s *setup) session(t *testing.T, from store.Store, name string) (found store.Session, ok bool) {
	t.Helper()
	all, err := from.Sessions(s.ctx)
	must(t, "sessions", err)
	for _, session := range all {
		if session.Name == name {
			found, ok = session, true
		}
	}
	return found, ok
}

func (s *setup) checkSession(t *testing.T, want store.Session) {
	t.Helper()
	for _, client := range s.clients() {
		got, _ := s.session(t, client, want.Name)
		diffRecord(t, got, want)
	}
}

// open opens a session and returns it as stored.
func (s *setup) open(t *testing.T, name, incarnation string) store.Session {
	t.Helper()
	session := sampleSession(name, incarnation)
	must(t, "open session", s.OpenSession(s.ctx, session, nil))
	session.Beat = 1
	return session
}

func testSessionOpen(t *testing.T, s *setup) {
	all, err := s.Sessions(s.ctx)
	if err != nil || len(all) != 0 {
		t.Fatalf("a new store has sessions %v, error %v", all, err)
	}
	names := []string{"node-1", "node-10", "node-2", "node.x", "node x", "node/é🙂", "x*>"}
	for _, name := range slices.Backward(names) {
		session := sampleSession(name, "i-"+name)
		session.Beat, session.Dead, session.Draining, session.Cut = 9, true, true, true // what the record starts with is not the caller's to say
		must(t, "open session", s.OpenSession(s.ctx, session, nil))
		wantError(t, "open it again", s.peer.OpenSession(s.ctx, sampleSession(name, "other"), nil), store.ErrLost)
	}
	all, err = s.peer.Sessions(s.ctx)
	must(t, "sessions", err)
	if len(all) != len(names) {
		t.Fatalf("%d sessions, want %d", len(all), len(names))
	}
	for i, want := range []string{"node x", "node-1", "node-10", "node-2", "node.x", "node/é🙂", "x*>"} {
		session := sampleSession(want, "i-"+want)
		session.Beat = 1
		diffRecord(t, all[i], session)
	}
}

func testSessionReplace(t *testing.T, s *setup) {
	old := s.open(t, "node", "one")
	next := sampleSession("node", "two")
	wantError(t, "replace a living session", s.OpenSession(s.ctx, next, &old), store.ErrLost)
	pretended := old
	pretended.Dead = true
	wantError(t, "replace a session said to be dead", s.OpenSession(s.ctx, next, &pretended), store.ErrLost)
	s.checkSession(t, old)

	must(t, "declare dead", s.peer.DeclareDead(s.ctx, old))
	s.checkSession(t, pretended)
	wantError(t, "open over a dead session as if there were none", s.OpenSession(s.ctx, next, nil), store.ErrLost)
	stranger := pretended
	stranger.Incarnation = "zero"
	wantError(t, "replace another incarnation", s.OpenSession(s.ctx, next, &stranger), store.ErrLost)
	must(t, "replace the dead session", s.OpenSession(s.ctx, next, &pretended))
	next.Beat = 1
	s.checkSession(t, next)
	wantError(t, "replace it twice", s.peer.OpenSession(s.ctx, sampleSession("node", "three"), &pretended), store.ErrLost)

	must(t, "end session", s.EndSession(s.ctx, next))
	wantError(t, "replace what is gone", s.OpenSession(s.ctx, sampleSession("node", "three"), &pretended), store.ErrLost)
	s.open(t, "node", "four")
}

func testSessionRenew(t *testing.T, s *setup) {
	session := s.open(t, "node", "one")
	for range 10 {
		must(t, "renew", s.Renew(s.ctx, session))
		wantError(t, "renew with an old beat", s.peer.Renew(s.ctx, session), store.ErrLost)
		session.Beat++
	}
	s.checkSession(t, session)
	for what, wrong := range map[string]func(*store.Session){
		"another incarnation": func(x *store.Session) { x.Incarnation = "two" },
		"a beat to come":      func(x *store.Session) { x.Beat++ },
		"an unknown name":     func(x *store.Session) { x.Name = "other" },
	} {
		other := session
		wrong(&other)
		wantError(t, "renew with "+what, s.Renew(s.ctx, other), store.ErrLost)
		wantError(t, "declare dead with "+what, s.DeclareDead(s.ctx, other), store.ErrLost)
	}
	must(t, "declare dead", s.DeclareDead(s.ctx, session))
	wantError(t, "renew after death", s.Renew(s.ctx, session), store.ErrLost)
	wantError(t, "declare dead twice", s.peer.DeclareDead(s.ctx, session), store.ErrLost)
	session.Dead = true
	s.checkSession(t, session)
}

// testSessionDrain: a renewal says whether the session is draining, one that is
// lost says nothing, and a session keeps it into its death.
func testSessionDrain(t *testing.T, s *setup) {
	session := s.open(t, "node", "one")
	stale := session
	for _, draining := range []bool{true, true, false, true} {
		session.Draining = draining
		must(t, "renew", s.Renew(s.ctx, session))
		session.Beat++
		s.checkSession(t, session)
		stale.Draining = !draining
		wantError(t, "renew with an old beat", s.peer.Renew(s.ctx, stale), store.ErrLost)
		s.checkSession(t, session)
	}
	undecided := session
	undecided.Draining = false // of no meaning to a declaration of death
	must(t, "declare dead", s.peer.DeclareDead(s.ctx, undecided))
	session.Dead = true
	s.checkSession(t, session)
	must(t, "replace it", s.OpenSession(s.ctx, sampleSession("node", "two"), &session))
	next := sampleSession("node", "two")
	next.Beat = 1
	s.checkSession(t, next)
}

// testSessionLacks: the opening and each renewal say what the node does not know,
// and one that is lost says nothing.
func testSessionLacks(t *testing.T, s *setup) {
	session := sampleSession("node", "one")
	session.Lacks = []store.Lack{{Partition: 7, Kind: "ledger"}}
	must(t, "open session", s.OpenSession(s.ctx, session, nil))
	session.Beat = 1
	s.checkSession(t, session)
	stale := session
	stale.Lacks = []store.Lack{{Partition: 1}}
	for _, lacks := range [][]store.Lack{
		{{Partition: 7, Kind: "ledger"}, {Partition: 7}, {Partition: 16383, Kind: "note"}}, nil, {{Partition: 0}},
	} {
		session.Lacks = lacks
		must(t, "renew", s.Renew(s.ctx, session))
		session.Beat++
		s.checkSession(t, session)
		wantError(t, "renew with an old beat", s.peer.Renew(s.ctx, stale), store.ErrLost)
		s.checkSession(t, session)
	}
	undecided := session
	undecided.Lacks = nil // of no meaning to a declaration of death
	must(t, "declare dead", s.peer.DeclareDead(s.ctx, undecided))
	session.Dead = true
	s.checkSession(t, session)
}

// testSessionClock: a renewal writes the time and whether messages reach the node;
// when it was opened stays.
func testSessionClock(t *testing.T, s *setup) {
	session := s.open(t, "node", "one")
	told := session
	told.Time, told.Cut = time.Date(1971, 1, 2, 3, 4, 5, 0, time.UTC), true
	told.Opened = told.Time // not a renewal's to say
	must(t, "renew, cut", s.Renew(s.ctx, told))
	want := session
	want.Beat, want.Time, want.Cut = 2, told.Time, true
	s.checkSession(t, want)
	told.Beat, told.Time, told.Cut = 2, time.Time{}, false
	must(t, "renew, not cut", s.Renew(s.ctx, told))
	want.Beat, want.Time, want.Cut = 3, time.Time{}, false
	s.checkSession(t, want)
}

func testSessionEnd(t *testing.T, s *setup) {
	session := s.open(t, "node", "one")
	stranger := session
	stranger.Incarnation = "two"
	must(t, "end another incarnation", s.EndSession(s.ctx, stranger))
	s.checkSession(t, session)
	must(t, "renew", s.Renew(s.ctx, session))
	must(t, "end", s.EndSession(s.ctx, session)) // whatever its beat
	must(t, "end twice", s.peer.EndSession(s.ctx, session))
	if got, ok := s.session(t, s.peer, "node"); ok {
		t.Errorf("the session is still there: %+v", got)
	}
	session.Beat++
	wantError(t, "renew after the end", s.Renew(s.ctx, session), store.ErrLost)
	wantError(t, "declare dead after the end", s.DeclareDead(s.ctx, session), store.ErrLost)

	dead := s.open(t, "node", "two")
	must(t, "declare dead", s.DeclareDead(s.ctx, dead))
	must(t, "end a dead session", s.EndSession(s.ctx, dead))
	s.checkSession(t, s.open(t, "node", "three"))
}

func testSessionOpenRace(t *testing.T, s *setup) {
	var dead *store.Session
	for round := range 5 {
		const racers = 8
		var mu sync.Mutex
		var won []store.Session
		var wg sync.WaitGroup
		for i := range racers {
			wg.Go(func() {
				session := sampleSession("node", fmt.Sprintf("%d-%d", round, i))
				err := s.clients()[i%2].OpenSession(s.ctx, session, dead)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, session)
				} else if !errors.Is(err, store.ErrLost) {
					t.Errorf("open: %v", err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("round %d has %d winners, want 1", round, len(won))
		}
		won[0].Beat = 1
		s.checkSession(t, won[0])
		must(t, "declare dead", s.DeclareDead(s.ctx, won[0]))
		won[0].Dead = true
		dead = &won[0]
	}
}

// testSessionDeathRace: of a renewal and a declaration of death on the same
// beat, exactly one succeeds, and the record says which.
func testSessionDeathRace(t *testing.T, s *setup) {
	for round := range 40 {
		session := s.open(t, fmt.Sprintf("node-%d", round), "one")
		var renew, death error
		var wg sync.WaitGroup
		wg.Go(func() { renew = s.Renew(s.ctx, session) })
		wg.Go(func() { death = s.peer.DeclareDead(s.ctx, session) })
		wg.Wait()
		switch {
		case renew == nil && errors.Is(death, store.ErrLost):
			session.Beat++
		case death == nil && errors.Is(renew, store.ErrLost):
			session.Dead = true
		default:
			t.Fatalf("round %d: renew %v, declare dead %v; want one of them to be lost", round, renew, death)
		}
		s.checkSession(t, session)
	}
}

// confirm asks the store and its peer about a session.
func (s *setup) confirm(t *testing.T, what string, session store.Session, want error) {
	t.Helper()
	for _, client := range s.clients() {
		if err := client.ConfirmSession(s.ctx, session); !errors.Is(err, want) {
			t.Errorf("confirm a session %s: got error %v, want %v", what, err, want)
		}
	}
}

func testSessionConfirm(t *testing.T, s *setup) {
	session, other := sampleSession("node", "one"), s.open(t, "node-2", "one")
	s.confirm(t, "that was never opened", session, store.ErrLost)
	session = s.open(t, "node", "one")
	s.confirm(t, "that was opened", session, nil)
	for range 3 {
		must(t, "renew", s.peer.Renew(s.ctx, session))
		s.confirm(t, "with an old beat", session, nil)
		session.Beat++
	}
	s.checkSession(t, session) // to ask changes nothing
	stranger := session
	stranger.Incarnation = "two"
	s.confirm(t, "of another incarnation", stranger, store.ErrLost)
	must(t, "end another incarnation", s.EndSession(s.ctx, stranger))
	s.confirm(t, "when another incarnation has ended", session, nil)

	must(t, "declare dead", s.peer.DeclareDead(s.ctx, session))
	s.confirm(t, "that was declared dead", session, store.ErrLost)
	dead := session
	dead.Dead = true
	must(t, "replace it", s.OpenSession(s.ctx, stranger, &dead))
	s.confirm(t, "that was replaced", session, store.ErrLost)
	s.confirm(t, "that replaced another", stranger, nil)
	must(t, "end", s.peer.EndSession(s.ctx, stranger))
	s.confirm(t, "that has ended", stranger, store.ErrLost)
	s.confirm(t, "of another node", other, nil)
}

// testSessionConfirmRace: two clients ask about a session all the time while it is
// declared dead, or ended. Until then they are told that it lives, and whoever asks
// after that was acknowledged is told that it does not.
func testSessionConfirmRace(t *testing.T, s *setup) {
	for round := range 12 {
		session := s.open(t, fmt.Sprintf("node-%d", round), "one")
		first := session
		var acknowledged, asked atomic.Bool
		var wg sync.WaitGroup
		for _, client := range s.clients() {
			wg.Go(func() {
				for {
					late := acknowledged.Load()
					switch err := client.ConfirmSession(s.ctx, first); {
					case late && errors.Is(err, store.ErrLost):
						return
					case late:
						t.Errorf("round %d: after the end of the session: %v", round, err)
						return
					case err == nil:
						asked.Store(true)
					case !errors.Is(err, store.ErrLost):
						t.Errorf("round %d: %v", round, err)
						return
					}
				}
			})
		}
		for !asked.Load() && s.ctx.Err() == nil && !t.Failed() {
			must(t, "renew", s.Renew(s.ctx, session))
			session.Beat++
		}
		if round%2 == 0 {
			must(t, "declare dead", s.DeclareDead(s.ctx, session))
		} else {
			must(t, "end", s.EndSession(s.ctx, session))
		}
		acknowledged.Store(true)
		wg.Wait()
	}
}
