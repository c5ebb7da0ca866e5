package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/store"
)

type parkedRecord struct {
	Format    int             `json:"format"`
	Aggregate store.Aggregate `json:"aggregate"`
	CommandID string          `json:"id"`
	Name      string          `json:"name"`
	Reason    string          `json:"reason,omitempty"`
	Stack     string          `json:"stack,omitempty"`
	Attempts  int             `json:"attempts,omitempty"`
	Time      time.Time       `json:"time"`
	Message   []byte          `json:"message,omitempty"`
}

// Park implements [store.Parking].
func (s *Store) Park(ctx context.Context, p store.Parked) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	if err := s.park(ctx, &p); err != nil {
		return fmt.Errorf("park command of %q: %w", p.Aggregate, err)
	}
	return nil
}

func (s *Store) park(ctx context.Context, p *store.Parked) error {
	m := nats.NewMsg(s.subjects.parked(p.Aggregate, p.CommandID))
	if err := errors.Join(checkSubject(m.Subject), writable(ctx)); err != nil {
		return err
	}
	var err error
	if m.Data, err = encodeRecord(&parkedRecord{
		Format: recordFormat, Aggregate: p.Aggregate, CommandID: p.CommandID, Name: p.Name,
		Reason: p.Reason, Stack: p.Stack, Attempts: p.Attempts, Time: p.Time, Message: p.Message,
	}); err != nil {
		return unknown(err)
	}
	reply, err := s.commits.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return unknown(sendFailed(err))
	}
	if _, err := acknowledgement(reply); err != nil {
		return unknown(err)
	}
	return nil
}

// Unpark implements [store.Parking].
func (s *Store) Unpark(ctx context.Context, a store.Aggregate, commandID string) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	subject := s.subjects.parked(a, commandID)
	if tooLong(subject) {
		return nil
	}
	if err := s.parked.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
		return fmt.Errorf("unpark command of %q: %w", a, unknown(err))
	}
	return nil
}

// FindParked implements [store.Parking].
func (s *Store) FindParked(ctx context.Context, a store.Aggregate, commandID string) (store.Parked, bool, error) {
	subject := s.subjects.parked(a, commandID)
	if tooLong(subject) {
		return store.Parked{}, false, nil
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	m, err := s.parked.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return store.Parked{}, false, nil
	}
	if err != nil {
		return store.Parked{}, false, fmt.Errorf("find parked command of %q: %w", a, unavailable(err))
	}
	var r parkedRecord
	if err := decodeRecord(m.Data, &r); err != nil {
		return store.Parked{}, false, fmt.Errorf("parked command at %d: %w", m.Sequence, err)
	}
	return r.parked(), true, nil
}

func (r *parkedRecord) parked() store.Parked {
	return store.Parked{
		Aggregate: r.Aggregate, CommandID: r.CommandID, Name: r.Name, Reason: r.Reason,
		Stack: r.Stack, Attempts: r.Attempts, Time: r.Time, Message: r.Message,
	}
}

// ListParked implements [store.Parking]. It reads everything twice, first for
// the order, and holds one record at a time.
func (s *Store) ListParked(ctx context.Context, a store.Aggregate) iter.Seq2[store.Parked, error] {
	return func(yield func(store.Parked, error) bool) {
		places, err := s.parkedPlaces(ctx, a)
		if err != nil {
			yield(store.Parked{}, fmt.Errorf("list parked: %w", err))
			return
		}
		for _, place := range places {
			r, err := s.parkedAt(ctx, place.seq)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue // removed or replaced since
			}
			if err != nil {
				yield(store.Parked{}, fmt.Errorf("list parked: %w", unavailable(err)))
				return
			}
			if !yield(r.parked(), nil) {
				return
			}
		}
	}
}

type parkedPlace struct {
	seq  uint64
	time time.Time
}

// parkedPlaces returns where the records are, oldest first.
func (s *Store) parkedPlaces(ctx context.Context, a store.Aggregate) ([]parkedPlace, error) {
	filter := s.cfg.Namespace + ".park.>"
	if a != "" {
		filter = s.subjects.parkedOf(a) + "*"
	}
	var places []parkedPlace
	for seq := uint64(1); ; {
		m, err := s.parkedMessage(ctx, seq, jetstream.WithGetMsgSubject(filter))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, unavailable(err)
		}
		var r parkedRecord
		if err := decodeRecord(m.Data, &r); err != nil {
			return nil, fmt.Errorf("parked command at %d: %w", m.Sequence, err)
		}
		places = append(places, parkedPlace{m.Sequence, r.Time})
		seq = m.Sequence + 1
	}
	slices.SortFunc(places, func(a, b parkedPlace) int { return cmp.Or(a.time.Compare(b.time), cmp.Compare(a.seq, b.seq)) })
	return places, nil
}

func (s *Store) parkedAt(ctx context.Context, seq uint64) (parkedRecord, error) {
	m, err := s.parkedMessage(ctx, seq)
	if err != nil {
		return parkedRecord{}, err
	}
	var r parkedRecord
	if err := decodeRecord(m.Data, &r); err != nil {
		return parkedRecord{}, fmt.Errorf("parked command at %d: %w", seq, err)
	}
	return r, nil
}

func (s *Store) parkedMessage(ctx context.Context, seq uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.parked.GetMsg(ctx, seq, opts...)
}
