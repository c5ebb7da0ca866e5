package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/projection"
)

const (
	// readMany is how many documents one request reads.
	readMany = 200
	// someDeleted is how many documents more than are wanted one request reads, as some
	// of them may be deleted.
	someDeleted = 8

	// One request is waited for from firstAttempt to longestAttempt: its answer can be
	// lost with the replica that would have sent it.
	firstAttempt   = 500 * time.Millisecond
	longestAttempt = 3 * time.Second
	behindPause    = 2 * time.Millisecond
)

var (
	errBehind = errors.New("replica is behind")
	errBroken = errors.New("direct get: answer is not complete")
)

// Read implements [projection.Storage].
func (s *Storage) Read(ctx context.Context, at projection.Place, keys ...string) ([]projection.Document, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	docs := make([]projection.Document, 0, len(keys))
	for len(keys) > 0 {
		some := keys[:s.fitting(at, keys)]
		keys = keys[len(some):]
		found, err := s.last(ctx, at, some)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w: %w", at.Collection, projection.ErrUnavailable, err)
		}
		for _, key := range some {
			doc := found[s.subject(at, key)]
			doc.Key = key
			docs = append(docs, doc)
		}
	}
	return docs, nil
}

// requestSpace is more than a request has besides subjects.
const requestSpace = 1024

// fitting returns how many of the documents one request can ask for, at least one: long
// names of many are more than a server takes.
func (s *Storage) fitting(at projection.Place, keys []string) (n int) {
	left := int(s.nc.MaxPayload()) - requestSpace - len(s.mark())
	for ; n < min(len(keys), readMany); n++ {
		if left -= len(s.subject(at, keys[n])) + len(`"",`); left < 0 && n > 0 {
			break
		}
	}
	return n
}

// last returns the documents that exist, by subject.
func (s *Storage) last(ctx context.Context, at projection.Place, keys []string) (map[string]projection.Document, error) {
	subjects := make([]string, 0, len(keys)+1)
	for _, key := range keys {
		subjects = append(subjects, s.subject(at, key))
	}
	floor := s.floor.Load()
	for patience := firstAttempt; ; patience = min(2*patience, longestAttempt) {
		found, err := s.lastOnce(ctx, subjects, floor, patience)
		if err == nil || ctx.Err() != nil {
			return found, err
		}
		if pause(ctx, behindPause) != nil {
			return nil, err
		}
	}
}

// lastOnce makes one request for the last messages of subjects, to whatever replica.
//
// A message that is replaced between the moment in which the server looks the
// sequences up and that in which it sends the messages is missing in the answer. It is
// asked for again then, alone, as that is one step of the server.
func (s *Storage) lastOnce(ctx context.Context, subjects []string, floor uint64, patience time.Duration) (map[string]projection.Document, error) {
	body, err := json.Marshal(map[string]any{"multi_last": append(slices.Clone(subjects), s.mark())})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answers := make(chan *nats.Msg, len(subjects)+2)
	inbox := s.nc.NewInbox()
	sub, err := s.nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // it fails only when the connection is closed, and then there is nothing to undo
	if err := s.nc.PublishRequest(s.gets, inbox, body); err != nil {
		return nil, err
	}
	found := map[string]projection.Document{}
	seen, previous := map[string]bool{}, "0"
	for {
		var m *nats.Msg
		select {
		case m = <-answers:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if status := m.Header.Get("Status"); status != "" {
			if status != "204" || m.Header.Get("Nats-Last-Sequence") != previous {
				return nil, fmt.Errorf("status %s %s: %w", status, m.Header.Get("Description"), errBroken)
			}
			upTo, err := strconv.ParseUint(m.Header.Get("Nats-UpTo-Sequence"), 10, 64)
			if err != nil || upTo < floor {
				return nil, errBehind
			}
			s.raiseFloor(upTo)
			return found, s.lookAgain(ctx, subjects, seen, found)
		}
		if m.Header.Get("Nats-Last-Sequence") != previous { // the client dropped one
			return nil, errBroken
		}
		previous = m.Header.Get("Nats-Sequence")
		subject := m.Header.Get("Nats-Subject")
		seen[subject] = true
		if err := s.take(subject, m, found); err != nil {
			return nil, err
		}
	}
}

// take notes a message as a document or a deletion.
func (s *Storage) take(subject string, m *nats.Msg, found map[string]projection.Document) error {
	seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return errBroken
	}
	if m.Header.Get(headerDeleted) != "" {
		s.buried(subject, seq)
		return nil
	}
	s.buried(subject, 0)
	found[subject] = projection.Document{Revision: projection.Revision(strconv.FormatUint(seq, 10)), Data: m.Data}
	return nil
}

// lookAgain makes sure of the subjects that an answer did not have. The replica need
// not be the one that has answered before: it may be behind, and then says that there
// is nothing. So the floor of the whole read stands on the first answer, which is at or
// above it, and with replicas a subject that is missing counts only if a second answer
// of many says so, too.
func (s *Storage) lookAgain(ctx context.Context, subjects []string, seen map[string]bool, found map[string]projection.Document) error {
	for _, subject := range subjects {
		if seen[subject] {
			continue
		}
		if s.cfg.Replicas > 1 { // the leader answers
			m, err := s.leader(ctx, subject)
			if err != nil {
				return err
			}
			if m == nil {
				s.buried(subject, 0)
				continue
			}
			m.Header.Set("Nats-Sequence", strconv.FormatUint(m.Sequence, 10))
			if err := s.take(subject, &nats.Msg{Header: m.Header, Data: m.Data}, found); err != nil {
				return err
			}
			continue
		}
		m, err := s.nc.RequestWithContext(ctx, s.gets+"."+subject, nil)
		if err != nil {
			return err
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			if err := s.take(subject, m, found); err != nil {
				return err
			}
		case "404":
			s.buried(subject, 0)
		default:
			return fmt.Errorf("status %s: %w", status, errBroken)
		}
	}
	return nil
}

// leader returns the last message of a subject as the leader has it, nil if there is
// none.
func (s *Storage) leader(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	body, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return nil, err
	}
	reply, err := s.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+s.streamName(), body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Sequence uint64 `json:"seq"`
			Header   []byte `json:"hdrs"`
			Data     []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, err
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case answer.Error != nil:
		return nil, answer.Error
	case answer.Message == nil:
		return nil, errBroken
	}
	m := &jetstream.RawStreamMsg{Sequence: answer.Message.Sequence, Data: answer.Message.Data, Header: nats.Header{}}
	if len(answer.Message.Header) > 0 {
		if m.Header, err = nats.DecodeHeadersMsg(answer.Message.Header); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// List implements [projection.Storage].
func (s *Storage) List(ctx context.Context, at projection.Place, r projection.Range) iter.Seq2[projection.Document, error] {
	return func(yield func(projection.Document, error) bool) {
		keys, err := s.keys(ctx, at, r)
		if err != nil {
			yield(projection.Document{}, fmt.Errorf("list %s: %w: %w", at.Collection, projection.ErrUnavailable, err))
			return
		}
		left := r.Limit
		for len(keys) > 0 {
			n := min(readMany, len(keys))
			if left > 0 {
				n = min(n, left+someDeleted)
			}
			docs, err := s.Read(ctx, at, keys[:n]...)
			keys = keys[n:]
			if err != nil {
				yield(projection.Document{}, err)
				return
			}
			for _, doc := range docs {
				if doc.Revision == "" {
					continue
				}
				if !yield(doc, nil) {
					return
				}
				if left--; left == 0 {
					return
				}
			}
		}
	}
}

// Count implements [projection.Storage]. The names tell of documents that were deleted,
// too, so it reads them all.
func (s *Storage) Count(ctx context.Context, at projection.Place, r projection.Range) (n int, err error) {
	for _, err := range s.List(ctx, at, r) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// keys returns the keys of a range, those of deleted documents included, in its order.
func (s *Storage) keys(ctx context.Context, at projection.Place, r projection.Range) ([]string, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	info, err := s.info(ctx, s.collection(at)+"*")
	if err != nil {
		return nil, err
	}
	keys := make([]string, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		_, key, ok := s.parse(subject)
		if ok && strings.HasPrefix(key, r.Prefix) && isBehind(key, r) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if r.Reverse {
		slices.Reverse(keys)
	}
	return keys, nil
}

func isBehind(key string, r projection.Range) bool {
	return r.After == "" || r.Reverse && key < r.After || !r.Reverse && key > r.After
}

// info asks the leader until one answers that is as far as this storage has seen.
func (s *Storage) info(ctx context.Context, filter string) (*jetstream.StreamInfo, error) {
	floor := s.floor.Load()
	for patience := firstAttempt; ; patience = min(2*patience, longestAttempt) {
		attempt, cancel := context.WithTimeout(ctx, patience)
		info, err := s.stream.Info(attempt, jetstream.WithSubjectFilter(filter))
		cancel()
		if err == nil && info.State.LastSeq >= floor {
			return info, nil
		}
		if err == nil {
			err = errBehind
		}
		if ctx.Err() != nil || pause(ctx, behindPause) != nil {
			return nil, err
		}
	}
}
