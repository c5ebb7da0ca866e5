package jetstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/store"
)

// feedPoll is how long a follower sleeps when it hears of no new commit. The
// server tells of each one, but a notice can be lost.
const feedPoll = time.Second

// Follow implements [store.Feed]: the order of the stream, which is one order of
// all commits, without gaps. It ends with an error that wraps
// store.ErrUnavailable when the server cannot be read, and can be resumed then.
func (s *Store) Follow(ctx context.Context, after store.Token) iter.Seq2[store.FeedItem, error] {
	return func(yield func(store.FeedItem, error) bool) {
		if ctx.Err() != nil {
			return
		}
		err := s.follow(ctx, after, func(item store.FeedItem) bool { return yield(item, nil) })
		if err != nil && ctx.Err() == nil {
			yield(store.FeedItem{}, fmt.Errorf("follow feed: %w", err))
		}
	}
}

func (s *Store) follow(ctx context.Context, after store.Token, visit func(store.FeedItem) bool) error {
	through, err := s.place(ctx, after)
	if err != nil {
		return err
	}
	// Listening comes first: a commit that is stored after the read which does
	// not see it is announced.
	grown := &growth{wake: make(chan struct{}, 1)}
	sub, err := s.commits.nc.Subscribe(s.cfg.Namespace+".store.grown", grown.note)
	if err != nil {
		return unavailable(err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // it fails only when the connection is closed, and then there is nothing to undo
	for {
		a, err := s.readFeed(ctx, through+1)
		if err != nil {
			return err
		}
		for i := range a.messages {
			through = a.messages[i].seq
			if a.messages[i].subject == s.commits.mark {
				continue
			}
			item, known := s.itemOf(ctx, &a.messages[i])
			if !known {
				continue
			}
			if item.Token = s.token(through); !visit(item) {
				return nil
			}
		}
		if len(a.messages) == 0 {
			if err := s.awaitGrowth(ctx, through, grown); err != nil {
				return err
			}
		}
	}
}

// itemOf reads a message of the stream. known is false for one whose subject is that of
// no aggregate: it is no commit, and nothing loads it.
func (s *Store) itemOf(ctx context.Context, m *stored) (item store.FeedItem, known bool) {
	of, known := s.subjects.aggregateOf(m.subject)
	if !known {
		s.cfg.Logger.ErrorContext(ctx, "a message among the commits is not one, and is passed over", "subject", m.subject, "sequence", m.seq)
		return item, false
	}
	c, err := decodeCommit(m)
	first, last, noVersions := versionsOf(m)
	switch {
	case err != nil:
	case c.Aggregate != of:
		err = fmt.Errorf("the commit at %d is of %q: %w", m.seq, c.Aggregate, store.ErrCorrupt)
	case noVersions != nil:
		err = noVersions
	case c.First != first || c.Last() != last || len(c.Events) == 0:
		err = fmt.Errorf("the commit at %d has other versions than it says: %w", m.seq, store.ErrCorrupt)
	default:
		return store.FeedItem{Commit: c}, true
	}
	return store.FeedItem{Commit: store.Commit{Aggregate: of, First: first}, Last: last, Unreadable: err}, true
}

func (s *Store) readFeed(ctx context.Context, from uint64) (answer, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	for patience := firstAttempt; ; patience = longer(patience) {
		a, err := s.commits.get(ctx, &getRequest{Sequence: from, Batch: batchMessages, MaxBytes: batchBytes}, patience)
		if !errors.Is(err, errSilent) || s.commits.awaitReplica(ctx) != nil {
			return a, err
		}
	}
}

// growth is the last sequence that the server told of.
type growth struct {
	last atomic.Uint64
	wake chan struct{}
}

func (g *growth) note(m *nats.Msg) {
	seq, err := strconv.ParseUint(m.Header.Get(headerSequence), 10, 64)
	if err != nil {
		return
	}
	g.last.Store(seq)
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// awaitGrowth waits for word of a message behind the given one. The replica that
// was asked may not have that message yet, hence a short pause before the next.
func (s *Store) awaitGrowth(ctx context.Context, through uint64, grown *growth) error {
	if grown.last.Load() > through {
		return pause(ctx, behindPause)
	}
	timer := time.NewTimer(feedPoll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	case <-grown.wake:
	}
	return nil
}

// Now implements [store.Feed].
func (s *Store) Now(ctx context.Context) (store.Token, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	seq, err := s.commits.leaderSequence(ctx)
	if err != nil {
		return "", fmt.Errorf("end of feed: %w", err)
	}
	return s.token(seq), nil
}

// token is the incarnation of the stream and a sequence in it.
func (s *Store) token(seq uint64) store.Token {
	return store.Token(s.commits.incarnation() + "-" + strconv.FormatUint(seq, 10))
}

// place returns the sequence that a token stands for.
func (s *Store) place(ctx context.Context, t store.Token) (uint64, error) {
	if t == "" {
		return 0, nil
	}
	incarnation, place, _ := strings.Cut(string(t), "-")
	seq, err := strconv.ParseUint(place, 10, 64)
	if err != nil || incarnation != s.commits.incarnation() {
		return 0, fmt.Errorf("token %q is not of this stream: %w", t, store.ErrTokenExpired)
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	last, err := s.commits.leaderSequence(ctx)
	if err != nil {
		return 0, err
	}
	if seq > last { // the stream was put back to an earlier state
		return 0, fmt.Errorf("token %q is behind the end, %d: %w", t, last, store.ErrTokenExpired)
	}
	return seq, nil
}
