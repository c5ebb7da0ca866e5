package natsbus_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/testharness"
)

// consumers are the names of the command stream's consumers.
func consumers(t *testing.T, s *testharness.NATSServer) (names []string) {
	t.Helper()
	stream, err := newJetStream(t, s).Stream(t.Context(), "ganglion_COMMANDS")
	if err != nil {
		t.Fatal(err)
	}
	list := stream.ConsumerNames(t.Context())
	for name := range list.Name() {
		names = append(names, name)
	}
	return names
}

// filtersOf returns how many filters the only consumer has; -1: it is not the only one.
func filtersOf(t *testing.T, s *testharness.NATSServer) int {
	t.Helper()
	names := consumers(t, s)
	if len(names) != 1 {
		return -1
	}
	c, err := newJetStream(t, s).Consumer(t.Context(), "ganglion_COMMANDS", names[0])
	if err != nil {
		return -1
	}
	return len(c.CachedInfo().Config.FilterSubjects)
}

// TestTrunk_OneConsumerForAll: partitions that keep up share one consumer; all of
// them, and those that get nothing, know how far they are.
func TestTrunk_OneConsumerForAll(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8, Heartbeat: 100 * time.Millisecond})
	enqueue(t, f.client, idIn(3, 8), 0, 10)
	o := &owner{}
	subs := serve(t, f.bus, o, 0, 1, 2, 3, 4, 5)
	testharness.Eventually(t, patient, func() bool { return len(consumers(t, f.server)) == 1 })
	enqueue(t, f.client, idIn(3, 8), 10, 10)
	expectInOrder(t, o, 20)
	enqueue(t, f.client, idIn(7, 8), 0, 10) // of nobody here
	_, last, err := f.bus.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for p, sub := range subs {
		testharness.Eventually(t, patient, func() bool { return sub.Position() == last })
		if sub.Position() != last {
			t.Errorf("partition %d is at %d of %d", p, sub.Position(), last)
		}
	}
	for _, sub := range subs[1:] {
		stop(t, sub)
	}
	enqueue(t, f.client, idIn(0, 8), 20, 10)
	expectInOrder(t, o, 30)
	stop(t, subs[0])
	testharness.Eventually(t, patient, func() bool { return len(consumers(t, f.server)) == 0 })
}

// TestTrunk_FarBehind: a trunk that is far behind is replaced by one without filters,
// and that by one with filters later. Nothing is missed, and nothing comes twice.
func TestTrunk_FarBehind(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 8, Heartbeat: 100 * time.Millisecond})
	natsbus.SetTrunkNarrow(f.bus, 300*time.Millisecond)
	o := &owner{}
	serve(t, f.bus, o, 0, 1, 2, 3)
	testharness.Eventually(t, patient, func() bool { return len(consumers(t, f.server)) == 1 })
	filters := func() int { return filtersOf(t, f.server) }
	if n := filters(); n != 4 {
		t.Errorf("%d filters for 4 of 8 partitions", n)
	}
	sent := 0
	for _, step := range []struct {
		far     uint64
		filters int
	}{{0, 0}, {math.MaxUint64, 4}} {
		natsbus.SetTrunkFar(f.bus, step.far)
		testharness.Eventually(t, patient, func() bool {
			enqueue(t, f.client, idIn(3, 8), sent, 20)
			enqueue(t, f.client, idIn(7, 8), sent, 20) // of nobody here
			sent += 20
			return filters() == step.filters
		})
		expectInOrder(t, o, sent)
	}
	enqueue(t, f.client, idIn(3, 8), sent, 10)
	expectInOrder(t, o, sent+10)
}

// TestTrunk_TakesPartitionsIn: partitions that begin near the stream's end, as they do
// when they change hands, share one new consumer, or, when they were expected, need none:
// what came before is there.
func TestTrunk_TakesPartitionsIn(t *testing.T) {
	t.Parallel()
	for name, expected := range map[string]bool{"expected": true, "not expected": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const partitions = 32
			f := setup(t, natsbus.Config{Partitions: partitions}) // a machine that stalls breaks no feed
			if _, _, err := f.bus.Head(t.Context()); err != nil {
				t.Fatal(err)
			}
			filters := 0 // for ten seconds, after partitions were taken in
			if !expected {
				natsbus.SetTrunkNarrow(f.bus, time.Second)
				filters = 4
			}
			serve(t, f.bus, &owner{}, 0, 1, 2, 3)
			testharness.Eventually(t, patient, func() bool { return filtersOf(t, f.server) == filters })
			before := consumers(t, f.server) // advisories of it may be on their way still
			made := make(chan string, 100)
			advisories, err := f.nc.Subscribe("$JS.EVENT.ADVISORY.CONSUMER.CREATED.ganglion_COMMANDS.*", func(msg *nats.Msg) {
				if name := msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:]; !slices.Contains(before, name) {
					made <- name
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if expected {
				f.bus.Expect()
			}
			moved := map[actor.Partition]*owner{}
			for p := actor.Partition(8); p < 32; p++ {
				enqueue(t, f.client, idIn(p, partitions), 0, 10)
				moved[p] = &owner{}
				serve(t, f.bus, moved[p], p)
				enqueue(t, f.client, idIn(p, partitions), 10, 10)
			}
			for _, o := range moved {
				expectInOrder(t, o, 20)
			}
			if err := f.nc.FlushWithContext(deadlined(t)); err != nil {
				t.Fatal(err)
			}
			_ = advisories.Unsubscribe()
			if n := len(made); expected && n > 0 || n > 3 {
				t.Errorf("%d consumers were made for %d partitions", n, len(moved))
			}
		})
	}
}

// stage is one partition in TestTrunk_Faults: whoever serves it, its commands
// must come once each and in order.
type stage struct {
	partition actor.Partition
	sub       actor.Subscription
	position  atomic.Uint64 // as it was told
	blocked   atomic.Int64  // handlers wait until this time, in Unix nanoseconds
	published atomic.Int64

	mu  sync.Mutex
	got []string
	at  uint64
}

func (s *stage) Durable(ctx context.Context, d actor.Delivery) {
	if wait := time.Until(time.Unix(0, s.blocked.Load())); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return // not taken
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.Sequence <= s.position.Load() {
		s.got = append(s.got, fmt.Sprintf("%d, after position %d", d.Sequence, s.position.Load()))
	}
	s.got, s.at = append(s.got, string(d.Message.Data)), d.Sequence
}

func (s *stage) Direct(actor.Delivery) {}

// serve serves the stage's partition from where it is. looked: as a node does, which
// looks first at where the stream ends.
func (s *stage) serve(ctx context.Context, bus *natsbus.Bus, looked bool) (err error) {
	if looked {
		if _, _, err := bus.Head(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	after := max(s.at, s.position.Load())
	s.mu.Unlock()
	s.sub, err = bus.Serve(ctx, s.partition, bus.Stream(), after, s)
	return err
}

func (s *stage) look() {
	if at := s.sub.Position(); at > s.position.Load() {
		s.position.Store(at)
	}
}

// TestTrunk_Faults has lanes join, fall behind, be stopped and served anew, and
// removes consumers under them, while commands come in. No position that was told
// is ever ahead of a command that has yet to come. GANGLION_SEED repeats a run.
func TestTrunk_Faults(t *testing.T) {
	t.Parallel()
	for name, wide := range map[string]bool{"": false, "also without filters": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trunkFaults(t, wide)
		})
	}
}

func trunkFaults(t *testing.T, wide bool) {
	const partitions, rounds = 16, 60
	rng := testenv.Rand(t)
	f := setup(t, natsbus.Config{Partitions: partitions, Window: 8, Heartbeat: 100 * time.Millisecond})
	if wide {
		natsbus.SetTrunkFar(f.bus, 1)
		natsbus.SetTrunkNarrow(f.bus, 0)
	}
	js := newJetStream(t, f.server)
	stages := make([]*stage, partitions/2)
	for p := range stages {
		stages[p] = &stage{partition: actor.Partition(p), got: []string{}}
		if err := stages[p].serve(t.Context(), f.bus, false); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, stages[p].sub) })
	}
	ended := make(chan struct{})
	var publishing sync.WaitGroup
	for _, s := range stages[1:] { // partition 0 gets nothing
		publishing.Go(func() { publishUntil(t, f.client, s, partitions, ended) })
	}
	for range rounds {
		s := stages[rng.IntN(len(stages))]
		switch rng.IntN(8) {
		case 6:
			f.bus.Expect()
		case 0:
			s.blocked.Store(time.Now().Add(time.Duration(rng.IntN(300)) * time.Millisecond).UnixNano())
		case 1:
			stop(t, s.sub)
			s.look()
			if err := s.serve(t.Context(), f.bus, rng.IntN(3) > 0); err != nil {
				t.Fatal(err)
			}
		case 2:
			if names := consumers(t, f.server); len(names) > 0 {
				if err := js.DeleteConsumer(t.Context(), "ganglion_COMMANDS", names[rng.IntN(len(names))]); err != nil && !isGone(err) {
					t.Fatal(err)
				}
			}
		}
		for deadline := time.Now().Add(40 * time.Millisecond); time.Now().Before(deadline); {
			for _, s := range stages {
				s.look()
			}
		}
	}
	close(ended)
	publishing.Wait()
	_, last, err := f.bus.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stages {
		testharness.Eventually(t, patient, func() bool { s.look(); return s.position.Load() == last })
		s.mu.Lock()
		if diff := cmp.Diff(counting(int(s.published.Load())), s.got); diff != "" {
			t.Errorf("partition %d (-want +got):\n%s", s.partition, diff)
		}
		s.mu.Unlock()
	}
}

func isGone(err error) bool {
	return errors.Is(err, jetstream.ErrConsumerNotFound)
}

// publishUntil stores numbered commands for a stage in bursts.
func publishUntil(t *testing.T, client *natsbus.Client, s *stage, partitions actor.Partitions, ended <-chan struct{}) {
	id := idIn(s.partition, partitions)
	for {
		for range 1 + rand.IntN(30) {
			if err := client.Enqueue(t.Context(), command(id, strconv.FormatInt(s.published.Load(), 10))); err != nil {
				t.Errorf("enqueue: %v", err)
				return
			}
			s.published.Add(1)
		}
		select {
		case <-ended:
			return
		case <-time.After(time.Duration(rand.IntN(50)) * time.Millisecond):
		}
	}
}
