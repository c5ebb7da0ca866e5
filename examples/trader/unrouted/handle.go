package unrouted

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"
)

// Outcomes of a command besides [ErrUnknown].
var (
	errGaveUp       = errors.New("every attempt met a conflict")
	errNotSaved     = errors.New("nothing was saved")
	errInsufficient = errors.New("the balance is below the amount")
)

// deposit loads, decides and saves, until a save succeeds or the attempts are
// used up. Two servers that load the same version both get here; the store lets
// one of them save, and the other begins again.
func (s *Server) deposit(ctx context.Context, id string, d Deposit) (Account, error) {
	if s.turns != nil {
		done, err := s.turns.take(ctx, id)
		if err != nil {
			return Account{}, fmt.Errorf("%w: %w", errNotSaved, err)
		}
		defer done()
	}
	commandID := rand.Text()
	for attempt := 1; ; attempt++ {
		current, err := s.load(ctx, id)
		if err != nil {
			return Account{}, fmt.Errorf("%w: %w", errNotSaved, err)
		}
		if d.Amount < 0 && current.Balance < -d.Amount {
			return Account{}, errInsufficient
		}
		next := current.after(d)
		err = s.storage.Append(ctx, id, commandID, d, next)
		if err == nil {
			s.counts.Saves.Add(1)
			s.remember(id, next)
			return next, nil
		}
		s.forget(id, current)
		if !errors.Is(err, ErrConflict) {
			return Account{}, err
		}
		s.counts.Conflicts.Add(1)
		if attempt == s.cfg.Attempts {
			s.counts.GaveUp.Add(1)
			return Account{}, errGaveUp
		}
		if err := s.pause(ctx, attempt); err != nil {
			return Account{}, fmt.Errorf("%w: %w", errNotSaved, err)
		}
		s.counts.Retries.Add(1)
	}
}

// load returns the account from the cache if there is one, else from the store.
func (s *Server) load(ctx context.Context, id string) (Account, error) {
	if s.cache != nil {
		if a, ok := s.cache.lookup(id, time.Now()); ok {
			s.counts.CacheHits.Add(1)
			return a, nil
		}
	}
	s.counts.Loads.Add(1)
	a, err := s.storage.Load(ctx, id)
	if err == nil {
		s.remember(id, a)
	}
	return a, err
}

func (s *Server) remember(id string, a Account) {
	if s.cache != nil {
		s.cache.remember(id, a, time.Now())
	}
}

func (s *Server) forget(id string, stale Account) {
	if s.cache != nil {
		s.cache.forget(id, stale)
	}
}

// pause waits after the given attempt has met a conflict.
func (s *Server) pause(ctx context.Context, attempt int) error {
	timer := time.NewTimer(mathrand.N(s.cfg.pauseBound(attempt)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pauseBound is what the pause after an attempt is below.
func (c Config) pauseBound(attempt int) time.Duration {
	bound := c.Backoff
	for range attempt - 1 {
		if bound >= c.BackoffMax/2 {
			return max(c.BackoffMax, 1)
		}
		bound *= 2
	}
	return max(min(bound, c.BackoffMax), 1)
}
