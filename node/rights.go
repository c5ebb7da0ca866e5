package node

import (
	"context"
	"time"

	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/gateway/jwtauth"
	"github.com/ganglion-go/ganglion/gateway/tlsauth"
)

// checkRights makes what finds out who sends a request: what the application has given,
// tokens and client certificates, whichever of them there are.
func (s *settings) checkRights(fault faultFunc) {
	s.checkHTTPTLS(fault)
	var all []gateway.Authenticator
	if s.Authenticate != nil {
		all = append(all, s.Authenticate)
	}
	if s.JWTIssuer != "" || len(s.JWTAudience) > 0 || s.JWTKeySet != "" || s.JWTPrincipalClaim != "" || s.JWTSkew != 0 {
		tokens, err := jwtauth.New(jwtauth.Config{
			Issuer: s.JWTIssuer, Audiences: s.JWTAudience, JWKS: s.JWTKeySet, PrincipalClaim: s.JWTPrincipalClaim, Skew: s.JWTSkew,
			Logger: s.Logger,
		})
		switch {
		case s.typed["JWTSkew"].bad:
			fault("${JWTSkew}=%s: a duration of at least 0s is required", s.value("JWTSkew", s.JWTSkew))
		case err != nil:
			fault("${JWTIssuer}, ${JWTAudience} and ${JWTKeySet}: %w", err)
		default:
			s.tokens = tokens
			all = append(all, tokens)
		}
	}
	if s.HTTPTLSClientCA != "" {
		if certificates, err := tlsauth.New(tlsauth.Config{}); err == nil { // the default cannot fail
			all = append(all, certificates)
		}
	}
	switch len(all) {
	case 0:
	case 1:
		s.authenticator = all[0]
	default:
		s.authenticator = gateway.AnyOf(all...)
	}
}

// checkHTTPTLS reads the certificate of the HTTP API.
func (s *settings) checkHTTPTLS(fault faultFunc) {
	files := httpFiles{cert: s.HTTPTLSCert, key: s.HTTPTLSKey, clients: s.HTTPTLSClientCA}
	switch {
	case files == httpFiles{}:
		return
	case files.cert == "" || files.key == "":
		fault("${HTTPTLSCert} and ${HTTPTLSKey} go together, and ${HTTPTLSClientCA} needs both")
		return
	}
	s.httpTLS = &httpIdentities{files: files}
	if _, err := s.httpTLS.look(time.Now()); err != nil {
		fault("${HTTPTLSCert}, ${HTTPTLSKey}, ${HTTPTLSClientCA}: %w", err)
	}
}

// warnOfRights logs what the HTTP API lets others do.
func (s *settings) warnOfRights(ctx context.Context) {
	open := !isLoopback(s.HTTPAddr)
	switch {
	case s.authenticator == nil && open:
		s.Logger.WarnContext(ctx, "the HTTP API is open to the network and authenticates nobody: put it behind something that does", "http_addr", s.HTTPAddr)
	case s.authenticator == nil && s.Authorize != nil:
		s.Logger.WarnContext(ctx, "the HTTP API authenticates nobody: rights are asked for of no principal", "http_addr", s.HTTPAddr)
	case s.authenticator != nil && s.Authorize == nil:
		s.Logger.WarnContext(ctx, "the HTTP API lets everybody who is authenticated do everything: the program has no Authorizer", "http_addr", s.HTTPAddr)
	}
	if s.authenticator != nil && s.httpTLS == nil && open {
		s.Logger.WarnContext(ctx, "the HTTP API is open to the network, without encryption: whoever is on the way can use the credentials of others", "http_addr", s.HTTPAddr)
	}
}
