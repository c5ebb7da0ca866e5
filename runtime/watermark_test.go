package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// idsIn returns n ids of aggregates in a partition.
func (s *setup) idsIn(p actor.Partition, n int) []string {
	var ids []string
	for i := 0; len(ids) < n; i++ {
		if id := fmt.Sprint("id-", i); s.bus.partitions.Of(address(id)) == p {
			ids = append(ids, id)
		}
	}
	return ids
}

// TestNode_Restart_ReplaysWhatWasNotFinished: exactly that, and nothing twice.
func TestNode_Restart_ReplaysWhatWasNotFinished(t *testing.T) {
	bubble(t, func(t *testing.T) {
		held := make(chan struct{})
		s := newSetup(t, nil, nil, counters(held))
		ids := s.idsIn(1, 3)
		for range 3 {
			s.want(s.add(ids[0], 1), actor.CodeOK) // 1 to 3
		}
		stuck := s.send(s.message(ids[1], "hold", hold{}))     // 4
		behind := s.send(s.message(ids[1], "add", add{N: 10})) // 5, waits for it
		s.want(s.add(ids[2], 5), actor.CodeOK)                 // 6, of another aggregate
		again := s.ask(s.message(ids[0], "add", add{N: -100})) // 7, a refusal
		s.want(again, actor.CodeRejected)
		s.eventually("the watermark is saved", func() bool { return s.watermark(1) == 3 })
		s.pause(time.Second)
		if w := s.watermark(1); w != 3 {
			t.Fatalf("watermark %d, but command 4 is not finished", w)
		}
		if n := s.bus.trimmedTo(1); n != 3 {
			t.Errorf("trimmed up to %d, want 3", n)
		}
		close(held)
		s.want(s.await(stuck), actor.CodeOK)
		s.want(s.await(behind), actor.CodeOK)
		s.watermarksReachTheEnd()

		// A node that is cut off before it has saved the watermark leaves the same
		// to the next one.
		if err := s.node.Close(); err != nil {
			t.Fatal(err)
		}
		s.setWatermark(1, 3)
		s.start("n1")
		s.bus.mu.Lock()
		after := s.bus.serving[1][0].after
		s.bus.mu.Unlock()
		if after != 3 {
			t.Fatalf("read from %d on, want from 3", after)
		}
		s.watermarksReachTheEnd()
		for i, want := range []int64{3, 10, 5} {
			if sum, _ := s.read(ids[i]); sum != want {
				t.Errorf("sum of %s is %d, want %d", ids[i], sum, want)
			}
		}
	})
}

func (s *setup) claim(p store.Partition) store.Claim {
	s.t.Helper()
	claims, err := s.store.Claims(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range claims {
		if c.Partition == p {
			return c
		}
	}
	return store.Claim{Partition: p}
}

func (s *setup) watermark(p store.Partition) uint64 { return s.claim(p).Watermark.Sequence }

// setWatermark sets the watermark of a claim back, as it was before its last saving.
func (s *setup) setWatermark(p store.Partition, w uint64) {
	s.t.Helper()
	c := s.claim(p)
	c.Watermark.Sequence = w
	if err := s.store.SaveWatermarks(s.t.Context(), []store.Claim{c}); err != nil {
		s.t.Fatal(err)
	}
}

// TestNode_OtherStream_StartsFromItsBeginning: sequences of two incarnations of
// the command stream cannot be compared.
func TestNode_OtherStream_StartsFromItsBeginning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		for range 5 {
			s.want(s.add("a", 1), actor.CodeOK)
		}
		s.watermarksReachTheEnd()
		if err := s.node.Close(); err != nil {
			t.Fatal(err)
		}
		s.bus = newLogBus(partitions)
		s.bus.stream = "stream-2"
		s.start("n1")
		s.want(s.add("a", 1), actor.CodeOK) // sequence 1 is not "decided before"
		if sum, v := s.read("a"); sum != 6 || v != 6 {
			t.Errorf("sum %d at version %d", sum, v)
		}
	})
}

// TestNode_StreamLost_GoesOnWithTheNext: the stream is deleted and made anew under
// a node that runs. Commands of the new one have low sequences and are executed;
// those of the old one that are asked for again keep their outcome; and what the
// node still knows of the old one does not trim the new one.
func TestNode_StreamLost_GoesOnWithTheNext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		first := s.message("a", "add", add{N: 1})
		s.want(s.ask(first), actor.CodeOK)
		for range 9 {
			s.want(s.add("a", 1), actor.CodeOK)
		}
		s.watermarksReachTheEnd()
		s.bus.loseStream("stream-2")
		for range 3 {
			s.want(s.add("a", 1), actor.CodeOK)
		}
		if o := s.ask(first); o.Code != actor.CodeOK || o.Version != 1 {
			t.Errorf("a command of the lost stream, asked for again: %+v", o)
		}
		if sum, v := s.read("a"); sum != 13 || v != 13 {
			t.Errorf("sum %d at version %d", sum, v)
		}
		s.watermarksReachTheEnd()
		s.bus.mu.Lock()
		defer s.bus.mu.Unlock()
		if s.bus.trimmed > 4 || len(s.bus.apart) > 0 {
			t.Errorf("a stream with 4 commands was trimmed up to %d, and %v", s.bus.trimmed, s.bus.apart)
		}
	})
}

// TestNode_Window_BlocksItsPartitionAlone, and a stuck handler its aggregate
// alone as long as the window has room.
func TestNode_Window_BlocksItsPartitionAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		held := make(chan struct{})
		s := newSetup(t, nil, func(c *runtime.Config) { c.WindowMax = 3 }, counters(held))
		ids, other := s.idsIn(1, 4), s.idsIn(2, 1)[0]
		waiting := []reply{s.send(s.message(ids[0], "hold", hold{}))}
		for range 100 {
			s.want(s.add(ids[1], 1), actor.CodeOK) // one slot is taken
		}
		waiting = append(waiting, s.send(s.message(ids[2], "hold", hold{})), s.send(s.message(ids[3], "hold", hold{})))
		blocked := s.send(s.message(ids[1], "add", add{N: 1}))
		s.unanswered(blocked, time.Second)
		s.want(s.add(other, 1), actor.CodeOK)
		s.want(s.ask(direct(s.message(ids[1], "add", add{N: 1}))), actor.CodeOK)
		close(held)
		for _, r := range append(waiting, blocked) {
			s.want(s.await(r), actor.CodeOK)
		}
		s.watermarksReachTheEnd()
	})
}

// TestNode_Window_BoundsTheSpanBehindAStuckCommand: what has been finished
// behind it is remembered until it is finished itself, and that has a limit.
func TestNode_Window_BoundsTheSpanBehindAStuckCommand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const window, span = 2, 64 * 2
		held := make(chan struct{})
		s := newSetup(t, nil, func(c *runtime.Config) { c.WindowMax = window }, counters(held))
		ids := s.idsIn(1, 2)
		stuck := s.send(s.message(ids[0], "hold", hold{}))
		var replies []reply
		for range span + 10 {
			replies = append(replies, s.send(s.message(ids[1], "add", add{N: 1})))
		}
		for _, r := range replies[:span-1] {
			s.want(s.await(r), actor.CodeOK)
		}
		s.unanswered(replies[span-1], time.Second)
		close(held)
		for _, r := range append(replies[span-1:], stuck) {
			s.want(s.await(r), actor.CodeOK)
		}
	})
}

// TestNode_Mailbox_Overflow_IsTold on the direct lane, and delays nobody else.
func TestNode_Mailbox_Overflow_IsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const mailbox = 10
		held := make(chan struct{})
		s := newSetup(t, nil, func(c *runtime.Config) { c.MailboxMax = mailbox }, counters(held))
		stuck := s.send(direct(s.message("a", "hold", hold{})))
		s.pause(time.Millisecond) // it has left the mailbox
		var waiting []reply
		for range mailbox {
			waiting = append(waiting, s.send(direct(s.message("a", "add", add{N: 1}))))
		}
		refused := s.message("a", "add", add{N: 1})
		s.want(s.ask(direct(refused)), actor.CodeOverloaded)
		s.want(s.ask(s.query("a")), actor.CodeOverloaded)
		s.want(s.ask(direct(s.message("b", "add", add{N: 1}))), actor.CodeOK)
		durable := s.send(s.message("a", "add", add{N: 1})) // has the window as its limit
		close(held)
		for _, r := range append(waiting, stuck, durable) {
			s.want(s.await(r), actor.CodeOK)
		}
		if slices.Contains(s.history("a"), string(refused.ID)) {
			t.Error("a command was executed that was refused")
		}
		s.want(s.ask(direct(refused)), actor.CodeOK)
	})
}

// TestNode_LostSubscription_IsServedAnew, without a command executed twice, and
// while others hold the rest.
func TestNode_LostSubscription_IsServedAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		id := s.idsIn(1, 1)[0]
		s.want(s.add(id, 1), actor.CodeOK)
		epoch := s.claim(1).Epoch
		if !s.bus.failAny(1, errors.New("gone")) {
			t.Fatal("nobody serves partition 1")
		}
		s.want(s.add(id, 1), actor.CodeOK)
		if sum, v := s.read(id); sum != 2 || v != 2 {
			t.Errorf("sum %d at version %d", sum, v)
		}
		if c := s.claim(1); c.Epoch <= epoch {
			t.Errorf("epoch %d, was %d", c.Epoch, epoch)
		}
	})
}

// TestNode_LostSubscription_OldHandlerIsNotHeard: a handler is stuck while the
// partition is lost and served anew. What it says when it returns is of the past.
func TestNode_LostSubscription_OldHandlerIsNotHeard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		held := make(chan struct{})
		first := make(chan struct{}, 1)
		first <- struct{}{}
		s := newSetup(t, nil, func(c *runtime.Config) { c.WriteTimeout, c.DrainTimeout = time.Second, time.Second },
			counters(nil, func(d *actor.Definition[counter]) {
				actor.Query(d, func(c *counter, _ *actor.QueryContext, _ peek) (int64, error) {
					select {
					case <-first:
						<-held
					default:
					}
					return c.Sum, nil
				})
			}))
		id := s.idsIn(1, 1)[0]
		s.want(s.add(id, 1), actor.CodeOK)
		peeking := s.query(id)
		peeking.Name = "peek"
		stuck := s.send(peeking)
		s.pause(time.Millisecond)
		if !s.bus.failAny(1, errors.New("gone")) {
			t.Fatal("nobody serves partition 1")
		}
		s.want(s.add(id, 1), actor.CodeOK)
		close(held)
		s.unanswered(stuck, 5*time.Second)
		if o := s.want(s.ask(peeking), actor.CodeOK); string(o.Reply) != "2" {
			t.Errorf("%s", o.Reply)
		}
	})
}

// TestNode_Serve_Fails_IsTriedAgain: the claim is held meanwhile.
func TestNode_Serve_Fails_IsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		s.bus.refuse = context.DeadlineExceeded
		s.launch("n1")
		s.pause(5 * lease)
		if n := len(s.node.Status().Partitions); n != 0 {
			t.Fatalf("serves %d", n)
		}
		s.bus.mu.Lock()
		s.bus.refuse = nil
		s.bus.mu.Unlock()
		s.awaitServing()
		s.want(s.add("a", 1), actor.CodeOK)
	})
}

// TestNode_Trim_FollowsTheSavedWatermark: the next owner reads from there.
func TestNode_Trim_FollowsTheSavedWatermark(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		id := s.idsIn(1, 1)[0]
		h.with(func(h *hooked) {
			h.watermarks = func(context.Context, []store.Claim) error { return store.ErrUnknown }
		})
		s.want(s.add(id, 1), actor.CodeOK)
		s.pause(10 * time.Second)
		if n := s.bus.trimmedTo(1); n != 0 {
			t.Errorf("trimmed up to %d, nothing is saved", n)
		}
		h.with(func(h *hooked) { h.watermarks = nil })
		s.eventually("the stream is trimmed", func() bool { return s.bus.trimmedTo(1) == 1 })
	})
}

func (b *logBus) trimmedTo(p actor.Partition) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(b.trimmed, b.apart[p])
}

// TestNode_Trim_HeldBack: a command that is stuck holds back the trimming of its
// own partition, and that of the others only for a while.
func TestNode_Trim_HeldBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		held := make(chan struct{})
		defer close(held)
		s := newSetup(t, nil, func(c *runtime.Config) { c.TrimAhead = 10 }, counters(held))
		s.want(s.add(s.idsIn(1, 1)[0], 1), actor.CodeOK)    // 1
		s.send(s.message(s.idsIn(1, 2)[1], "hold", hold{})) // 2
		other := s.idsIn(2, 1)[0]
		for range 9 {
			s.want(s.add(other, 1), actor.CodeOK) // 3 to 11
		}
		s.pause(time.Second)
		if one, two := s.bus.trimmedTo(1), s.bus.trimmedTo(2); one != 1 || two != 1 {
			t.Errorf("trimmed up to %d and %d, want 1: command 2 is not finished", one, two)
		}
		for range 5 {
			s.want(s.add(other, 1), actor.CodeOK) // up to 16
		}
		s.eventually("the other is trimmed", func() bool { return s.bus.trimmedTo(2) == 16 })
		if n := s.bus.trimmedTo(1); n != 1 {
			t.Errorf("partition 1 trimmed up to %d", n)
		}
	})
}

// TestNode_ClaimLost_ServedAnewAfterTheOldHasStopped: somebody took the claim and
// is gone. The partition is claimed again, but not served before a handler that
// is stuck has been waited for.
func TestNode_ClaimLost_ServedAnewAfterTheOldHasStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		held := make(chan struct{})
		var mu sync.Mutex
		var seen []string
		note := func(p actor.Partition, what string) {
			mu.Lock()
			defer mu.Unlock()
			if p == 1 {
				seen = append(seen, what)
			}
		}
		s := newSetup(t, nil, func(c *runtime.Config) {
			c.WriteTimeout, c.DrainTimeout = time.Second, time.Second
			c.Listener.PartitionServed = func(p actor.Partition) { note(p, "served") }
			c.Listener.PartitionLeft = func(p actor.Partition, _ error) { note(p, "left") }
		}, counters(held))
		ids := s.idsIn(1, 2)
		stuck := s.send(direct(s.message(ids[0], "hold", hold{})))
		s.pause(time.Millisecond)
		thief := store.Session{Name: "thief", Incarnation: "thief-1"}
		if got, err := s.store.TakeClaims(t.Context(), thief, []store.Claim{s.claim(1)}); len(got) != 1 {
			t.Fatal(err)
		}
		x := s.send(s.message(ids[1], "add", add{N: 1})) // moves the watermark, which cannot be saved
		s.want(s.await(x), actor.CodeOK)
		s.eventually("it is served anew", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(seen) >= 3
		})
		mu.Lock()
		if !slices.Equal(seen, []string{"served", "left", "served"}) {
			t.Errorf("%v", seen)
		}
		mu.Unlock()
		close(held)
		s.unanswered(stuck, time.Second)
		s.want(s.add(ids[1], 1), actor.CodeOK)
	})
}
