package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// recovering has a node store something and ends it as a crash does. It returns the
// folder of the stream of commits.
func recovering(t *testing.T, dir string) (p *nodes.Process, stream string) {
	t.Helper()
	p = nodes.Spawn(t, nodes.Build(t, "../cmd/node"), nil, "--data-dir", dir, "--partitions", "4")
	c := caller{t, p.URL()}
	c.expect("create", c.post("/v1/portfolio/p/CreatePortfolio", `{"userId":"u"}`), 200, "")
	c.expect("deposit", c.post("/v1/portfolio/p/DepositCash", `{"amount":7}`), 200, "")
	p.Kill()
	return p, filepath.Join(dir, "nats", "jetstream", "$G", "streams", "ganglion_STORE")
}

func (c caller) expectDeposit() {
	c.t.Helper()
	if got := c.do("GET", "/v1/portfolio/p", ""); !strings.Contains(string(got.body), `"cash":7`) {
		c.t.Errorf("after the recovery: %s", got.body)
	}
}

// TestNode_SlowRecovery_IsWaitedFor has the embedded server read its stream from a disk
// that gives nothing for half a minute: the description of the stream is a named pipe. The
// node waits as long as the server does, says so, and a signal ends the wait.
func TestNode_SlowRecovery_IsWaitedFor(t *testing.T) {
	t.Parallel()
	p, stream := recovering(t, t.TempDir())
	meta := filepath.Join(stream, "meta.inf")
	data, err := os.ReadFile(meta)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(meta); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(meta, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Launch(t)
	wait(t, 2*time.Second)
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Exited():
	case <-time.After(20 * time.Second):
		t.Fatalf("a signal does not end the wait\n%s", p.Log())
	}
	p.Launch(t)
	select {
	case <-p.Exited():
		t.Fatalf("the node has ended instead of waiting\n%s", p.Log())
	case <-time.After(12 * time.Second): // the log speaks after ten; TestEmbedded_AwaitReady waits for long
	}
	if log := p.Log(); !strings.Contains(log, "reads what it has stored") {
		t.Errorf("the log does not say what is waited for:\n%s", log)
	}
	pipe, err := os.OpenFile(meta, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
	p.AwaitReady(t)
	caller{t, p.URL()}.expectDeposit()
}

// TestNode_UnreadableStream_RefusesTheStart: the server goes on without a stream that it
// cannot read, and a node that went on would make an empty one over it.
func TestNode_UnreadableStream_RefusesTheStart(t *testing.T) {
	t.Parallel()
	p, stream := recovering(t, t.TempDir())
	meta := filepath.Join(stream, "meta.inf")
	data, err := os.ReadFile(meta)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(meta, data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	p.Launch(t)
	expectExit(t, p, "ganglion_STORE: stream cannot be recovered")
	if err := os.WriteFile(meta, data, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Start(t)
	caller{t, p.URL()}.expectDeposit()
}

// TestNode_ReadOnlyFolder_RefusesTheStart, and says why. Once it can be written, all is
// there.
func TestNode_ReadOnlyFolder_RefusesTheStart(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	p, _ := recovering(t, filepath.Join(disk, "data"))
	remount := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("none", disk, "tmpfs", unix.MS_REMOUNT|flags, "size=64m"); err != nil {
			t.Fatal(err)
		}
	}
	remount(unix.MS_RDONLY)
	p.Launch(t)
	expectExit(t, p, "storage directory is not writable")
	remount(0)
	p.Start(t)
	caller{t, p.URL()}.expectDeposit()
}

// expectExit waits for the end of a process that says why.
func expectExit(t *testing.T, p *nodes.Process, why string) {
	t.Helper()
	select {
	case <-p.Exited():
	case <-time.After(25 * time.Second):
		t.Fatalf("the node does not end\n%s", p.Log())
	}
	if log := p.Log(); !strings.Contains(log, why) {
		t.Errorf("the node does not say %q:\n%s", why, log)
	}
}
