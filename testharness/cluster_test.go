package testharness_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/testharness"
)

func TestNATSCluster_LosesAndRegainsMember(t *testing.T) {
	t.Parallel()
	c := testharness.NATSCluster(t, 3)
	js := newJetStream(t, c.Connect(t))
	createStream(t, js, 3)
	publish(t, js, "s.a")
	leader, err := c.StreamLeader(t.Context(), js, "S")
	if err != nil || leader < 0 {
		t.Fatalf("stream leader %d: %v", leader, err)
	}
	urls := c.URLs()

	c.Stop(leader)

	testharness.Eventually(t, 30*time.Second, func() bool {
		_, err := js.Publish(t.Context(), "s.b", nil)
		return err == nil
	})
	c.Start(t, leader)
	if diff := cmp.Diff(urls, c.URLs()); diff != "" {
		t.Errorf("URLs changed over a restart (-before +after):\n%s", diff)
	}
	nc, err := nats.Connect(urls[leader])
	if err != nil {
		t.Fatalf("the member is not back: %v", err)
	}
	defer nc.Close()
	publish(t, newJetStream(t, nc), "s.c")
}

func TestNATSCluster_Leader(t *testing.T) {
	t.Parallel()
	c := testharness.NATSCluster(t, 3)
	leader := c.Leader()
	if leader < 0 || leader > 2 {
		t.Fatalf("leader of a ready cluster is %d", leader)
	}
	c.Stop(leader)
	if again := c.Leader(); again == leader {
		t.Errorf("stopped member %d still leads", leader)
	}
	c.WaitReady(t)
	if again := c.Leader(); again < 0 || again == leader {
		t.Errorf("leader after the stop of %d is %d", leader, again)
	}
}
