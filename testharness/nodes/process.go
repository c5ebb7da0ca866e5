package nodes

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/internal/loopback"
)

// Process is a node as a child process, on one data folder and one pair of
// addresses over all its lives.
type Process struct {
	Program

	http  string
	admin string
}

// Build is [testharness.Program]: it compiles a main package of this module once for all
// tests of a package, and returns the path of the binary. The package is a path as go
// build takes it, seen from the test's directory.
func Build(t testing.TB, pkg string, flags ...string) string {
	t.Helper()
	return testharness.Program(t, pkg, flags...)
}

// Spawn starts a node binary with the given flags, besides data folder and
// addresses, and waits until it is ready. env are further variables of its
// environment. The process ends with the test.
func Spawn(t testing.TB, binary string, env []string, flags ...string) *Process {
	t.Helper()
	p := Prepare(t, binary, env, flags...)
	p.Start(t)
	return p
}

// Prepare is [Spawn] without the start.
func Prepare(t testing.TB, binary string, env []string, flags ...string) *Process {
	t.Helper()
	dir := t.TempDir()
	p := &Process{http: FreeAddress(t), admin: FreeAddress(t)}
	args := append([]string{"--data-dir", filepath.Join(dir, "data"), "--http-addr", p.http, "--admin-addr", p.admin}, flags...)
	p.Program = Program{binary: binary, env: env, args: args, logPath: filepath.Join(dir, "log")}
	t.Cleanup(p.Kill)
	return p
}

// FreeAddress is an address of the loopback interface that nobody listens on, until
// the test ends.
func FreeAddress(t testing.TB) string {
	t.Helper()
	port, err := loopback.Reserve()
	if err != nil {
		t.Fatalf("nodes: %v", err)
	}
	t.Cleanup(func() { port.Release() })
	return port.Addr()
}

// URL returns the base of the node's HTTP API.
func (p *Process) URL() string { return "http://" + p.http }

// AdminURL returns the base of the node's admin server.
func (p *Process) AdminURL() string { return "http://" + p.admin }

// Start starts the process again after Kill or Terminate, and waits until it is
// ready.
func (p *Process) Start(t testing.TB) {
	t.Helper()
	p.Launch(t)
	p.AwaitReady(t)
}

// AwaitReady waits until the node is ready, with at least one partition.
func (p *Process) AwaitReady(t testing.TB) {
	t.Helper()
	testharness.Eventually(t, startTimeout, func() bool {
		if p.child.Gone() {
			t.Fatalf("nodes: the node has ended: %v\n%s", p.child.State(), p.Log())
		}
		return p.Ready(t.Context())
	})
}

// Ready asks the node whether it is ready, with at least one partition.
func (p *Process) Ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.AdminURL()+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	var body struct{ Partitions int }
	return resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(&body) == nil && body.Partitions > 0
}

// Terminate asks the process to end in order and waits until it is gone.
func (p *Process) Terminate(t testing.TB) {
	t.Helper()
	if err := p.child.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("nodes: %v", err)
	}
	p.awaitEnd(t)
}

// Drain is [Process.Terminate], asked for at the node's admin server.
func (p *Process) Drain(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stopTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.AdminURL()+"/drain", nil)
	if err != nil {
		t.Fatalf("nodes: %v", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("nodes: drain: %v", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("nodes: drain: %s", resp.Status)
	}
	p.awaitEnd(t)
}

func (p *Process) awaitEnd(t testing.TB) {
	t.Helper()
	select {
	case <-p.child.Exited():
	case <-time.After(stopTimeout + 15*time.Second):
		t.Fatalf("nodes: the node does not end\n%s", p.Log())
	}
	if err := p.child.State(); err != nil {
		t.Errorf("nodes: the node ended with %v\n%s", err, p.Log())
	}
}
