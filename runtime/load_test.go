package runtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

// TestNode_Snapshot_IsOfACommit: it has the state just after the commits up to
// its version, while more are always on their way; and a load that uses it reads
// little and comes to the same.
func TestNode_Snapshot_IsOfACommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const every = 10
		var mu sync.Mutex
		events := -1
		s := newSetup(t, nil, func(c *runtime.Config) {
			c.BatchEvents = 7
			c.Listener.Loaded = func(_ actor.Kind, n int, _ time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				events = n
			}
		}, counters(nil, func(d *actor.Definition[counter]) { d.SnapshotEvery(every) }))
		var clients sync.WaitGroup
		for range 16 {
			clients.Go(func() {
				for i := range 50 {
					m := s.message("a", "add", add{N: int64(i + 1)})
					m.Lane = actor.Lane(i % 2)
					s.want(s.ask(m), actor.CodeOK)
				}
			})
		}
		clients.Wait()
		s.eventually("a snapshot is saved", func() bool { v := s.snapshot("a").Version; return v > 800-2*every })
		snap := s.snapshot("a")
		var state counter
		if err := json.Unmarshal(snap.State, &state); err != nil {
			t.Fatal(err)
		}
		var want counter
		for _, c := range s.commits("a") {
			if c.Last() > snap.Version {
				break
			}
			for _, e := range c.Events {
				var a added
				if err := json.Unmarshal(e.Data, &a); err != nil {
					t.Fatal(err)
				}
				want.added(a)
			}
			if c.Last() == snap.Version && (c.Position != snap.Position || c.Time != snap.Time) {
				t.Errorf("snapshot at %+v, %d; its commit is at %+v, %d", snap.Position, snap.Time, c.Position, c.Time)
			}
		}
		if state != want || want.Count != int(snap.Version) {
			t.Errorf("snapshot %+v at version %d, the history has %+v", state, snap.Version, want)
		}
		before, _ := s.read("a")
		s.restart()
		if after, v := s.read("a"); after != before || v != 800 {
			t.Errorf("sum %d at version %d, was %d", after, v, before)
		}
		mu.Lock()
		defer mu.Unlock()
		if events < 0 || events > 3*every {
			t.Errorf("%d events were replayed", events)
		}
	})
}

func (s *setup) snapshot(id string) store.Snapshot {
	s.t.Helper()
	snap, _, err := s.store.LoadSnapshot(s.t.Context(), aggregate(id), s.defs[0].Behavior().Schema())
	if err != nil {
		s.t.Fatal(err)
	}
	return snap
}

// TestNode_Snapshot_ThatCannotBeUsed_IsIgnored.
func TestNode_Snapshot_ThatCannotBeUsed_IsIgnored(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*store.Snapshot){
		"state":       func(s *store.Snapshot) { s.State = []byte(`{"Sum":"x"}`) },
		"null":        func(s *store.Snapshot) { s.State = []byte(`null`) },
		"ring":        func(s *store.Snapshot) { s.Ring = []byte(`{`) },
		"other form":  func(s *store.Snapshot) { s.Schema = "other" },
		"older":       func(s *store.Snapshot) { s.Version = 1 },
		"not spoiled": func(*store.Snapshot) {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := prepare(t, nil, nil, counters(nil, func(d *actor.Definition[counter]) { d.SnapshotEvery(3) }))
				s.start("n1")
				for range 20 {
					s.want(s.add("a", 1), actor.CodeOK)
				}
				_ = s.node.Close()
				snap := s.snapshot("a")
				if snap.Version < 10 {
					t.Fatalf("snapshot at version %d", snap.Version)
				}
				spoil(&snap)
				spoilt := memory.New() // a store keeps the newer of two
				for _, c := range s.commits("a") {
					if err := spoilt.Append(t.Context(), []store.Commit{c})[0]; err != nil {
						t.Fatal(err)
					}
				}
				if err := spoilt.SaveSnapshot(t.Context(), snap); err != nil {
					t.Fatal(err)
				}
				s.store = spoilt
				s.start("n1")
				if sum, v := s.read("a"); sum != 20 || v != 20 {
					t.Errorf("sum %d at version %d", sum, v)
				}
			})
		})
	}
}

// TestNode_Load_OfALongHistory_TakesItsTime: what has a bound is the wait for
// the next commit, not the whole.
func TestNode_Load_OfALongHistory_TakesItsTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const commits, each = 50, 400 * time.Millisecond
		h := newHooked()
		s := prepare(t, h, func(c *runtime.Config) { c.WriteTimeout = time.Second })
		for range commits {
			s.foreign("a", "added.v1", `{"n":1}`)
		}
		loads := 0
		h.with(func(h *hooked) {
			h.load = func(ctx context.Context, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
				loads++
				return func(yield func(store.Commit, error) bool) {
					for c, err := range h.Store.Load(ctx, a, after) {
						select {
						case <-time.After(each):
						case <-ctx.Done():
							yield(store.Commit{}, store.ErrUnavailable)
							return
						}
						if !yield(c, err) {
							return
						}
					}
				}
			}
		})
		s.start("n1")
		start := time.Now()
		if sum, v := s.read("a"); sum != commits || v != commits {
			t.Errorf("sum %d at version %d", sum, v)
		}
		if took := time.Since(start); took > 2*commits*each || loads != 1 {
			t.Errorf("took %v, %d loads", took, loads)
		}
	})
}

// TestNode_Load_Hangs_IsTriedAgain.
func TestNode_Load_Hangs_IsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		loads := 0
		h.with(func(h *hooked) {
			h.load = func(ctx context.Context, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
				if loads++; loads > 2 {
					return h.Store.Load(ctx, a, after)
				}
				return func(yield func(store.Commit, error) bool) {
					<-ctx.Done()
					yield(store.Commit{}, fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err()))
				}
			}
		})
		s.want(s.add("a", 1), actor.CodeOK)
	})
}

// TestNode_Refusal_OutlivesAPassivation: it was told, the aggregate is given up, and
// another command changes it.
func TestNode_Refusal_OutlivesAPassivation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, func(c *runtime.Config) { c.PassivateAfter = passivateAfter })
		s.want(s.add("a", 5), actor.CodeOK)
		m := s.message("a", "add", add{N: -6})
		first := s.want(s.ask(m), actor.CodeRejected)
		s.passivate()
		s.passivate()
		s.want(s.add("a", 100), actor.CodeOK)
		m.Attempt = 2
		if diff := differ(first, s.ask(m)); diff != "" {
			t.Error(diff)
		}
		s.restart()
		if diff := differ(first, s.ask(direct(m))); diff != "" {
			t.Error(diff)
		}
	})
}

// TestNode_Replay_OfRefusals: more than the ring holds, from the stream again, after the
// state has changed.
func TestNode_Replay_OfRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const refused = 400
		s := newSetup(t, nil, func(c *runtime.Config) { c.RingMax = 20 })
		id := s.idsIn(1, 1)[0]
		for range refused {
			s.want(s.add(id, -1), actor.CodeRejected)
		}
		s.want(s.add(id, 1000), actor.CodeOK)
		if err := s.node.Close(); err != nil {
			t.Fatal(err)
		}
		s.setWatermark(1, 0)
		s.start("n1")
		s.watermarksReachTheEnd()
		if sum, v := s.read(id); sum != 1000 || v != refused+1 {
			t.Errorf("sum %d at version %d", sum, v)
		}
	})
}

// TestNode_Replay_OfARefusalThatWasNotKept: earlier builds gave up refusals beyond some
// number. One was read from the stream before a position that the store has, so it was
// decided, and perhaps told. It must not take effect now.
func TestNode_Replay_OfARefusalThatWasNotKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		id := s.idsIn(1, 1)[0]
		s.want(s.add(id, 1), actor.CodeOK)
		s.close()
		refused := s.send(s.message(id, "add", add{N: 1}))
		last := s.commits(id)[0]
		c := store.Commit{
			Aggregate: last.Aggregate, First: 2, Partition: last.Partition, Time: last.Time + 1,
			Position: store.Position{Stream: last.Position.Stream, Sequence: last.Position.Sequence + 1},
			Events:   []store.Event{{Name: "added.v1", Data: []byte(`{"n":1000}`)}},
			Outcomes: []store.Outcome{{CommandID: string(s.nextID()), Events: 1, Reply: []byte("1001")}},
		}
		if err := s.store.Append(t.Context(), []store.Commit{c})[0]; err != nil {
			t.Fatal(err)
		}
		s.start("n1")
		s.want(s.await(refused), actor.CodeUnknownOutcome)
		if sum, v := s.read(id); sum != 1001 || v != 2 {
			t.Errorf("sum %d at version %d", sum, v)
		}
	})
}
