package nodes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/testharness/internal/child"
)

// Program is a child process with the same arguments over all its lives, such as a service
// that nodes ask.
type Program struct {
	binary  string
	args    []string
	env     []string
	logPath string
	child   *child.Process
}

// NewProgram prepares a program and does not start it. env are further variables of its
// environment. It ends with the test.
func NewProgram(t testing.TB, binary string, env []string, args ...string) *Program {
	t.Helper()
	p := &Program{binary: binary, args: args, env: env, logPath: filepath.Join(t.TempDir(), "log")}
	t.Cleanup(p.Kill)
	return p
}

// Use has the next life of the process be one of another binary, as an upgrade does.
func (p *Program) Use(binary string) { p.binary = binary }

// Launch starts the process and does not wait.
func (p *Program) Launch(t testing.TB) {
	t.Helper()
	c, err := child.Start(p.binary, p.args, p.env, p.logPath)
	if err != nil {
		t.Fatalf("nodes: %v", err)
	}
	p.child = c
}

// Kill ends the process at once, as kill -9 does, and waits until it is gone.
func (p *Program) Kill() {
	if p.child != nil {
		p.child.Kill()
	}
}

// Signal sends a signal to the process.
func (p *Program) Signal(s os.Signal) error { return p.child.Signal(s) }

// Pause stops the process's execution until Resume.
func (p *Program) Pause() error { return p.child.Pause() }

// Resume lets a paused process go on.
func (p *Program) Resume() error { return p.child.Resume() }

// Exited is closed when the process is gone.
func (p *Program) Exited() <-chan struct{} { return p.child.Exited() }

// Log returns the last 16 KiB of what the program has written.
func (p *Program) Log() string {
	data, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(data[max(0, len(data)-16<<10):]))
}
