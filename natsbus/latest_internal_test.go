package natsbus

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
)

// TestLatest keeps the newest messages within its bounds, and says what it lacks.
func TestLatest(t *testing.T) {
	t.Parallel()
	of := func(l *latest, p actor.Partition, after uint64) (sequences []uint64) {
		for n := range l.of(p, after) {
			sequences = append(sequences, n.sequence)
		}
		return sequences
	}
	l := &latest{low: 7}
	for s := uint64(10); s <= 20; s += 2 {
		l.add(actor.Partition(s/2%2), s, &nats.Msg{})
	}
	for after, want := range map[uint64][]uint64{7: {12, 16, 20}, 12: {16, 20}, 13: {16, 20}, 20: nil, 99: nil} {
		if diff := cmp.Diff(want, of(l, 0, after)); diff != "" || !l.covers(after) {
			t.Errorf("after %d (-want +got), covered %v:\n%s", after, l.covers(after), diff)
		}
	}
	if l.covers(6) || (*latest)(nil).covers(99) {
		t.Error("it covers what it never had")
	}
	for s := uint64(21); s < 21+latestMessages; s++ {
		l.add(0, s, &nats.Msg{})
	}
	if len(l.messages) != latestMessages || l.covers(19) || !l.covers(20) {
		t.Errorf("%d messages are kept, covered from 19 %v, from 20 %v", len(l.messages), l.covers(19), l.covers(20))
	}
	large := &nats.Msg{Data: make([]byte, latestBytes/4)}
	for s := uint64(10000); s < 10010; s++ {
		l.add(0, s, large)
	}
	if l.bytes > latestBytes || len(l.messages) != 4 || l.low != 10005 {
		t.Errorf("%d messages of %d bytes are kept above %d", len(l.messages), l.bytes, l.low)
	}
}

// TestDurableLane_NotTakenIn: the trunk, which a lane has joined without a feed of its
// own, comes to nothing. The lane gives up waiting.
func TestDurableLane_NotTakenIn(t *testing.T) {
	t.Parallel()
	d := &durableLane{}
	d.branch.Store(&branch{lane: d})
	for tick := 1; tick < bareTicks; tick++ {
		if err := d.tickBare(); err != nil {
			t.Fatalf("tick %d: %v", tick, err)
		}
	}
	if err := d.tickBare(); err == nil {
		t.Error("it goes on waiting")
	}
	d.branch.Load().source.Store(&source{})
	for range 2 * bareTicks {
		if err := d.tickBare(); err != nil {
			t.Errorf("taken in: %v", err)
		}
	}
}
