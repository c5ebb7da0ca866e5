package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/ganglion-go/ganglion/store"
)

// parkedRecord is the stored form of a parked command. A message that does not fit
// beside the rest is in parts, under subjects of their own, and the record names them:
//
//	NS.park.KIND.ID.COMMAND            the record
//	NS.park.%part.KIND.ID.COMMAND.SET.N    its parts
//
// A set is written before the record that names it, and removed after it. A record whose
// set is not there (any more) counts as removed: nobody removes parts but who removes
// the record.
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
	Set       string          `json:"set,omitempty"`   // of the parts
	Parts     int             `json:"parts,omitempty"` // how many
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
	subject := s.subjects.parked(p.Aggregate, p.CommandID)
	if err := errors.Join(checkSubject(subject), writable(ctx)); err != nil {
		return err
	}
	r := parkedRecord{
		Format: recordFormat, Aggregate: p.Aggregate, CommandID: p.CommandID, Name: p.Name,
		Reason: p.Reason, Stack: p.Stack, Attempts: p.Attempts, Time: p.Time, Message: p.Message,
	}
	limit := int(s.commits.nc.MaxPayload()) - headerSpace
	data, err := encodeRecord(&r)
	if err != nil {
		return unknown(err)
	}
	if len(data) > limit {
		r.Message, r.Set = nil, nuid.Next()
		for part := range slices.Chunk(p.Message, limit) {
			if err := s.publishParked(ctx, s.partSubject(&r, r.Parts), part); err != nil {
				return err
			}
			r.Parts++
		}
		if data, err = encodeRecord(&r); err != nil {
			return unknown(err)
		}
	}
	return s.publishParked(ctx, subject, data)
}

func (s *Store) partSubject(r *parkedRecord, n int) string {
	return s.subjects.parkedParts(r.Aggregate, r.CommandID) + r.Set + "." + strconv.Itoa(n)
}

func (s *Store) publishParked(ctx context.Context, subject string, data []byte) error {
	reply, err := s.commits.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: data})
	if err != nil {
		return unknown(sendFailed(err))
	}
	if _, err := acknowledgement(reply); err != nil {
		return unknown(err)
	}
	return nil
}

// Unpark implements [store.Parking].
//
// Parts are removed up to the place of the record: those of one that is being written
// come after it. Where they do not, as two park the command at the same time, that
// record has lost its parts and counts as removed, which it was to be.
func (s *Store) Unpark(ctx context.Context, a store.Aggregate, commandID string) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	subject := s.subjects.parked(a, commandID)
	if tooLong(subject) {
		return nil
	}
	fail := func(err error) error {
		return fmt.Errorf("unpark command of %q: %w", a, unknown(err))
	}
	m, err := s.parked.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fail(err)
	}
	if err := s.parked.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
		return fail(err)
	}
	var r parkedRecord
	if decodeRecord(m.Data, &r) == nil && r.Parts == 0 {
		return nil
	}
	if err := s.parked.Purge(ctx, jetstream.WithPurgeSubject(s.subjects.parkedParts(a, commandID)+">"), jetstream.WithPurgeSequence(m.Sequence)); err != nil {
		return fail(err)
	}
	return nil
}

// CountParked implements [store.Parking].
func (s *Store) CountParked(ctx context.Context, limit int) (int, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	info, err := s.parked.Info(ctx, jetstream.WithSubjectFilter(s.subjects.allParked()))
	if err != nil {
		return 0, fmt.Errorf("count parked: %w", unavailable(err))
	}
	return min(len(info.State.Subjects), limit), nil
}

// assemble puts the parts of a record's message together; false: it has been removed.
func (s *Store) assemble(ctx context.Context, r *parkedRecord) (bool, error) {
	for n := range r.Parts {
		m, err := s.parked.GetLastMsgForSubject(ctx, s.partSubject(r, n))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return false, nil
		}
		if err != nil {
			return false, unavailable(err)
		}
		r.Message = append(r.Message, m.Data...)
	}
	return true, nil
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
	r, err := s.decodeParked(m)
	if err != nil {
		return store.Parked{}, false, err
	}
	whole, err := s.assemble(ctx, &r)
	if err != nil || !whole {
		return store.Parked{}, false, err
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
// the order, and holds one record at a time. One that is damaged has the time at which
// the stream took it.
func (s *Store) ListParked(ctx context.Context, a store.Aggregate) iter.Seq2[store.Parked, error] {
	return func(yield func(store.Parked, error) bool) {
		places, err := s.parkedPlaces(ctx, a)
		if err != nil {
			yield(store.Parked{}, fmt.Errorf("list parked: %w", err))
			return
		}
		for _, place := range places {
			p, found, err := s.parkedAt(ctx, place.seq)
			switch {
			case err != nil:
				if !yield(p, fmt.Errorf("list parked: %w", err)) || !errors.Is(err, store.ErrCorrupt) {
					return
				}
			case found: // else removed or replaced since
				if !yield(p, nil) {
					return
				}
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
	filter := s.subjects.allParked()
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
		at := m.Time
		if r, err := s.decodeParked(m); err == nil {
			at = r.Time
		}
		places = append(places, parkedPlace{m.Sequence, at})
		seq = m.Sequence + 1
	}
	slices.SortFunc(places, func(a, b parkedPlace) int { return cmp.Or(a.time.Compare(b.time), cmp.Compare(a.seq, b.seq)) })
	return places, nil
}

// parkedAt returns what is parked at a place; false: it is not there any more. An error
// that wraps [store.ErrCorrupt] comes with what its subject says.
func (s *Store) parkedAt(ctx context.Context, seq uint64) (store.Parked, bool, error) {
	m, err := s.parkedMessage(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return store.Parked{}, false, nil
	}
	if err != nil {
		return store.Parked{}, false, unavailable(err)
	}
	r, err := s.decodeParked(m)
	if err != nil {
		return r.parked(), false, err
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	whole, err := s.assemble(ctx, &r)
	return r.parked(), whole, err
}

// decodeParked returns the record of a message. Of one that is damaged, or is no record
// of that place, it returns the address and the id, by the subject.
func (s *Store) decodeParked(m *jetstream.RawStreamMsg) (parkedRecord, error) {
	var r parkedRecord
	err := decodeRecord(m.Data, &r)
	if err == nil && s.subjects.parked(r.Aggregate, r.CommandID) != m.Subject {
		err = fmt.Errorf("a record of %q, id %q: %w", r.Aggregate, r.CommandID, store.ErrCorrupt)
	}
	if err != nil {
		a, id, _ := s.subjects.commandOf(m.Subject)
		return parkedRecord{Aggregate: a, CommandID: id}, fmt.Errorf("parked command at %d: %w", m.Sequence, err)
	}
	return r, nil
}

func (s *Store) parkedMessage(ctx context.Context, seq uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.parked.GetMsg(ctx, seq, opts...)
}
