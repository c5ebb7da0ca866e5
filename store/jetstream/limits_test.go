package jetstream_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/testharness"
)

func TestStore_Append_Full(t *testing.T) {
	t.Parallel()
	s := open(t, testharness.NATS(t).Connect(t), jetstream.Config{MaxBytes: 64 << 10})
	var err error
	version := store.Version(0)
	for err == nil && version < 1000 {
		version++
		err = s.Append(t.Context(), []store.Commit{commit("account/a", version)})[0]
	}
	if !errors.Is(err, jetstream.ErrFull) || !errors.Is(err, store.ErrUnknown) {
		t.Fatalf("append to a full stream: %v, want full and unknown", err)
	}
	if got := versions(t, s, "account/a"); len(got) != int(version)-1 || got[0] != 1 {
		t.Errorf("%d commits are kept, want all %d that were acknowledged", len(got), version-1)
	}
	many := make([]store.Commit, 40)
	for i := range many {
		many[i] = commit(store.Aggregate(fmt.Sprintf("account/b-%d", i)), 1)
	}
	for _, err := range s.Append(t.Context(), many) {
		if !errors.Is(err, jetstream.ErrFull) {
			t.Fatalf("append of many to a full stream: %v, want full", err)
		}
	}
}

func TestStore_MaxPayload_IsTheLimit(t *testing.T) {
	t.Parallel()
	bigger := testharness.WithServerOptions(func(o *server.Options) { o.MaxPayload = 8 << 20 })
	s := open(t, testharness.NATS(t, bigger).Connect(t), jetstream.Config{})
	big := func(n int) []byte { return []byte(`{"text":"` + strings.Repeat("x", n) + `"}`) }
	c := commit("account/a", 1)
	c.Events[0].Data = big(7 << 20)
	appendAll(t, s, c)
	small := make([]store.Commit, 20)
	for i := range small {
		small[i] = commit(store.Aggregate(fmt.Sprintf("account/b-%d", i)), 1)
	}
	small[7].Events[0].Data = big(9 << 20)
	for i, err := range s.Append(t.Context(), small) {
		if tooLarge := errors.Is(err, store.ErrTooLarge); tooLarge != (i == 7) || (err != nil) != tooLarge {
			t.Errorf("commit %d: %v", i, err)
		}
	}
	snapshot := store.Snapshot{Aggregate: "account/a", Version: 1, Schema: "s", State: big(7 << 20)}
	if err := s.SaveSnapshot(t.Context(), snapshot); err != nil {
		t.Errorf("snapshot of 7 MiB: %v", err)
	}
	if got, found, err := s.LoadSnapshot(t.Context(), "account/a", "s"); err != nil || !found || len(got.State) != len(snapshot.State) {
		t.Errorf("snapshot: %d bytes, found %v, %v", len(got.State), found, err)
	}
	if got := versions(t, s, "account/a"); len(got) != 1 {
		t.Errorf("history %v", got)
	}
}

func TestOpen_Config(t *testing.T) {
	t.Parallel()
	nc := testharness.NATS(t).Connect(t)
	for name, cfg := range map[string]jetstream.Config{
		"namespace": {Namespace: "a.b"},
		"replicas":  {Replicas: 9},
		"limits":    {MaxBytes: -1},
		"storage":   {Storage: natsjs.StorageType(7)},
	} {
		if _, err := jetstream.Open(t.Context(), nc, cfg); !errors.Is(err, jetstream.ErrConfig) {
			t.Errorf("%s: %v, want a configuration error", name, err)
		}
	}
	open(t, nc, jetstream.Config{Namespace: "x"})
	open(t, nc, jetstream.Config{Namespace: "x"})
	if _, err := jetstream.Open(t.Context(), nc, jetstream.Config{Namespace: "x", Storage: natsjs.MemoryStorage}); !errors.Is(err, jetstream.ErrConfig) {
		t.Errorf("other storage than what exists: %v, want a configuration error", err)
	}
}

func TestStore_FindOutcome_SmallIndex(t *testing.T) {
	t.Parallel()
	s := open(t, testharness.NATS(t).Connect(t), jetstream.Config{Outcomes: 10, Aggregates: 2})
	for v := range store.Version(15) {
		for _, a := range []store.Aggregate{"account/a", "account/b", "account/c"} {
			appendAll(t, s, commit(a, v+1))
		}
	}
	for v := range store.Version(15) {
		for _, a := range []store.Aggregate{"account/a", "account/b", "account/c"} {
			r, found, err := s.FindOutcome(t.Context(), a, fmt.Sprintf("id-%d", v+1), true)
			if err != nil || !found || r.Version != v+1 {
				t.Fatalf("%s id-%d: version %d, found %v, %v", a, v+1, r.Version, found, err)
			}
		}
	}
}

func TestStore_Claims_OfManyPartitions(t *testing.T) {
	t.Parallel()
	const partitions = 2048
	s := open(t, testharness.NATS(t).Connect(t), jetstream.Config{})
	by := store.Session{Name: "n", Incarnation: "i"}
	want := make([]store.Claim, partitions)
	for i := range want {
		want[i].Partition = store.Partition(partitions - 1 - i)
	}
	held, err := s.TakeClaims(t.Context(), by, want)
	if err != nil || len(held) != partitions {
		t.Fatalf("took %d, %v", len(held), err)
	}
	for i := range held {
		held[i].Watermark = store.Position{Stream: "s", Sequence: uint64(i) + 1}
	}
	if err := s.SaveWatermarks(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	all, err := s.Claims(t.Context())
	if err != nil || len(all) != partitions {
		t.Fatalf("%d claims, %v", len(all), err)
	}
	for i, c := range all {
		if c != held[partitions-1-i] {
			t.Fatalf("claim %d is %+v, want %+v", i, c, held[partitions-1-i])
		}
	}
	if _, err := s.TakeClaims(t.Context(), by, []store.Claim{{Partition: 1 << 20}}); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a partition beyond the limit: %v", err)
	}
}
