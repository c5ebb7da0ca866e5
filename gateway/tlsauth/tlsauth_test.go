package tlsauth_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/gateway/tlsauth"
)

func certificate(cn string, dns []string, uris ...string) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: cn}, Issuer: pkix.Name{CommonName: "ca"},
		NotAfter: time.Now().Add(time.Hour), DNSNames: dns,
	}
	for _, text := range uris {
		u, err := url.Parse(text)
		if err != nil {
			panic(err)
		}
		c.URIs = append(c.URIs, u)
	}
	return c
}

func request(chains ...[]*x509.Certificate) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.TLS = &tls.ConnectionState{VerifiedChains: chains}
	return r
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	spiffe := "spiffe://example.org/ns/shop/sa/orders"
	all := certificate("cn", []string{"a.example", "b.example"}, spiffe, "https://other.example/")
	for name, c := range map[string]struct {
		from []tlsauth.Source
		leaf *x509.Certificate
		want string
	}{
		"a URI":              {nil, all, spiffe},
		"a DNS name":         {nil, certificate("cn", []string{"a.example"}), "a.example"},
		"a common name":      {nil, certificate("cn", nil), "cn"},
		"another order":      {[]tlsauth.Source{tlsauth.CommonName, tlsauth.URI}, all, "cn"},
		"one source":         {[]tlsauth.Source{tlsauth.DNS}, all, "a.example"},
		"not in that source": {[]tlsauth.Source{tlsauth.URI}, certificate("cn", []string{"a.example"}), ""},
		"no name":            {nil, certificate("", nil), ""},
	} {
		a, err := tlsauth.New(tlsauth.Config{From: c.from})
		if err != nil {
			t.Fatal(err)
		}
		ca := certificate("ca", nil)
		ca.NotAfter = time.Now().Add(time.Minute)
		p, err := a.Authenticate(request([]*x509.Certificate{c.leaf, ca}))
		if c.want == "" {
			if !errors.Is(err, gateway.ErrInvalidCredentials) {
				t.Errorf("%s: %+v, %v", name, p, err)
			}
			continue
		}
		if err != nil || p.Name != c.want || !p.Expires.Equal(ca.NotAfter) || p.Claims["serial"] != "7" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// TestAuthenticate_Nobody: what the server has not verified counts for nothing, and what
// has expired on an old connection is refused.
func TestAuthenticate_Nobody(t *testing.T) {
	t.Parallel()
	a, err := tlsauth.New(tlsauth.Config{})
	if err != nil {
		t.Fatal(err)
	}
	unverified := request()
	unverified.TLS.PeerCertificates = []*x509.Certificate{certificate("eve", nil)}
	plain := httptest.NewRequest(http.MethodGet, "/", nil)
	plain.Header.Set("X-Forwarded-Client-Cert", "Subject=eve")
	for _, r := range []*http.Request{plain, request(), unverified} {
		if _, err := a.Authenticate(r); !errors.Is(err, gateway.ErrNoCredentials) {
			t.Errorf("%v", err)
		}
	}
	old := certificate("ann", nil)
	old.NotAfter = time.Now().Add(-time.Second)
	if _, err := a.Authenticate(request([]*x509.Certificate{old})); !errors.Is(err, gateway.ErrInvalidCredentials) {
		t.Errorf("%v", err)
	}
	if _, err := tlsauth.New(tlsauth.Config{From: []tlsauth.Source{"email"}}); err == nil {
		t.Error("an unknown source is taken")
	}
	if s := a.Schemes(); len(s) != 1 || s[0].OpenAPI["type"] != "mutualTLS" {
		t.Errorf("%+v", s)
	}
}
