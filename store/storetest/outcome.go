package storetest

import (
	"fmt"
	"testing"

	"github.com/ganglion-go/ganglion/store"
)

func outcomeCases() []testCase {
	return []testCase{
		{"FindOutcome/versions", testOutcomeVersions},
		{"FindOutcome/scope", testOutcomeScope},
		{"FindOutcome/long history", testOutcomeLong},
	}
}

// decided is a commit of several decisions: between them they raised three
// events, and two of them none.
func decided(a store.Aggregate, first store.Version, keyed bool) store.Commit {
	c := sampleCommit(a, first, 3, "w")
	id := func(i int) string { return fmt.Sprintf("id-%d-%d", first, i) }
	c.Outcomes = []store.Outcome{
		{CommandID: id(0), Keyed: keyed, Name: "Withdraw", Digest: "q83vEjRWeJA", Hidden: 1, Rejection: []byte(`"no"`)},
		{CommandID: id(1), Keyed: keyed, Events: 2, Reply: []byte(`{"n":1}`), Metadata: store.Metadata{User: "bob"}},
		{CommandID: id(2), Keyed: keyed, Name: "Touch", Reply: []byte(`null`)},
		{CommandID: id(3), Keyed: keyed, Events: 1, Reply: []byte(`[1,2]`)},
	}
	return c
}

func testOutcomeVersions(t *testing.T, s *setup) {
	for _, keyed := range []bool{false, true} {
		a := store.Aggregate(fmt.Sprintf("account/keyed-%v", keyed))
		for _, first := range []store.Version{1, 4, 7} {
			c := decided(a, first, keyed)
			s.append(t, c)
			for i, version := range []store.Version{first - 1, first + 1, first + 1, first + 2} {
				for _, client := range s.clients() {
					got, found, err := client.FindOutcome(s.ctx, a, c.Outcomes[i].CommandID, keyed)
					if err != nil || !found {
						t.Fatalf("outcome %q: found %v, error %v", c.Outcomes[i].CommandID, found, err)
					}
					diffRecord(t, got, store.Recorded{Outcome: c.Outcomes[i], Version: version})
				}
			}
		}
	}
}

// testOutcomeScope: the same id means different commands of different
// aggregates, and an id of another aggregate is not found.
func testOutcomeScope(t *testing.T, s *setup) {
	commit := func(a store.Aggregate, id string, keyed bool, reply string) store.Commit {
		c := sampleCommit(a, 1, 1, "w")
		c.Outcomes = []store.Outcome{{CommandID: id, Keyed: keyed, Events: 1, Reply: []byte(reply)}}
		return c
	}
	for _, keyed := range []bool{false, true} {
		kind := fmt.Sprintf("k%v", keyed)
		x, y, z := store.Aggregate(kind+"/x"), store.Aggregate(kind+"/x.y"), store.Aggregate(kind+"/x/y")
		s.append(t, commit(x, "key", keyed, `"x"`), commit(y, "key", keyed, `"y"`), commit(z, "other", keyed, `"z"`))
		for a, want := range map[store.Aggregate]string{x: `"x"`, y: `"y"`} {
			got, found, err := s.FindOutcome(s.ctx, a, "key", keyed)
			if err != nil || !found || !EqualJSON(got.Outcome.Reply, []byte(want)) {
				t.Errorf("%q: reply %s, found %v, error %v; want %s", a, got.Outcome.Reply, found, err, want)
			}
		}
		for a, id := range map[store.Aggregate]string{z: "key", x: "other", y: "ke", store.Aggregate(kind + "/none"): "key"} {
			if _, found, err := s.FindOutcome(s.ctx, a, id, keyed); err != nil || found {
				t.Errorf("outcome %q of %q: found %v, error %v; want none", id, a, found, err)
			}
		}
	}
}

func testOutcomeLong(t *testing.T, s *setup) {
	const commits = 400
	h := newHistory("account/long")
	for range commits {
		s.append(t, h.next(1))
	}
	for _, i := range []int{0, 1, 2, 255, 256, 398, 399} {
		want := h.made[i].Outcomes[1]
		got, found, err := s.peer.FindOutcome(s.ctx, h.aggregate, want.CommandID, want.Keyed)
		if err != nil || !found {
			t.Fatalf("outcome %q: found %v, error %v", want.CommandID, found, err)
		}
		diffRecord(t, got, store.Recorded{Outcome: want, Version: h.made[i].Last()})
	}
}
