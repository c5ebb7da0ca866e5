//go:build unix

package doccode_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/doccode"
	"github.com/ganglion-go/ganglion/internal/testenv"
)

const (
	root    = "../.."
	module  = "github.com/ganglion-go/ganglion"
	patient = 10 * time.Minute // bounds each command: a machine may have much else to do
)

// TestTutorial does what a reader of docs/tutorial.md does: in an empty folder it writes
// the files, runs the commands, and looks at what they print. Of the reader it differs in
// that the module is this checkout, that nothing is fetched, and in the ports, which are
// free ones.
func TestTutorial(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "curl")
	testenv.StatSources(t, root)
	data, err := os.ReadFile(filepath.Join(root, "docs", "tutorial.md"))
	if err != nil {
		t.Fatal(err)
	}
	api, texts := freeAddress(t), freeAddress(t)
	document := strings.NewReplacer("localhost:8080", api, "localhost:8090", texts).Replace(string(data))
	blocks, err := doccode.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, dir: t.TempDir(), terminals: map[string]*terminal{}, done: map[string]int{}, env: append(plain(os.Environ()),
		"GOWORK=off", "GOFLAGS=-mod=mod", "GOPROXY=off", "NO_PROXY=*", "no_proxy=*", "GANGLION_HTTP_ADDR="+api, "GANGLION_ADMIN_ADDR="+freeAddress(t))}
	t.Cleanup(r.leave)
	for i := range blocks {
		var prints *doccode.Block
		if i+1 < len(blocks) && blocks[i+1].Lang == "text" {
			prints = &blocks[i+1]
		}
		r.follow(&blocks[i], prints)
	}
	if r.done["go"] < 12 || r.done["sh"] < 12 || r.done["text"] < 10 {
		t.Errorf("done of the tutorial: %v: has its form changed?", r.done)
	}
	if out := r.run("gofmt -d ."); out != "" {
		t.Errorf("gofmt would change\n%s", out)
	}
}

// plain returns the environment without what would configure the reader's node.
func plain(environment []string) []string {
	return slices.DeleteFunc(environment, func(v string) bool { return strings.HasPrefix(v, "GANGLION_") || strings.HasPrefix(v, "TEXTS_") })
}

// needs skips the test on a machine without the programs, but not in CI.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		switch _, err := exec.LookPath(program); {
		case err == nil:
		case os.Getenv("CI") != "":
			t.Fatal(err)
		default:
			t.Skipf("NOT RUN: the commands of the tutorial need %s", program)
		}
	}
}

// freeAddress returns an address on which nobody listens now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// reader is somebody who follows the tutorial.
type reader struct {
	t         *testing.T
	dir       string // where the files are
	env       []string
	terminals map[string]*terminal
	done      map[string]int // blocks, by language
	printed   *doccode.Block // the text that the last block is to print
}

// terminal is a command that runs on.
type terminal struct {
	command *exec.Cmd
	end     context.CancelFunc
	log     string // file with what it prints
}

func (r *reader) follow(b, prints *doccode.Block) {
	r.t.Helper()
	due := r.printed
	r.printed = prints
	r.done[b.Lang]++
	switch {
	case b.Lang == "text" && b == due:
	case b.Lang == "sh" && prints == nil && strings.HasPrefix(b.Label, "not run: "):
		r.done[b.Lang]--
	case b.Lang == "go" && prints == nil:
		r.write(b)
	case b.Lang != "sh":
		r.t.Fatalf("line %d: a block of %q, which is neither Go, nor sh, nor the text that sh prints", b.Line, b.Lang)
	case strings.HasPrefix(b.Label, "Terminal "):
		r.start(b, prints)
	case b.Label == "eventually":
		r.eventually(b, prints)
	default:
		out := r.run(b.Text)
		if prints != nil && !prints.Prints(out, false) {
			r.t.Errorf("line %d: the tutorial shows\n%sand not\n%s", b.Line, prints.Text, out)
		}
		r.enter()
	}
}

// write writes a file.
func (r *reader) write(b *doccode.Block) {
	r.t.Helper()
	if !strings.HasSuffix(b.Label, ".go") || !filepath.IsLocal(b.Label) {
		r.t.Fatalf("line %d: Go code of the file %q", b.Line, b.Label)
	}
	name := filepath.Join(r.dir, b.Label)
	err := os.MkdirAll(filepath.Dir(name), 0o750)
	if err == nil {
		err = os.WriteFile(name, []byte(b.Text), 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// enter goes into the module that a block has made, and gives it this checkout with
// whatever that requires.
func (r *reader) enter() {
	r.t.Helper()
	made, err := filepath.Glob(filepath.Join(r.dir, "*", "go.mod"))
	if err != nil || len(made) == 0 {
		return
	}
	r.dir = filepath.Dir(made[0])
	own := strings.Fields(r.run("go list -m"))[0]
	checkout, err := filepath.Abs(root)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(checkout, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(r.dir, file), data, 0o600)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.run("go mod edit -module=" + own + " -require=" + module + "@v0.0.0 -replace=" + module + "=" + checkout)
}

// run runs commands until the last one has ended, and returns what they have printed.
func (r *reader) run(commands string) string {
	r.t.Helper()
	out, err := r.try(commands)
	if err != nil {
		r.t.Fatalf("%s: %v", commands, err)
	}
	return out
}

func (r *reader) try(commands string) (string, error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), patient)
	defer cancel()
	var out, errs strings.Builder
	cmd := exec.CommandContext(ctx, "bash", "-euc", commands)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.dir, r.env, &out, &errs
	if err := cmd.Run(); err != nil {
		return "", &commandError{err, out.String() + errs.String()}
	}
	return out.String(), nil
}

type commandError struct {
	err    error
	output string
}

func (e *commandError) Error() string { return e.err.Error() + "\n" + e.output }
func (e *commandError) Unwrap() error { return e.err }

// eventually runs a block again and again until it prints what the tutorial shows.
func (r *reader) eventually(b, prints *doccode.Block) {
	r.t.Helper()
	if prints == nil {
		r.t.Fatalf("line %d: it prints nothing that could be waited for", b.Line)
	}
	var out string
	var err error
	r.await(func() bool {
		out, err = r.try(b.Text)
		return err == nil && prints.Prints(out, false)
	}, func() {
		r.t.Fatalf("line %d: the tutorial shows\n%sand not\n%s (%v)", b.Line, prints.Text, out, err)
	})
}

func (r *reader) await(condition func() bool, late func()) {
	r.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(patient)
	defer end.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-end.C:
			late()
			return
		}
	}
}

// start runs a command in a terminal, after ending the one before, and waits until it has
// printed what the tutorial shows.
func (r *reader) start(b, prints *doccode.Block) {
	r.t.Helper()
	if former := r.terminals[b.Label]; former != nil {
		former.stop(r.t)
	}
	s := &terminal{log: filepath.Join(r.t.TempDir(), "log")}
	log, err := os.Create(s.log)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	ctx, end := context.WithCancel(context.WithoutCancel(r.t.Context()))
	s.command, s.end = exec.CommandContext(ctx, "bash", "-euc", b.Text), end
	s.command.Dir, s.command.Env, s.command.Stdout, s.command.Stderr = r.dir, r.env, log, log
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.command.Cancel = func() error { return s.signal(syscall.SIGINT) } // as Ctrl-C: to all processes of the terminal
	s.command.WaitDelay = time.Minute
	if err := s.command.Start(); err != nil {
		end()
		r.t.Fatal(err)
	}
	r.terminals[b.Label] = s
	if prints == nil {
		r.t.Fatalf("line %d: it prints nothing that could be waited for", b.Line)
	}
	r.await(func() bool { return prints.Prints(s.printed(r.t), true) }, func() {
		r.t.Fatalf("line %d: the tutorial shows\n%sand not\n%s", b.Line, prints.Text, s.printed(r.t))
	})
}

func (s *terminal) signal(of syscall.Signal) error {
	return syscall.Kill(-s.command.Process.Pid, of)
}

func (s *terminal) printed(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// stop ends the command as Ctrl-C does, and shows what it has printed if the test failed.
func (s *terminal) stop(t *testing.T) {
	t.Helper()
	s.end()
	if err := s.command.Wait(); errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("%s does not end: %v", s.command, err)
	}
	_ = s.signal(syscall.SIGKILL) // whatever has not ended with it
	if t.Failed() {
		t.Logf("%s\n%s", s.command, s.printed(t))
	}
}

// leave ends all that still runs.
func (r *reader) leave() {
	for _, s := range r.terminals {
		s.stop(r.t)
	}
}
