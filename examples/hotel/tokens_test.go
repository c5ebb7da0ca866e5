package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// issuer signs the tokens of guests and staff. It is safe for concurrent use.
type issuer struct {
	signer jose.Signer
	keys   string // file
}

const (
	issuerName = "https://id.hotel.example"
	audience   = "hotel"
	tokenLasts = 12 * time.Hour
)

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{keys: filepath.Join(t.TempDir(), "jwks.json")}
	if err := os.WriteFile(i.keys, set, 0o600); err != nil {
		t.Fatal(err)
	}
	if i.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil); err != nil {
		t.Fatal(err)
	}
	return i
}

// flags are those of a node that takes the tokens.
func (i *issuer) flags() []string {
	return []string{"--jwt-issuer", issuerName, "--jwt-audience", audience, "--jwt-jwks", i.keys}
}

// token returns the token of a person with these roles.
func (i *issuer) token(name string, roles ...string) (string, error) {
	return jwt.Signed(i.signer).Claims(jwt.Claims{
		Issuer: issuerName, Audience: jwt.Audience{audience}, Subject: name, Expiry: jwt.NewNumericDate(time.Now().Add(tokenLasts)),
	}).Claims(map[string]any{"roles": roles}).Serialize()
}
