package node

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// ErrCertificate says that a certificate cannot be used: it has expired or is not valid
// yet, its key is another one's, its authority is not the one that is named, or it is not
// for both ends of a connection.
var ErrCertificate = errors.New("certificate that cannot be used")

// identity is what an embedded NATS server shows others and asks of them: certificate, key
// and authority that were read together.
type identity struct {
	files     identityFiles
	content   [3][]byte
	pair      tls.Certificate
	authority *x509.CertPool
}

// identityFiles are the paths of PEM files.
type identityFiles struct{ ca, cert, key string }

// read reads the files, which must go together. Errors wrap [ErrCertificate].
func (f identityFiles) read() (*identity, error) {
	id := &identity{files: f, authority: x509.NewCertPool()}
	for i, file := range []struct{ flag, path string }{{"ca", f.ca}, {"cert", f.cert}, {"key", f.key}} {
		var err error
		if id.content[i], err = os.ReadFile(file.path); err != nil {
			return nil, fmt.Errorf("--nats-tls-%s: %w: %w", file.flag, err, ErrCertificate)
		}
	}
	var err error
	if id.pair, err = tls.X509KeyPair(id.content[1], id.content[2]); err != nil {
		return nil, fmt.Errorf("--nats-tls-cert=%s and --nats-tls-key=%s: %w: %w", f.cert, f.key, err, ErrCertificate)
	}
	if id.pair.Leaf == nil {
		if id.pair.Leaf, err = x509.ParseCertificate(id.pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("--nats-tls-cert=%s: %w: %w", f.cert, err, ErrCertificate)
		}
	}
	if !id.authority.AppendCertsFromPEM(id.content[0]) {
		return nil, fmt.Errorf("--nats-tls-ca: no certificate in %s: %w", f.ca, ErrCertificate)
	}
	return id, nil
}

func (id *identity) same(other *identity) bool {
	for i := range id.content {
		if !bytes.Equal(id.content[i], other.content[i]) {
			return false
		}
	}
	return true
}

// chains returns how the certificate leads to the authority at a point in time, for one
// end of a connection.
func (id *identity) chains(now time.Time, end x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, der := range id.pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	return id.pair.Leaf.Verify(x509.VerifyOptions{
		Roots: id.authority, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{end},
	})
}

// check says why nobody would take the certificate now. Errors wrap [ErrCertificate].
func (id *identity) check(now time.Time) error {
	leaf := id.pair.Leaf
	reject := func(format string, args ...any) error {
		return fmt.Errorf("--nats-tls-cert=%s: the certificate of %q "+format+": %w",
			append(append([]any{id.files.cert, leaf.Subject.String()}, args...), ErrCertificate)...)
	}
	switch {
	case now.After(leaf.NotAfter):
		return reject("has expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return reject("is not valid before %s, and the clock says %s", leaf.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	for end, name := range map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "serverAuth", x509.ExtKeyUsageClientAuth: "clientAuth"} {
		_, err := id.chains(now, end)
		if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
			switch invalid.Reason {
			case x509.IncompatibleUsage:
				return reject("does not allow %s, and both ends show it", name)
			case x509.Expired:
				return reject("has an authority, %q, that is valid from %s to %s", invalid.Cert.Subject.String(),
					invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
			default:
			}
		}
		if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
			return reject("is signed by %q, which is not in --nats-tls-ca=%s", leaf.Issuer.String(), id.files.ca)
		}
		if err != nil {
			return reject("is not good: %w", err)
		}
	}
	return nil
}

// expiry is when nobody will take the certificate any more, for its own sake or its
// authority's.
func (id *identity) expiry(now time.Time) time.Time {
	last := time.Time{}
	chains, _ := id.chains(now, x509.ExtKeyUsageServerAuth) // none: what check says is the news
	for _, chain := range chains {
		end := chain[0].NotAfter
		for _, c := range chain {
			end = earlier(end, c.NotAfter)
		}
		if end.After(last) {
			last = end
		}
	}
	if last.IsZero() {
		return id.pair.Leaf.NotAfter
	}
	return last
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// tlsConfig asks the other side for a certificate of the authority, too.
func (id *identity) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{id.pair},
		RootCAs: id.authority, ClientCAs: id.authority, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

// identities is the identity in use, which follows the files. It is safe for concurrent
// use, but for look.
type identities struct {
	files identityFiles
	used  atomic.Pointer[identity]
}

// open reads the files for a start, which a certificate that nobody takes ends.
func (i *identities) open(now time.Time) error {
	id, err := i.files.read()
	if err != nil {
		return err
	}
	if err := id.check(now); err != nil {
		return err
	}
	i.used.Store(id)
	return nil
}

// look takes what is on file now, and reports whether that is something new. Three files
// are not replaced at once: what does not go together, or would not be taken by others
// while the one in use is, is not taken, and looked at again.
func (i *identities) look(now time.Time) (changed bool, err error) {
	id, err := i.files.read()
	if err != nil {
		return false, err
	}
	used := i.used.Load()
	if id.same(used) {
		return false, nil
	}
	if err := id.check(now); err != nil && used.check(now) == nil {
		return false, err
	}
	i.used.Store(id)
	return true, nil
}
