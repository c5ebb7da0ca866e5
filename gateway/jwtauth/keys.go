package jwtauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ganglion-go/ganglion/gateway"
)

const (
	fetchTimeout = 5 * time.Second
	fetchSpacing = 10 * time.Second // between two fetches from a URL
	fileEvery    = time.Second      // between two looks at a file
	noKeysRetry  = time.Second      // between two fetches while there are no keys to use
	warnEvery    = time.Minute      // between two lines of the log about fetches that fail
	setMaxBytes  = 1 << 20
	setMaxKeys   = 64
	rsaMinBits   = 2048
)

// verifier is a public key of the set.
type verifier struct {
	id, algorithm string // empty: none is given
	key           any    // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// keySet is the issuer's keys, as they were fetched last. One request fetches them for
// all: whoever needs keys that are not there waits for it, and whoever has some goes on.
type keySet struct {
	source  source
	every   time.Duration // age at which keys are fetched anew
	spacing time.Duration // between two fetches
	logger  *slog.Logger

	mu       sync.Mutex
	keys     []verifier
	loaded   time.Time     // when the last fetch that succeeded ended; zero: none has
	tried    time.Time     // when the last one began, or ended if it has
	err      error         // of the last one
	warned   time.Time     // when the log was last told of one that failed
	fetching chan struct{} // closed when the one under way ends; nil: none is
}

func newKeySet(cfg Config) (*keySet, error) {
	s := &keySet{every: cfg.RefreshEvery, spacing: fetchSpacing, logger: cfg.Logger}
	var err error
	if s.source, err = sourceOf(cfg); err != nil {
		return nil, err
	}
	file, ok := s.source.(*fileSource)
	if !ok {
		return s, nil
	}
	s.every, s.spacing = fileEvery, fileEvery
	data, err := file.read()
	if err != nil {
		return nil, err
	}
	if s.keys, err = parseKeys(data); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.JWKS, err)
	}
	s.loaded = time.Now()
	s.tried = s.loaded
	return s, nil
}

// find returns the keys that may have made a signature; none: there are none. The error
// wraps [gateway.ErrAuthenticatorUnavailable]: it cannot be said now.
func (s *keySet) find(ctx context.Context, id, algorithm string) ([]any, error) {
	for asked := false; ; {
		s.mu.Lock()
		now := time.Now()
		usable := s.usable(now)
		var found []any
		if usable {
			found = match(s.keys, id, algorithm)
		}
		switch {
		case len(found) > 0 && (asked || now.Sub(s.loaded) < s.every || !s.mayFetch(now, usable)):
			s.mu.Unlock()
			return found, nil
		case s.fetching != nil:
			done := s.fetching
			s.mu.Unlock()
			select {
			case <-done:
			case <-ctx.Done():
				return nil, unavailable(context.Cause(ctx))
			}
		case !asked && s.mayFetch(now, usable):
			asked = true
			s.begin(now)
			s.mu.Unlock()
			s.fetch(ctx)
		default:
			err := s.err
			s.mu.Unlock()
			if err != nil || !usable {
				return nil, unavailable(err)
			}
			return nil, nil
		}
	}
}

func unavailable(err error) error {
	if err == nil {
		err = errors.New("there are no keys")
	}
	return fmt.Errorf("%w: %w", gateway.ErrAuthenticatorUnavailable, err)
}

func (s *keySet) usable(now time.Time) bool {
	return !s.loaded.IsZero() && now.Sub(s.loaded) < KeepKeys
}

// mayFetch reports whether a fetch may begin now: made-up keys must not have the
// issuer asked for each of them.
func (s *keySet) mayFetch(now time.Time, usable bool) bool {
	spacing := s.spacing
	if !usable {
		spacing = min(spacing, noKeysRetry)
	}
	return s.fetching == nil && (s.tried.IsZero() || now.Sub(s.tried) >= spacing || now.Before(s.tried))
}

// begin makes the caller the one who fetches. The lock is held.
func (s *keySet) begin(now time.Time) { s.tried, s.fetching = now, make(chan struct{}) }

// fetch fetches the keys, after begin. It is for everybody, and so does not end with the
// request of the one who does it; but it does not outlast that request's time.
func (s *keySet) fetch(ctx context.Context) {
	until := time.Now().Add(fetchTimeout)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancel()
	var keys []verifier
	err := errors.New("the fetch broke off")
	defer func() { s.end(ctx, keys, err) }()
	data, err := s.source.fetch(ctx)
	if err == nil {
		keys, err = parseKeys(data)
	}
}

func (s *keySet) end(ctx context.Context, keys []verifier, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.fetching)
	s.fetching, s.tried = nil, time.Now() // one that took long is not followed by the next at once
	if s.err = err; err == nil {
		s.keys, s.loaded, s.warned = keys, time.Now(), time.Time{}
		return
	}
	if !s.warned.IsZero() && time.Since(s.warned) < warnEvery {
		return
	}
	s.warned = time.Now()
	s.logger.WarnContext(ctx, "the keys of the token issuer cannot be fetched", "error", err,
		"last_fetched", s.loaded, "used_until", s.loaded.Add(KeepKeys))
}

// run keeps the keys younger than the age at which a request would fetch them.
func (s *keySet) run(ctx context.Context) {
	tick := time.NewTicker(max(s.every/4, fileEvery))
	defer tick.Stop()
	for {
		s.mu.Lock()
		now := time.Now()
		due := now.Sub(s.loaded) >= s.every/2 && s.mayFetch(now, s.usable(now))
		if due {
			s.begin(now)
		}
		s.mu.Unlock()
		if due {
			s.fetch(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

var errNoSet = errors.New("not a JSON Web Key Set")

// parseKeys returns the keys of a set that can verify signatures. What is in it for other
// purposes, or of a kind that is not known here, is passed over.
func parseKeys(data []byte) ([]verifier, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil || set.Keys == nil {
		return nil, errNoSet
	}
	if len(set.Keys) > setMaxKeys {
		return nil, fmt.Errorf("%d keys, at most %d are allowed: %w", len(set.Keys), setMaxKeys, errNoSet)
	}
	keys := []verifier{}
	for _, one := range set.Keys {
		var k jose.JSONWebKey
		if json.Unmarshal(one, &k) != nil || !k.Valid() || k.Use != "" && k.Use != "sig" {
			continue
		}
		if v := (verifier{id: k.KeyID, algorithm: k.Algorithm, key: k.Public().Key}); strong(v.key) {
			keys = append(keys, v)
		}
	}
	return keys, nil
}

// strong reports whether a key is public, and good enough.
func strong(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= rsaMinBits
	case *ecdsa.PublicKey:
		return k.Curve != nil
	case ed25519.PublicKey:
		return len(k) == ed25519.PublicKeySize
	default:
		return false
	}
}

// match returns the keys that a token's header may mean. An empty id is any of them.
func match(keys []verifier, id, algorithm string) []any {
	var found []any
	for _, k := range keys {
		if (id == "" || id == k.id) && (k.algorithm == "" || k.algorithm == algorithm) && fits(k.key, algorithm) {
			found = append(found, k.key)
		}
	}
	return found
}

// fits reports whether a key is of the sort that an algorithm takes.
func fits(key any, algorithm string) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		bits := map[string]int{string(jose.ES256): 256, string(jose.ES384): 384, string(jose.ES512): 521}
		return bits[algorithm] == k.Curve.Params().BitSize
	case ed25519.PublicKey:
		return algorithm == string(jose.EdDSA)
	default:
		return false
	}
}
