package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/ganglion-go/ganglion/gateway"
)

// Defaults of [Config].
const (
	DefaultPrincipalClaim = "sub"
	DefaultSkew           = 5 * time.Second
	DefaultMaxTokenBytes  = 16 << 10
	DefaultRefreshEvery   = 10 * time.Minute
)

// KeepKeys is for how long keys are used after the last fetch that succeeded.
const KeepKeys = time.Hour

// Config says which tokens are taken. Issuer, Audiences and JWKS are required; the zero
// value of the others means their default.
type Config struct {
	// Issuer is the claim iss that tokens must have, exactly.
	Issuer string
	// Audiences are those of which a token's claim aud must name one.
	Audiences []string
	// JWKS is the issuer's key set: an https URL, or the path of a file (or a file URL).
	// Plain http is allowed for a loopback address alone: whoever is on the way could
	// put in keys.
	JWKS string
	// Algorithms are those that tokens may be signed with, of RS, PS and ES with 256, 384
	// and 512, and EdDSA. Default: all of them.
	Algorithms []string
	// PrincipalClaim is the claim that names the principal. Default "sub".
	PrincipalClaim string
	// Skew is by how much the issuer's clock may differ: a request is let in for so long
	// after the token's end, and before its beginning. Streams end with the token. Default
	// 5 s, less than 0: none, at most 10 minutes.
	Skew time.Duration
	// MaxTokenBytes bounds a token. Default 16 KiB.
	MaxTokenBytes int
	// RefreshEvery is how often keys of a URL are fetched. Default 10 minutes, at most an
	// hour, at least 10 s.
	RefreshEvery time.Duration

	// Client fetches the keys of a URL. Default: one that follows no redirect away from
	// https. A fetch is bounded in any case.
	Client *http.Client
	Logger *slog.Logger // default: none
}

// Authenticator is a [gateway.Authenticator]. It is safe for concurrent use.
type Authenticator struct {
	cfg        Config
	algorithms []jose.SignatureAlgorithm
	keys       *keySet
}

var _ gateway.Authenticator = (*Authenticator)(nil)

// New returns an authenticator. The error joins all faults of the configuration; a file
// of keys that cannot be read is one, a URL that does not answer is none.
func New(cfg Config) (*Authenticator, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if cfg.Issuer == "" {
		fault("no Issuer")
	}
	if len(cfg.Audiences) == 0 || slices.Contains(cfg.Audiences, "") {
		fault("no Audiences, or an empty one")
	}
	algorithms, err := algorithmsOf(cfg.Algorithms)
	if err != nil {
		faults = append(faults, err)
	}
	orDefault(&cfg.PrincipalClaim, DefaultPrincipalClaim)
	orDefault(&cfg.Skew, DefaultSkew)
	orDefault(&cfg.MaxTokenBytes, DefaultMaxTokenBytes)
	orDefault(&cfg.RefreshEvery, DefaultRefreshEvery)
	cfg.Skew = max(cfg.Skew, 0)
	if cfg.Skew > 10*time.Minute {
		fault("a Skew of %v is above 10 minutes", cfg.Skew)
	}
	if cfg.MaxTokenBytes < 0 {
		fault("MaxTokenBytes %d is negative", cfg.MaxTokenBytes)
	}
	if cfg.RefreshEvery < fetchSpacing || cfg.RefreshEvery > KeepKeys {
		fault("RefreshEvery %v is not from %v to %v", cfg.RefreshEvery, fetchSpacing, KeepKeys)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Authenticator{cfg: cfg, algorithms: algorithms}
	if a.keys, err = newKeySet(cfg); err != nil {
		faults = append(faults, err)
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("jwtauth: %w", errors.Join(faults...))
	}
	return a, nil
}

func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// algorithmsOf returns what is allowed. Nothing symmetric can be.
func algorithmsOf(names []string) ([]jose.SignatureAlgorithm, error) {
	all := []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
	if len(names) == 0 {
		return all, nil
	}
	var allowed []jose.SignatureAlgorithm
	for _, name := range names {
		if !slices.Contains(all, jose.SignatureAlgorithm(name)) {
			return nil, fmt.Errorf("algorithm %q is none of %v", name, all)
		}
		allowed = append(allowed, jose.SignatureAlgorithm(name))
	}
	return allowed, nil
}

// Schemes implements [gateway.Authenticator].
func (a *Authenticator) Schemes() []gateway.Scheme {
	return []gateway.Scheme{gateway.BearerScheme("JWT")}
}

// Authenticate implements [gateway.Authenticator].
func (a *Authenticator) Authenticate(r *http.Request) (gateway.Principal, error) {
	token, err := gateway.BearerToken(r.Header, a.cfg.MaxTokenBytes)
	if err != nil {
		return gateway.Principal{}, err
	}
	return a.Verify(r.Context(), token)
}

// Run fetches the keys before requests need them, until ctx ends. It returns nil.
func (a *Authenticator) Run(ctx context.Context) error {
	a.keys.run(ctx)
	return nil
}

func refused(reason string) (gateway.Principal, error) {
	return gateway.Principal{}, &gateway.CredentialsError{Reason: reason}
}

// Verify returns the principal of a token that has come by another way than the header,
// a cookie for instance. Errors are those of Authenticate. It waits for keys until ctx
// ends, if it must.
func (a *Authenticator) Verify(ctx context.Context, token string) (gateway.Principal, error) {
	if len(token) > a.cfg.MaxTokenBytes {
		return refused("the token is too long")
	}
	parsed, err := jwt.ParseSigned(token, a.algorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return refused("the token is malformed, or is signed by an algorithm that is not allowed")
	}
	header := parsed.Headers[0]
	keys, err := a.keys.find(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return gateway.Principal{}, err
	}
	if len(keys) == 0 {
		return refused("the token is signed with an unknown key")
	}
	var claims jwt.Claims
	var all map[string]any
	for _, k := range keys {
		all = nil
		if err = parsed.Claims(k, &claims, &all); err == nil || !errors.Is(err, jose.ErrCryptoFailure) {
			break
		}
	}
	switch {
	case errors.Is(err, jose.ErrCryptoFailure):
		return refused("the signature of the token is wrong")
	case err != nil || all == nil:
		return refused("the claims of the token are malformed")
	}
	return a.principal(&claims, all)
}

// principal judges the claims of a token whose signature is good.
func (a *Authenticator) principal(claims *jwt.Claims, all map[string]any) (gateway.Principal, error) {
	if claims.Expiry == nil {
		return refused("the token has no exp")
	}
	for _, t := range []*jwt.NumericDate{claims.Expiry, claims.NotBefore, claims.IssuedAt} {
		if t != nil && (*t < 0 || *t > lastSecond) {
			return refused("a time in the token is out of range")
		}
	}
	err := claims.ValidateWithLeeway(jwt.Expected{Issuer: a.cfg.Issuer, AnyAudience: a.cfg.Audiences, Time: time.Now()}, a.cfg.Skew)
	switch {
	case errors.Is(err, jwt.ErrExpired):
		return refused("the token has expired")
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return refused("the token is not valid yet")
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return refused("the token is of another issuer")
	case errors.Is(err, jwt.ErrInvalidAudience):
		return refused("the token is for another audience")
	case err != nil:
		return refused("the claims of the token are not valid")
	}
	name, _ := all[a.cfg.PrincipalClaim].(string)
	if name == "" {
		return refused("the token has no claim that names the principal")
	}
	return gateway.Principal{Name: name, Claims: all, Expires: claims.Expiry.Time()}, nil
}

// lastSecond is that of the year 9999: times beyond it are nobody's.
const lastSecond = 253402300799
