package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// api is a program whose HTTP API is tried against the document that it serves.
type api struct {
	name  string
	pkg   string
	flags []string
}

func apis() []api {
	return []api{{"trader", "./cmd/node", []string{"--partitions=4"}}}
}

const (
	// shortExamples is how many requests of each kind a short run makes, from one seed.
	shortExamples, shortSeed = "4", "12"

	apiReadyWithin = 2 * time.Minute
	apiPoll        = 200 * time.Millisecond
)

// api starts each program, makes a client from the document that it serves, and has
// schemathesis look for requests whose answers are not what the document says.
func (c *checker) api(ctx context.Context) error {
	python, err := c.schemathesis(ctx)
	if err != nil {
		return err
	}
	for _, a := range apis() {
		c.say("%s\n", a.name)
		if err := c.tryAPI(ctx, a, python); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return nil
}

func (c *checker) tryAPI(ctx context.Context, a api, schemathesis string) (err error) {
	dir, err := os.MkdirTemp("", "ganglion-api-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, log := filepath.Join(dir, "node"), filepath.Join(dir, "log")
	if err := c.goCommand(ctx, "build", "-o", binary, a.pkg); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	node := c.child(serving, binary, append([]string{"--data-dir=" + filepath.Join(dir, "data"), "--http-addr=" + address, "--admin-addr=127.0.0.1:0"}, a.flags...)...)
	if node.Stderr, err = os.Create(log); err != nil {
		stop()
		return err
	}
	if err := node.Start(); err != nil {
		stop()
		return err
	}
	defer func() {
		stop()
		_ = node.Wait() // it was told to end
		if err != nil {
			text, _ := os.ReadFile(log)
			c.say("%s", text[max(0, len(text)-16<<10):])
		}
	}()
	document, err := fetch(ctx, "http://"+address+"/openapi.json")
	if err != nil {
		return err
	}
	if err := c.generateClient(ctx, filepath.Join(dir, "client"), document); err != nil {
		return err
	}
	if schemathesis == "" {
		return nil
	}
	return c.fuzz(ctx, schemathesis, dir, "http://"+address+"/openapi.json")
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// fetch reads what a program serves once it does.
func fetch(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, apiReadyWithin)
	defer cancel()
	for {
		data, err := fetchOnce(ctx, url)
		if err == nil {
			return data, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(apiPoll):
		}
	}
}

func fetchOnce(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return data, err
}

// generateClient has ogen make a client from a document, and compiles it. What ogen does
// not know how to make is an error. The client's module is tools/openapi.
func (c *checker) generateClient(ctx context.Context, dir string, document []byte) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for _, name := range []string{"go.mod", "go.sum", "ogen.yml"} {
		data, err := os.ReadFile(filepath.Join("tools", "openapi", name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), document, 0o600); err != nil {
		return err
	}
	generate := c.child(ctx, "go", "-C", dir, "tool", "ogen", "--target=.", "--package=client", "--config=ogen.yml", "openapi.json")
	if out, err := capture(generate); err != nil {
		return fmt.Errorf("generate a client: %w\n%s", err, out)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*_client_gen.go")); err != nil || len(files) == 0 {
		return fmt.Errorf("no client was generated: %w", err)
	}
	return c.goCommand(ctx, "-C", dir, "vet", "./...")
}

// capture runs a command that says much when nothing is wrong.
func capture(cmd *exec.Cmd) ([]byte, error) {
	cmd.Stderr = nil
	return cmd.CombinedOutput()
}

// schemathesis installs it, once for each version of its requirements, and returns its
// path, or "" where there is no Python to run it.
func (c *checker) schemathesis(ctx context.Context) (string, error) {
	requirements := filepath.Join("internal", "check", "schemathesis", "requirements.txt")
	text, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	dir, err := filepath.Abs(filepath.Join("bin", "schemathesis-"+hex.EncodeToString(sum[:4])))
	if err != nil {
		return "", err
	}
	binary, done := filepath.Join(dir, "bin", "schemathesis"), filepath.Join(dir, "installed")
	if _, err := os.Stat(done); err == nil {
		return binary, nil
	}
	if _, err := exec.LookPath("python3"); err != nil {
		if c.ci {
			return "", fmt.Errorf("schemathesis needs Python: %w", err)
		}
		c.say("NO PYTHON, the API is not tried: %v\n", err)
		return "", nil
	}
	for _, args := range [][]string{
		{"python3", "-m", "venv", "--clear", dir},
		{filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", requirements},
	} {
		if err := c.child(ctx, args[0], args[1:]...).Run(); err != nil {
			return "", fmt.Errorf("%s: %w", filepath.Base(args[0]), err)
		}
	}
	return binary, os.WriteFile(done, nil, 0o600)
}

// fuzz sends requests that the document allows, and such that it forbids, and compares
// the answers with it.
func (c *checker) fuzz(ctx context.Context, schemathesis, dir, url string) error {
	settings, err := filepath.Abs(filepath.Join("internal", "check", "schemathesis"))
	if err != nil {
		return err
	}
	examples, seed := shortExamples, shortSeed
	if c.examples != "" {
		examples, seed = c.examples, c.seed
		c.say("%s examples, seed %s (%s=%s repeats it)\n", examples, seed, envSeed, seed)
	}
	cmd := c.child(ctx, schemathesis, "--config-file="+filepath.Join(settings, "config.toml"), "run", "--no-color", "--generation-database=none",
		"--max-examples="+examples, "--seed="+seed, url)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+settings, "PYTHONDONTWRITEBYTECODE=1", "SCHEMATHESIS_HOOKS=hooks")
	cmd.Dir, cmd.Stdout = dir, c.out
	return cmd.Run()
}
