package chromium

import (
	"context"
	"errors"
	"strings"
	"testing"
)

var errBroken = errors.New("broken")

// machine is one with some binaries.
func machine(env string, installs func(has map[string]error) error, has map[string]error) finder {
	f := finder{
		getenv: func(string) string { return env },
		lookPath: func(name string) (string, error) {
			if _, ok := has[name]; !ok {
				return "", errBroken
			}
			return "/bin/" + name, nil
		},
		probe: func(_ context.Context, path string) error { return has[strings.TrimPrefix(path, "/bin/")] },
	}
	if installs != nil {
		f.install = func(context.Context) error { return installs(has) }
	}
	return f
}

func TestFind(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		finder finder
		want   string // empty: an error
		says   string
	}{
		"named":             {machine("/opt/one", nil, map[string]error{"/opt/one": nil, "chromium": nil}), "/opt/one", ""},
		"named and broken":  {machine("/opt/one", nil, map[string]error{"/opt/one": errBroken, "chromium": nil}), "", "GANGLION_CHROMIUM=/opt/one"},
		"on PATH":           {machine("", nil, map[string]error{"google-chrome": nil}), "/bin/google-chrome", ""},
		"a stub is skipped": {machine("", nil, map[string]error{"chromium-browser": errBroken, "google-chrome": nil}), "/bin/google-chrome", ""},
		"installed": {
			machine("", func(has map[string]error) error { has["chromium"] = nil; return nil }, map[string]error{}), "/bin/chromium", "",
		},
		"not installable": {machine("", func(map[string]error) error { return errBroken }, map[string]error{}), "", "broken"},
		"installed and broken": {
			machine("", func(has map[string]error) error { has["chromium"] = errBroken; return nil }, map[string]error{}), "", "/bin/chromium: broken",
		},
		"none": {machine("", nil, map[string]error{}), "", "apt-get install chromium"},
	} {
		got, err := test.finder.find(t.Context())
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err != nil && (!errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
