package storetest

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/ganglion-go/ganglion/store"
)

func snapshotCases() []testCase {
	return []testCase{
		{"Snapshot/round trip", func(t *testing.T, s *setup) {
			want := sampleSnapshot("account/a", 7, "v1")
			want.Time, want.Position.Sequence, want.Position.Rest = math.MaxInt64, math.MaxInt64, 7
			must(t, "save snapshot", s.SaveSnapshot(s.ctx, want))
			s.checkSnapshot(t, want)
			s.wantNoSnapshot(t, "account/b", "v1")
		}},
		{"Snapshot/newest wins", testSnapshotNewest},
		{"Snapshot/schema", testSnapshotSchema},
		{"Snapshot/large state", testSnapshotLarge},
		{"Snapshot/savers race", testSnapshotRace},
	}
}

func sampleSnapshot(a store.Aggregate, v store.Version, schema string) store.Snapshot {
	return store.Snapshot{
		Aggregate: a, Version: v, Schema: schema,
		Position: store.Position{Stream: "incarnation-1", Sequence: uint64(v) * 3},
		Time:     epoch2026 + int64(v), //nolint:gosec // small numbers
		State:    fmt.Appendf(nil, `{"version":%d,"big":18446744073709551615}`, v),
		Ring:     []byte{0, 1, 2, 0xff, byte(v)},
	}
}

func (s *setup) checkSnapshot(t *testing.T, want store.Snapshot) {
	t.Helper()
	for _, client := range s.clients() {
		got, found, err := client.LoadSnapshot(s.ctx, want.Aggregate, want.Schema)
		if err != nil || !found {
			t.Fatalf("snapshot of %q: found %v, error %v", want.Aggregate, found, err)
		}
		diffRecord(t, got, want)
	}
}

func (s *setup) wantNoSnapshot(t *testing.T, a store.Aggregate, schema string) {
	t.Helper()
	if got, found, err := s.LoadSnapshot(s.ctx, a, schema); err != nil || found {
		t.Errorf("snapshot of %q under %q: %+v, found %v, error %v; want none", a, schema, got, found, err)
	}
}

func testSnapshotNewest(t *testing.T, s *setup) {
	newest := sampleSnapshot("account/a", 10, "v1")
	must(t, "save snapshot", s.SaveSnapshot(s.ctx, sampleSnapshot("account/a", 3, "v1")))
	must(t, "save newer", s.peer.SaveSnapshot(s.ctx, newest))
	must(t, "save older", s.SaveSnapshot(s.ctx, sampleSnapshot("account/a", 9, "v1")))
	s.checkSnapshot(t, newest)
	same := newest
	same.Ring = []byte("other")
	must(t, "save as new", s.SaveSnapshot(s.ctx, same))
	s.checkSnapshot(t, newest)
}

func testSnapshotSchema(t *testing.T, s *setup) {
	must(t, "save snapshot", s.SaveSnapshot(s.ctx, sampleSnapshot("account/a", 10, "v1")))
	s.wantNoSnapshot(t, "account/a", "v2")
	s.wantNoSnapshot(t, "account/a", "")
	next := sampleSnapshot("account/a", 8, "v2")
	must(t, "save under another schema", s.SaveSnapshot(s.ctx, next))
	s.checkSnapshot(t, next)
}

// testSnapshotLarge: a snapshot is stored whole or refused as too large, and
// then the older one is still there.
func testSnapshotLarge(t *testing.T, s *setup) {
	kept := sampleSnapshot("account/a", 1, "v1")
	must(t, "save snapshot", s.SaveSnapshot(s.ctx, kept))
	for i, size := range []int{256 << 10, 2 << 20, 6 << 20, s.cfg.TooLarge} {
		big := sampleSnapshot("account/a", store.Version(i+2), "v1") //nolint:gosec // small
		big.State = bigObject(size)
		big.Ring = bigObject(1000)
		err := s.SaveSnapshot(s.ctx, big)
		switch {
		case err == nil:
			kept = big
		case !errors.Is(err, store.ErrTooLarge):
			t.Errorf("snapshot of %d bytes: %v, want nil or too large", size, err)
		case i == 0:
			t.Errorf("a snapshot of %d bytes is refused", size)
		}
		s.checkSnapshot(t, kept)
	}
}

func testSnapshotRace(t *testing.T, s *setup) {
	const savers = 20
	var wg sync.WaitGroup
	for v := range savers {
		wg.Go(func() {
			snapshot := sampleSnapshot("account/a", store.Version(v+1), "v1") //nolint:gosec // small
			if err := s.clients()[v%2].SaveSnapshot(s.ctx, snapshot); err != nil {
				t.Errorf("save version %d: %v", v+1, err)
			}
		})
	}
	wg.Wait()
	s.checkSnapshot(t, sampleSnapshot("account/a", savers, "v1"))
}
