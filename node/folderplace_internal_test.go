package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestDataDir_Opened: the sessions that a folder knows for its own, and that it forgets
// them wherever it was not written.
func TestDataDir_Opened(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T, path string) *dataDir {
		t.Helper()
		d, err := openDataDir(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.close() })
		return d
	}
	write := func(change func(p *folderPlace)) func(t *testing.T, path string) string {
		return func(t *testing.T, path string) string {
			t.Helper()
			file := filepath.Join(path, placeFile)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var p folderPlace
			if err := json.Unmarshal(data, &p); err != nil {
				t.Fatal(err)
			}
			change(&p)
			if data, err = json.Marshal(p); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
	}
	for name, c := range map[string]struct {
		then func(t *testing.T, path string) string // where it is opened again
		own  bool
	}{
		"in place": {func(_ *testing.T, path string) string { return path }, true},
		"by a link": {func(t *testing.T, path string) string {
			t.Helper()
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(path, link); err != nil {
				t.Fatal(err)
			}
			return link
		}, true},
		"copied": {func(t *testing.T, path string) string {
			t.Helper()
			to := filepath.Join(t.TempDir(), "copy")
			if err := os.CopyFS(to, os.DirFS(path)); err != nil {
				t.Fatal(err)
			}
			return to
		}, false},
		"copied to the same path": {func(t *testing.T, path string) string {
			t.Helper()
			aside := path + "-aside"
			if err := os.Rename(path, aside); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(path, os.DirFS(aside)); err != nil {
				t.Fatal(err)
			}
			return path
		}, false},
		"moved": {func(t *testing.T, path string) string {
			t.Helper()
			if err := os.Rename(path, path+"-moved"); err != nil {
				t.Fatal(err)
			}
			return path + "-moved"
		}, false},
		"on another host": {write(func(p *folderPlace) { p.Host += "x" }), false},
		"not readable": {func(t *testing.T, path string) string {
			t.Helper()
			if err := os.WriteFile(filepath.Join(path, placeFile), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "data")
			d := open(t, path)
			if d.opened("s-1") {
				t.Error("a new folder knows a session")
			}
			for i := range sessionsMax + 2 {
				if err := d.opening(fmt.Sprintf("s-%d", i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.close(); err != nil {
				t.Fatal(err)
			}
			again := open(t, c.then(t, path))
			for session, want := range map[string]bool{"s-1": false, "s-2": c.own, "s-9": c.own, "": false} {
				if got := again.opened(session); got != want {
					t.Errorf("session %q is its own: %v, want %v", session, got, want)
				}
			}
			if err := again.opening("mine"); err != nil || !again.opened("mine") {
				t.Errorf("a session of its own: %v", err)
			}
			if got := len(again.sessions); c.own && got != sessionsMax || !c.own && !slices.Equal(again.sessions, []string{"mine"}) {
				t.Errorf("it knows %v", again.sessions)
			}
		})
	}
}
