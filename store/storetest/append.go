package storetest

import (
	"errors"
	"testing"

	"github.com/ganglion-go/ganglion/store"
)

func appendCases() []testCase {
	return []testCase{
		{"Append/nothing", func(t *testing.T, s *setup) {
			if errs := s.Append(s.ctx, nil); len(errs) != 0 {
				t.Errorf("got %d results for no commits", len(errs))
			}
		}},
		{"Append/many aggregates in a call", testAppendMany},
		{"Append/conflict on version", testAppendConflict},
		{"Append/peers in turn", testAppendInTurn},
		{"Append/torn call", testAppendTorn},
		{"Append/too large", testAppendTooLarge},
		{"Append/keeps no buffer", testAppendBuffers},
		{"Append/quarter of a megabyte", func(t *testing.T, s *setup) {
			c := bigCommit("account/big", 1, 256<<10)
			s.append(t, c)
			s.check(t, c.Aggregate, []store.Commit{c})
		}},
	}
}

func testAppendMany(t *testing.T, s *setup) {
	const aggregates, rounds = 300, 3
	histories := make([]*history, aggregates)
	for i := range histories {
		histories[i] = newHistory(aggregateN(i))
	}
	for round := range rounds {
		commits := make([]store.Commit, aggregates)
		for i, h := range histories {
			commits[i] = h.next(1 + (i+round)%4)
		}
		s.append(t, commits...)
	}
	for _, h := range histories {
		diffCommits(t, s.load(t, s.peer, h.aggregate, 0), h.made)
	}
}

func testAppendConflict(t *testing.T, s *setup) {
	h := newHistory("account/a")
	s.append(t, h.next(2))
	s.append(t, h.next(1))
	s.append(t, h.next(3))
	for _, client := range s.clients() {
		for _, c := range h.made {
			rival := sampleCommit(h.aggregate, c.First, 1, "rival")
			wantError(t, "append of a version that exists", client.Append(s.ctx, []store.Commit{rival})[0], store.ErrConflict)
		}
	}
	s.check(t, h.aggregate, h.made)
	s.append(t, h.next(1)) // a conflict does not get in the way of what follows
	s.check(t, h.aggregate, h.made)
}

// testAppendInTurn lets two clients write one history in turn, each of them
// trying with what it knew before: a client's memory of the last version must
// neither win against the store nor stand in the way.
func testAppendInTurn(t *testing.T, s *setup) {
	h := newHistory("account/turns")
	clients := s.clients()
	for turn := range 20 {
		c := h.next(1)
		writer, other := clients[turn%2], clients[(turn+1)%2]
		must(t, "append", writer.Append(s.ctx, []store.Commit{c})[0])
		stale := sampleCommit(h.aggregate, c.First, 1, "stale")
		wantError(t, "append of a stale version", other.Append(s.ctx, []store.Commit{stale})[0], store.ErrConflict)
	}
	s.check(t, h.aggregate, h.made)
}

// testAppendTorn puts conflicts and a commit that is too large between good
// ones: each gets its own result, and the good ones are written.
func testAppendTorn(t *testing.T, s *setup) {
	const n = 60
	histories := make([]*history, n)
	for i := range histories {
		histories[i] = newHistory(aggregateN(i))
		if i%3 == 0 {
			s.append(t, histories[i].next(1))
		}
	}
	commits := make([]store.Commit, n)
	want := make([]error, n)
	for i, h := range histories {
		switch {
		case i%3 == 0:
			commits[i], want[i] = sampleCommit(h.aggregate, 1, 1, "rival"), store.ErrConflict
		case i == 7:
			commits[i], want[i] = bigCommit(h.aggregate, 1, s.cfg.TooLarge), store.ErrTooLarge
		default:
			commits[i] = h.next(2)
		}
	}
	for i, err := range s.peer.Append(s.ctx, commits) {
		if !errors.Is(err, want[i]) {
			t.Errorf("commit %d: got error %v, want %v", i, err, want[i])
		}
	}
	for _, h := range histories {
		s.check(t, h.aggregate, h.made)
	}
}

func testAppendTooLarge(t *testing.T, s *setup) {
	h := newHistory("account/a")
	s.append(t, h.next(1))
	err := s.Append(s.ctx, []store.Commit{bigCommit(h.aggregate, 2, s.cfg.TooLarge)})[0]
	wantError(t, "append of a commit beyond the limit", err, store.ErrTooLarge)
	s.append(t, h.next(1))
	s.check(t, h.aggregate, h.made)
}

func testAppendBuffers(t *testing.T, s *setup) {
	c := sampleCommit("account/a", 1, 1, "w")
	want := sampleCommit("account/a", 1, 1, "w")
	s.append(t, c)
	for _, buffer := range [][]byte{c.Events[0].Data, c.Outcomes[0].Rejection, c.Outcomes[1].Reply, c.Out[0].Data, c.Out[0].OnRefusalData} {
		clear(buffer)
	}
	s.check(t, c.Aggregate, []store.Commit{want})
}
