package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// certificatesPoll is the time between two looks at the files.
	certificatesPoll = 5 * time.Second
	// certificatesPatience is for how long files may not go together before the log says
	// so: they are not replaced at once.
	certificatesPatience = 30 * time.Second

	// How long before its end a certificate is in the log, as a warning and as an error:
	// that, or a share of its life where it lives for less than three months.
	expiryWarning = 30 * 24 * time.Hour
	expiryError   = 7 * 24 * time.Hour
	warningShare  = 3
	errorShare    = 12

	// The time between two lines about the same.
	expiryRemind       = 24 * time.Hour
	expiryRemindUrgent = time.Hour
)

// span is from when to when something is valid.
type span struct{ from, to time.Time }

// urgency returns how loudly the end of a span is to be announced.
func (s span) urgency(now time.Time) (level slog.Level, announce bool) {
	left, life := s.to.Sub(now), s.to.Sub(s.from)
	switch {
	case left <= min(expiryError, life/errorShare):
		return slog.LevelError, true
	case left <= min(expiryWarning, life/warningShare):
		return slog.LevelWarn, true
	default:
		return 0, false
	}
}

// expiring is a file whose content is of no use after a date.
type expiring struct {
	option string // that names it
	path   string
	span   func(data []byte, now time.Time) (span, error)
}

var errNoCertificate = errors.New("no certificate")

// certificateSpan is that of what the files show: of all certificates in it.
func certificateSpan(data []byte, _ time.Time) (span, error) {
	var all span
	err := eachCertificate(data, func(c *x509.Certificate) {
		if all.to.IsZero() || c.NotAfter.Before(all.to) {
			all = span{c.NotBefore, c.NotAfter}
		}
	})
	return all, err
}

// authoritySpan is that of what the file believes: any of its certificates.
func authoritySpan(data []byte, _ time.Time) (span, error) {
	var longest span
	err := eachCertificate(data, func(c *x509.Certificate) {
		if c.NotAfter.After(longest.to) {
			longest = span{c.NotBefore, c.NotAfter}
		}
	})
	return longest, err
}

// eachCertificate passes over what else is in a file, such as the key.
func eachCertificate(data []byte, f func(*x509.Certificate)) error {
	found := false
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		found = true
		f(c)
	}
	if !found {
		return errNoCertificate
	}
	return nil
}

// credentialsSpan is that of a user of NATS. One without an end has none.
func credentialsSpan(data []byte, _ time.Time) (span, error) {
	text, err := jwt.ParseDecoratedJWT(data)
	if err != nil {
		return span{}, err
	}
	claims, err := jwt.DecodeUserClaims(text)
	if err != nil || claims.Expires == 0 {
		return span{}, err
	}
	return span{time.Unix(claims.IssuedAt, 0), time.Unix(claims.Expires, 0)}, nil
}

// certificates announces what expires, and has the embedded server take what is new. What
// the node shows to servers of others is read by its drivers whenever they connect.
type certificates struct {
	logger *slog.Logger
	files  []expiring
	until  *prometheus.GaugeVec // nil: nobody asks

	own    *identities  // of the embedded server; nil: it has none
	reload func() error // has the server take it

	http      *httpIdentities // of the HTTP API; nil: it is not encrypted
	httpFault time.Time       // since when its files do not go together

	untaken    bool      // own has something new that the server does not have yet
	faultSince time.Time // own files do not go together, or are not taken
	told       map[string]notice
}

// notice is what the log has of a file.
type notice struct {
	level slog.Level
	at    time.Time
}

// newCertificates knows all files of the settings.
func newCertificates(s *settings) *certificates {
	c := &certificates{logger: s.Logger, told: map[string]notice{}, http: s.httpTLS}
	add := func(option, path string, span func([]byte, time.Time) (span, error)) {
		if path != "" {
			c.files = append(c.files, expiring{option, path, span})
		}
	}
	if !s.embeddedNATS() {
		add("nats-tls-ca", s.NATSTLSCA, authoritySpan)
		add("nats-tls-cert", s.NATSTLSCert, certificateSpan)
		add("nats-creds", s.NATSCreds, credentialsSpan)
	} else if s.tlsComplete() {
		c.own = &identities{files: identityFiles{s.NATSTLSCA, s.NATSTLSCert, s.NATSTLSKey}}
	}
	for option, path := range mongoFiles(s.MongoURI) {
		if strings.Contains(option, "CA") || strings.Contains(option, "Authority") {
			add("mongo-uri "+option, path, authoritySpan)
		} else {
			add("mongo-uri "+option, path, certificateSpan)
		}
	}
	return c
}

// mongoFiles returns the files that a connection string names, by option.
func mongoFiles(uri string) map[string]string {
	files := map[string]string{}
	_, query, _ := strings.Cut(uri, "?")
	for option := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		key, value, _ := strings.Cut(option, "=")
		path, err := url.QueryUnescape(value)
		if err != nil {
			continue // the driver refuses it
		}
		for _, known := range []string{"tlsCertificateKeyFile", "sslClientCertificateKeyFile", "tlsCAFile", "sslCertificateAuthorityFile", "tlsCertificateFile"} {
			if strings.EqualFold(key, known) {
				files[known] = path
			}
		}
	}
	return files
}

// openCertificates ends a start with a certificate that nobody would take, and announces
// from then on what expires.
func (n *Node) openCertificates(ctx context.Context) error {
	c := newCertificates(&n.cfg)
	n.certificates = c
	if n.metrics != nil {
		c.until = n.metrics.observeCertificates()
	}
	if c.own != nil {
		if err := c.own.open(time.Now()); err != nil {
			return errors.Join(err, ErrConfig)
		}
		c.warnOfHost(ctx, n.cfg.NATSClusterAddr)
	}
	c.announce(ctx, time.Now())
	return nil
}

// watchCertificates looks at the files until the node is closed.
func (n *Node) watchCertificates(ctx context.Context) {
	c := n.certificates
	if c.own != nil {
		c.reload = n.nats.reload
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var watching sync.WaitGroup
	watching.Go(func() { c.run(ctx) })
	n.onClose(func() {
		cancel()
		watching.Wait()
	})
}

func (c *certificates) run(ctx context.Context) {
	if c.own == nil && c.http == nil && len(c.files) == 0 {
		return
	}
	tick := time.NewTicker(certificatesPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.renew(ctx, time.Now())
			c.renewHTTP(ctx, time.Now())
			c.announce(ctx, time.Now())
		}
	}
}

// renew has the embedded server take what is new on file.
func (c *certificates) renew(ctx context.Context, now time.Time) {
	if c.own == nil {
		return
	}
	changed, err := c.own.look(now)
	c.untaken = c.untaken || changed
	if err == nil && c.untaken {
		if err = c.reload(); err == nil {
			c.untaken = false
			c.logger.InfoContext(ctx, "the embedded NATS server has new certificates", "file", c.own.files.cert,
				"expires", c.own.used.Load().expiry(now))
		}
	}
	if c.lasts(&c.faultSince, "new", err, now) {
		c.logger.ErrorContext(ctx, "new certificates are not taken, the embedded NATS server goes on with those it has", "error", err)
	}
}

// lasts reports whether it is to be logged that new certificates are not taken: not while
// files are just being replaced, and not too often. since is when that began, and is kept here.
func (c *certificates) lasts(since *time.Time, key string, err error, now time.Time) bool {
	switch {
	case err == nil:
		*since = time.Time{}
		delete(c.told, key)
	case since.IsZero():
		*since = now
	default:
		return now.Sub(*since) >= certificatesPatience && c.due(key, slog.LevelError, now)
	}
	return false
}

// announce logs what ends soon, and measures when everything ends.
func (c *certificates) announce(ctx context.Context, now time.Time) {
	for _, f := range c.files {
		data, err := os.ReadFile(f.path)
		var s span
		if err == nil {
			s, err = f.span(data, now)
		}
		if err == nil {
			c.tell(ctx, f.option, f.path, s, now)
		} else if c.due(f.option+f.path, slog.LevelError, now) {
			c.logger.ErrorContext(ctx, "a certificate cannot be read", "option", f.option, "file", f.path, "error", err)
		}
	}
	c.announceHTTP(ctx, now)
	if c.own == nil {
		return
	}
	used := c.own.used.Load()
	c.tell(ctx, "nats-tls-cert", used.files.cert, span{used.pair.Leaf.NotBefore, used.expiry(now)}, now)
	if s, err := authoritySpan(used.content[0], now); err == nil {
		c.tell(ctx, "nats-tls-ca", used.files.ca, s, now)
	}
	if err := used.check(now); err != nil && c.due("used", slog.LevelError, now) {
		c.logger.ErrorContext(ctx, "other nodes refuse the certificate of the embedded NATS server: nobody who connects anew gets in", "error", err)
	}
}

// tell announces the end of one file's content, if it has one.
func (c *certificates) tell(ctx context.Context, option, path string, s span, now time.Time) {
	if s.to.IsZero() {
		return
	}
	if c.until != nil {
		c.until.WithLabelValues(option, path).Set(float64(s.to.Unix()))
	}
	level, announce := s.urgency(now)
	if !announce {
		delete(c.told, option+path)
		return
	}
	if !c.due(option+path, level, now) {
		return
	}
	if s.to.After(now) {
		c.logger.Log(ctx, level, "a certificate expires soon", "option", option, "file", path, "expires", s.to, "in", s.to.Sub(now).Round(time.Minute))
	} else {
		c.logger.Log(ctx, level, "a certificate has expired", "option", option, "file", path, "expired", s.to)
	}
}

// due reports whether the log is to have a line about something now: when it gets worse,
// and from time to time.
func (c *certificates) due(what string, level slog.Level, now time.Time) bool {
	remind := expiryRemind
	if level >= slog.LevelError {
		remind = expiryRemindUrgent
	}
	last, before := c.told[what]
	if before && level <= last.level && now.Sub(last.at) < remind {
		return false
	}
	c.told[what] = notice{level, now}
	return true
}

// warnOfHost is for a certificate of another address than the one on which the server
// listens: others may have a name for it that is right.
func (c *certificates) warnOfHost(ctx context.Context, listen string) {
	host, _ := listenAddress(listen)
	if listen == "" || unspecified(host) {
		return
	}
	if err := c.own.used.Load().pair.Leaf.VerifyHostname(host); err != nil {
		c.logger.WarnContext(ctx, "the certificate is not for the address on which the embedded NATS server listens: others must have another one of it in --nats-routes",
			"nats_cluster_addr", listen, "error", err)
	}
}

// clientFilesFault says what is wrong with the files of certificates that a client of NATS
// has, as far as it shows without a server. The error wraps [ErrCertificate].
func clientFilesFault(s *settings) error {
	if s.NATSTLSCert != "" {
		if _, err := tls.LoadX509KeyPair(s.NATSTLSCert, s.NATSTLSKey); err != nil {
			return fmt.Errorf("--nats-tls-cert=%s and --nats-tls-key=%s: %w: %w", s.NATSTLSCert, s.NATSTLSKey, err, ErrCertificate)
		}
	}
	if s.NATSTLSCA != "" {
		data, err := os.ReadFile(s.NATSTLSCA)
		if err == nil {
			err = eachCertificate(data, func(*x509.Certificate) {})
		}
		if err != nil {
			return fmt.Errorf("--nats-tls-ca=%s: %w: %w", s.NATSTLSCA, err, ErrCertificate)
		}
	}
	return nil
}

// clientCertificateEnd says that the certificate which a client shows to NATS servers is
// not valid now, of which they tell clients little; nil: it is, or there is none.
func clientCertificateEnd(s *settings, now time.Time) error {
	if s.NATSTLSCert == "" {
		return nil
	}
	data, err := os.ReadFile(s.NATSTLSCert)
	if err != nil {
		return err
	}
	valid, err := certificateSpan(data, now)
	switch {
	case err != nil:
		return err
	case now.After(valid.to):
		return fmt.Errorf("--nats-tls-cert=%s: it has expired at %s: %w", s.NATSTLSCert, valid.to.UTC().Format(time.RFC3339), ErrCertificate)
	case now.Before(valid.from):
		return fmt.Errorf("--nats-tls-cert=%s: it is not valid before %s: %w", s.NATSTLSCert, valid.from.UTC().Format(time.RFC3339), ErrCertificate)
	}
	return nil
}
