package turns_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/ganglion-go/ganglion/internal/turns"
)

// TestTurns: many that only may end the process go side by side; one that is suspected waits
// for them, goes alone, and is not overtaken for ever.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := turns.New()
		take := func(alone bool) <-chan func() {
			got := make(chan func(), 1)
			go func() {
				release, err := all.Take(t.Context(), alone)
				if err != nil {
					t.Error(err)
				}
				got <- release
			}()
			synctest.Wait()
			return got
		}
		first, second := take(false), take(false)
		alone := take(true)
		later := take(false)
		if len(first) != 1 || len(second) != 1 || len(alone) != 0 || len(later) != 0 {
			t.Fatalf("%d, %d, %d, %d", len(first), len(second), len(alone), len(later))
		}
		(<-first)()
		synctest.Wait()
		if len(alone) != 0 {
			t.Error("alone beside another one")
		}
		(<-second)()
		synctest.Wait()
		if len(alone) != 1 || len(later) != 0 {
			t.Errorf("%d alone, and %d beside it", len(alone), len(later))
		}
		cause := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if _, err := all.Take(ctx, false); !errors.Is(err, cause) {
			t.Errorf("of a context that has ended: %v", err)
		}
		(<-alone)()
		synctest.Wait()
		(<-later)()
	})
}
