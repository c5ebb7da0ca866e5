package testharness_test

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/testharness"
)

// maxReal is generous for a loaded machine and still far below the 30 s of
// virtual time that each of these tests lets pass.
const maxReal = 10 * time.Second

func TestVirtualTime_RedeliversAfterAckWait(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		js := newJetStream(t, testharness.NATS(t).Connect(t))
		stream := createStream(t, js, 1)
		publish(t, js, "s.a")
		consumer, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
			AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := consumer.Next(); err != nil {
			t.Fatal(err)
		}

		again, err := consumer.Next(jetstream.FetchMaxWait(time.Minute))
		if err != nil {
			t.Fatalf("no redelivery: %v", err)
		}

		meta, err := again.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		if meta.NumDelivered != 2 {
			t.Errorf("delivered %d times, want 2", meta.NumDelivered)
		}
		if passed := time.Since(start); passed < 30*time.Second || passed > 40*time.Second {
			t.Errorf("redelivered after %v of virtual time, want about 30 s", passed)
		}
	})
}

func TestVirtualTime_KeyExpires(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		js := newJetStream(t, testharness.NATS(t).Connect(t))
		kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "lease", LimitMarkerTTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		claim := func(owner string) error {
			_, err := kv.Create(t.Context(), "p1", []byte(owner), jetstream.KeyTTL(30*time.Second))
			return err
		}
		if err := claim("a"); err != nil {
			t.Fatal(err)
		}
		if err := claim("b"); !errors.Is(err, jetstream.ErrKeyExists) {
			t.Fatalf("claim of a held key: %v", err)
		}

		time.Sleep(32 * time.Second) // of virtual time

		if err := claim("b"); err != nil {
			t.Errorf("claim of an expired key: %v", err)
		}
	})
}

func TestVirtualTime_Restart(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		s := testharness.NATS(t)
		nc := s.Connect(t)
		js := newJetStream(t, nc)
		createStream(t, js, 1)
		s.Restart(t)
		awaitReconnect(t, nc)
		publish(t, js, "s.a")
	})
}

// Connections of bubbles, and of tests in real time, share the pool of timers
// that Flush takes from.
func TestVirtualTime_KeepsTimersApart(t *testing.T) {
	t.Parallel()
	flush := func(t *testing.T) {
		for range 2 {
			nc := testharness.NATS(t).Connect(t)
			for range 20 {
				if err := nc.Flush(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	for i := range 16 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			if i%2 == 0 {
				synctest.Test(t, flush)
				return
			}
			flush(t)
		})
	}
}

// inVirtualTime is for tests that are not parallel: they wait for no other.
func inVirtualTime(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	begin := time.Now()
	synctest.Test(t, test)
	if took := time.Since(begin); took > maxReal {
		t.Errorf("took %v of real time", took)
	} else {
		t.Logf("took %v of real time", took)
	}
}
