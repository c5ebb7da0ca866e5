package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/ganglion-go/ganglion/store"
)

// OpenSession implements [store.Leases].
func (s *Store) OpenSession(ctx context.Context, session store.Session, replaces *store.Session) error {
	if err := writable(ctx); err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.sessions[session.Name]
	expected := !ok
	if replaces != nil {
		expected = ok && replaces.Dead && old.Dead && sameBeat(&old, replaces)
	}
	if !expected {
		return fmt.Errorf("open session %q: %w", session.Name, store.ErrLost)
	}
	session = cloneSession(session)
	session.Beat, session.Dead, session.Draining, session.Cut = 1, false, false, false
	s.sessions[session.Name] = session
	return nil
}

// Renew implements [store.Leases].
func (s *Store) Renew(ctx context.Context, session store.Session) error {
	return s.changeAlive(ctx, session, "renew", func(kept *store.Session) {
		kept.Beat++
		kept.Draining, kept.Lacks = session.Draining, slices.Clone(session.Lacks)
		kept.Time, kept.Cut = session.Time, session.Cut
	})
}

// DeclareDead implements [store.Leases].
func (s *Store) DeclareDead(ctx context.Context, session store.Session) error {
	return s.changeAlive(ctx, session, "declare dead", func(kept *store.Session) { kept.Dead = true })
}

// changeAlive changes the record that still has the session's incarnation and
// beat and is not dead.
func (s *Store) changeAlive(ctx context.Context, session store.Session, what string, change func(*store.Session)) error {
	if err := writable(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, ok := s.sessions[session.Name]
	if !ok || kept.Dead || !sameBeat(&kept, &session) {
		return fmt.Errorf("%s session %q: %w", what, session.Name, store.ErrLost)
	}
	change(&kept)
	s.sessions[session.Name] = kept
	return nil
}

// EndSession implements [store.Leases].
func (s *Store) EndSession(ctx context.Context, session store.Session) error {
	if err := writable(ctx); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[session.Name].Incarnation == session.Incarnation {
		delete(s.sessions, session.Name)
	}
	return nil
}

// ConfirmSession implements [store.Leases].
func (s *Store) ConfirmSession(ctx context.Context, session store.Session) error {
	if err := readable(ctx); err != nil {
		return fmt.Errorf("confirm session: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept, ok := s.sessions[session.Name]; !ok || kept.Dead || kept.Incarnation != session.Incarnation {
		return fmt.Errorf("confirm session %q: %w", session.Name, store.ErrLost)
	}
	return nil
}

// Sessions implements [store.Leases].
func (s *Store) Sessions(ctx context.Context) ([]store.Session, error) {
	if err := readable(ctx); err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.SortedFunc(maps.Values(s.sessions), func(a, b store.Session) int { return cmp.Compare(a.Name, b.Name) })
	for i := range all {
		all[i] = cloneSession(all[i])
	}
	return all, nil
}

func sameBeat(a, b *store.Session) bool { return a.Incarnation == b.Incarnation && a.Beat == b.Beat }
