// Package mongotls has clients of MongoDB show the certificate that is on file when they
// connect. The driver reads it once, so that one that expires would end a process which
// lives longer, with the new one beside it.
//
// # Concurrency
//
// Follow is called before the client is made. The driver calls what it sets from any
// goroutine.
//
// # Failures
//
// A file that cannot be read, or whose parts do not go together, is taken as one that is
// being replaced: the certificate that was read before is shown.
package mongotls

import (
	"crypto/tls"
	"strings"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Follow has opts, to which uri was applied, read the files of the client's certificate
// anew for each connection. It does nothing if uri names none. The authority that the
// client believes stays what it was.
func Follow(opts *options.ClientOptions, uri string) {
	if opts.TLSConfig == nil || len(opts.TLSConfig.Certificates) == 0 {
		return
	}
	alone := certificateURI(uri)
	var last atomic.Pointer[tls.Certificate]
	last.Store(&opts.TLSConfig.Certificates[0])
	cfg := opts.TLSConfig.Clone()
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		fresh := options.Client().ApplyURI(alone)
		if fresh.Validate() == nil && fresh.TLSConfig != nil && len(fresh.TLSConfig.Certificates) > 0 {
			last.Store(&fresh.TLSConfig.Certificates[0])
		}
		return last.Load(), nil
	}
	opts.TLSConfig = cfg
}

// certificateURI has what uri says of the certificate, and nothing that needs a network.
func certificateURI(uri string) string {
	_, query, _ := strings.Cut(uri, "?")
	own := []string{"tls=true"}
	for option := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		key, _, _ := strings.Cut(option, "=")
		switch strings.ToLower(key) {
		case "tlscertificatekeyfile", "sslclientcertificatekeyfile", "tlscertificatekeyfilepassword", "sslclientcertificatekeypassword",
			"tlscertificatefile", "tlsprivatekeyfile":
			own = append(own, option)
		}
	}
	return "mongodb://localhost/?" + strings.Join(own, "&")
}
