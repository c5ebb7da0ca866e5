package natsbus_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
)

// TestBus_Announce reaches the other buses of the namespace, not the one that
// announces, not another namespace, and nobody who has stopped to listen.
func TestBus_Announce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t, natsbus.Config{Partitions: 1})
		peer := openBus(t, f.server.Connect(t), natsbus.Config{})
		stranger := openBus(t, f.server.Connect(t), natsbus.Config{Namespace: "other"})
		var own, others, strangers atomic.Int64
		messages := make(chan string, 10)
		listen := func(b *natsbus.Bus, n *atomic.Int64) (stop func()) {
			stop, err := b.Announced(func(message []byte) {
				n.Add(1)
				messages <- string(message)
			})
			if err != nil {
				t.Fatal(err)
			}
			return stop
		}
		defer listen(f.bus, &own)()
		stop := listen(peer, &others)
		defer listen(stranger, &strangers)()
		announce := func(message string) {
			t.Helper()
			<-time.After(time.Second) // subscriptions have reached the server
			if err := f.bus.Announce(t.Context(), []byte(message)); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second)
		}
		announce("what has changed")
		announce("")
		stop()
		announce("more")
		if own.Load() != 0 || others.Load() != 2 || strangers.Load() != 0 {
			t.Errorf("heard by itself %d, the other %d, the stranger %d; want 0, 2, 0", own.Load(), others.Load(), strangers.Load())
		}
		if first, second := <-messages, <-messages; first != "what has changed" || second != "" {
			t.Errorf("heard %q and %q", first, second)
		}
	})
}

// TestClient_NewOwner_IsAskedAtOnce: the owner that got a direct message goes
// without an answer; the next one is asked as soon as it serves, and others'
// partitions make no difference.
func TestClient_NewOwner_IsAskedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t, natsbus.Config{Partitions: 2})
		mute := &owner{}
		old, err := f.bus.Serve(t.Context(), 0, f.bus.Stream(), 0, mute)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second) // its own announcement is over
		m := direct(idIn(0, 2), "1")
		told := make(chan actor.Outcome, 1)
		start := time.Now()
		go func() { told <- f.client.Deliver(t.Context(), m) }()
		<-time.After(100 * time.Millisecond)
		serve(t, f.bus, &owner{}, 1)
		<-time.After(100 * time.Millisecond)
		if n := len(mute.directs()); n != 1 {
			t.Errorf("the owner was asked %d times", n)
		}
		stop(t, old)
		next := &owner{answer: echo}
		serve(t, f.bus, next, 0)
		if o := <-told; o.Code != actor.CodeOK || time.Since(start) > 300*time.Millisecond {
			t.Errorf("told %+v after %v", o, time.Since(start))
		}
		first, second := mute.directs(), next.directs()
		if len(second) != 1 || second[0].Message.ID != first[0].Message.ID || second[0].Message.Attempt != 2 {
			t.Errorf("asked %+v, then %+v", first, second)
		}
	})
}
