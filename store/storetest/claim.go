package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ganglion-go/ganglion/store"
)

func claimCases() []testCase {
	return []testCase{
		{"Claim/take", testClaimTake},
		{"Claim/save watermarks", testClaimSave},
		{"Claim/late save", testClaimRevision},
		{"Claim/release", testClaimRelease},
		{"Claim/deaths and suspects", testClaimDeaths},
		{"Claim/sessions race", testClaimRace},
		{"Claim/saves race with a take-over", testClaimSaveRace},
		{"Claim/reads after a take see what came before", testClaimReads},
	}
}

func (s *setup) claims(t *testing.T, from store.Store) []store.Claim {
	t.Helper()
	all, err := from.Claims(s.ctx)
	must(t, "claims", err)
	return all
}

func (s *setup) checkClaims(t *testing.T, want ...store.Claim) {
	t.Helper()
	want = slices.Clone(want)
	for i := range want {
		want[i] = withoutCarry(want[i])
	}
	for _, client := range s.clients() {
		diffRecord(t, s.claims(t, client), want)
	}
}

// withoutCarry is a claim as Claims returns it.
func withoutCarry(c store.Claim) store.Claim {
	c.Carry = ""
	return c
}

// take takes claims that are free or held as given, all of which must succeed.
func (s *setup) takeAll(t *testing.T, by store.Session, want ...store.Claim) []store.Claim {
	t.Helper()
	held, err := s.TakeClaims(s.ctx, by, want)
	must(t, "take claims", err)
	if len(held) != len(want) {
		t.Fatalf("took %d claims of %d", len(held), len(want))
	}
	return held
}

func place(n uint64) store.Position { return store.Position{Stream: "incarnation-1", Sequence: n} }

func testClaimTake(t *testing.T, s *setup) {
	s.checkClaims(t)
	one, two := s.open(t, "node-1", "one"), s.open(t, "node-2", "two")
	free := []store.Claim{{Partition: 9}, {Partition: 0}, {Partition: 127}}
	held := s.takeAll(t, one, free...)
	want := []store.Claim{
		{Partition: 9, Owner: "node-1", Session: "one", Epoch: 1},
		{Partition: 0, Owner: "node-1", Session: "one", Epoch: 1},
		{Partition: 127, Owner: "node-1", Session: "one", Epoch: 1},
	}
	diffRecord(t, held, want)
	s.checkClaims(t, want[1], want[0], want[2])

	lost, err := s.peer.TakeClaims(s.ctx, two, free)
	if err != nil || len(lost) != 0 {
		t.Errorf("take of held claims: %v, error %v; want none", lost, err)
	}
	wrongEpoch, wrongSession := held[1], held[1]
	wrongEpoch.Epoch++
	wrongSession.Session = "zero"
	lost, err = s.peer.TakeClaims(s.ctx, two, []store.Claim{wrongEpoch, held[0], wrongSession})
	must(t, "take over one of three", err)
	taken := store.Claim{Partition: 9, Owner: "node-2", Session: "two", Epoch: 2, Deaths: 1}
	diffRecord(t, lost, []store.Claim{taken})
	s.checkClaims(t, want[1], taken, want[2])

	again := s.takeAll(t, one, taken, want[1]) // one's own claim can be taken anew as well
	if again[0].Epoch != 3 || again[1].Epoch != 2 {
		t.Errorf("epochs %d and %d, want 3 and 2", again[0].Epoch, again[1].Epoch)
	}
	none, err := s.TakeClaims(s.ctx, one, nil)
	if err != nil || len(none) != 0 {
		t.Errorf("take of nothing: %v, %v", none, err)
	}
}

func testClaimSave(t *testing.T, s *setup) {
	one, two := s.open(t, "node-1", "one"), s.open(t, "node-2", "two")
	held := s.takeAll(t, one, store.Claim{Partition: 1}, store.Claim{Partition: 2}, store.Claim{Partition: 3})
	for i := range held {
		held[i].Watermark = place(uint64(100 + i)) //nolint:gosec // small
		held[i].Carry = strings.Repeat("x", i*(64<<10)/2)
	}
	must(t, "save watermarks", s.SaveWatermarks(s.ctx, held))
	s.checkClaims(t, held...)
	must(t, "save nothing", s.SaveWatermarks(s.ctx, nil))

	over := s.takeAll(t, two, held[1])[0]
	if over.Watermark != held[1].Watermark || over.Carry != held[1].Carry {
		t.Errorf("the take-over lost the watermark or the carry: %+v", over)
	}
	for i := range held {
		held[i].Watermark = place(uint64(200 + i)) //nolint:gosec // small
	}
	wantError(t, "save a claim that was taken over", s.SaveWatermarks(s.ctx, held), store.ErrLost)
	s.checkClaims(t, held[0], over, held[2])

	never := store.Claim{Partition: 77, Owner: "node-1", Session: "one", Epoch: 1, Watermark: place(5)}
	wantError(t, "save a claim that was never taken", s.SaveWatermarks(s.ctx, []store.Claim{never}), store.ErrLost)
	oldEpoch := held[0]
	retaken := s.takeAll(t, one, held[0])[0]
	oldEpoch.Watermark = place(999)
	wantError(t, "save with an old epoch of one's own", s.SaveWatermarks(s.ctx, []store.Claim{oldEpoch}), store.ErrLost)
	s.checkClaims(t, retaken, over, held[2])
}

// testClaimRevision: a write that was given up arrives after a later one.
func testClaimRevision(t *testing.T, s *setup) {
	one, two := s.open(t, "node-1", "one"), s.open(t, "node-2", "two")
	held := s.takeAll(t, one, store.Claim{Partition: 1}, store.Claim{Partition: 2})
	saved := func(c store.Claim, revision uint64) store.Claim {
		c.Revision, c.Watermark, c.Carry = revision, place(revision), fmt.Sprint("carry ", revision)
		return c
	}
	second := saved(held[0], 2)
	must(t, "save", s.SaveWatermarks(s.ctx, []store.Claim{second}))
	other := saved(held[1], 1)
	wantError(t, "save an older revision", s.SaveWatermarks(s.ctx, []store.Claim{saved(held[0], 1), other}), store.ErrLost)
	wantError(t, "release with an older revision", s.ReleaseClaims(s.ctx, []store.Claim{saved(held[0], 1)}), store.ErrLost)
	s.checkClaims(t, second, other)
	must(t, "save the same revision again", s.SaveWatermarks(s.ctx, []store.Claim{second}))

	taken := s.takeAll(t, two, held[0])[0]
	if taken.Carry != second.Carry || taken.Watermark != second.Watermark || taken.Revision != 0 {
		t.Errorf("taken over: %+v, want carry and watermark of %+v, and revision 0", taken, second)
	}
	first := saved(taken, 1) // whoever takes the claim counts anew
	must(t, "save", s.SaveWatermarks(s.ctx, []store.Claim{first}))
	must(t, "release", s.ReleaseClaims(s.ctx, []store.Claim{saved(taken, 2)}))
	again := s.takeAll(t, one, store.Claim{Partition: 1, Epoch: taken.Epoch})[0]
	if again.Carry != "carry 2" || again.Revision != 0 {
		t.Errorf("taken after the release: %+v", again)
	}
}

func testClaimRelease(t *testing.T, s *setup) {
	one, two := s.open(t, "node-1", "one"), s.open(t, "node-2", "two")
	held := s.takeAll(t, one, store.Claim{Partition: 1}, store.Claim{Partition: 2})
	held[0].Watermark, held[0].Carry = place(41), "left"
	must(t, "release", s.ReleaseClaims(s.ctx, held[:1]))
	free := store.Claim{Partition: 1, Epoch: 1, Watermark: place(41)}
	s.checkClaims(t, free, held[1])
	// A second release may tell that it came late; it changes nothing.
	if err := s.ReleaseClaims(s.ctx, held[:1]); err != nil {
		wantError(t, "release twice", err, store.ErrLost)
	}
	s.checkClaims(t, free, held[1])
	stale := held[0]
	stale.Watermark = place(50)
	wantError(t, "save after the release", s.SaveWatermarks(s.ctx, []store.Claim{stale}), store.ErrLost)

	over := s.takeAll(t, two, free, held[1])
	if over[0].Epoch != 2 || over[0].Watermark != place(41) || over[0].Carry != "left" {
		t.Errorf("after release and take: %+v, want epoch 2, watermark and carry kept", over[0])
	}
	held[1].Watermark = place(60)
	wantError(t, "release what was taken over", s.ReleaseClaims(s.ctx, held), store.ErrLost)
	s.checkClaims(t, over...)

	must(t, "release", s.ReleaseClaims(s.ctx, over))
	if lost, err := s.TakeClaims(s.ctx, one, []store.Claim{{Partition: 1}}); err != nil || len(lost) != 0 {
		t.Errorf("take of a released claim with epoch 0: %v, %v; want none", lost, err)
	}
}

func testClaimRace(t *testing.T, s *setup) {
	const partitions, rounds = 64, 5
	sessions := []store.Session{s.open(t, "node-1", "one"), s.open(t, "node-2", "two")}
	want := make([]store.Claim, partitions)
	for i := range want {
		want[i].Partition = store.Partition(i) //nolint:gosec // small
	}
	for round := range rounds {
		held := make([][]store.Claim, len(sessions))
		var wg sync.WaitGroup
		for i, session := range sessions {
			wg.Go(func() {
				var err error
				if held[i], err = s.clients()[i].TakeClaims(s.ctx, session, want); err != nil {
					t.Errorf("take: %v", err)
				}
			})
		}
		wg.Wait()
		owner := map[store.Partition]store.Claim{}
		for i, claims := range held {
			for _, c := range claims {
				if other, twice := owner[c.Partition]; twice {
					t.Errorf("round %d: partition %d was given to %q and %q", round, c.Partition, other.Owner, c.Owner)
				}
				if c.Session != sessions[i].Incarnation || c.Epoch != want[c.Partition].Epoch+1 {
					t.Errorf("round %d: claim %+v of session %q", round, c, sessions[i].Incarnation)
				}
				owner[c.Partition] = c
			}
		}
		if len(owner) != partitions {
			t.Fatalf("round %d: %d of %d claims were taken", round, len(owner), partitions)
		}
		all := s.claims(t, s.peer)
		for i := range all {
			diffRecord(t, all[i], owner[store.Partition(i)]) //nolint:gosec // small
		}
		want = all
	}
}

// testClaimSaveRace: a take-over and the old owner's save or release meet. After
// the take-over has returned, no write of the old owner changes the claim.
func testClaimSaveRace(t *testing.T, s *setup) {
	one, two := s.open(t, "node-1", "one"), s.open(t, "node-2", "two")
	for round := range 30 {
		claim := store.Claim{Partition: store.Partition(round)} //nolint:gosec // small
		held := s.takeAll(t, one, claim)
		held[0].Watermark = place(7)
		write := s.SaveWatermarks
		if round%2 == 1 {
			write = s.ReleaseClaims
		}
		var wg sync.WaitGroup
		var writeErr error
		wg.Go(func() { writeErr = write(s.ctx, held) })
		before := held[0]
		taken, err := s.peer.TakeClaims(s.ctx, two, []store.Claim{before})
		must(t, "take over", err)
		after := s.claims(t, s.peer)[round]
		wg.Wait()
		if len(taken) == 1 {
			diffRecord(t, after, taken[0])
			diffRecord(t, s.claims(t, s.Store)[round], taken[0])
			if wantMark := (writeErr == nil); (taken[0].Watermark == place(7)) != wantMark {
				t.Errorf("round %d: take-over has watermark %+v, the save said %v", round, taken[0].Watermark, writeErr)
			}
			continue
		}
		must(t, "release that won", writeErr) // only a release can make the take-over lose
		diffRecord(t, s.claims(t, s.Store)[round], store.Claim{Partition: claim.Partition, Epoch: 1, Watermark: place(7)})
	}
}

func testClaimReads(t *testing.T, s *setup) {
	one, two := s.open(t, "node-1", "one"), s.open(t, "node-2", "two")
	claim := s.takeAll(t, one, store.Claim{Partition: 5})[0]
	h := newHistory("account/a")
	for round := range 20 {
		s.append(t, h.next(1+round%2))
		by, reader := two, s.peer
		if round%2 == 1 {
			by, reader = one, s.Store
		}
		held, err := reader.TakeClaims(s.ctx, by, []store.Claim{claim})
		if err != nil || len(held) != 1 {
			t.Fatalf("take over: %v, %v", held, err)
		}
		claim = held[0]
		diffCommits(t, s.load(t, reader, h.aggregate, 0), h.made)
		last := h.made[len(h.made)-1]
		got, found, err := reader.FindOutcome(s.ctx, h.aggregate, last.Outcomes[1].CommandID, last.Outcomes[1].Keyed)
		if err != nil || !found || got.Version != last.Last() {
			t.Fatalf("outcome after the take: version %d, found %v, error %v", got.Version, found, err)
		}
	}
}

// A take over from a session that holds the claim counts as its death, until somebody
// saves another count. A take of one's own claim, or of a free one, does not.
func testClaimDeaths(t *testing.T, s *setup) {
	one, two := s.open(t, "node-1", "one"), s.open(t, "node-2", "two")
	held := s.takeAll(t, one, store.Claim{Partition: 1}, store.Claim{Partition: 2})
	held[0].Suspect, held[0].Revision = strings.Repeat("\"é", 500), 1
	must(t, "save a suspect", s.SaveWatermarks(s.ctx, held))
	s.checkClaims(t, held...)
	over := s.takeAll(t, two, held...)
	if over[0].Deaths != 1 || over[1].Deaths != 1 || over[0].Suspect != held[0].Suspect || over[1].Suspect != "" {
		t.Errorf("taken over: %+v", over)
	}
	s.checkClaims(t, over...)
	over = s.takeAll(t, two, over...)
	if over[0].Deaths != 1 {
		t.Errorf("%d deaths after a take of one's own claim", over[0].Deaths)
	}
	over = s.takeAll(t, one, over...)
	if over[0].Deaths != 2 || over[1].Deaths != 2 {
		t.Errorf("taken over again: %+v", over)
	}
	over[0].Deaths, over[0].Suspect, over[0].Revision = 0, "", 1
	must(t, "save that it went well", s.SaveWatermarks(s.ctx, over[:1]))
	s.checkClaims(t, over...)
	must(t, "release", s.ReleaseClaims(s.ctx, over))
	for i := range over {
		over[i].Owner, over[i].Session = "", ""
	}
	s.checkClaims(t, over...)
	again := s.takeAll(t, two, over...)
	if again[0].Deaths != 0 || again[1].Deaths != 2 {
		t.Errorf("taken after a release: %+v", again)
	}
}
