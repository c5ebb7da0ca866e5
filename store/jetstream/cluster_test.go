package jetstream_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/store/storetest"
	"github.com/ganglion-go/ganglion/testharness"
)

// TestStore_Cluster runs the suite on three servers with three replicas. The
// clients are connected to different servers, so that a read that trusts a
// replica which is behind is found out.
func TestStore_Cluster(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers")
	}
	cluster := testharness.NATSCluster(t, 3)
	var next atomic.Int64
	connect := func(t *testing.T) *nats.Conn {
		t.Helper()
		nc, err := nats.Connect(cluster.URLs()[next.Add(1)%3])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	fresh, peer := openers(connect, jetstream.Config{Replicas: 3, Timeout: 20 * time.Second})
	storetest.Config{Peer: peer, TooLarge: tooLarge}.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		s := fresh(t)
		t.Cleanup(func() { removeStreams(t, connect(t), s) }) // their Raft groups would slow down the other tests
		return s
	})
}

func removeStreams(t *testing.T, nc *nats.Conn, s store.Store) {
	t.Helper()
	named, ok := s.(*namedStore)
	if !ok {
		t.Fatalf("remove the streams of a %T", s)
	}
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"_STORE", "_LEASES", "_SNAPSHOTS", "_PARKED"} {
		if err := js.DeleteStream(context.WithoutCancel(t.Context()), named.cfg.Namespace+what); err != nil {
			t.Errorf("delete stream: %v", err)
		}
	}
}

// TestStore_Cluster_ReplicaBehind answers two direct gets of three like a replica
// that has next to nothing yet. No read may take its word for the truth.
func TestStore_Cluster_ReplicaBehind(t *testing.T) {
	cluster := testharness.NATSCluster(t, 3)
	s := open(t, cluster.Connect(t), jetstream.Config{Replicas: 3, Timeout: 20 * time.Second})
	jetstream.RedirectGets(s, "gets.")
	var count atomic.Int64
	nc := cluster.Connect(t)
	if _, err := nc.Subscribe("gets.*", func(m *nats.Msg) {
		behind := nats.NewMsg(m.Reply)
		switch {
		case count.Add(1)%3 == 0:
			behind = &nats.Msg{Subject: "$JS.API.DIRECT.GET." + strings.TrimPrefix(m.Subject, "gets."), Reply: m.Reply, Data: m.Data}
		case strings.Contains(string(m.Data), "multi_last"):
			behind.Header = nats.Header{"Status": {"204"}, "Nats-Last-Sequence": {"0"}, "Nats-Num-Pending": {"0"}, "Nats-UpTo-Sequence": {"1"}}
		default:
			behind.Header = nats.Header{"Status": {"404"}}
		}
		if err := nc.PublishMsg(behind); err != nil {
			t.Errorf("answer: %v", err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	session := store.Session{Name: "n", Incarnation: "i"}
	if err := s.OpenSession(t.Context(), session, nil); err != nil {
		t.Fatal(err)
	}
	for round := range 10 {
		a := store.Aggregate(fmt.Sprintf("account/%d", round))
		appendAll(t, s, commit(a, 1))
		appendAll(t, s, commit(a, 2))
		appendAll(t, s, commit(a, 3))
		if got := versions(t, s, a); fmt.Sprint(got) != "[1 2 3]" {
			t.Fatalf("history %v, want [1 2 3]", got)
		}
		if _, found, err := s.FindOutcome(t.Context(), a, "id-2", true); err != nil || !found {
			t.Fatalf("outcome: found %v, %v", found, err)
		}
		if err := s.Renew(t.Context(), store.Session{Name: "n", Incarnation: "i", Beat: uint64(round) + 1}); err != nil {
			t.Fatalf("renew: %v", err)
		}
		if all, err := s.Sessions(t.Context()); err != nil || len(all) != 1 {
			t.Fatalf("sessions %v, %v", all, err)
		}
		if err := s.ConfirmSession(t.Context(), session); err != nil {
			t.Fatalf("confirm: %v", err)
		}
	}
}

// TestStore_Cluster_LeaderLost stops the leader of the commit stream under load.
// Writers meet unknown outcomes, read what came of them and go on. Everything
// that was acknowledged is there, once, in order, and in the feed.
func TestStore_Cluster_LeaderLost(t *testing.T) {
	const writers, target = 4, 30
	cluster := testharness.NATSCluster(t, 3)
	cfg := jetstream.Config{Replicas: 3, Timeout: 20 * time.Second}
	s := open(t, cluster.Connect(t), cfg)
	js, err := natsjs.New(cluster.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	var written atomic.Int64
	acknowledged := make([]store.Version, writers)
	for w := range writers {
		client := open(t, cluster.Connect(t), cfg)
		a := store.Aggregate(fmt.Sprintf("account/w-%d", w))
		wg.Go(func() {
			last := store.Version(0)
			for last < target && ctx.Err() == nil {
				call, cancel := context.WithTimeout(ctx, time.Second)
				err := client.Append(call, []store.Commit{commit(a, last+1)})[0]
				cancel()
				written.Add(1)
				if err == nil {
					last++
					acknowledged[w] = last
					continue
				}
				for c, err := range client.Load(ctx, a, last) {
					if err == nil {
						last = c.Last()
					}
				}
			}
		})
	}
	testharness.Eventually(t, time.Minute, func() bool { return written.Load() > writers*target/3 })
	leader, err := cluster.StreamLeader(ctx, js, "ganglion_STORE")
	if err != nil || leader < 0 {
		t.Fatalf("leader %d: %v", leader, err)
	}
	cluster.Stop(leader)
	wg.Wait()
	cluster.Start(t, leader)

	seen := map[store.Aggregate][]store.Version{}
	for item, err := range s.Follow(ctx, "") {
		if err != nil {
			t.Fatalf("follow: %v", err)
		}
		a := item.Commit.Aggregate
		seen[a] = append(seen[a], item.Commit.First)
		if done := len(seen) == writers && !slices.ContainsFunc(slices.Collect(maps.Values(seen)), func(v []store.Version) bool { return len(v) < target }); done {
			break
		}
	}
	for w := range writers {
		a := store.Aggregate(fmt.Sprintf("account/w-%d", w))
		got := versions(t, s, a)
		if acknowledged[w] < target/2 || len(got) < int(acknowledged[w]) {
			t.Errorf("%s: %d commits, %d were acknowledged", a, len(got), acknowledged[w])
		}
		for i, v := range got {
			if v != store.Version(i+1) {
				t.Fatalf("%s: history %v", a, got)
			}
		}
		if !slices.Equal(seen[a], got[:len(seen[a])]) {
			t.Errorf("%s: the feed has %v, the history %v", a, seen[a], got)
		}
	}
}
