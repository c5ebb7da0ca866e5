package runtime_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// TestNode_Carry_HoldsNothingSpeculative: an outcome without events, decided on a
// state whose write is under way.
//
//	owner A                          store               node B
//	decides X, appends version 2     (under way)
//	decides Y on version 2: no event
//	saves the carry, with Y's outcome
//	-- dies --                       (never written)
//	                                                     takes the partition, and Y's
//	                                                     outcome: shows a version
//	                                                     that never was
func TestNode_Carry_HoldsNothingSpeculative(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		s.want(s.add("a", 5), actor.CodeOK)
		var mu sync.Mutex
		var saved strings.Builder
		h.with(func(h *hooked) {
			h.watermarks = func(ctx context.Context, held []store.Claim) error {
				mu.Lock()
				defer mu.Unlock()
				for _, c := range held {
					saved.WriteString(c.Carry)
				}
				return h.Store.SaveWatermarks(ctx, held)
			}
		})
		carried := func(id actor.CommandID) bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.Contains(saved.String(), string(id))
		}
		appends := h.holdAppends()
		x := s.send(direct(s.message("a", "add", add{N: 1})))
		write := <-appends
		m := direct(s.message("a", "add", add{}))
		y := s.send(m)
		s.unanswered(y, lease)
		if carried(m.ID) {
			t.Error("an outcome was saved whose state may never be")
		}
		write.write(t, h.Store)
		s.want(s.await(x), actor.CodeOK)
		s.want(s.await(y), actor.CodeOK)
		s.eventually("the outcome is carried", func() bool { return carried(m.ID) })
	})
}
