package jwtauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/gateway/jwtauth"
)

const (
	issuer   = "https://id.example"
	audience = "orders"
)

// signer is a key of the issuer's.
type signer struct {
	id  string
	alg jose.SignatureAlgorithm
	key crypto.Signer
}

// keys are made once: RSA keys take their time.
var keys = sync.OnceValue(func() map[string]signer {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	weak, weakErr := rsa.GenerateKey(rand.Reader, 1024)
	e, ecErr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	e3, ec3Err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	other, otherErr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, ed, edErr := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(err, weakErr, ecErr, ec3Err, otherErr, edErr); err != nil {
		panic(err)
	}
	return map[string]signer{
		"rsa": {"rsa", jose.RS256, r}, "pss": {"rsa", jose.PS512, r}, "weak": {"weak", jose.RS256, weak},
		"ec": {"ec", jose.ES256, e}, "ec3": {"ec3", jose.ES384, e3}, "ed": {"ed", jose.EdDSA, ed},
		"other": {"other", jose.ES256, other}, "disguised": {"ec", jose.ES256, other},
	}
})

// set is a key set of the named keys.
func set(t testing.TB, names ...string) []byte {
	t.Helper()
	var s jose.JSONWebKeySet
	for _, name := range names {
		k := keys()[name]
		s.Keys = append(s.Keys, jose.JSONWebKey{Key: k.key.Public(), KeyID: k.id, Use: "sig"})
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func good() map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": issuer, "aud": []string{"x", audience}, "sub": "ann", "scope": "orders:write",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
}

func with(change map[string]any) map[string]any {
	claims := good()
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

// sign returns a token.
func (s signer) sign(t testing.TB, claims map[string]any, header ...map[jose.HeaderKey]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	if s.id != "" {
		options = options.WithHeader("kid", s.id)
	}
	for _, h := range header {
		for k, v := range h {
			options = options.WithHeader(k, v)
		}
	}
	signs, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: s.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signs.Sign(data)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func token(t testing.TB, key string, change map[string]any) string {
	t.Helper()
	return keys()[key].sign(t, with(change))
}

// byHand assembles a token that no library would make.
func byHand(header, claims string, sign func(signed string) []byte) string {
	b := base64.RawURLEncoding
	signed := b.EncodeToString([]byte(header)) + "." + b.EncodeToString([]byte(claims))
	return signed + "." + b.EncodeToString(sign(signed))
}

func jsonOf(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// file is a key set on disk.
func file(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, configure ...func(*jwtauth.Config)) *jwtauth.Authenticator {
	t.Helper()
	cfg := jwtauth.Config{Issuer: issuer, Audiences: []string{audience, "other"}}
	for _, c := range configure {
		c(&cfg)
	}
	if cfg.JWKS == "" {
		cfg.JWKS = file(t, set(t, "rsa", "ec", "ec3", "ed", "weak"))
	}
	a, err := jwtauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func ask(t testing.TB, a *jwtauth.Authenticator, headers ...string) (gateway.Principal, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(t.Context())
	for _, h := range headers {
		r.Header.Add("Authorization", h)
	}
	return a.Authenticate(r)
}

func TestAuthenticate_Good(t *testing.T) {
	t.Parallel()
	a := open(t)
	for _, key := range []string{"rsa", "pss", "ec", "ec3", "ed"} {
		for _, scheme := range []string{"Bearer ", "bearer ", "BEARER  "} {
			p, err := ask(t, a, scheme+token(t, key, nil))
			if err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			if p.Name != "ann" || p.Strings("scope")[0] != "orders:write" || time.Until(p.Expires) > time.Hour || time.Until(p.Expires) < 59*time.Minute {
				t.Errorf("%s: %+v", key, p)
			}
		}
	}
	for name, change := range map[string]map[string]any{
		"one audience":    {"aud": audience},
		"the other":       {"aud": "other"},
		"no iat, no nbf":  {"iat": nil, "nbf": nil},
		"within the skew": {"exp": time.Now().Unix() - 1, "nbf": time.Now().Unix() + 3, "iat": time.Now().Unix() + 3},
		"with fractions":  {"exp": float64(time.Now().Unix()+60) + 0.5},
	} {
		if _, err := ask(t, a, "Bearer "+token(t, "ec", change)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p, err := ask(t, open(t, func(c *jwtauth.Config) { c.PrincipalClaim = "email" }), "Bearer "+token(t, "ec", map[string]any{"email": "a@b"})); err != nil || p.Name != "a@b" {
		t.Errorf("%+v, %v", p, err)
	}
	nameless := keys()["ec"]
	nameless.id = ""
	if _, err := ask(t, a, "Bearer "+nameless.sign(t, good())); err != nil {
		t.Errorf("without a key id: %v", err)
	}
}

// TestAuthenticate_Refused has a way for each that somebody may try to get in.
func TestAuthenticate_Refused(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	a := open(t, func(c *jwtauth.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	now := time.Now().Unix()
	public, err := x509.MarshalPKIXPublicKey(keys()["rsa"].key.Public())
	if err != nil {
		t.Fatal(err)
	}
	macBy := func(secret []byte) func(string) []byte {
		return func(signed string) []byte {
			h := hmac.New(sha256.New, secret)
			_, _ = io.WriteString(h, signed)
			return h.Sum(nil)
		}
	}
	none := func(string) []byte { return nil }
	claims := jsonOf(t, good())
	whole := token(t, "ec", nil)
	parts := strings.Split(whole, ".")
	tampered := jsonOf(t, with(map[string]any{"sub": "eve"}))
	own := jose.JSONWebKey{Key: keys()["other"].key.Public(), KeyID: "mine", Use: "sig"}
	for name, text := range map[string]string{
		"no token":                "",
		"not a token":             "x",
		"three dots":              "...",
		"spaces":                  "a b c",
		"expired":                 token(t, "ec", map[string]any{"exp": now - 10}),
		"expired long ago":        token(t, "ec", map[string]any{"exp": 1}),
		"no exp":                  token(t, "ec", map[string]any{"exp": nil}),
		"exp as text":             token(t, "ec", map[string]any{"exp": "9999999999"}),
		"exp beyond all":          token(t, "ec", map[string]any{"exp": 1e300}),
		"exp negative":            token(t, "ec", map[string]any{"exp": -1}),
		"not valid yet":           token(t, "ec", map[string]any{"nbf": now + 60}),
		"nbf beyond all":          token(t, "ec", map[string]any{"nbf": 1e300}),
		"issued in the future":    token(t, "ec", map[string]any{"iat": now + 60}),
		"another issuer":          token(t, "ec", map[string]any{"iss": issuer + "/"}),
		"no issuer":               token(t, "ec", map[string]any{"iss": nil}),
		"issuers":                 token(t, "ec", map[string]any{"iss": []string{issuer}}),
		"another audience":        token(t, "ec", map[string]any{"aud": "x"}),
		"no audience":             token(t, "ec", map[string]any{"aud": nil}),
		"an empty audience":       token(t, "ec", map[string]any{"aud": []string{}}),
		"no sub":                  token(t, "ec", map[string]any{"sub": nil}),
		"sub is a number":         token(t, "ec", map[string]any{"sub": 7}),
		"sub is empty":            token(t, "ec", map[string]any{"sub": ""}),
		"an unknown key":          token(t, "other", nil),
		"another key of that id":  token(t, "disguised", nil),
		"a weak key":              token(t, "weak", nil),
		"a wrong signature":       parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"no signature":            parts[0] + "." + parts[1] + ".",
		"other claims":            parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(tampered)) + "." + parts[2],
		"alg none":                byHand(`{"alg":"none"}`, claims, none),
		"alg None":                byHand(`{"alg":"None","kid":"ec"}`, claims, none),
		"no alg":                  byHand(`{"kid":"ec"}`, claims, none),
		"HS256 with a public key": byHand(`{"alg":"HS256","kid":"rsa"}`, claims, macBy(public)),
		"HS256 with it as PEM":    byHand(`{"alg":"HS256","kid":"rsa"}`, claims, macBy(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))),
		"HS256 with nothing":      byHand(`{"alg":"HS256"}`, claims, macBy(nil)),
		"ES256 on an RSA key":     byHand(`{"alg":"ES256","kid":"rsa"}`, claims, func(string) []byte { return make([]byte, 64) }),
		"its own key":             keys()["other"].sign(t, good(), map[jose.HeaderKey]any{"jwk": own, "kid": "mine"}),
		"its own URL of keys":     keys()["other"].sign(t, good(), map[jose.HeaderKey]any{"jku": "https://evil.example/keys", "kid": "mine"}),
		"crit":                    keys()["ec"].sign(t, good(), map[jose.HeaderKey]any{"crit": []string{"x"}, "x": 1}),
		"claims that are a list":  byHand(`{"alg":"ES256","kid":"ec"}`, `[]`, none),
		"too long":                whole + strings.Repeat("A", jwtauth.DefaultMaxTokenBytes),
		"the JSON form":           `{"payload":"e30","signatures":[]}`,
		"two tokens":              whole + " " + whole,
		"a line of its own":       whole + "\nX",
		"a NUL":                   whole[:len(whole)-1] + "\x00",
	} {
		p, err := ask(t, a, "Bearer "+text)
		refused, ok := errors.AsType[*gateway.CredentialsError](err)
		if !ok || !errors.Is(err, gateway.ErrInvalidCredentials) || p.Name != "" {
			t.Errorf("%s: %+v, %v", name, p, err)
			continue
		}
		for part := range strings.SplitSeq(text, ".") {
			if len(part) > 8 && (strings.Contains(refused.Reason, part) || strings.Contains(log.String(), part)) {
				t.Errorf("%s: the token is told: %s, %s", name, refused.Reason, log.String())
			}
		}
	}
	if _, err := ask(t, a, "Bearer "+whole, "Bearer "+whole); !errors.Is(err, gateway.ErrInvalidCredentials) {
		t.Errorf("two headers: %v", err)
	}
	for _, header := range [][]string{nil, {"Basic YTpi"}, {whole}, {"DPoP " + whole}} {
		if _, err := ask(t, a, header...); !errors.Is(err, gateway.ErrNoCredentials) {
			t.Errorf("%q: %v", header, err)
		}
	}
	if _, err := ask(t, open(t, func(c *jwtauth.Config) { c.Algorithms = []string{"RS256"} }), "Bearer "+whole); !errors.Is(err, gateway.ErrInvalidCredentials) {
		t.Errorf("an algorithm that is not allowed: %v", err)
	}
	if _, err := ask(t, open(t, func(c *jwtauth.Config) { c.Skew = -1 }), "Bearer "+token(t, "ec", map[string]any{"exp": now - 1})); !errors.Is(err, gateway.ErrInvalidCredentials) {
		t.Errorf("expired, without a skew: %v", err)
	}
}

// TestKeySet_PassesOver: keys that must not verify a token, and what is none.
func TestKeySet_PassesOver(t *testing.T) {
	t.Parallel()
	secret := []byte("0123456789abcdef0123456789abcdef")
	mixed := `{"keys":[{"kty":"oct","kid":"mac","k":"` + base64.RawURLEncoding.EncodeToString(secret) + `"},{"kty":"future","kid":"f"},1,null,{},
		{"kty":"RSA","kid":"r","n":"AQ","e":"AQAB"},` + strings.TrimSuffix(strings.TrimPrefix(string(set(t, "ec")), `{"keys":[`), "]}") + `]}`
	a := open(t, func(c *jwtauth.Config) { c.JWKS = file(t, []byte(mixed)) })
	if _, err := ask(t, a, "Bearer "+token(t, "ec", nil)); err != nil {
		t.Error(err)
	}
	mac := byHand(`{"alg":"HS256","kid":"mac"}`, jsonOf(t, good()), func(signed string) []byte {
		h := hmac.New(sha256.New, secret)
		_, _ = io.WriteString(h, signed)
		return h.Sum(nil)
	})
	if _, err := ask(t, a, "Bearer "+mac); !errors.Is(err, gateway.ErrInvalidCredentials) {
		t.Errorf("a shared secret: %v", err)
	}
	k := keys()["ec"]
	for what, key := range map[string]jose.JSONWebKey{
		"for encryption":    {Key: k.key.Public(), KeyID: "ec", Use: "enc"},
		"of another alg":    {Key: k.key.Public(), KeyID: "ec", Algorithm: "ES384"},
		"under another id":  {Key: k.key.Public(), KeyID: "EC"},
		"of another format": {Key: keys()["ed"].key.Public(), KeyID: "ec"},
	} {
		a := open(t, func(c *jwtauth.Config) {
			c.JWKS = file(t, []byte(jsonOf(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})))
		})
		if _, err := ask(t, a, "Bearer "+token(t, "ec", nil)); !errors.Is(err, gateway.ErrInvalidCredentials) {
			t.Errorf("a key %s: %v", what, err)
		}
	}
	private := jsonOf(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k.key, KeyID: "ec"}}})
	if _, err := ask(t, open(t, func(c *jwtauth.Config) { c.JWKS = file(t, []byte(private)) }), "Bearer "+token(t, "ec", nil)); err != nil {
		t.Errorf("the public part of a private key: %v", err)
	}
}

func TestNew_Faults(t *testing.T) {
	t.Parallel()
	path := file(t, set(t, "ec"))
	pipe := t.TempDir()
	for name, change := range map[string]func(*jwtauth.Config){
		"no issuer":             func(c *jwtauth.Config) { c.Issuer = "" },
		"no audience":           func(c *jwtauth.Config) { c.Audiences = nil },
		"an empty audience":     func(c *jwtauth.Config) { c.Audiences = []string{""} },
		"no keys":               func(c *jwtauth.Config) { c.JWKS = "" },
		"no such file":          func(c *jwtauth.Config) { c.JWKS = path + "x" },
		"a folder":              func(c *jwtauth.Config) { c.JWKS = pipe },
		"never ends":            func(c *jwtauth.Config) { c.JWKS = "/dev/zero" },
		"no key set":            func(c *jwtauth.Config) { c.JWKS = file(t, []byte(`{}`)) },
		"no JSON":               func(c *jwtauth.Config) { c.JWKS = file(t, []byte(`-----BEGIN PUBLIC KEY-----`)) },
		"huge":                  func(c *jwtauth.Config) { c.JWKS = file(t, append(set(t, "ec"), make([]byte, 2<<20)...)) },
		"too many keys":         func(c *jwtauth.Config) { c.JWKS = file(t, []byte(`{"keys":[`+strings.Repeat("{},", 100)+`{}]}`)) },
		"plain http":            func(c *jwtauth.Config) { c.JWKS = "http://id.example/keys" },
		"another scheme":        func(c *jwtauth.Config) { c.JWKS = "ftp://id.example/keys" },
		"a file elsewhere":      func(c *jwtauth.Config) { c.JWKS = "file://elsewhere/keys" },
		"no host":               func(c *jwtauth.Config) { c.JWKS = "https:///keys" },
		"none":                  func(c *jwtauth.Config) { c.Algorithms = []string{"none"} },
		"a shared secret":       func(c *jwtauth.Config) { c.Algorithms = []string{"RS256", "HS256"} },
		"a skew of a day":       func(c *jwtauth.Config) { c.Skew = 24 * time.Hour },
		"a negative size":       func(c *jwtauth.Config) { c.MaxTokenBytes = -1 },
		"refreshed each second": func(c *jwtauth.Config) { c.RefreshEvery = time.Second },
		"refreshed never":       func(c *jwtauth.Config) { c.RefreshEvery = 24 * time.Hour },
	} {
		cfg := jwtauth.Config{Issuer: issuer, Audiences: []string{audience}, JWKS: path}
		change(&cfg)
		if _, err := jwtauth.New(cfg); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	_, err := jwtauth.New(jwtauth.Config{JWKS: "http://user:secret@id.example"})
	if err == nil || !strings.Contains(err.Error(), "Issuer") || !strings.Contains(err.Error(), "https") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	for _, jwks := range []string{"file://" + path, "https://id.example/keys", "http://localhost:1/keys", "http://127.0.0.1:1/keys"} {
		if _, err := jwtauth.New(jwtauth.Config{Issuer: issuer, Audiences: []string{audience}, JWKS: jwks}); err != nil {
			t.Errorf("%s: %v", jwks, err)
		}
	}
}

// TestGateway_Tokens: at the gateway it is 401, 403 or 503, and nothing is sent.
func TestGateway_Tokens(t *testing.T) {
	t.Parallel()
	path := file(t, set(t, "ec"))
	writers := gateway.AuthorizerFunc(func(_ context.Context, a gateway.Access) error {
		if slices.Contains(a.Principal.Strings("scope"), "orders:write") {
			return nil
		}
		return gateway.ErrForbidden
	})
	g := newGateway(t, open(t, func(c *jwtauth.Config) { c.JWKS = path }), writers)
	for name, c := range map[string]struct {
		token  string
		status int
		code   string
	}{
		"none":      {"", 401, "unauthenticated"},
		"wrong":     {token(t, "disguised", nil), 401, "unauthenticated"},
		"expired":   {token(t, "ec", map[string]any{"exp": 1}), 401, "unauthenticated"},
		"elsewhere": {token(t, "ec", map[string]any{"aud": "x"}), 401, "unauthenticated"},
		"no right":  {token(t, "ec", map[string]any{"scope": "orders:read"}), 403, "forbidden"},
		"right":     {token(t, "ec", nil), 200, ""},
	} {
		r := httptest.NewRequest(http.MethodPost, "/v1/order/o-1/Place", strings.NewReader(`{}`))
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		var p gateway.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.status || string(p.Code) != c.code {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if challenge := w.Header().Get("WWW-Authenticate") != ""; challenge != (c.status == 401) {
			t.Errorf("%s: %v", name, maps.Clone(w.Header()))
		}
	}
	if sent := g.sent.Load(); sent != 1 {
		t.Errorf("%d commands were sent", sent)
	}
}
