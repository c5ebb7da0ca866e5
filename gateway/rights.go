package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Authenticate returns who sends a request, as the gateway's own endpoints find it out:
// for an application that serves routes of its own beside the gateway. Errors are those
// of an [Authenticator]; without one in the configuration the principal is the zero
// value.
func (g *Gateway) Authenticate(r *http.Request) (Principal, error) {
	if g.cfg.Authenticate == nil {
		return Principal{}, nil
	}
	bare := r.WithContext(r.Context())
	bare.Body = http.NoBody
	p, err := g.cfg.Authenticate.Authenticate(bare)
	if err != nil {
		return Principal{}, fmt.Errorf("authenticate: %w", err)
	}
	if p.Name == "" || len(p.Name) > MaxPrincipalBytes || !isText(p.Name) {
		return Principal{}, &CredentialsError{Reason: fmt.Sprintf("the name of the principal is not text of 1 to %d bytes", MaxPrincipalBytes)}
	}
	return p, nil
}

// authenticate finds out who sends a request. Whoever does not say so learns nothing,
// not even which routes there are.
func (g *Gateway) authenticate(ctx context.Context, c *call, e endpoint) *Problem {
	if g.cfg.Authenticate == nil || e == endpointDescription && g.cfg.PublicDescription {
		return nil
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	var err error
	if c.principal, err = g.Authenticate(c.r.WithContext(ctx)); err == nil {
		return nil
	}
	var p *Problem
	if refused, invalid := errors.AsType[*CredentialsError](err); invalid {
		p = g.unauthenticated(refused.Reason)
	} else if errors.Is(err, ErrInvalidCredentials) {
		p = g.unauthenticated("the credentials are not valid")
	} else if errors.Is(err, ErrNoCredentials) {
		p = g.unauthenticated("")
	} else {
		p = g.undecided(ctx, "authenticate: "+err.Error(), "the credentials cannot be checked now; nothing was executed")
	}
	p.close = c.r.ContentLength != 0 // what a stranger sends is not waited for
	return p
}

// unauthenticated refuses credentials for a reason that the caller is told; empty: there
// are none.
func (g *Gateway) unauthenticated(reason string) *Problem {
	p := newProblem(codeUnauthenticated, reason)
	for _, s := range g.cfg.Authenticate.Schemes() {
		challenge := s.Challenge + ` realm="ganglion"`
		if reason != "" && strings.EqualFold(s.Challenge, "Bearer") {
			challenge += `, error="invalid_token", error_description=` + quoted(reason)
		}
		p.challenges = append(p.challenges, challenge)
	}
	return p
}

// quoted returns text as a quoted-string of a header, as far as RFC 6750 allows its
// characters.
func quoted(text string) string {
	return strconv.Quote(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, text))
}

// authorize asks whether the principal may do what the request is for.
func (g *Gateway) authorize(ctx context.Context, c *call, a Access) *Problem {
	if g.cfg.Authorize == nil || a.Action == ActionDescription && g.cfg.PublicDescription {
		return nil
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	a.Principal = c.principal
	err := g.cfg.Authorize.Authorize(ctx, a)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrForbidden):
		g.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "forbidden", slog.String("principal", a.Principal.Name), slog.String("action", string(a.Action)),
			slog.String("kind", string(a.Kind)), slog.String("id", a.ID), slog.String("name", a.Name), slog.Any("error", err))
		return newProblem(codeForbidden, "")
	default:
		return g.undecided(ctx, "authorize: "+err.Error(), "it cannot be found out now whether the principal has the right; nothing was executed")
	}
}

// undecided is for a check that failed itself: nobody gets in, and the caller may come
// again.
func (g *Gateway) undecided(ctx context.Context, text, detail string) *Problem {
	p := g.incident(ctx, slog.LevelWarn, codeUnavailable, text)
	p.Detail = detail + " (incident " + p.Incident + ")"
	return p
}

// expired returns the problem of a principal whose credentials have ended; nil: they
// have not.
func (g *Gateway) expired(c *call) *Problem {
	if g.cfg.Authenticate == nil || c.principal.Expires.IsZero() || time.Now().Before(c.principal.Expires) {
		return nil
	}
	return g.unauthenticated("the credentials have expired")
}

// expiry returns a channel that receives when the principal's credentials end, as far as
// a timer can know it, until stop is called; nil: they do not end.
func (c *call) expiry() (ends <-chan time.Time, stop func() bool) {
	if c.principal.Expires.IsZero() {
		return nil, func() bool { return true }
	}
	t := time.NewTimer(time.Until(c.principal.Expires))
	return t.C, t.Stop
}
