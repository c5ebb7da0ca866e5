package runtime_test

import (
	"log/slog"
	"strings"
	"testing"

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
