package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/store/storetest"
	"github.com/ganglion-go/ganglion/testharness"
)

// tooLarge is beyond the max_payload of 1 MiB that a server has by default.
const tooLarge = 2 << 20

func TestStore(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t, testharness.WithSyncAlways())
	fresh, peer := openers(func(t *testing.T) *nats.Conn {
		t.Helper()
		return server.Connect(t)
	}, jetstream.Config{})
	storetest.Config{Peer: peer, TooLarge: tooLarge, AppendUnreadable: appendUnreadable, DamageParked: damageParked}.Run(t, fresh)
}

// appendUnreadable stores a message of one event, without its record.
func appendUnreadable(t *testing.T, s store.Store, a store.Aggregate, first store.Version) {
	t.Helper()
	subject, js := s.(*namedStore).Store.(*jetstream.Store).CommitsSubject(a)
	msg := &nats.Msg{Subject: subject, Header: nats.Header{"Ganglion-Versions": {fmt.Sprintf("%d-%d", first, first)}}, Data: []byte("damaged")}
	if _, err := js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
}

// TestLoad_Gap: a history that misses version 2 says so, and is read on from behind it.
func TestLoad_Gap(t *testing.T) {
	t.Parallel()
	s := open(t, testharness.NATS(t).Connect(t), jetstream.Config{})
	appendAll(t, s, commit("account/whole", 1), commit("account/gap", 1))
	subject, js := s.CommitsSubject("account/gap")
	for _, first := range []store.Version{3, 4} {
		msg := &nats.Msg{
			Subject: subject, Header: nats.Header{"Ganglion-Versions": {fmt.Sprintf("%d-%d", first, first)}},
			Data: fmt.Appendf(nil, `{"format":1,"aggregate":"account/gap","first":%d,"events":[{"name":"e","data":{}}]}`, first),
		}
		if _, err := js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	for after, want := range []string{"[1]", "[]", "[3 4]", "[4]", "[]"} {
		got, failed := []store.Version{}, error(nil)
		for c, err := range s.Load(t.Context(), "account/gap", store.Version(after)) { //nolint:gosec // an index
			if failed = err; err == nil {
				got = append(got, c.First)
			}
		}
		gap, is := errors.AsType[*store.GapError](failed)
		if fmt.Sprint(got) != want || is != (after < 2) || is && (gap.Aggregate != "account/gap" || gap.After != 1 || gap.Found != 3) || !is && failed != nil {
			t.Errorf("after %d: %v, %v", after, got, failed)
		}
	}
}

// damageParked replaces a record by something that is none.
func damageParked(t *testing.T, s store.Store, a store.Aggregate, commandID string) {
	t.Helper()
	subject, js := s.(*namedStore).Store.(*jetstream.Store).ParkedSubject(a, commandID)
	if _, err := js.Publish(t.Context(), subject, []byte("damaged")); err != nil {
		t.Fatal(err)
	}
}

// TestStore_Append_TakesNothingThatCannotBeReadBack: JSON of any depth comes back, or is
// refused.
func TestStore_Append_TakesNothingThatCannotBeReadBack(t *testing.T) {
	t.Parallel()
	s := open(t, testharness.NATS(t).Connect(t), jetstream.Config{})
	for i, depth := range []int{100, 9_900, 9_990, 9_996, 9_997, 9_998, 9_999, 10_000, 20_000} {
		c := commit(store.Aggregate(fmt.Sprintf("account/deep-%d", i)), 1)
		c.Events[0].Data = []byte(strings.Repeat(`{"a":`, depth-1) + `"\\\"{[ü"` + strings.Repeat(`}`, depth-1))
		switch err := s.Append(t.Context(), []store.Commit{c})[0]; {
		case errors.Is(err, store.ErrTooLarge) && depth > 9_900:
		case err != nil:
			t.Errorf("%d levels: %v", depth, err)
		case len(versions(t, s, c.Aggregate)) != 1:
			t.Errorf("%d levels were taken, and are not there", depth)
		}
	}
}

// The store works on a server in virtual time: a follower that sleeps for hours
// hears of a commit at once.
func TestStore_VirtualTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, testharness.NATS(t).Connect(t), jetstream.Config{})
		appendAll(t, s, commit("account/a", 1))
		heard := make(chan time.Time, 2)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for _, err := range s.Follow(ctx, "") {
				if err != nil {
					t.Errorf("follow: %v", err)
					return
				}
				heard <- time.Now()
			}
		}()
		<-heard
		time.Sleep(3*time.Hour + feedPollMiddle)
		start := time.Now()
		appendAll(t, s, commit("account/a", 2))
		if took := (<-heard).Sub(start); took > 100*time.Millisecond {
			t.Errorf("the follower heard of the commit after %v", took)
		}
		cancel()
		<-done
	})
}

// feedPollMiddle is a moment between two polls of a follower, so that a poll
// cannot be what wakes it.
const feedPollMiddle = 300 * time.Millisecond
