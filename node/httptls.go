package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// httpFiles are the paths of the PEM files of the HTTP API.
type httpFiles struct{ cert, key, clients string }

// httpIdentity is what the HTTP API shows its clients, and asks of them: files that were
// read together.
type httpIdentity struct {
	content [3][]byte
	leaf    *x509.Certificate
	config  *tls.Config
}

// read reads the files, which must go together. Errors wrap [ErrCertificate].
func (f httpFiles) read() (*httpIdentity, error) {
	id := &httpIdentity{}
	for i, path := range []string{f.cert, f.key, f.clients} {
		if path == "" {
			continue
		}
		var err error
		if id.content[i], err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("%w: %w", err, ErrCertificate)
		}
	}
	pair, err := tls.X509KeyPair(id.content[0], id.content[1])
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w: %w", f.cert, f.key, err, ErrCertificate)
	}
	if id.leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", f.cert, err, ErrCertificate)
	}
	id.config = &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair},
		NextProtos: []string{"http/1.1"}, // the bounds of the gateway are on connections
	}
	if f.clients == "" {
		return id, nil
	}
	// Who shows none is told so by the gateway, in words, and may have a token.
	id.config.ClientAuth, id.config.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool()
	if !id.config.ClientCAs.AppendCertsFromPEM(id.content[2]) {
		return nil, fmt.Errorf("no certificate in %s: %w", f.clients, ErrCertificate)
	}
	return id, nil
}

// check says why no client would take the certificate now. Errors wrap [ErrCertificate].
func (id *httpIdentity) check(now time.Time) error {
	switch {
	case now.After(id.leaf.NotAfter):
		return fmt.Errorf("the certificate of %q has expired at %s: %w", id.leaf.Subject.String(), id.leaf.NotAfter.UTC().Format(time.RFC3339), ErrCertificate)
	case now.Before(id.leaf.NotBefore):
		return fmt.Errorf("the certificate of %q is not valid before %s: %w", id.leaf.Subject.String(), id.leaf.NotBefore.UTC().Format(time.RFC3339), ErrCertificate)
	}
	return nil
}

// httpIdentities is the identity in use, which follows the files. It is safe for
// concurrent use, but for look.
type httpIdentities struct {
	files httpFiles
	used  atomic.Pointer[httpIdentity]
}

// look takes what is on file now, and reports whether that is something new. Files are not
// replaced at once: what does not go together, or would not be taken by clients while the
// one in use is, is not taken, and looked at again.
func (i *httpIdentities) look(now time.Time) (changed bool, err error) {
	id, err := i.files.read()
	if err != nil {
		return false, err
	}
	used := i.used.Load()
	if used != nil {
		same := true
		for k := range id.content {
			same = same && bytes.Equal(id.content[k], used.content[k])
		}
		if same {
			return false, nil
		}
	}
	if err := id.check(now); err != nil && (used == nil || used.check(now) == nil) {
		return false, err
	}
	i.used.Store(id)
	return used != nil, nil
}

// config has each connection take the identity of its moment.
func (i *httpIdentities) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return i.used.Load().config, nil },
	}
}

// renewHTTP has the HTTP API take what is new on file: new connections see it.
func (c *certificates) renewHTTP(ctx context.Context, now time.Time) {
	if c.http == nil {
		return
	}
	changed, err := c.http.look(now)
	if changed {
		c.logger.InfoContext(ctx, "the HTTP API has new certificates", "file", c.http.files.cert, "expires", c.http.used.Load().leaf.NotAfter)
	}
	if c.lasts(&c.httpFault, "new http", err, now) {
		c.logger.ErrorContext(ctx, "new certificates are not taken, the HTTP API goes on with those it has", "error", err)
	}
}

// announceHTTP announces when clients will not take the certificate any more, and when
// there will be no client whose certificate is taken.
func (c *certificates) announceHTTP(ctx context.Context, now time.Time) {
	if c.http == nil {
		return
	}
	used := c.http.used.Load()
	c.tell(ctx, "http-tls-cert", c.http.files.cert, span{used.leaf.NotBefore, used.leaf.NotAfter}, now)
	if c.http.files.clients == "" {
		return
	}
	if s, err := authoritySpan(used.content[2], now); err == nil {
		c.tell(ctx, "http-tls-client-ca", c.http.files.clients, s, now)
	}
}
