package mongotls_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/internal/mongotls"
)

// issue writes a certificate with its key into one file, as MongoDB has them.
func issue(t *testing.T, file string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// shown is the serial number of the certificate that a client shows to a server.
func shown(t *testing.T, client *tls.Config, server *tls.Config) int64 {
	t.Helper()
	client = client.Clone() // as the driver does
	client.InsecureSkipVerify = true
	here, there := net.Pipe()
	defer func() { _ = here.Close() }()
	done := make(chan error, 1)
	go func() { done <- tls.Client(here, client).HandshakeContext(t.Context()) }()
	conn := tls.Server(there, server)
	defer func() { _ = there.Close() }()
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// TestFollow: the next connection shows what is on file by then, and what it showed before
// while the file is no good.
func TestFollow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, other := filepath.Join(dir, "client key.pem"), filepath.Join(dir, "server.pem")
	issue(t, file, 1)
	issue(t, other, 99)
	pair, err := tls.LoadX509KeyPair(other, other)
	if err != nil {
		t.Fatal(err)
	}
	server := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert}
	uri := "mongodb://a.example:1,b.example:2/db?replicaSet=rs&tlsCertificateKeyFile=" + filepath.Join(dir, "client%20key.pem") + "&ssl=true"
	opts := options.Client().ApplyURI(uri)
	if err := opts.Validate(); err != nil {
		t.Fatal(err)
	}
	mongotls.Follow(opts, uri)
	for _, step := range []struct {
		what string
		put  func()
		want int64
	}{
		{"as it was", func() {}, 1},
		{"replaced", func() { issue(t, file, 2) }, 2},
		{"half written", func() { _ = os.WriteFile(file, []byte("-----BEGIN"), 0o600) }, 2},
		{"gone", func() { _ = os.Remove(file) }, 2},
		{"there again", func() { issue(t, file, 3) }, 3},
	} {
		step.put()
		if got := shown(t, opts.TLSConfig, server); got != step.want {
			t.Errorf("%s: certificate %d is shown, want %d", step.what, got, step.want)
		}
	}
}

// TestFollow_NoCertificate: nothing to follow.
func TestFollow_NoCertificate(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"mongodb://h/", "mongodb://h/?tls=true"} {
		opts := options.Client().ApplyURI(uri)
		before := opts.TLSConfig
		if mongotls.Follow(opts, uri); opts.TLSConfig != before {
			t.Errorf("%s: the TLS configuration has changed", uri)
		}
	}
}
