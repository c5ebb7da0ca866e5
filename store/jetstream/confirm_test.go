package jetstream_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/testharness"
)

// oldLeader stands between a store and the servers, and answers reads, once it is
// frozen, as they were answered before: like a leader that was replaced without
// knowing it, and like the replicas on its side. What is published goes to the
// stream, which has another leader.
type oldLeader struct {
	t  *testing.T
	nc *nats.Conn

	mu     sync.Mutex
	frozen map[string][]*nats.Msg // answers by subject; nil: not frozen
}

const (
	oldGets = "old.gets."
	oldAPI  = "old.api"
)

func newOldLeader(t *testing.T, nc *nats.Conn) *oldLeader {
	t.Helper()
	l := &oldLeader{t: t, nc: nc}
	for _, subject := range []string{oldGets + "*", oldAPI + ".>"} {
		if _, err := nc.Subscribe(subject, l.answer); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return l
}

// realSubject is what a subject stands for.
func realSubject(subject string) string {
	if stream, ok := strings.CutPrefix(subject, oldGets); ok {
		return "$JS.API.DIRECT.GET." + stream
	}
	return "$JS.API" + strings.TrimPrefix(subject, oldAPI)
}

func (l *oldLeader) answer(m *nats.Msg) {
	l.mu.Lock()
	answers, known := l.frozen[m.Subject]
	l.mu.Unlock()
	if !known {
		answers = []*nats.Msg{{Subject: realSubject(m.Subject), Reply: m.Reply, Data: m.Data, Header: m.Header}}
	}
	for _, a := range answers {
		next := &nats.Msg{Subject: a.Subject, Reply: a.Reply, Data: a.Data, Header: a.Header}
		if known {
			next.Subject, next.Reply = m.Reply, ""
		}
		if err := l.nc.PublishMsg(next); err != nil {
			l.t.Errorf("answer: %v", err)
		}
	}
}

// freeze keeps the answers of now to each request, of which the last one has no
// data, or is the only one.
func (l *oldLeader) freeze(requests map[string]string) {
	l.t.Helper()
	frozen := map[string][]*nats.Msg{}
	for subject, body := range requests {
		replies, err := l.nc.SubscribeSync(l.nc.NewInbox())
		if err != nil {
			l.t.Fatal(err)
		}
		if err := l.nc.PublishRequest(realSubject(subject), replies.Subject, []byte(body)); err != nil {
			l.t.Fatal(err)
		}
		for end := false; !end; {
			m, err := replies.NextMsg(10 * time.Second)
			if err != nil {
				l.t.Fatalf("%s: %v", subject, err)
			}
			frozen[subject] = append(frozen[subject], m)
			end = m.Header.Get("Status") != "" || strings.HasPrefix(subject, oldAPI)
		}
		if err := replies.Unsubscribe(); err != nil {
			l.t.Fatal(err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = frozen
}

// TestConfirmSession_LeaderReplaced: whoever asks for the last sequence, and then
// reads up to it, is shown the past by an old leader. A confirmation is not to be
// had from it.
func TestConfirmSession_LeaderReplaced(t *testing.T) {
	t.Parallel()
	cluster := testharness.NATSCluster(t, 3)
	cfg := jetstream.Config{Replicas: 3, Timeout: 20 * time.Second}
	other := open(t, cluster.Connect(t), cfg)
	leader := newOldLeader(t, cluster.Connect(t))
	fooled := open(t, cluster.Connect(t), jetstream.WithAPIPrefix(cfg, oldAPI))
	jetstream.RedirectGets(fooled, oldGets)
	session := store.Session{Name: "node", Incarnation: "one", Beat: 1}
	if err := fooled.OpenSession(t.Context(), session, nil); err != nil {
		t.Fatal(err)
	}
	if err := fooled.ConfirmSession(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	leader.freeze(map[string]string{
		oldAPI + ".STREAM.INFO.ganglion_LEASES": "",
		oldGets + "ganglion_LEASES":             `{"multi_last":["ganglion.lease.mark","ganglion.lease.session.*"]}`,
	})
	if err := other.DeclareDead(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if all, err := fooled.Sessions(t.Context()); err != nil || len(all) != 1 || all[0].Dead {
		t.Fatalf("sessions %+v, %v: nobody is fooled, and the test shows nothing", all, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := fooled.ConfirmSession(ctx, session); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("confirm a dead session with an old leader: %v, want %v", err, store.ErrUnavailable)
	}
	if err := other.ConfirmSession(t.Context(), session); !errors.Is(err, store.ErrLost) {
		t.Errorf("confirm a dead session: %v, want %v", err, store.ErrLost)
	}
}
