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
	for _, secret := range []string{"pa/ss", "pa%2Fss", "key-pass", "session", "b-pass", "d-pass", "e-token"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is still in %s", secret, text)
		}
	}
	for _, shown := range []string{"majority", "h1", "tlsCertificateKeyFilePassword", "a-user", "c-user"} {
		if !strings.Contains(text, shown) {
			t.Errorf("%q is not in %s any more", shown, text)
		}
	}
}

// TestSet_LeavesTheLogReadable: names of users are no secrets, and passwords that are words
// of the log do not make it unreadable; tokens and passwords stay hidden.
func TestSet_LeavesTheLogReadable(t *testing.T) {
	t.Parallel()
	const line = "the node has a session of 1234567 partitions, in production, for trader7: connected to nats"
	for _, uris := range []string{
		"nats://node:a-long-password@h", "nats://node:password@h", "mongodb://node:node@h/db", "mongodb://production:production@h/db", "mongodb://production@h/?authMechanism=MONGODB-X509",
		"nats://a:1234@h", "nats://a:session@h", "nats://trader:product@h", "node:pwd@h", "nats://h1:4222,nats://h2", "mongodb://h/?authMechanismProperties=SERVICE_NAME:production",
	} {
		if got := redact.New(redact.SecretsOf(uris)...).Text(line); got != line {
			t.Errorf("with %s: %s", uris, got)
		}
	}
	for uris, secret := range map[string]string{
		"nats://hunter22@h": "hunter22", "hunter22@h": "hunter22", "node:hunter22@h": "hunter22", "nats://h1,nats://node:hunter22@h2": "hunter22",
		"nats://node:hun,ter@h": "hun,ter", "mongodb://node:hun@ter22@h": "hun@ter22", "mongodb://node:hun?ter22@h/db": "hun?ter22",
		"mongodb://node:hun:ter@h1,h2": "hun:ter", "nats://node:hun%ter22@h": "hun%ter22", "nats://node:hunter\xff22@h": "hunter\xff22",
		"mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN%3Ahunter22": "hunter22",
	} {
		for _, text := range []string{"the " + secret, secret, "(" + secret + ")", "no hunter as " + secret + secret[:1] + " and " + secret + "."} {
			got := redact.New(redact.SecretsOf(uris)...).Text(text)
			if strings.Contains(strings.ReplaceAll(got, secret+secret[:1], ""), secret) || !strings.Contains(got, "xxxxx") {
				t.Errorf("with %s, %q becomes %q", uris, text, got)
			}
		}
	}
}

func TestSet_Error(t *testing.T) {
	t.Parallel()
	cause := errors.New("cannot reach nats://u:the-secret@h")
	err := redact.New("the-secret").Error(fmt.Errorf("connect: %w", cause))
	if !errors.Is(err, cause) || strings.Contains(err.Error(), "the-secret") || !strings.Contains(err.Error(), "connect: cannot reach nats://xxxxx@h") {
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
