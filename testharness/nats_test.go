package testharness_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/testharness"
)

func TestNATS_Restart_KeepsStoreAndConnections(t *testing.T) {
	t.Parallel()
	tests := map[string][]testharness.NATSOption{
		"in process": nil,
		"listening":  {testharness.WithListener(), testharness.WithSyncAlways()},
	}
	for name, opts := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := testharness.NATS(t, opts...)
			nc := s.Connect(t)
			js := newJetStream(t, nc)
			createStream(t, js, 1)
			publish(t, js, "s.a")
			url := s.URL()

			s.Restart(t)

			if s.URL() != url {
				t.Errorf("URL changed over a restart: %q to %q", url, s.URL())
			}
			awaitReconnect(t, nc)
			publish(t, js, "s.b")
			stream, err := js.Stream(t.Context(), "S")
			if err != nil {
				t.Fatal(err)
			}
			if got := stream.CachedInfo().State.Msgs; got != 2 {
				t.Errorf("stream holds %d messages after the restart, want 2", got)
			}
		})
	}
}

func TestNATS_WithListener_AcceptsURL(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t, testharness.WithListener())
	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

func TestNATS_WithServerOptions(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t, testharness.WithServerOptions(func(o *server.Options) { o.MaxPayload = 4321 }))
	if got := s.Connect(t).MaxPayload(); got != 4321 {
		t.Errorf("MaxPayload = %d, want 4321", got)
	}
}

func TestNATS_Stop_Disconnects(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	nc := s.Connect(t)
	s.Stop()
	s.Stop()
	testharness.Eventually(t, 10*time.Second, nc.IsReconnecting)
	if s.Server() != nil {
		t.Error("a stopped server is still handed out")
	}
}

// awaitReconnect waits until a restart was noticed, which IsConnected alone does
// not tell, and is over.
func awaitReconnect(t *testing.T, nc *nats.Conn) {
	t.Helper()
	testharness.Eventually(t, 10*time.Second, func() bool { return nc.Stats().Reconnects > 0 && nc.IsConnected() })
}

func newJetStream(t *testing.T, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func createStream(t *testing.T, js jetstream.JetStream, replicas int) jetstream.Stream {
	t.Helper()
	// A replicated stream needs an election, which can take nats-server 9 s.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Replicas: replicas})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func publish(t *testing.T, js jetstream.JetStream, subject string) {
	t.Helper()
	if _, err := js.Publish(t.Context(), subject, []byte("x")); err != nil {
		t.Fatal(err)
	}
}
