package jetstream

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

type sessionRecord struct {
	Format      int      `json:"format"`
	Name        string   `json:"name"`
	Incarnation string   `json:"incarnation"`
	Beat        uint64   `json:"beat"`
	Dead        bool     `json:"dead,omitempty"`
	Draining    bool     `json:"draining,omitempty"`
	Ended       bool     `json:"ended,omitempty"` // in the instant before it is removed
	Address     string   `json:"address,omitempty"`
	Build       string   `json:"build,omitempty"`
	Kinds       []string `json:"kinds,omitempty"`

	Lease time.Duration `json:"lease,omitempty"` // nanoseconds
	Lacks []lackRecord  `json:"lacks,omitempty"`

	Opened int64 `json:"opened,omitempty"` // microseconds since 1970
	Time   int64 `json:"time,omitempty"`   // likewise
	Cut    bool  `json:"cut,omitempty"`
}

type lackRecord struct {
	Partition store.Partition `json:"p"`
	Kind      string          `json:"k,omitempty"`
}

func newLackRecords(lacks []store.Lack) []lackRecord {
	var records []lackRecord
	for _, l := range lacks {
		records = append(records, lackRecord(l))
	}
	return records
}

func newSessionRecord(s *store.Session) *sessionRecord {
	return &sessionRecord{
		Format: recordFormat, Name: s.Name, Incarnation: s.Incarnation, Beat: s.Beat, Dead: s.Dead, Draining: s.Draining,
		Address: s.Address, Build: s.Build, Kinds: s.Kinds, Lease: s.Lease, Lacks: newLackRecords(s.Lacks),
		Opened: toMicros(s.Opened), Time: toMicros(s.Time), Cut: s.Cut,
	}
}

func (r *sessionRecord) session() store.Session {
	s := store.Session{
		Name: r.Name, Incarnation: r.Incarnation, Beat: r.Beat, Dead: r.Dead, Draining: r.Draining,
		Address: r.Address, Build: r.Build, Kinds: r.Kinds, Lease: r.Lease,
		Opened: fromMicros(r.Opened), Time: fromMicros(r.Time), Cut: r.Cut,
	}
	for _, l := range r.Lacks {
		s.Lacks = append(s.Lacks, store.Lack(l))
	}
	return s
}

// toMicros is 0 for the zero time.
func toMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

func decodeSession(m *stored) (*sessionRecord, error) {
	r := &sessionRecord{}
	if err := decodeRecord(m.data, r); err != nil {
		return nil, fmt.Errorf("session at %d: %w", m.seq, err)
	}
	if r.Format != recordFormat {
		return nil, fmt.Errorf("session at %d has format %d: %w", m.seq, r.Format, store.ErrCorrupt)
	}
	return r, nil
}

// changeSession replaces a session's record by what change makes of it. change
// gets nil when there is none; it returns nil to leave everything as it is. When
// another write gets in between it is called again. seq is the place of the new
// record.
//
// known is where the record was when this store has written it, if it has: the first try
// stands on that, without a read. The server refuses it if it is not so any more.
func (s *Store) changeSession(ctx context.Context, name string, known *sessionAt, change func(old *sessionRecord) (*sessionRecord, error)) (seq uint64, err error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	c := &conditional{subject: s.subjects.session(name)}
	if err := checkSubject(c.subject); err != nil {
		return 0, err
	}
	if err := writable(ctx); err != nil {
		return 0, err
	}
	var refused error
	s.leases.writeAll(ctx, []*conditional{c}, func(ctx context.Context, _ []*conditional, round int) error {
		old, seq, err := s.sessionFor(ctx, c.subject, known, round)
		if err != nil {
			return err
		}
		var changed *sessionRecord
		if changed, refused = change(old); changed == nil {
			c.settled = true
			return nil
		}
		c.expected = seq
		c.data, err = encodeRecord(changed)
		return err
	})
	if refused != nil {
		return 0, refused
	}
	return c.seq, c.err
}

func (s *Store) sessionFor(ctx context.Context, subject string, known *sessionAt, round int) (*sessionRecord, uint64, error) {
	if known != nil && round == 0 {
		record := known.record
		return &record, known.seq, nil
	}
	return s.readSession(ctx, subject)
}

func (s *Store) readSession(ctx context.Context, subject string) (*sessionRecord, uint64, error) {
	found, err := s.leases.last(ctx, subject)
	if err != nil {
		return nil, 0, err
	}
	m, ok := found[subject]
	if !ok {
		return nil, 0, nil
	}
	r, err := decodeSession(&m)
	if err != nil {
		return nil, 0, err
	}
	if r.Ended {
		r = nil
	}
	return r, m.seq, nil
}

// OpenSession implements [store.Leases].
func (s *Store) OpenSession(ctx context.Context, session store.Session, replaces *store.Session) error {
	record := newSessionRecord(&session)
	record.Beat, record.Dead, record.Draining, record.Cut = 1, false, false, false
	_, err := s.changeSession(ctx, session.Name, nil, func(old *sessionRecord) (*sessionRecord, error) {
		expected := old == nil
		if replaces != nil {
			expected = old != nil && old.Dead && replaces.Dead && old.sameBeat(replaces)
		}
		if !expected {
			return nil, store.ErrLost
		}
		return record, nil
	})
	if err != nil {
		return fmt.Errorf("open session %q: %w", session.Name, err)
	}
	return nil
}

func (r *sessionRecord) sameBeat(s *store.Session) bool {
	return r.Incarnation == s.Incarnation && r.Beat == s.Beat
}

// Renew implements [store.Leases].
func (s *Store) Renew(ctx context.Context, session store.Session) error {
	var wrote sessionRecord
	seq, err := s.changeAlive(ctx, "renew session", session, s.renewals.find(&session), func(r *sessionRecord) {
		r.Beat++
		r.Draining, r.Lacks = session.Draining, newLackRecords(session.Lacks)
		r.Time, r.Cut = toMicros(session.Time), session.Cut
		wrote = *r
	})
	if err == nil {
		s.renewals.note(&sessionAt{record: wrote, seq: seq})
	}
	return err
}

// DeclareDead implements [store.Leases].
func (s *Store) DeclareDead(ctx context.Context, session store.Session) error {
	_, err := s.changeAlive(ctx, "declare session dead", session, nil, func(r *sessionRecord) { r.Dead = true })
	return err
}

func (s *Store) changeAlive(ctx context.Context, what string, session store.Session, known *sessionAt, change func(*sessionRecord)) (uint64, error) {
	seq, err := s.changeSession(ctx, session.Name, known, func(old *sessionRecord) (*sessionRecord, error) {
		if old == nil || old.Dead || !old.sameBeat(&session) {
			return nil, store.ErrLost
		}
		change(old)
		return old, nil
	})
	if err != nil {
		return 0, fmt.Errorf("%s %q: %w", what, session.Name, err)
	}
	return seq, nil
}

// EndSession implements [store.Leases].
func (s *Store) EndSession(ctx context.Context, session store.Session) error {
	seq, err := s.changeSession(ctx, session.Name, nil, func(old *sessionRecord) (*sessionRecord, error) {
		if old == nil || old.Incarnation != session.Incarnation {
			return nil, nil //nolint:nilnil // nothing to change
		}
		old.Ended = true
		return old, nil
	})
	if err != nil {
		return fmt.Errorf("end session %q: %w", session.Name, err)
	}
	if seq > 0 {
		// The session has ended, whether or not the record goes away now: readers
		// skip it. A session that was opened meanwhile has replaced it, and then
		// there is nothing at seq.
		_ = s.leases.handle.DeleteMsg(ctx, seq)
	}
	return nil
}

// ConfirmSession implements [store.Leases].
//
// With replicas it writes a mark and reads on a replica that has it. The mark is
// stored only once a majority has it, so that a leader which was replaced without
// knowing it cannot acknowledge it; and a replica that has the mark has whatever
// was acknowledged before it was written. To ask the leader for its last sequence,
// as other reads do, or to write what it is to refuse, would not do: such a leader
// answers both by itself. The stream keeps one message of each subject, so marks
// take no space.
//
//	old leader L, cut off       new leader M              node A, on L's side
//	                            A is declared dead
//	                                                      asks whether it lives
//	last sequence: 7, says L
//	at 7 A is alive, says L                               would believe it
//	the mark is proposed: no majority                     gets no answer
func (s *Store) ConfirmSession(ctx context.Context, session store.Session) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	subject := s.subjects.session(session.Name)
	found, err := s.leases.lastConfirmed(ctx, subject)
	if err != nil {
		return fmt.Errorf("confirm session %q: %w", session.Name, unavailable(err))
	}
	m, ok := found[subject]
	if !ok {
		return fmt.Errorf("confirm session %q: %w: it has ended", session.Name, store.ErrLost)
	}
	r, err := decodeSession(&m)
	if err != nil {
		return fmt.Errorf("confirm session %q: %w", session.Name, err)
	}
	if r.Ended || r.Dead || r.Incarnation != session.Incarnation {
		return fmt.Errorf("confirm session %q: %w", session.Name, store.ErrLost)
	}
	return nil
}

// Sessions implements [store.Leases]. It can return 1000 of them.
func (s *Store) Sessions(ctx context.Context) ([]store.Session, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	found, err := s.leases.last(ctx, s.cfg.Namespace+".lease.session.*")
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	var all []store.Session
	for _, m := range found {
		r, err := decodeSession(&m)
		if err != nil {
			return nil, fmt.Errorf("sessions: %w", err)
		}
		if !r.Ended {
			all = append(all, r.session())
		}
	}
	slices.SortFunc(all, func(a, b store.Session) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}
