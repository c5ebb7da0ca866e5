package memory

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	"github.com/ganglion-go/ganglion/store"
)

// Follow implements [store.Feed]. A token is the number of commits before it.
func (s *Store) Follow(ctx context.Context, after store.Token) iter.Seq2[store.FeedItem, error] {
	return func(yield func(store.FeedItem, error) bool) {
		next, err := s.place(after)
		if err != nil {
			yield(store.FeedItem{}, fmt.Errorf("follow feed: %w", err))
			return
		}
		for ctx.Err() == nil {
			c, ok, grown := s.commitAt(next)
			if !ok {
				select {
				case <-grown:
				case <-ctx.Done():
				}
				continue
			}
			next++
			if !yield(store.FeedItem{Commit: c, Token: token(next)}, nil) {
				return
			}
		}
	}
}

func (s *Store) commitAt(i int) (c store.Commit, ok bool, grown <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i >= len(s.log) {
		return store.Commit{}, false, s.grown
	}
	return cloneCommit(&s.log[i]), true, nil
}

// Now implements [store.Feed].
func (s *Store) Now(ctx context.Context) (store.Token, error) {
	if err := readable(ctx); err != nil {
		return "", fmt.Errorf("end of feed: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return token(len(s.log)), nil
}

func token(n int) store.Token { return store.Token(strconv.Itoa(n)) }

func (s *Store) place(t store.Token) (int, error) {
	if t == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(string(t))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || n < 0 || n > len(s.log) {
		return 0, fmt.Errorf("token %q: %w", t, store.ErrTokenExpired)
	}
	return n, nil
}
