package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	quorumPoll   = 100 * time.Millisecond
	quorumAsk    = time.Second      // bounds one question to JetStream
	quorumRemind = 10 * time.Second // between two lines of the log
)

// quorum is what a node whose server is one of several waits for before it looks
// for its streams.
type quorum struct {
	server   *embedded
	conn     *nats.Conn
	others   int // servers that are named
	replicas int
	logger   *slog.Logger
}

// await returns when the servers have a leader and there are streams, or this
// server leads and has enough others to place streams on. The error wraps
// [ErrNoQuorum] once the time is over, which begins anew as long as this server reads
// what it has stored.
//
// Only the leader knows who belongs to it: a server that the others do not let in
// looks like one of them for a moment, each time it tries. So the node that has the
// leader makes the streams, and the others wait until there are any. Once there are
// streams, a majority is enough.
func (q *quorum) await(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := q.server.whileRecovering(ctx, timeout, ErrNoQuorum)
	defer cancel()
	remind := time.NewTicker(quorumRemind)
	defer remind.Stop()
	begin, waited := time.Now(), false
	for ; !q.reached(ctx); waited = true {
		if !waited {
			q.say(ctx, begin)
		}
		select {
		case <-ctx.Done():
			return q.failed(context.Cause(ctx), begin)
		case <-remind.C:
			q.say(ctx, begin)
		case <-time.After(quorumPoll):
		}
	}
	if waited {
		q.logger.InfoContext(ctx, "the embedded NATS servers have found together", "servers", q.present(), "after", since(begin))
	}
	return nil
}

// reached asks for streams only where there is somebody to answer.
func (q *quorum) reached(ctx context.Context) bool {
	if !q.server.server().JetStreamIsCurrent() {
		return false
	}
	s := q.server.server()
	enough := s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) >= q.replicas
	return enough || q.hasStreams(ctx)
}

// hasStreams reports whether the cluster has been whole before.
func (q *quorum) hasStreams(ctx context.Context) bool {
	js, err := jetstream.New(q.conn)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, quorumAsk)
	defer cancel()
	account, err := js.AccountInfo(ctx)
	return err == nil && account.Streams > 0
}

// present is the number of servers that this one sees, itself included.
func (q *quorum) present() int {
	names := map[string]bool{}
	routes, err := q.server.server().Routez(nil)
	if err != nil {
		return 1
	}
	for _, r := range routes.Routes {
		names[r.RemoteName] = true
	}
	return len(names) + 1
}

// waitsFor says what await waits for.
func (q *quorum) waitsFor() string {
	return fmt.Sprintf("waits for the NATS servers of other nodes: %d of %d are here, and there is %s",
		q.present(), q.others+1, map[bool]string{true: "a leader", false: "no leader"}[q.server.server().JetStreamIsCurrent()])
}

func (q *quorum) say(ctx context.Context, begin time.Time) {
	q.logger.InfoContext(ctx, "waiting for the NATS servers of other nodes", "here", q.present(), "named", q.others+1,
		"leader", q.server.server().JetStreamIsCurrent(), "for", since(begin))
}

func (q *quorum) failed(cause error, begin time.Time) error {
	if !errors.Is(cause, ErrNoQuorum) {
		return fmt.Errorf("wait for the NATS servers of other nodes: %w", cause)
	}
	why := ""
	if said := q.server.log.refused(); said != "" {
		why = fmt.Sprintf("; one does not trust the other: %s", said)
	}
	return fmt.Errorf("%w: after %v, this one sees %d of %d, and a cluster without streams waits for as many as it has replicas%s; are the others running, with the same --namespace and secret, certificates of one authority that have not expired, and do --nats-routes name all of them?",
		cause, since(begin), q.present(), q.others+1, why)
}

func since(t time.Time) time.Duration { return time.Since(t).Round(100 * time.Millisecond) }
