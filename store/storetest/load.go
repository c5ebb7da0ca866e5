package storetest

import (
	"math"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/store"
)

func loadCases() []testCase {
	return []testCase{
		{"Load/after every version", testLoadAfter},
		{"Load/no history", func(t *testing.T, s *setup) {
			s.append(t, newHistory("account/other").next(1))
			s.check(t, "account/none", nil)
		}},
		{"Load/last version", testLastVersion},
		{"Load/long history", testLoadLong},
		{"Load/stop early", testLoadStop},
	}
}

func testLoadAfter(t *testing.T, s *setup) {
	h := newHistory("account/a")
	for _, c := range h.some(12) {
		s.append(t, c)
	}
	for after := range h.last + 3 {
		var want []store.Commit
		for _, c := range h.made {
			if c.First > after {
				want = append(want, c)
			}
		}
		for _, client := range s.clients() {
			diffCommits(t, s.load(t, client, h.aggregate, after), want)
		}
	}
}

// testLastVersion also asks for what is far beyond the end of a history: no store finds
// anything there.
func testLastVersion(t *testing.T, s *setup) {
	h, other := newHistory("account/a"), newHistory("account/a0")
	for i := range 5 {
		for _, client := range s.clients() {
			if v, err := client.LastVersion(s.ctx, h.aggregate); err != nil || v != h.last {
				t.Errorf("the last version is %d, error %v; want %d", v, err, h.last)
			}
			for _, far := range []store.Version{h.last + 1, 1 << 40, math.MaxInt64 - 1, math.MaxInt64} {
				diffCommits(t, s.load(t, client, h.aggregate, far), nil)
			}
		}
		s.append(t, h.next(1+2*i), other.next(1))
	}
}

// testLoadLong writes a history that no store should read in one piece, between
// the commits of other aggregates.
func testLoadLong(t *testing.T, s *setup) {
	const commits = 700
	h, noise := newHistory("account/long"), newHistory("account/noise")
	for i := range commits {
		c := h.next(1)
		if i%25 == 0 {
			c.Events[0].Data = bigObject(100 << 10)
		}
		s.append(t, c, noise.next(1))
	}
	for _, after := range []store.Version{0, 1, commits / 2, commits - 1} {
		got := s.load(t, s.peer, h.aggregate, after)
		diffCommits(t, got, h.made[after:])
	}
}

func testLoadStop(t *testing.T, s *setup) {
	h := newHistory("account/a")
	for _, c := range h.some(300) {
		s.append(t, c)
	}
	for stop := range 5 {
		n := 0
		for c, err := range s.Load(s.ctx, h.aggregate, 0) {
			must(t, "load", err)
			diffRecord(t, c, h.made[n])
			if n++; n > stop {
				break
			}
		}
	}
	s.check(t, h.aggregate, h.made)
}

func addressCases() []testCase {
	return []testCase{{"Address/any id", testAddresses}}
}

// oddAggregates are addresses that a careless encoding would mix up.
func oddAggregates() []store.Aggregate {
	ids := []string{
		"a", "A", "aa", "a.b", "a/b", "a/b/c", "a.", ".a", ".", "..", "/", "//", "*", ">", "a.*", "a.>", "$", "$SYS", "$a.b",
		" ", "a b", "a\tb", "a\nb", "a\r\nb", "%", "%2E", "a%2Eb", "a%2eb", "a-b", "a_b", "_", "=", "a=b", "+", "a+b", "?", "#", "a#1",
		`"`, `\`, `'`, "a,b", "{}", "[0]", "\x00", "a\x00", "a\x00b", "\x7f", "é", "e\u0301", "日本語", "🙂", "🙂🙂", "\u2028", "\uffff", "\U0010ffff", "null", "0", "01",
		strings.Repeat("x", 256), strings.Repeat("x", 255), strings.Repeat("x", 255) + "y", strings.Repeat("/", 256), strings.Repeat("🙂", 64), strings.Repeat("\x01", 256),
	}
	var all []store.Aggregate
	for _, kind := range []string{"account", "account-x", "a", "account_x"} {
		for _, id := range ids {
			all = append(all, store.Aggregate(kind+"/"+id))
		}
	}
	return append(all, store.Aggregate(strings.Repeat("k", 64)+"/"+strings.Repeat(">", 256)))
}

func testAddresses(t *testing.T, s *setup) {
	all := oddAggregates()
	histories := map[store.Aggregate]*history{}
	for range 2 {
		var commits []store.Commit
		for i, a := range all {
			if histories[a] == nil {
				histories[a] = newHistory(a)
			}
			commits = append(commits, histories[a].next(1+i%3))
		}
		s.append(t, commits...)
	}
	for _, a := range all {
		h := histories[a]
		s.check(t, a, h.made)
		id := h.made[1].Outcomes[1].CommandID
		got, found, err := s.FindOutcome(s.ctx, a, id, h.made[1].Outcomes[1].Keyed)
		if err != nil || !found || got.Version != h.last {
			t.Errorf("outcome of %q: version %d, found %v, error %v; want version %d", a, got.Version, found, err, h.last)
		}
		snapshot := sampleSnapshot(a, h.last, "v1")
		must(t, "save snapshot", s.SaveSnapshot(s.ctx, snapshot))
		s.checkSnapshot(t, snapshot)
	}
}
