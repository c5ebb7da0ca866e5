package jetstream_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/testharness"
)

// TestOpen_AnswerLost forwards the requests of JetStream's API and loses the
// answer to each first creation, as a leader does that dies after it. The stream
// is there, and Open finds it when it asks again.
func TestOpen_AnswerLost(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t)
	between := server.Connect(t)
	var created atomic.Int64
	if _, err := between.Subscribe("between.>", func(m *nats.Msg) {
		api := "$JS.API." + strings.TrimPrefix(m.Subject, "between.")
		if strings.Contains(api, ".STREAM.CREATE.") && created.Add(1) <= 4 {
			m.Reply = between.NewInbox()
		}
		if err := between.PublishRequest(api, m.Reply, m.Data); err != nil {
			t.Errorf("forward: %v", err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := between.Flush(); err != nil {
		t.Fatal(err)
	}
	s := open(t, server.Connect(t), jetstream.WithAPIPrefix(jetstream.Config{}, "between"))
	if n := created.Load(); n != 4 {
		t.Errorf("%d creations, want 4: one of each stream", n)
	}
	appendAll(t, s, commit("account/a", 1))
}
