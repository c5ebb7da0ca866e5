package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestConfig_DoorsAreClosed: whoever says nothing about addresses is reached from the
// machine alone, and the admin server off it needs a token.
func TestConfig_DoorsAreClosed(t *testing.T) {
	t.Parallel()
	s, err := Config{}.check()
	if err != nil || s.HTTPAddr != "127.0.0.1:8080" || s.AdminAddr != "127.0.0.1:8081" {
		t.Errorf("by default the node listens on %s and %s, %v", s.HTTPAddr, s.AdminAddr, err)
	}
	token := writeFile(t, "0123456789abcdef\n")
	for name, c := range map[string]struct {
		cfg  Config
		want string // in the error; empty: none
	}{
		"loopback":           {Config{AdminAddr: "127.0.0.2:1"}, ""},
		"loopback by name":   {Config{AdminAddr: "localhost:1"}, ""},
		"loopback, IPv6":     {Config{AdminAddr: "[::1]:1"}, ""},
		"a socket":           {Config{AdminAddr: "unix:/run/x.sock"}, ""},
		"no socket":          {Config{AdminAddr: "unix:"}, "Config.AdminAddr"},
		"all, with a token":  {Config{AdminAddr: ":1", AdminTokenFile: token}, ""},
		"all":                {Config{AdminAddr: ":1"}, "Config.AdminTokenFile"},
		"all of IPv4":        {Config{AdminAddr: "0.0.0.0:1"}, "Config.AdminTokenFile"},
		"all of IPv6":        {Config{AdminAddr: "[::]:1"}, "Config.AdminTokenFile"},
		"a zone":             {Config{AdminAddr: "[fe80::1%eth0]:1"}, "Config.AdminTokenFile"},
		"a name":             {Config{AdminAddr: "n1.example:1"}, "Config.AdminTokenFile"},
		"a short token":      {Config{AdminTokenFile: writeFile(t, "short")}, "5 bytes"},
		"an empty token":     {Config{AdminTokenFile: writeFile(t, "\n")}, "not one line"},
		"a token of lines":   {Config{AdminTokenFile: writeFile(t, "0123456789abcdef\n0123456789abcdef")}, "not one line"},
		"no such file":       {Config{AdminTokenFile: "/nowhere"}, "Config.AdminTokenFile"},
		"a folder":           {Config{AdminTokenFile: t.TempDir()}, "not one line"},
		"the API on all":     {Config{HTTPAddr: ":1"}, ""},
		"hosts":              {Config{AllowedHosts: []string{"a.example", " *.b.example"}}, ""},
		"hosts with a port":  {Config{AllowedHosts: []string{"a.example:80"}}, "Config.AllowedHosts"},
		"any host":           {Config{AllowedHosts: []string{"*"}}, "Config.AllowedHosts"},
		"URI and file":       {Config{MongoURI: "mongodb://h", MongoURIFile: writeFile(t, "mongodb://h")}, "Config.MongoURIFile"},
		"no URI in the file": {Config{MongoURIFile: writeFile(t, "hello")}, "Config.MongoURI"},
		"no file of the URI": {Config{MongoURIFile: "/nowhere"}, "Config.MongoURIFile"},
	} {
		_, err := c.cfg.check()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want one of %s", name, err, c.want)
		}
	}
}

// TestConfig_SecretsFromFiles: what a file says takes the place of the flag.
func TestConfig_SecretsFromFiles(t *testing.T) {
	t.Parallel()
	s, err := Config{
		MongoURIFile: writeFile(t, " mongodb://u:p@h/?replicaSet=rs\r\n"), NATSURLFile: writeFile(t, "nats://u:p@a,nats://u:p@b\n"),
		AdminTokenFile: writeFile(t, "0123456789abcdef\n"),
	}.check()
	if err != nil || s.MongoURI != "mongodb://u:p@h/?replicaSet=rs" || s.NATSURL != "nats://u:p@a,nats://u:p@b" || s.adminToken != "0123456789abcdef" {
		t.Errorf("read %q, %q and %q, %v", s.MongoURI, s.NATSURL, s.adminToken, err)
	}
	if s.embeddedNATS() || s.embeddedStore() {
		t.Error("the node would bring along what a file names")
	}
}

// TestConfig_ErrorsShowNoSecret: faults of what holds a password.
func TestConfig_ErrorsShowNoSecret(t *testing.T) {
	t.Parallel()
	const password = "very-secret"
	for name, cfg := range map[string]Config{
		"port of NATS":     {NATSURL: "nats://u:" + password + "@h:port"},
		"escape":           {NATSURL: "nats://u:" + password + "%zz@h"},
		"no server":        {NATSURL: "nats://" + password + "@"},
		"scheme of a URI":  {MongoURI: "postgres://u:" + password + "@h"},
		"URL as the store": {MongoURIFile: writeFile(t, password)},
		"lines":            {MongoURIFile: writeFile(t, "mongodb://u:"+password+"@h\nmongodb://h")},
	} {
		_, err := cfg.check()
		if !errors.Is(err, ErrConfig) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
