package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/testharness"
)

func TestStore_Restart_KeepsEverything(t *testing.T) {
	t.Parallel()
	natsServer := testharness.NATS(t, testharness.WithSyncAlways())
	nc := natsServer.Connect(t)
	s := open(t, nc, jetstream.Config{})
	var commits []store.Commit
	for i := range 40 { // an atomic batch
		commits = append(commits, commit(store.Aggregate(fmt.Sprintf("account/a-%d", i)), 1))
	}
	appendAll(t, s, commits...)
	appendAll(t, s, commit("account/a-0", 2))
	before, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	session := store.Session{Name: "n", Incarnation: "i"}
	if err := s.OpenSession(t.Context(), session, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.TakeClaims(t.Context(), session, []store.Claim{{Partition: 3}}); err != nil {
		t.Fatal(err)
	}

	natsServer.Restart(t)
	testharness.Eventually(t, 10*time.Second, func() bool { return s.Ping(t.Context()) == nil })

	for name, s := range map[string]*jetstream.Store{"same client": s, "opened again": open(t, natsServer.Connect(t), jetstream.Config{})} {
		if got := versions(t, s, "account/a-0"); fmt.Sprint(got) != "[1 2]" {
			t.Errorf("%s: history %v, want [1 2]", name, got)
		}
		if got := versions(t, s, "account/a-39"); fmt.Sprint(got) != "[1]" {
			t.Errorf("%s: history %v, want [1]", name, got)
		}
		claims, err := s.Claims(t.Context())
		if err != nil || len(claims) != 1 || claims[0].Session != "i" {
			t.Errorf("%s: claims %v, %v", name, claims, err)
		}
		if now, err := s.Now(t.Context()); err != nil || now != before {
			t.Errorf("%s: the feed ends at %q, %v; want %q as before", name, now, err, before)
		}
	}
	appendAll(t, s, commit("account/a-0", 3))
	if err := s.Renew(t.Context(), store.Session{Name: "n", Incarnation: "i", Beat: 1}); err != nil {
		t.Errorf("renew after the restart: %v", err)
	}
}

func appendAll(t *testing.T, s store.Store, commits ...store.Commit) {
	t.Helper()
	for i, err := range s.Append(t.Context(), commits) {
		if err != nil {
			t.Fatalf("append %q version %d: %v", commits[i].Aggregate, commits[i].First, err)
		}
	}
}

// While the server is away every answer is unknown or unavailable, and comes
// when the context ends. What was on its way then is written once or not at all.
func TestStore_ServerAway(t *testing.T) {
	t.Parallel()
	natsServer := testharness.NATS(t, testharness.WithSyncAlways())
	s := open(t, natsServer.Connect(t), jetstream.Config{})
	appendAll(t, s, commit("account/a", 1))
	natsServer.Stop()

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := s.Append(ctx, []store.Commit{commit("account/a", 2)})[0]; !errors.Is(err, store.ErrUnknown) {
		t.Errorf("append: %v, want unknown", err)
	}
	for _, err := range s.Load(ctx, "account/a", 0) {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("load: %v, want unavailable", err)
		}
	}
	if err := s.Ping(ctx); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("ping: %v, want unavailable", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("answers took %v", took)
	}

	natsServer.Start(t)
	testharness.Eventually(t, 10*time.Second, func() bool { return s.Ping(t.Context()) == nil })
	err := s.Append(t.Context(), []store.Commit{commit("account/a", 2)})[0]
	if err != nil && !errors.Is(err, store.ErrConflict) {
		t.Fatalf("append after the return: %v", err)
	}
	if got := versions(t, s, "account/a"); fmt.Sprint(got) != "[1 2]" {
		t.Errorf("history %v, want [1 2]", got)
	}
}

// A follower that lives through a restart reports it, and goes on from its token.
func TestStore_Follow_OverRestart(t *testing.T) {
	t.Parallel()
	natsServer := testharness.NATS(t, testharness.WithSyncAlways())
	s := open(t, natsServer.Connect(t), jetstream.Config{Timeout: time.Second})
	writer := open(t, natsServer.Connect(t), jetstream.Config{})
	appendAll(t, writer, commit("account/a", 1))
	var token store.Token
	var seen []store.Version
	restarted := false
	for len(seen) < 2 {
		for item, err := range s.Follow(t.Context(), token) {
			if err != nil {
				if !errors.Is(err, store.ErrUnavailable) {
					t.Fatalf("follow: %v", err)
				}
				break
			}
			seen, token = append(seen, item.Commit.First), item.Token
			if !restarted {
				restarted = true
				natsServer.Restart(t)
				testharness.Eventually(t, 10*time.Second, func() bool { return writer.Ping(t.Context()) == nil })
				appendAll(t, writer, commit("account/a", 2))
			}
			if len(seen) == 2 {
				break
			}
		}
	}
	if fmt.Sprint(seen) != "[1 2]" {
		t.Errorf("the feed has %v, want [1 2]", seen)
	}
}

// What is stored can be removed by nobody, whatever a client asks for.
func TestStore_Commits_CannotBeRemoved(t *testing.T) {
	t.Parallel()
	nc := testharness.NATS(t).Connect(t)
	s := open(t, nc, jetstream.Config{Namespace: "x"})
	appendAll(t, s, commit("account/a", 1))
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "x_STORE")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err == nil {
		t.Error("the commits can be purged")
	}
	for seq := range uint64(3) {
		if err := stream.DeleteMsg(t.Context(), seq); err == nil {
			t.Errorf("message %d can be deleted", seq)
		}
	}
	if got := versions(t, s, "account/a"); len(got) != 1 {
		t.Errorf("history %v", got)
	}
}

func TestStore_Follow_TokenOfAnotherStream(t *testing.T) {
	t.Parallel()
	var tokens [2]store.Token
	var stores [2]*jetstream.Store
	for i := range stores {
		stores[i] = open(t, testharness.NATS(t).Connect(t), jetstream.Config{})
		appendAll(t, stores[i], commit("account/a", 1))
		var err error
		if tokens[i], err = stores[i].Now(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, token := range []store.Token{tokens[0], tokens[1] + "9", "-1", "x-y"} {
		for _, err := range stores[1].Follow(t.Context(), token) {
			if !errors.Is(err, store.ErrTokenExpired) {
				t.Errorf("token %q: %v, want expired", token, err)
			}
			break
		}
	}
}

func TestStore_Append_ConnectionClosed(t *testing.T) {
	t.Parallel()
	nc := testharness.NATS(t).Connect(t)
	s := open(t, nc, jetstream.Config{})
	nc.Close()
	if err := s.Append(t.Context(), []store.Commit{commit("account/a", 1)})[0]; !errors.Is(err, store.ErrUnknown) || !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("append: %v", err)
	}
	for _, err := range s.Load(t.Context(), "account/a", 0) {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("load: %v", err)
		}
	}
}
