package runtime_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// TestNode_Batch_OwnerDiesWithin: commands that have come in one message of the stream
// are decided and saved one by one. The owner that comes next gets all of them again,
// executes those that are left, and those alone.
func TestNode_Batch_OwnerDiesWithin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, func(c *runtime.Config) { c.BatchEvents = 1 })
		s.want(s.add("a", 1), actor.CodeOK)
		writes, gone := 0, make(chan struct{})
		h.with(func(h *hooked) {
			h.append = func(ctx context.Context, commits []store.Commit) []error {
				if writes++; writes <= 2 {
					return h.Store.Append(ctx, commits)
				}
				<-gone
				errs := make([]error, len(commits))
				for i := range errs {
					errs[i] = errors.New("cut off")
				}
				return errs
			}
		})
		slow := make(chan struct{})
		s.bus.mu.Lock()
		s.bus.slow = slow
		s.bus.mu.Unlock()
		first := s.send(s.message("a", "add", add{N: 1}))
		s.eventually("the first is read", func() bool {
			s.bus.mu.Lock()
			defer s.bus.mu.Unlock()
			return s.bus.read == len(s.bus.log)
		})
		var batch []reply
		for _, n := range []int64{10, -1000, 100, 0, 1000} {
			batch = append(batch, s.send(s.message("a", "add", add{N: n})))
		}
		close(slow)
		s.eventually("a part of the batch is saved", func() bool { return len(s.commits("a")) == 3 })
		s.pause(2 * lease)
		close(gone)
		if err := s.node.Close(); err != nil {
			t.Fatal(err)
		}
		h.with(func(h *hooked) { h.append = nil })
		s.start("n2")
		s.want(s.await(first), actor.CodeOK)
		for i, want := range []string{"12", "", "112", "112", "1112"} {
			code := actor.CodeOK
			if want == "" {
				code = actor.CodeRejected
			}
			if o := s.want(s.await(batch[i]), code); string(o.Reply) != want {
				t.Errorf("command %d of the batch was told %s, want %s", i, o.Reply, want)
			}
		}
		if sum, version := s.read("a"); sum != 1112 || version != 7 || s.bus.batches != 1 {
			t.Errorf("sum %d, version %d, %d batches", sum, version, s.bus.batches)
		}
	})
}
