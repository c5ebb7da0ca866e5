package node_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// pemFolder is where a node has its certificates, which are replaced there.
type pemFolder struct {
	t   *testing.T
	dir string
}

func newPEMFolder(t *testing.T) pemFolder { t.Helper(); return pemFolder{t, t.TempDir()} }

func (p pemFolder) ca() string   { return filepath.Join(p.dir, "ca.pem") }
func (p pemFolder) cert() string { return filepath.Join(p.dir, "cert.pem") }
func (p pemFolder) key() string  { return filepath.Join(p.dir, "key.pem") }

// put replaces the files, one after another.
func (p pemFolder) put(id identity, authorities ...*authority) {
	p.t.Helper()
	var ca []byte
	for _, a := range authorities {
		ca = append(ca, p.read(a.file)...)
	}
	p.write(p.ca(), ca)
	p.write(p.cert(), p.read(id.cert))
	p.write(p.key(), p.read(id.key))
}

func (p pemFolder) read(file string) []byte {
	p.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	return data
}

func (p pemFolder) write(file string, data []byte) {
	p.t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p pemFolder) configure(cfg *node.Config) {
	cfg.NATSTLSCA, cfg.NATSTLSCert, cfg.NATSTLSKey = p.ca(), p.cert(), p.key()
}

// TestNode_EmbeddedCluster_NewCertificates replaces the certificates of three nodes that
// run, and their authority. They take them, without a connection lost, and a node that is
// started again with nothing but the new ones is let in.
func TestNode_EmbeddedCluster_NewCertificates(t *testing.T) {
	t.Parallel()
	before, after := newAuthority(t, "before"), newAuthority(t, "after")
	file, secret := secretFile(t)
	inOneHour := time.Now().Add(time.Hour)
	cfgs := clusterConfigs(t, "n1", "n2", "n3")
	folders := make([]pemFolder, len(cfgs))
	for i := range cfgs {
		folders[i] = newPEMFolder(t)
		folders[i].put(before.issue(cfgs[i].Name, inOneHour), before)
		folders[i].configure(&cfgs[i])
		cfgs[i].NATSSecretFile, cfgs[i].NATSClientAddr = file, nodes.FreeAddress(t)
	}
	opened, errs := openTogether(t, cfgs)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	ended := map[string]chan error{}
	run := func(n *node.Node) {
		ended[n.Name()] = make(chan error, 1)
		go func(ended chan<- error) { ended <- n.Run(t.Context()) }(ended[n.Name()])
		if err := n.AwaitServing(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range opened {
		run(n)
	}
	connect := func(i int, a *authority) (*nats.Conn, error) {
		id := a.issue("client", inOneHour)
		nc, err := nats.Connect("nats://"+cfgs[i].NATSClientAddr, nats.RootCAs(a.file), nats.ClientCert(id.cert, id.key), nats.Token(secret))
		if err == nil {
			t.Cleanup(nc.Close)
		}
		return nc, err
	}
	stays, err := connect(0, before)
	if err != nil {
		t.Fatal(err)
	}
	for i := range cfgs { // first all believe both
		folders[i].put(after.issue(cfgs[i].Name, inOneHour), before, after)
	}
	for i := range cfgs {
		testharness.Eventually(t, 30*time.Second, func() bool { _, err := connect(i, after); return err == nil })
	}
	for i := range cfgs { // then the new one alone
		folders[i].put(after.issue(cfgs[i].Name, inOneHour), after)
	}
	for i := range cfgs {
		testharness.Eventually(t, 30*time.Second, func() bool { _, err := connect(i, before); return err != nil })
	}
	if err := opened[2].Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-ended["n3"]; err != nil {
		t.Errorf("run: %v", err)
	}
	_ = opened[2].Close()
	again, err := node.Open(t.Context(), cfgs[2], gauges(nil))
	if err != nil {
		t.Fatalf("started again, with new certificates: %v", err)
	}
	t.Cleanup(func() { _ = again.Close() })
	run(again)
	for _, n := range []*node.Node{opened[0], opened[1], again} {
		c := caller{t, "http://" + n.HTTPAddr()}
		c.expect("at "+n.Name(), c.post("/v1/gauge/"+n.Name()+"/Raise", `{"by":1}`), 200, "")
	}
	if s := stays.Statistics; !stays.IsConnected() || s.Reconnects != 0 {
		t.Errorf("a client that was connected before has lost its connection %d times", s.Reconnects)
	}
}

// TestNode_NATSClient_NewCertificates: a node on external servers shows, and believes, what
// is on file when it connects again.
func TestNode_NATSClient_NewCertificates(t *testing.T) {
	t.Parallel()
	before, after := newAuthority(t, "before"), newAuthority(t, "after")
	inOneHour := time.Now().Add(time.Hour)
	var serving atomic.Pointer[tls.Config]
	serving.Store(before.serving(before.issue("server", inOneHour)))
	server := testharness.NATS(t, testharness.WithListener(), testharness.WithServerOptions(func(o *server.Options) {
		o.TLSConfig, o.TLSVerify, o.TLSTimeout = serving.Load(), true, 5
	}))
	p := newPEMFolder(t)
	p.put(before.issue("node", inOneHour), before)
	cfg := node.Config{NATSURL: server.URL(), Partitions: 4}
	p.configure(&cfg)
	c := caller{t, nodes.Start(t, cfg, gauges(nil)).URL()}
	c.expect("before", c.post("/v1/gauge/a/Raise", `{"by":1}`), 200, "")
	p.put(after.issue("node", inOneHour), after)
	serving.Store(after.serving(after.issue("server", inOneHour)))
	server.Restart(t)
	testharness.Eventually(t, 30*time.Second, func() bool { return c.post("/v1/gauge/a/Raise?timeout=2s", `{"by":1}`).status == 200 })
}

// TestNode_BadCertificates are named by a start, at once: what is wrong, with which file.
func TestNode_BadCertificates(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	now := time.Now()
	good := ours.issue("n1", now.Add(time.Hour))
	secret, _ := secretFile(t)
	one := func(usage x509.ExtKeyUsage) identity {
		return ours.issueFor(&x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "n1"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{usage}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		})
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		id   identity
		ca   string
		want []string
	}{
		"expired":            {ours.issue("n1", now.Add(-time.Hour)), ours.file, []string{"has expired at " + now.Add(-time.Hour).UTC().Format("2006-01-02")}},
		"not yet valid":      {ours.issue("n1", now.Add(48*time.Hour)), ours.file, []string{"is not valid before"}},
		"another authority":  {theirs.issue("n1", now.Add(time.Hour)), ours.file, []string{"CN=theirs", "not in --nats-tls-ca"}},
		"for clients alone":  {one(x509.ExtKeyUsageClientAuth), ours.file, []string{"does not allow serverAuth"}},
		"for servers alone":  {one(x509.ExtKeyUsageServerAuth), ours.file, []string{"does not allow clientAuth"}},
		"another's key":      {identity{good.cert, ours.issue("n1", now.Add(time.Hour)).key}, ours.file, []string{"--nats-tls-key", "does not match"}},
		"no certificate":     {identity{empty, good.key}, ours.file, []string{"--nats-tls-cert"}},
		"no authority":       {good, empty, []string{"--nats-tls-ca", "no certificate"}},
		"an authority alone": {identity{ours.file, good.key}, ours.file, []string{"--nats-tls-key"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := clusterConfigs(t, "n1", "n2", "n3")[0]
			cfg.NATSTLSCA, cfg.NATSTLSCert, cfg.NATSTLSKey, cfg.NATSSecretFile = c.ca, c.id.cert, c.id.key, secret
			_, err := node.Open(t.Context(), cfg, gauges(nil))
			if !errors.Is(err, node.ErrCertificate) || !errors.Is(err, node.ErrConfig) {
				t.Fatalf("error %v, want %v", err, node.ErrCertificate)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("nothing of %q in %v", want, err)
				}
			}
		})
	}
}

// TestNode_BadCertificates_OfAClient: NATS servers tell clients little of why they do not
// take a certificate.
func TestNode_BadCertificates_OfAClient(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t, "ours")
	good, other := ours.issue("client", time.Now().Add(time.Hour)), ours.issue("client", time.Now().Add(time.Hour))
	for name, cfg := range map[string]node.Config{
		"another's key": {NATSTLSCA: ours.file, NATSTLSCert: good.cert, NATSTLSKey: other.key},
		"no authority":  {NATSTLSCA: good.key, NATSTLSCert: good.cert, NATSTLSKey: good.key},
	} {
		cfg.NATSURL = "nats://" + nodes.FreeAddress(t)
		t.Run(name, func(t *testing.T) { t.Parallel(); refused(t, cfg, node.ErrCertificate) })
	}
}

// TestNode_CertificateExpiry_IsAnnounced: log and metric say when certificates end, of the
// embedded server and of a client of MongoDB.
func TestNode_CertificateExpiry_IsAnnounced(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "ours")
	notAfter := time.Now().Add(time.Hour).Truncate(time.Second)
	p := newPEMFolder(t)
	p.put(ca.issue("n1", notAfter), ca)
	secret, _ := secretFile(t)
	var log lockedLog
	cfg := node.Config{
		Name: "n1", Partitions: 4, NATSClientAddr: nodes.FreeAddress(t), NATSSecretFile: secret,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}
	p.configure(&cfg)
	n := nodes.Start(t, cfg, gauges(nil))
	metric := func() string { return string(caller{t, n.AdminURL()}.do("GET", "/metrics", "").body) }
	want := func(at time.Time) string {
		return fmt.Sprintf("ganglion_certificate_expiry_timestamp_seconds{file=%q,option=\"nats-tls-cert\"} %v", p.cert(), float64(at.Unix()))
	}
	if text := metric(); !strings.Contains(text, want(notAfter)) {
		t.Errorf("no %s in\n%s", want(notAfter), text)
	}
	for _, line := range []string{"level=ERROR msg=\"a certificate expires soon\" option=nats-tls-cert", "option=nats-tls-ca"} {
		if !strings.Contains(log.text(), line) {
			t.Errorf("no %s in\n%s", line, log.text())
		}
	}
	later := notAfter.Add(20 * time.Hour)
	p.put(ca.issue("n1", later), ca)
	testharness.Eventually(t, 30*time.Second, func() bool {
		// The authority's own end comes first.
		return strings.Contains(log.text(), "the embedded NATS server has new certificates") && !strings.Contains(metric(), want(later))
	})
	// What is no certificate of ours is not taken.
	p.put(newAuthority(t, "theirs").issue("n1", later), ca)
	testharness.Eventually(t, time.Minute, func() bool { return strings.Contains(log.text(), "new certificates are not taken") })
}

// TestNode_CredentialsExpiry_IsAnnounced: credentials of a user of NATS end, too.
func TestNode_CredentialsExpiry_IsAnnounced(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	url := testharness.NATS(t, testharness.WithListener(), testharness.WithServerOptions(o.configure)).URL()
	expires := time.Now().Add(time.Hour).Truncate(time.Second)
	cfg := node.Config{NATSURL: url, NATSCreds: o.user(expires), Partitions: 4}
	n := nodes.Start(t, cfg, gauges(nil))
	want := fmt.Sprintf("ganglion_certificate_expiry_timestamp_seconds{file=%q,option=\"nats-creds\"} %v", cfg.NATSCreds, float64(expires.Unix()))
	if text := string(caller{t, n.AdminURL()}.do("GET", "/metrics", "").body); !strings.Contains(text, want) {
		t.Errorf("no %s in\n%s", want, text)
	}
	forever := node.Config{NATSURL: url, NATSCreds: o.user(time.Time{}), Partitions: 4, Namespace: "other"}
	n = nodes.Start(t, forever, gauges(nil))
	if text := string(caller{t, n.AdminURL()}.do("GET", "/metrics", "").body); strings.Contains(text, "ganglion_certificate_expiry") {
		t.Errorf("credentials without an end have one:\n%s", text)
	}
}

// TestNode_EmbeddedCluster_ExpiredOnTheOtherSide: whoever waits for others in vain, as one
// does not trust the other, says so in the end.
func TestNode_EmbeddedCluster_ExpiredOnTheOtherSide(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	secret, _ := secretFile(t)
	cfgs := clusterConfigs(t, "n1", "n2", "n3")[:2]
	for i, ca := range []*authority{ours, theirs} {
		p := newPEMFolder(t)
		p.put(ca.issue(cfgs[i].Name, time.Now().Add(time.Hour)), ca)
		p.configure(&cfgs[i])
		cfgs[i].NATSSecretFile, cfgs[i].ClusterTimeout = secret, 4*time.Second
	}
	_, errs := openTogether(t, cfgs)
	if !slices.ContainsFunc(errs, func(err error) bool {
		return errors.Is(err, node.ErrNoQuorum) && strings.Contains(err.Error(), "one does not trust the other") && strings.Contains(err.Error(), "x509")
	}) {
		t.Errorf("nobody says why: %v", errs)
	}
}
