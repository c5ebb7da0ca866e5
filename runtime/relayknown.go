package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// knownEvents is what the event stream has, for a rescan: the feed is followed from
// its beginning, because it does not know the place of the newest event any more, and
// what is known is passed over. The feed has each aggregate's commits in order, so the
// last version of each is enough. An aggregate is forgotten once the feed has come to
// that version: when all are, the rescan is over.
type knownEvents struct {
	last map[[16]byte]knownVersion
	// began is the earliest time of an event, if others before the first have been
	// removed because of a limit of the stream. Zero: none have. It need not be the time
	// of the first: clocks of owners differ.
	began time.Time
}

// knownVersion is the last event of an aggregate.
type knownVersion struct {
	version store.Version
	event   uint64 // hash of what it is
}

// trimmedMargin is by how much a commit that is not relayed may be older than everything
// in the event stream: the difference of two clocks, and the longest that a write takes.
// What has been relayed, and was removed, is relayed again if it is within the margin:
// readers pass over versions that they have.
const trimmedMargin = time.Minute

var (
	errDiverged = errors.New("the event stream has another history than the store")
	errTooMany  = errors.New("the event stream has too many aggregates to remember")
)

// learn reads what the event stream has. If that is too much to remember, the stream
// is filled anew, which takes no memory.
func (s *relaying) learn(ctx context.Context) error {
	s.cfg.Logger.WarnContext(ctx, "the whole store is compared with the event stream", "events", s.last)
	known := &knownEvents{last: map[[16]byte]knownVersion{}}
	first, trimmed := true, false
	for e, err := range s.outbox.EventNames(ctx, s.stream, s.last) {
		if err != nil {
			return fmt.Errorf("relay: %w", err)
		}
		trimmed = trimmed || first && e.Position > 1
		if trimmed && (first || e.Time.Before(known.began)) {
			known.began = e.Time
		}
		first = false
		known.last[keyOf(e.Source.String())] = knownVersion{store.Version(e.Version), eventHash(string(e.CommandID), e.Name, e.Time)}
		if len(known.last) > s.cfg.RescanMax {
			return s.rebuild(ctx, fmt.Errorf("more than %d: %w", s.cfg.RescanMax, errTooMany))
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.known = known
	return nil
}

func keyOf(aggregate string) (key [16]byte) {
	sum := sha256.Sum256([]byte(aggregate))
	copy(key[:], sum[:])
	return key
}

func eventHash(command, name string, at time.Time) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d", command, name, at.UnixMicro()))
	return binary.BigEndian.Uint64(sum[:])
}

// sift returns how many events of a commit the event stream has already, and whether
// what the commit sends must be sent although it has all of them.
func (s *relaying) sift(c *store.Commit) (from int, again bool, err error) {
	if s.begun.aggregate == c.Aggregate && c.Aggregate != "" {
		through := s.begun.version
		if through <= c.Last() {
			s.begun = begunCommit{}
		}
		if through >= c.First {
			return int(min(through, c.Last())-c.First) + 1, false, nil //nolint:gosec // at most the number of events
		}
	}
	if s.known == nil {
		return 0, false, nil
	}
	key := keyOf(string(c.Aggregate))
	is, ok := s.known.last[key]
	switch {
	case !ok && !s.known.began.IsZero() && time.UnixMicro(c.Time).Before(s.known.began.Add(-trimmedMargin)):
		return len(c.Events), s.resend, nil // was relayed, and removed since
	case !ok || is.version < c.First:
		delete(s.known.last, key)
	case is.version > c.Last():
		return len(c.Events), s.resend, nil
	default:
		from = int(is.version-c.First) + 1 //nolint:gosec // at most the number of events
		if err := s.compare(c, from-1, is); err != nil {
			return 0, false, err
		}
		delete(s.known.last, key)
		again = s.resend
	}
	s.rescanned()
	return from, again, nil
}

// rescanned ends a rescan that has come to all that is known.
func (s *relaying) rescanned() {
	if len(s.known.last) == 0 {
		s.cfg.Logger.Info("all that the event stream has is in the store")
		s.known, s.resend, s.rescan = nil, false, false
	}
}

// compare makes sure that the last known event of an aggregate is the one that the
// store has: a store that was put back to an earlier state goes on in another way.
func (s *relaying) compare(c *store.Commit, i int, is knownVersion) error {
	raised := 0
	command := ""
	for k := range c.Outcomes {
		if raised += c.Outcomes[k].Events; i < raised {
			command = c.Outcomes[k].CommandID
			break
		}
	}
	if eventHash(command, c.Events[i].Name, time.UnixMicro(c.Time)) != is.event {
		return fmt.Errorf("%s version %d: %w", c.Aggregate, is.version, errDiverged)
	}
	return nil
}
