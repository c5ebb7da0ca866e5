package node_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// openTimeout bounds how long a node takes to say that NATS does not let it in.
const openTimeout = 20 * time.Second

// serves starts a node and has it execute a command.
func serves(t *testing.T, cfg node.Config) {
	t.Helper()
	n := nodes.Start(t, cfg, gauges(nil))
	c := caller{t, n.URL()}
	c.expect("raise", c.post("/v1/gauge/a/Raise", `{"by":3}`), 200, "")
	n.Stop(t)
}

// refused fails unless the node says in time that it cannot begin, and why.
func refused(t *testing.T, cfg node.Config, want error) {
	t.Helper()
	cfg.DataDir, cfg.HTTPAddr, cfg.AdminAddr = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	ctx, cancel := context.WithTimeout(t.Context(), openTimeout)
	defer cancel()
	n, err := node.Open(ctx, cfg, gauges(nil))
	switch {
	case err == nil:
		_ = n.Close()
		t.Fatalf("it was let in, want %v", want)
	case !errors.Is(err, want):
		t.Errorf("error %v, want %v", err, want)
	case ctx.Err() != nil:
		t.Errorf("it took longer than %v", openTimeout)
	}
}

// operator is whom a NATS server trusts, with one account.
type operator struct {
	t       *testing.T
	keys    nkeys.KeyPair
	account nkeys.KeyPair
	claims  *jwt.OperatorClaims
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	o := &operator{t: t, keys: newKeys(t, nkeys.PrefixByteOperator), account: newKeys(t, nkeys.PrefixByteAccount)}
	o.claims = jwt.NewOperatorClaims(public(t, o.keys))
	return o
}

func newKeys(t *testing.T, kind nkeys.PrefixByte) nkeys.KeyPair {
	t.Helper()
	keys, err := nkeys.CreatePair(kind)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func public(t *testing.T, keys nkeys.KeyPair) string {
	t.Helper()
	key, err := keys.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// configure makes a server trust the operator, with its account and one for the
// system.
func (o *operator) configure(opts *server.Options) {
	o.t.Helper()
	resolver := &server.MemAccResolver{}
	for name, keys := range map[string]nkeys.KeyPair{"app": o.account, "system": newKeys(o.t, nkeys.PrefixByteAccount)} {
		claims := jwt.NewAccountClaims(public(o.t, keys))
		claims.Name = name
		if name == "app" {
			claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
		} else {
			opts.SystemAccount = claims.Subject
		}
		text, err := claims.Encode(o.keys)
		if err == nil {
			err = resolver.Store(claims.Subject, text)
		}
		if err != nil {
			o.t.Fatal(err)
		}
	}
	opts.TrustedOperators, opts.AccountResolver = []*jwt.OperatorClaims{o.claims}, resolver
}

// user makes a credentials file of a user of the account.
func (o *operator) user(expires time.Time) string {
	o.t.Helper()
	keys := newKeys(o.t, nkeys.PrefixByteUser)
	claims := jwt.NewUserClaims(public(o.t, keys))
	if !expires.IsZero() {
		claims.Expires = expires.Unix()
	}
	text, err := claims.Encode(o.account)
	if err != nil {
		o.t.Fatal(err)
	}
	seed, err := keys.Seed()
	if err != nil {
		o.t.Fatal(err)
	}
	data, err := jwt.FormatUserConfig(text, seed)
	if err != nil {
		o.t.Fatal(err)
	}
	file := filepath.Join(o.t.TempDir(), "user.creds")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return file
}

func TestNode_Credentials(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	url := testharness.NATS(t, testharness.WithListener(), testharness.WithServerOptions(o.configure)).URL()
	serves(t, node.Config{NATSURL: url, NATSCreds: o.user(time.Time{})})
	refused(t, node.Config{NATSURL: url, NATSCreds: newOperator(t).user(time.Time{})}, node.ErrNATSRefused)
	refused(t, node.Config{NATSURL: url, NATSCreds: o.user(time.Now().Add(-time.Hour))}, node.ErrNATSRefused)
	refused(t, node.Config{NATSURL: url}, node.ErrNATSRefused)
}

func TestNode_TLS(t *testing.T) {
	t.Parallel()
	inOneHour, anHourAgo := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	listen := func(id identity) string {
		s := testharness.NATS(t, testharness.WithListener(), testharness.WithServerOptions(func(o *server.Options) {
			o.TLSConfig, o.TLSVerify, o.TLSTimeout = ours.serving(id), true, 5
			o.Username, o.Password = "node", "right"
		}))
		return s.URL()
	}
	as := func(url, password string) string {
		return strings.Replace(url, "nats://", "nats://node:"+password+"@", 1)
	}
	url := listen(ours.issue("server", inOneHour))
	client := ours.issue("client", inOneHour)
	right := node.Config{NATSURL: as(url, "right"), NATSTLSCA: ours.file, NATSTLSCert: client.cert, NATSTLSKey: client.key}
	serves(t, right)

	for name, c := range map[string]struct {
		change func(cfg *node.Config)
		want   error
	}{
		"wrong password":     {func(cfg *node.Config) { cfg.NATSURL = as(url, "wrong") }, node.ErrNATSRefused},
		"no password":        {func(cfg *node.Config) { cfg.NATSURL = url }, node.ErrNATSRefused},
		"unknown authority":  {func(cfg *node.Config) { cfg.NATSTLSCA = theirs.file }, node.ErrNATSUntrusted},
		"system's authority": {func(cfg *node.Config) { cfg.NATSTLSCA = "" }, node.ErrNATSUntrusted},
		"no certificate":     {func(cfg *node.Config) { cfg.NATSTLSCert, cfg.NATSTLSKey = "", "" }, node.ErrNATSUntrusted},
		"another's certificate": {func(cfg *node.Config) {
			id := theirs.issue("client", inOneHour)
			cfg.NATSTLSCert, cfg.NATSTLSKey = id.cert, id.key
		}, node.ErrNATSUntrusted},
		"expired certificate": {func(cfg *node.Config) {
			id := ours.issue("client", anHourAgo)
			cfg.NATSTLSCert, cfg.NATSTLSKey = id.cert, id.key
		}, node.ErrNATSUntrusted},
		"expired server": {func(cfg *node.Config) { cfg.NATSURL = as(listen(ours.issue("server", anHourAgo)), "right") }, node.ErrNATSUntrusted},
		"server without TLS": {func(cfg *node.Config) {
			cfg.NATSURL = strings.Replace(testharness.NATS(t, testharness.WithListener()).URL(), "nats://", "tls://", 1)
		}, node.ErrNATSUntrusted},
		"nobody": {func(cfg *node.Config) { cfg.NATSURL = "nats://" + nodes.FreeAddress(t) }, node.ErrNATSUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := right
			c.change(&cfg)
			refused(t, cfg, c.want)
		})
	}
}
