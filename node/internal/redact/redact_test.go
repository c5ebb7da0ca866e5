package redact_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/node/internal/redact"
)

func TestURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"nothing":                      "nothing",
		"nats://h:4222":                "nats://h:4222",
		"nats://u:p@h:4222":            "nats://xxxxx@h:4222",
		"nats://token@h":               "nats://xxxxx@h",
		"at mongodb://u:p/w@d@h/x: no": "at mongodb://xxxxx@h/x: no",
		`parse "nats://u:p@h:x": bad`:  `parse "nats://xxxxx@h:x": bad`,
		"nats://a:b@h1,nats://c:d@h2":  "nats://xxxxx@h2",
		"see a@b.example":              "see a@b.example",
		"mongodb+srv://u:p@h and x@y":  "mongodb+srv://xxxxx@h and x@y",
	} {
		if got := redact.URLs(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// TestSet_HidesWhatAURIHolds: nothing of the credentials is left in any form in which
// a library could show them.
func TestSet_HidesWhatAURIHolds(t *testing.T) {
	t.Parallel()
	uri := "mongodb://user-name:pa%2Fss%20word@h1:1,h2:2/db?w=majority&tlsCertificateKeyFilePassword=key-pass&authMechanismProperties=AWS_SESSION_TOKEN:session%2Btoken,OTHER:thing"
	set := redact.New(append(redact.SecretsOf(uri), redact.SecretsOf("nats://a-user:b-pass@h,nats://c-user:d-pass@h,nats://e-token@h")...)...)
	text := set.Text(fmt.Sprintf("%s; pa/ss word, pa%%2Fss%%20word; key-pass; session+token, session%%2Btoken; a-user b-pass c-user d-pass e-token; majority h1", uri))
	for _, secret := range []string{"user-name", "pa/ss", "pa%2Fss", "key-pass", "session", "a-user", "b-pass", "c-user", "d-pass", "e-token"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is still in %s", secret, text)
		}
	}
	for _, shown := range []string{"majority", "h1", "tlsCertificateKeyFilePassword"} {
		if !strings.Contains(text, shown) {
			t.Errorf("%q is not in %s any more", shown, text)
		}
	}
}

func TestSet_Error(t *testing.T) {
	t.Parallel()
	cause := errors.New("cannot reach nats://u:secret@h")
	err := redact.New("secret").Error(fmt.Errorf("connect: %w", cause))
	if !errors.Is(err, cause) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "connect: cannot reach nats://xxxxx@h") {
		t.Errorf("the error is %q", err)
	}
	plain := errors.New("plain")
	if got := redact.New("secret").Error(plain); got != plain { //nolint:errorlint // the very same
		t.Errorf("an error without secrets becomes %v", got)
	}
}

func TestSet_Handler(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := slog.New(redact.New("the-secret", "").Handler(slog.NewTextHandler(&out, nil)))
	u := &url.URL{Scheme: "nats", User: url.UserPassword("u", "the-secret"), Host: "h"}
	logger.With("kept", "the-secret").WithGroup("g").Error("the-secret told",
		"text", "the-secret", "error", errors.New("the-secret"), "url", u, "n", 5, slog.Group("inner", "x", "the-secret"),
		"list", []string{"the-secret"}, "plain", "seen")
	if got := out.String(); strings.Contains(got, "the-secret") || !strings.Contains(got, "g.plain=seen") || !strings.Contains(got, "g.n=5") {
		t.Errorf("the log has %s", got)
	}
}
