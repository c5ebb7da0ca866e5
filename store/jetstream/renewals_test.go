package jetstream_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/testharness"
)

// busyServer makes connections that stop to read once they are busy, as one does whose
// client is behind with what others have asked for.
type busyServer struct {
	*testharness.NATSServer
	busy chan struct{}
	free chan struct{}
}

// InProcessConn implements nats.InProcessConnProvider.
func (b *busyServer) InProcessConn() (net.Conn, error) {
	conn, err := b.NATSServer.InProcessConn()
	return &busyConn{conn, b}, err
}

type busyConn struct {
	net.Conn
	from *busyServer
}

func (c *busyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.from.busy:
		<-c.from.free
	default:
	}
	return n, err
}

// TestStore_Leases_WaitBehindNothing: what is read of aggregates goes through another
// connection, and a session is renewed in one message while nothing comes back on that.
func TestStore_Leases_WaitBehindNothing(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t)
	d := &busyServer{NATSServer: server, busy: make(chan struct{}), free: make(chan struct{})}
	leases := server.Connect(t)
	s := open(t, server.Connect(t, nats.InProcessServer(d)), jetstream.Config{Leases: leases})
	session := store.Session{Name: "n1", Incarnation: "i1"}
	if err := s.OpenSession(t.Context(), session, nil); err != nil {
		t.Fatal(err)
	}
	session.Beat = 1
	renew := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := s.Renew(ctx, session); err != nil {
			t.Fatal(err)
		}
		session.Beat++
	}
	renew()
	close(d.busy)
	defer close(d.free)
	var reading sync.WaitGroup
	reading.Go(func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Append(ctx, []store.Commit{commit("account/a", 1)})[0]; !errors.Is(err, store.ErrUnknown) {
			t.Errorf("the busy connection is not: %v", err)
		}
	})
	before := leases.Stats().OutMsgs
	for range 5 {
		renew()
	}
	if sent := leases.Stats().OutMsgs - before; sent != 5 {
		t.Errorf("5 renewals sent %d messages", sent)
	}
	if all, err := s.Sessions(t.Context()); err != nil || len(all) != 1 || all[0].Beat != session.Beat {
		t.Errorf("sessions %v, %v", all, err)
	}
	reading.Wait()
}

// TestStore_Renew_RemembersNothingThatIsNotSo: a renewal stands on the place of the last
// one, and what others have written since is seen.
func TestStore_Renew_RemembersNothingThatIsNotSo(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t)
	s, other := open(t, server.Connect(t), jetstream.Config{}), open(t, server.Connect(t), jetstream.Config{})
	session := store.Session{Name: "n1", Incarnation: "i1"}
	if err := s.OpenSession(t.Context(), session, nil); err != nil {
		t.Fatal(err)
	}
	for beat := range uint64(3) {
		session.Beat = beat + 1
		if err := s.Renew(t.Context(), session); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Renew(t.Context(), session); !errors.Is(err, store.ErrLost) {
		t.Errorf("a renewal on an old beat: %v", err)
	}
	session.Beat++
	session.Draining = true
	if err := other.Renew(t.Context(), session); err != nil { // one of this node that was sent earlier, say
		t.Fatal(err)
	}
	if err := s.Renew(t.Context(), session); !errors.Is(err, store.ErrLost) {
		t.Errorf("a renewal on a beat that has moved: %v", err)
	}
	session.Beat++
	if err := s.Renew(t.Context(), session); err != nil {
		t.Errorf("a renewal on the beat of another client: %v", err)
	}
	session.Beat++
	if err := other.DeclareDead(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if err := s.Renew(t.Context(), session); !errors.Is(err, store.ErrLost) {
		t.Errorf("a renewal of a dead session: %v", err)
	}
}
