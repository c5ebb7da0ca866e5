package runtime_test

import (
	"context"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// TestNode_AggregateThatTheStoreFails_IsSeen: writes or loads of one aggregate fail for
// ever. Others go on, it is counted and logged, and not any more once it succeeds.
func TestNode_AggregateThatTheStoreFails_IsSeen(t *testing.T) {
	t.Parallel()
	const poor = store.Aggregate("counter/poor")
	for name, install := range map[string]func(h *hooked, broken *atomic.Bool){
		"writes": func(h *hooked, broken *atomic.Bool) {
			h.append = func(ctx context.Context, commits []store.Commit) []error {
				errs := make([]error, len(commits))
				for i := range commits {
					if commits[i].Aggregate == poor && broken.Load() {
						errs[i] = store.ErrUnknown
						continue
					}
					errs[i] = h.Store.Append(ctx, commits[i:i+1])[0]
				}
				return errs
			}
		},
		"loads": func(h *hooked, broken *atomic.Bool) {
			h.load = func(ctx context.Context, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
				if a == poor && broken.Load() {
					return func(yield func(store.Commit, error) bool) { yield(store.Commit{}, store.ErrUnavailable) }
				}
				return h.Store.Load(ctx, a, after)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var broken atomic.Bool
				broken.Store(true)
				h := newHooked()
				install(h, &broken)
				var log func() string
				s := newSetup(t, h, func(c *runtime.Config) { log = logOf(c) })
				waiting := s.send(s.message("poor", "add", add{N: 1}))
				s.eventually("it is counted", func() bool { return s.node.Status().Struggling == 1 })
				s.want(s.add("other", 1), actor.CodeOK)
				s.pause(5 * time.Minute)
				if n := strings.Count(log(), "level=WARN"); n < 3 || n > 10 || !strings.Contains(log(), "failures=8") {
					t.Errorf("%d warnings in 5 minutes:\n%s", n, log())
				}
				broken.Store(false)
				s.want(s.await(waiting), actor.CodeOK)
				s.eventually("it is not counted any more", func() bool { return s.node.Status().Struggling == 0 })
			})
		})
	}
}
