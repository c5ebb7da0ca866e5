package runtime_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

// TestNode_DeclaredDead_LogsNoErrorThatIsNone: what has succeeded is logged without an error.
func TestNode_DeclaredDead_LogsNoErrorThatIsNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := memory.New()
		gone := store.Session{Name: "gone", Incarnation: "gone-1", Kinds: []string{"counter"}, Lease: lease}
		if err := shared.OpenSession(t.Context(), gone, nil); err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		s := prepare(t, shared, func(c *runtime.Config) { c.Logger = slog.New(slog.NewTextHandler(&text, nil)) })
		s.start("n1")
		s.eventually("it is declared dead", func() bool { found, _ := s.session("gone"); return found.Dead })
		s.pause(lease)
		_ = s.node.Close()
		if got := text.String(); !strings.Contains(got, `"session declared dead"`) || strings.Contains(got, "<nil>") {
			t.Errorf("logged: %s", got)
		}
	})
}

// TestNode_Deadline_OfWhatNobodyWaitsFor: a command with a deadline whose sender does not
// wait, and that comes too late, is not executed; the log says so.
func TestNode_Deadline_OfWhatNobodyWaitsFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var text strings.Builder
		s := newSetup(t, nil, func(c *runtime.Config) { c.Logger = slog.New(slog.NewTextHandler(&text, nil)) })
		for range 3 {
			s.bus.publish(until(s.message("a", "add", add{N: 1}), time.Now().Add(-time.Millisecond)), nil)
		}
		s.want(s.add("a", 5), actor.CodeOK)
		if sum, v := s.read("a"); sum != 5 || v != 1 {
			t.Errorf("sum %d at version %d", sum, v)
		}
		_ = s.node.Close()
		if got := strings.Count(text.String(), "not executed before its deadline"); got != 1 {
			t.Errorf("%d lines, want 1 in a second: %s", got, text.String())
		}
	})
}
