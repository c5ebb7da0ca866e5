package node_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// tokens is an issuer with one key, and the file of its keys.
type tokens struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	file string
}

func newTokens(t *testing.T) *tokens {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	i := &tokens{t, key, filepath.Join(t.TempDir(), "jwks.json")}
	if err := os.WriteFile(i.file, set, 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *tokens) issue(name, audience string, lasts time.Duration) string {
	i.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k"}}, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: "https://id.example", Audience: jwt.Audience{audience}, Subject: name, Expiry: jwt.NewNumericDate(time.Now().Add(lasts)),
	}).Serialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return text
}

// secret is an aggregate that hides a part of its state, and notes who asked for it.
type (
	vault struct{ Name, Secret string }
	fill  struct {
		actor.Replies[string]
		Secret string
	}
	filled    struct{ Secret string }
	vaultView struct{ Name string }
)

func vaults() *actor.Aggregate[vault] {
	return actor.Define("vault", func(d *actor.Definition[vault]) {
		actor.On(d, func(_ *vault, ctx *actor.Context, c fill) (string, error) {
			ctx.Raise(filled{c.Secret})
			return "by " + ctx.Metadata().User, nil
		})
		actor.Apply(d, func(v *vault, e filled) { v.Secret = e.Secret })
		actor.View(d, func(v *vault) vaultView { return vaultView{v.Name} })
	})
}

// TestNode_Rights is a node that takes certificates and tokens, and whose program has a
// rule: 401, 403, or done on behalf of the principal; and operators see what others do not.
func TestNode_Rights(t *testing.T) {
	t.Parallel()
	ca, stranger, issuer := newAuthority(t, "clients"), newAuthority(t, "strangers"), newTokens(t)
	server, until := ca.issue("server", time.Now().Add(time.Hour)), time.Now().Add(time.Hour)
	n := nodes.Start(t, node.Config{
		NATSURL: serverInMemory(t), Name: "n1", Partitions: 4, Logger: slog.New(slog.DiscardHandler),
		HTTPTLSCert: server.cert, HTTPTLSKey: server.key, HTTPTLSClientCA: ca.file,
		JWTIssuer: "https://id.example", JWTAudience: []string{"vaults"}, JWTKeySet: issuer.file,
		Authorize: gateway.AuthorizerFunc(func(_ context.Context, a gateway.Access) error {
			if a.Action != gateway.ActionCommand || a.Principal.Name == "ann" {
				return nil
			}
			return gateway.ErrForbidden
		}),
	}, vaults())
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	ask := func(by *identity, token, method, path, body string) (int, string) {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
		defer transport.CloseIdleConnections()
		if by != nil {
			pair, err := tls.LoadX509KeyPair(by.cert, by.key)
			if err != nil {
				t.Fatal(err)
			}
			transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "https://"+n.HTTPAddr()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		r.Header.Set("Idempotency-Key", "k")
		resp, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = resp.Body.Close() }()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(data)
	}
	ann, bob, eve := ca.issue("ann", until), ca.issue("bob", until), stranger.issue("ann", until)
	const command, body = "/v1/vault/v/fill", `{"Secret":"s3cret"}`
	for name, c := range map[string]struct {
		by     *identity
		token  string
		status int
	}{
		"nobody":                      {nil, "", 401},
		"another authority's":         {&eve, "", 0}, // the handshake fails
		"bob has no right":            {&bob, "", 403},
		"nor with a token":            {nil, issuer.issue("bob", "vaults", time.Hour), 403},
		"expired":                     {nil, issuer.issue("ann", "vaults", -time.Hour), 401},
		"for another audience":        {nil, issuer.issue("ann", "x", time.Hour), 401},
		"a bad token beside her cert": {&ann, "x", 401},
	} {
		if status, answer := ask(c.by, c.token, "POST", command, body); status != c.status {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if status, answer := ask(&ann, "", "GET", "/v1/vault/v", ""); status != 404 {
		t.Errorf("something was stored: %d %s", status, answer)
	}
	for _, c := range []struct {
		by    *identity
		token string
	}{{&ann, ""}, {nil, issuer.issue("ann", "vaults", time.Hour)}} {
		if status, answer := ask(c.by, c.token, "POST", command, body); status != 200 || !strings.Contains(answer, `"by ann"`) {
			t.Errorf("%d %s", status, answer)
		}
	}
	_, page := ask(&bob, "", "GET", "/v1/vault/v/events", "")
	if strings.Contains(page, "s3cret") || !strings.Contains(page, `"data":null,"redacted":true`) || !strings.Contains(page, `"user":"ann"`) {
		t.Errorf("others see %s", page)
	}
	if a := (caller{t, n.AdminURL()}).do("GET", "/v1/vault/v/events", ""); a.status != 200 || !bytes.Contains(a.body, []byte("s3cret")) {
		t.Errorf("operators see %s", a.body)
	}
	if a := (caller{t, n.AdminURL()}).do("POST", command, body); a.status == 200 {
		t.Errorf("the admin server takes commands: %s", a.body)
	}
}

// TestOpen_FaultsOfRights: what does not go together ends the start, with all reasons.
func TestOpen_FaultsOfRights(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "a")
	good, old := ca.issue("server", time.Now().Add(time.Hour)), ca.issue("server", time.Now().Add(-time.Minute))
	for name, cfg := range map[string]node.Config{
		"a certificate without a key":  {HTTPTLSCert: good.cert},
		"an authority alone":           {HTTPTLSClientCA: ca.file},
		"another one's key":            {HTTPTLSCert: good.cert, HTTPTLSKey: old.key},
		"an expired certificate":       {HTTPTLSCert: old.cert, HTTPTLSKey: old.key},
		"no certificate of authority":  {HTTPTLSCert: good.cert, HTTPTLSKey: good.key, HTTPTLSClientCA: good.key},
		"no such file":                 {HTTPTLSCert: good.cert + "x", HTTPTLSKey: good.key},
		"an issuer alone":              {JWTIssuer: "https://id.example"},
		"no keys":                      {JWTIssuer: "i", JWTAudience: []string{"a"}, JWTKeySet: good.cert},
		"keys that anybody can change": {JWTIssuer: "i", JWTAudience: []string{"a"}, JWTKeySet: "http://id.example/keys"},
		"a skew alone":                 {JWTSkew: time.Second},
	} {
		cfg.DataDir = t.TempDir()
		n, err := node.Open(t.Context(), cfg, vaults())
		if err == nil {
			_ = n.Close()
		}
		if !errors.Is(err, node.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
