package tlsauth

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/gateway"
)

// Source is a part of a certificate that may name a principal.
type Source string

// The sources.
const (
	URI        Source = "uri" // the first URI of the subject's alternative names
	DNS        Source = "dns" // the first DNS name among them
	CommonName Source = "cn"  // of the subject
)

// Config says how principals are named. The zero value means the defaults.
type Config struct {
	// From are the sources of the name; the first that a certificate has counts. Default:
	// URI, DNS, CommonName.
	From []Source
}

// Authenticator is a [gateway.Authenticator]. It is safe for concurrent use.
type Authenticator struct{ from []Source }

var _ gateway.Authenticator = (*Authenticator)(nil)

// New returns an authenticator. It fails for a source that is not known.
func New(cfg Config) (*Authenticator, error) {
	a := &Authenticator{from: slices.Clone(cfg.From)}
	if len(a.from) == 0 {
		a.from = []Source{URI, DNS, CommonName}
	}
	for _, s := range a.from {
		switch s {
		case URI, DNS, CommonName:
		default:
			return nil, fmt.Errorf("tlsauth: %q is no source of names", s)
		}
	}
	return a, nil
}

// Schemes implements [gateway.Authenticator].
func (a *Authenticator) Schemes() []gateway.Scheme {
	return []gateway.Scheme{{
		Name: "certificate", Challenge: "Certificate",
		OpenAPI: map[string]any{"type": "mutualTLS", "description": "A client certificate of an authority that the server trusts."},
	}}
}

// Authenticate implements [gateway.Authenticator].
func (a *Authenticator) Authenticate(r *http.Request) (gateway.Principal, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return gateway.Principal{}, gateway.ErrNoCredentials
	}
	expires := endOf(r.TLS.VerifiedChains)
	if !time.Now().Before(expires) {
		return gateway.Principal{}, &gateway.CredentialsError{Reason: "the certificate has expired"}
	}
	leaf := r.TLS.VerifiedChains[0][0]
	for _, s := range a.from {
		if name := nameOf(leaf, s); name != "" {
			return gateway.Principal{Name: name, Expires: expires, Claims: map[string]any{
				"subject": leaf.Subject.String(), "issuer": leaf.Issuer.String(), "serial": leaf.SerialNumber.String(),
			}}, nil
		}
	}
	return gateway.Principal{}, &gateway.CredentialsError{Reason: "the certificate has no name"}
}

func nameOf(c *x509.Certificate, from Source) string {
	switch {
	case from == URI && len(c.URIs) > 0:
		return c.URIs[0].String()
	case from == DNS && len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case from == CommonName:
		return c.Subject.CommonName
	default:
		return ""
	}
}

// endOf is when the last of the chains ends that lead from the certificate to an
// authority.
func endOf(chains [][]*x509.Certificate) time.Time {
	var last time.Time
	for _, chain := range chains {
		end := chain[0].NotAfter
		for _, c := range chain {
			if c.NotAfter.Before(end) {
				end = c.NotAfter
			}
		}
		if end.After(last) {
			last = end
		}
	}
	return last
}
