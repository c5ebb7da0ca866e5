package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ganglion-go/ganglion/node/internal/redact"
)

const (
	// minSecret is the least length of the secret of embedded servers and of the token of
	// the admin server, in bytes.
	minSecret = 16

	// maxSecretFile bounds a file with a secret, in bytes.
	maxSecretFile = 64 << 10
)

// unknownSecret stands for what could not be read: it was given, and its absence is no
// further fault.
const unknownSecret = "?"

var errSecretFile = errors.New("not one line of text")

// readSecret returns the line that a file holds. Its errors do not show it.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.IsDir() || info.Size() > maxSecretFile {
		return "", fmt.Errorf("%s: %w", path, errSecretFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(string(data))
	if line == "" || !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) {
		return "", fmt.Errorf("%s: %w", path, errSecretFile)
	}
	return line, nil
}

// readSecrets reads the files that stand for a flag, and the token. What was read
// takes the place of the flag.
func (s *settings) readSecrets(fault faultFunc) {
	for _, f := range []struct {
		field, path string
		value       *string
	}{
		{"MongoURI", s.MongoURIFile, &s.MongoURI},
		{"NATSURL", s.NATSURLFile, &s.NATSURL},
		{"AdminToken", s.AdminTokenFile, &s.adminToken},
	} {
		if f.path == "" {
			continue
		}
		if *f.value != "" {
			fault("${" + f.field + "} and ${" + f.field + "File}: give one of them")
			continue
		}
		line, err := readSecret(f.path)
		if err != nil {
			fault("${"+f.field+"File}: %v", err)
			line = unknownSecret
		}
		*f.value = line
	}
	if n := len(s.adminToken); s.AdminTokenFile != "" && n < minSecret && s.adminToken != unknownSecret {
		fault("${AdminTokenFile}: a token of %d bytes, at least %d are required", n, minSecret)
	}
}

// hideSecrets keeps what is secret out of the log, and has hide do so with errors. A
// password that is a name of the node's own would be told by its absence.
func (s *settings) hideSecrets() {
	secrets := append(redact.SecretsOf(s.MongoURI), redact.SecretsOf(s.NATSURL)...)
	secrets = slices.DeleteFunc(secrets, func(secret string) bool {
		return secret == s.Name || secret == s.Namespace || secret == s.MongoDatabase
	})
	s.hide = redact.New(append(secrets, s.secret, s.adminToken)...)
	if s.Logger != nil {
		s.Logger = slog.New(s.hide.Handler(s.Logger.Handler()))
	}
}
