package natsbus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/testharness"
)

// TestOpen_StreamsOfAnotherStore: streams belong to the store for which they were made,
// each of them, and who has another one is refused before it makes anything.
func TestOpen_StreamsOfAnotherStore(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	js := newJetStream(t, s)
	openBus(t, s.Connect(t), natsbus.Config{Store: "one", StoreName: "MongoDB orders"})
	openBus(t, s.Connect(t), natsbus.Config{Store: "one"})
	all := []string{"ganglion_COMMANDS", "ganglion_DEADLINES", "ganglion_EVENTS"}
	refused := func(what string) {
		t.Helper()
		_, err := natsbus.Open(t.Context(), s.Connect(t), natsbus.Config{Store: "two", StoreName: "MongoDB billing"})
		if !errors.Is(err, natsbus.ErrOtherStore) {
			t.Fatalf("%s: error %v", what, err)
		}
		for _, part := range []string{"one", "MongoDB orders", "two", "MongoDB billing"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is not in %v", what, part, err)
			}
		}
	}
	refused("all streams are there")
	for i, name := range all {
		for k, other := range all {
			if k != i {
				if err := js.DeleteStream(t.Context(), other); err != nil {
					t.Fatal(err)
				}
			}
		}
		refused("only " + name + " is left")
		if _, err := js.Stream(t.Context(), all[(i+1)%3]); !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Errorf("the refused one has made %s: %v", all[(i+1)%3], err)
		}
		openBus(t, s.Connect(t), natsbus.Config{Store: "one", StoreName: "MongoDB orders"})
	}
}

// storesOf returns what the streams of a namespace say to which store they belong.
func storesOf(t *testing.T, js jetstream.JetStream, ns string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, name := range []string{"_COMMANDS", "_EVENTS", "_DEADLINES"} {
		stream, err := js.Stream(t.Context(), ns+name)
		if err != nil {
			t.Fatal(err)
		}
		found[stream.CachedInfo().Config.Metadata["ganglion.store"]] = true
	}
	return found
}

// TestOpen_Adopts: of stores that find streams of nobody at the same time, as an earlier
// build has left them, one gets all of them, and the others are refused.
func TestOpen_Adopts(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	js := newJetStream(t, s)
	for round := range 8 {
		ns := fmt.Sprint("n", round)
		before := openBus(t, s.Connect(t), natsbus.Config{Namespace: ns, Partitions: 4})
		var opening sync.WaitGroup
		faults := make([]error, 6)
		for i := range faults {
			nc := s.Connect(t)
			opening.Go(func() {
				bus, err := natsbus.Open(t.Context(), nc, natsbus.Config{Namespace: ns, Store: fmt.Sprint("store-", i%3)})
				if faults[i] = err; err == nil && bus.Stream() != before.Stream() {
					t.Errorf("the stream has become another one")
				}
			})
		}
		opening.Wait()
		won := storesOf(t, js, ns)
		if len(won) != 1 {
			t.Fatalf("the streams belong to %v", won)
		}
		for i, err := range faults {
			switch mine := won[fmt.Sprint("store-", i%3)]; {
			case mine && err != nil:
				t.Errorf("%d has won and is refused: %v", i, err)
			case !mine && !errors.Is(err, natsbus.ErrOtherStore):
				t.Errorf("%d has lost: error %v", i, err)
			}
		}
		if _, err := js.Stream(t.Context(), ns+"_ADOPTION"); !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Errorf("the stream of the adoption is left: %v", err)
		}
	}
}

// TestOpen_Adopts_WhatANodeHasLeftHalfDone: a node that stops while it adopts leaves
// the rest to the next one of its store, and to no other.
func TestOpen_Adopts_WhatANodeHasLeftHalfDone(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	js := newJetStream(t, s)
	openBus(t, s.Connect(t), natsbus.Config{})
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "ganglion_ADOPTION", Subjects: []string{"ganglion.adoption"}, Metadata: map[string]string{"ganglion.store": "one"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natsbus.Open(t.Context(), s.Connect(t), natsbus.Config{Store: "two"}); !errors.Is(err, natsbus.ErrOtherStore) {
		t.Errorf("another store: %v", err)
	}
	openBus(t, s.Connect(t), natsbus.Config{Store: "one"})
	if got := storesOf(t, js, "ganglion"); len(got) != 1 || !got["one"] {
		t.Errorf("the streams belong to %v", got)
	}
}

// TestOpen_PartitionsOfTheStore: streams that were lost are not made anew with another
// number of partitions than the store has, said or forgotten.
func TestOpen_PartitionsOfTheStore(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	for _, cfg := range []natsbus.Config{{StorePartitions: 8}, {StorePartitions: 8, Partitions: 16}} {
		_, err := natsbus.Open(t.Context(), s.Connect(t), cfg)
		differ, ok := errors.AsType[*natsbus.PartitionsError](err)
		if !errors.Is(err, natsbus.ErrPartitionsMismatch) || !ok || differ.Found != 8 || !differ.InStore {
			t.Errorf("%+v: error %v", cfg, err)
		}
	}
	for name := range newJetStream(t, s).StreamNames(t.Context()).Name() {
		t.Errorf("stream %s was created", name)
	}
	openBus(t, s.Connect(t), natsbus.Config{StorePartitions: 8, Partitions: 8})
	if _, err := natsbus.Open(t.Context(), s.Connect(t), natsbus.Config{StorePartitions: 16}); !errors.Is(err, natsbus.ErrPartitionsMismatch) {
		t.Errorf("streams with another number: %v", err)
	}
}

// TestBus_Head_OfAnotherStore: a stream that is lost and made anew says whose it is, and
// one that another store has put in its place is refused.
func TestBus_Head_OfAnotherStore(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	js := newJetStream(t, s)
	one := openBus(t, s.Connect(t), natsbus.Config{Store: "one"})
	lose := func() {
		for _, name := range []string{"ganglion_COMMANDS", "ganglion_EVENTS", "ganglion_DEADLINES"} {
			if err := js.DeleteStream(t.Context(), name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
				t.Fatal(err)
			}
		}
	}
	head := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, _, err := one.Head(ctx)
		return err
	}
	lose()
	testharness.Eventually(t, patient, func() bool { return head() == nil })
	stream, err := js.Stream(t.Context(), "ganglion_COMMANDS")
	if err != nil || stream.CachedInfo().Config.Metadata["ganglion.store"] != "one" {
		t.Errorf("made anew: %v", err)
	}
	lose()
	openBus(t, s.Connect(t), natsbus.Config{Store: "two"})
	if err := head(); !errors.Is(err, natsbus.ErrOtherStore) {
		t.Errorf("the stream of another store: %v", err)
	}
}
