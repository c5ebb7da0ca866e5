package natsd_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/natsd"
)

const patience = time.Minute

func startCluster(t *testing.T) (*natsd.Cluster, []jetstream.JetStream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := natsd.StartCluster(ctx, natsd.Config{Servers: 3, LameDuckGrace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	streams := make([]jetstream.JetStream, 3)
	for i, s := range c.Servers() {
		// Each stays with its server: otherwise all would be with one in the end, and be cut off with it.
		nc, err := nats.Connect(s.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.IgnoreDiscoveredServers())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		if streams[i], err = jetstream.New(nc); err != nil {
			t.Fatal(err)
		}
	}
	testharness.Eventually(t, patience, func() bool {
		_, err := streams[0].CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3})
		return err == nil
	})
	return c, streams
}

// publish returns once the stream has stored a message, however often it takes,
// through any of the servers: one that is cut off serves nobody.
func publish(t *testing.T, streams []jetstream.JetStream, text string) {
	t.Helper()
	try := 0
	testharness.Eventually(t, patience, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := streams[try%3].Publish(ctx, "s", []byte(text), jetstream.WithMsgID(text))
		try++
		return err == nil
	})
}

// leader waits for the stream's leader.
func leader(t *testing.T, c *natsd.Cluster, not *natsd.Server) *natsd.Server {
	t.Helper()
	var found *natsd.Server
	var last error
	defer func() {
		if t.Failed() {
			t.Logf("the leader seen last: %v, %v; not wanted: %v", found, last, not)
		}
	}()
	testharness.Eventually(t, patience, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		found, last = c.StreamLeader(ctx, "S")
		return last == nil && found != not
	})
	return found
}

// TestCluster_LosesItsLeader takes the stream's leader away in every way there
// is; nothing that was acknowledged is lost.
func TestCluster_LosesItsLeader(t *testing.T) {
	t.Parallel()
	c, js := startCluster(t)
	sent := 0
	publish(t, js, fmt.Sprint(sent))
	for name, lose := range map[string]func(*natsd.Server) (back func() error){
		"kill": func(s *natsd.Server) func() error {
			s.Kill()
			if err := s.Pause(); !errors.Is(err, natsd.ErrNotRunning) {
				t.Errorf("pause of a killed server: %v", err)
			}
			return func() error { return s.Start(t.Context()) }
		},
		"pause": func(s *natsd.Server) func() error {
			if err := s.Pause(); err != nil {
				t.Fatal(err)
			}
			return s.Resume
		},
		"lame duck": func(s *natsd.Server) func() error {
			if err := s.LameDuck(); err != nil {
				t.Fatal(err)
			}
			return func() error { return errors.Join(s.AwaitEnd(t.Context()), s.Start(t.Context())) }
		},
		"isolate": func(s *natsd.Server) func() error {
			c.Isolate(s.Index())
			return func() error {
				c.Heal()
				return nil
			}
		},
	} {
		old := leader(t, c, nil)
		t.Logf("%s %s", name, old.Name())
		back := lose(old)
		sent++
		publish(t, js, fmt.Sprint(sent))
		if now := leader(t, c, old); now == old {
			t.Errorf("%s: the leader stayed", name)
		}
		if err := back(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := c.AwaitReady(ctx); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		cancel()
	}
	// A leader that was cut off answers for a while longer, with what it knows.
	var stored uint64
	defer func() { t.Logf("%d messages are stored, %d were acknowledged", stored, sent+1) }()
	testharness.Eventually(t, patience, func() bool {
		s, err := js[0].Stream(t.Context(), "S")
		if err != nil {
			return false
		}
		stored = s.CachedInfo().State.Msgs
		return stored == uint64(sent+1)
	})
}

func TestCluster_StepDown(t *testing.T) {
	t.Parallel()
	c, js := startCluster(t)
	publish(t, js, "x")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var old *natsd.Server
	testharness.Eventually(t, patience, func() bool { // a request is lost with a leader that is just changing
		old = leader(t, c, nil)
		err := c.StepDown(ctx, "S")
		if err != nil {
			t.Log(err)
		}
		return err == nil
	})
	leader(t, c, old)
	if err := c.DeleteStream(ctx, "S"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.StreamLeader(ctx, "S"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("leader of a deleted stream: %v", err)
	}
}
