package node_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/store"
)

func partitionName(p actor.Partition) string { return strconv.FormatUint(uint64(p), 10) }

// committed is what the store's commits come to.
type committedTills struct {
	events     int
	tills      map[string]shownTill
	partitions map[string]shownPartition
}

// checkAll compares the view with the commits, once it shows everything that was told.
func (r *rebuildRun) checkAll(ctx context.Context, t *testing.T) {
	t.Helper()
	v := r.views[len(r.views)-1]
	for _, w := range r.tills[:r.used.Load()] {
		if err := v.Wait(ctx, projection.Version(w.address, actor.Version(max(w.acked.Load(), uint64(w.seeded))))); err != nil {
			t.Fatal(err)
		}
	}
	want := r.committed(ctx, t)
	if diff := cmp.Diff(want.tills, listAll[shownTill](ctx, t, v, tillsShown)); diff != "" {
		t.Errorf("tills (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.partitions, listAll[shownPartition](ctx, t, v, partitionsShown)); diff != "" {
		t.Errorf("partitions (-want +got):\n%s", diff)
	}
	r.checkLiveOnly(t)
	r.checkPlaces(ctx, t, v, &want)
}

// committed folds the commits of the store. There is an event for each of the history
// and for each command that was told, and no other.
func (r *rebuildRun) committed(ctx context.Context, t *testing.T) committedTills {
	t.Helper()
	want := committedTills{tills: map[string]shownTill{}, partitions: map[string]shownPartition{}}
	for _, w := range r.tills[:r.used.Load()] {
		var s shownTill
		for c, err := range r.store.Load(ctx, store.Aggregate(w.address.String()), 0) {
			if err != nil {
				t.Fatal(err)
			}
			for i, e := range c.Events {
				decoded, err := r.kind.Behavior().Decode(actor.Event{Name: e.Name, Data: e.Data})
				if err != nil {
					t.Fatal(err)
				}
				s.add(decoded.(entered).Amount, actor.Version(c.First)+actor.Version(i)) //nolint:gosec // not negative
			}
		}
		if told := uint64(w.seeded) + w.told.Load(); uint64(s.Entries) != told { //nolint:gosec // not negative
			t.Errorf("%s has %d events in the store, %d were told", w.address, s.Entries, told)
		}
		if s.Entries == 0 {
			continue
		}
		want.tills[w.address.ID] = s
		p := want.partitions[partitionName(r.partitions.Of(w.address))]
		want.partitions[partitionName(r.partitions.Of(w.address))] = shownPartition{p.Entries + s.Entries, p.Balance + s.Balance}
		want.events += int(s.Entries)
	}
	return want
}

func listAll[T any](ctx context.Context, t *testing.T, v *projection.View, collection string) map[string]T {
	t.Helper()
	all := map[string]T{}
	for e, err := range projection.List[T](ctx, v, collection, projection.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		all[e.Key] = e.Value
	}
	return all
}

// checkLiveOnly: the handler for live events alone has had each event that was written
// while the view was rebuilt, on either side of the swap. It may have had one twice.
func (r *rebuildRun) checkLiveOnly(t *testing.T) {
	t.Helper()
	events, again := 0, 0
	for _, w := range r.tills {
		w.mu.Lock()
		for v := w.seeded + 1; v <= actor.Version(w.acked.Load()); v++ {
			events++
			again += max(w.live[v]-1, 0)
			if w.live[v] == 0 {
				t.Errorf("a handler for live events alone has missed %s at %d", w.address, v)
			}
		}
		w.mu.Unlock()
	}
	t.Logf("%d live events, %d of them handled again", events, again)
}

// place is the checkpoint of a partition, as the storage has it.
type place struct {
	Position uint64 `json:"position"`
	Done     uint64 `json:"done"`
	Parked   int    `json:"parked"`
	Frozen   bool   `json:"frozen"`
}

// checkPlaces: each partition's checkpoint is at its last event in the event stream,
// which has the events of the store and no other.
func (r *rebuildRun) checkPlaces(ctx context.Context, t *testing.T, v *projection.View, want *committedTills) {
	t.Helper()
	js, err := jetstream.New(r.server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	events, err := js.Stream(ctx, "ganglion_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if n := events.CachedInfo().State.Msgs; n != uint64(want.events) { //nolint:gosec // not negative
		t.Errorf("%d events in the stream, %d in the store", n, want.events)
	}
	live, err := v.Place(ctx, "tills")
	if err != nil {
		t.Fatal(err)
	}
	live.Collection = "_checkpoints"
	for doc, err := range v.Storage().List(ctx, live, projection.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		var is place
		if err := v.Storage().Unmarshal(doc.Data, &is); err != nil {
			t.Fatal(err)
		}
		n, err := strconv.ParseUint(doc.Key, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		key := partitionName(actor.Partition(n))
		should := place{Done: uint64(want.partitions[key].Entries)} //nolint:gosec // not negative
		if should.Done > 0 {
			last, err := events.GetLastMsgForSubject(ctx, fmt.Sprintf("ganglion.evt.%s.*.*", key))
			if err != nil {
				t.Fatal(err)
			}
			should.Position = last.Sequence
		}
		if is != should {
			t.Errorf("the checkpoint of partition %s is %+v, not %+v", key, is, should)
		}
		delete(want.partitions, key)
	}
	for key := range want.partitions {
		t.Errorf("partition %s has no checkpoint", key)
	}
}
