package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// writeIdentity writes a certificate that is its own authority.
func writeIdentity(t *testing.T, f identityFiles) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "n1"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		f.ca: {Type: "CERTIFICATE", Bytes: cert}, f.cert: {Type: "CERTIFICATE", Bytes: cert}, f.key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCertificates_Renew_UntilTheServerTakesThem: a server that does not take new
// certificates is asked again, and the log says so if it goes on.
func TestCertificates_Renew_UntilTheServerTakesThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := identityFiles{filepath.Join(dir, "ca"), filepath.Join(dir, "cert"), filepath.Join(dir, "key")}
	writeIdentity(t, f)
	now := time.Now()
	asked, refuse := 0, errors.New("not now")
	c := &certificates{logger: slog.New(slog.DiscardHandler), told: map[string]notice{}, own: &identities{files: f}, reload: func() error {
		asked++
		return refuse
	}}
	if err := c.own.open(now); err != nil {
		t.Fatal(err)
	}
	c.renew(t.Context(), now)
	if asked != 0 {
		t.Fatal("the server is to take what it has")
	}
	writeIdentity(t, f)
	c.renew(t.Context(), now)
	c.renew(t.Context(), now.Add(certificatesPatience))
	if _, told := c.told["new"]; asked != 2 || !told {
		t.Errorf("the server was asked %d times, in the log: %v", asked, told)
	}
	refuse = nil
	c.renew(t.Context(), now.Add(2*certificatesPatience))
	c.renew(t.Context(), now.Add(3*certificatesPatience))
	if _, told := c.told["new"]; asked != 3 || told {
		t.Errorf("the server was asked %d times, in the log: %v", asked, told)
	}
}

// TestCertificates_RenewHTTP_TakesWhatGoesTogether: the HTTP API shows a new certificate once
// its key is there as well. Until then it goes on with the one before, and the log says so if
// that lasts.
func TestCertificates_RenewHTTP_TakesWhatGoesTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := identityFiles{filepath.Join(dir, "ca"), filepath.Join(dir, "cert"), filepath.Join(dir, "key")}
	writeIdentity(t, f)
	now := time.Now()
	c := &certificates{logger: slog.New(slog.DiscardHandler), told: map[string]notice{}, http: &httpIdentities{files: httpFiles{cert: f.cert, key: f.key}}}
	if changed, err := c.http.look(now); err != nil || changed {
		t.Fatalf("changed %t, %v", changed, err)
	}
	shown := func() string {
		t.Helper()
		cfg, err := c.http.config().GetConfigForClient(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(cfg.Certificates[0].Certificate[0])
	}
	first := shown()
	key, err := os.ReadFile(f.key)
	if err != nil {
		t.Fatal(err)
	}
	writeIdentity(t, f)
	newKey, err := os.ReadFile(f.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.key, key, 0o600); err != nil {
		t.Fatal(err)
	}
	c.renewHTTP(t.Context(), now)
	c.renewHTTP(t.Context(), now.Add(certificatesPatience))
	if _, told := c.told["new http"]; shown() != first || !told {
		t.Errorf("a certificate without its key: in the log: %t", told)
	}
	if err := os.WriteFile(f.key, newKey, 0o600); err != nil {
		t.Fatal(err)
	}
	c.renewHTTP(t.Context(), now.Add(2*certificatesPatience))
	if _, told := c.told["new http"]; shown() == first || told {
		t.Errorf("the new certificate is shown: %t, in the log: %t", shown() != first, told)
	}
}

// TestClockLine says which clock is which.
func TestClockLine(t *testing.T) {
	t.Parallel()
	for ahead, want := range map[float64]string{
		0: "", 3: "the clock of a is ahead of that of b by at least 3.0 s\n", -3: "the clock of a is behind that of b by at least 3.0 s\n",
	} {
		if got := clockLine("a", "b", ahead); got != want {
			t.Errorf("%v: %q", ahead, got)
		}
	}
}
