package node_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// TestNode_Hangup_EndsNothing sends SIGHUP to a process, as a terminal that closes does,
// and has it be ended by SIGTERM in order all the same.
func TestNode_Hangup_EndsNothing(t *testing.T) {
	t.Parallel()
	p := nodes.Prepare(t, nodes.Build(t, "../cmd/node"), nil)
	p.Launch(t)
	testharness.Eventually(t, 20*time.Second, func() bool { // from early on
		status, _ := probe(t, p, "/livez")
		return status == http.StatusOK
	})
	for range 5 {
		if err := p.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	p.AwaitReady(t)
	c := caller{t, p.URL()}
	c.expect("create", c.post("/v1/portfolio/p/CreatePortfolio", `{"userId":"u"}`), 200, "")
	for range 5 {
		if err := p.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		c.expect("after", c.post("/v1/portfolio/p/DepositCash", `{"amount":1}`), 200, "")
	}
	if log := p.Log(); strings.Contains(log, "shutting down") {
		t.Errorf("it began to end:\n%s", log)
	}
	p.Terminate(t)
	if log := p.Log(); !strings.Contains(log, "has ended in order") || strings.Contains(log, "error=<nil>") {
		t.Errorf("after its end the log has\n%s", log)
	}
}

// TestNode_LogReaderGone_EndsNothing is a node whose log goes through a pipe to a process
// that ends, as that of a terminal does.
func TestNode_LogReaderGone_EndsNothing(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	binary := nodes.Build(t, "../cmd/node")
	admin := nodes.FreeAddress(t)
	cmd := exec.CommandContext(t.Context(), binary, "--data-dir", t.TempDir(), "--http-addr", nodes.FreeAddress(t), "--admin-addr", admin)
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(read)
	for lines.Scan() && !strings.Contains(lines.Text(), "msg=serving") {
	}
	_ = read.Close()
	c := caller{t, "http://" + admin}
	for range 3 { // each is a line of the log
		c.expect("logged", c.post("/parked/skip", ""), 400, "malformed")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-exited:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it does not end")
	}
}

// TestNode_SignalWhileItStarts_IsAnOrderlyEnd ends a node that waits for the NATS servers
// of other nodes: the process ends soon, with 0, and one line in the log says so.
func TestNode_SignalWhileItStarts_IsAnOrderlyEnd(t *testing.T) {
	t.Parallel()
	admin, output := nodes.FreeAddress(t), filepath.Join(t.TempDir(), "log")
	log, err := os.Create(output)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), nodes.Build(t, "../cmd/node"), "--data-dir", t.TempDir(), "--http-addr", nodes.FreeAddress(t), "--admin-addr", admin,
		"--nats-cluster-addr", nodes.FreeAddress(t), "--nats-routes", nodes.FreeAddress(t)+","+nodes.FreeAddress(t))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testharness.Eventually(t, 20*time.Second, func() bool {
		response, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		body, _ := io.ReadAll(response.Body)
		return strings.Contains(string(body), "NATS servers")
	})
	begin := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := cmd.Wait()
	text, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if last := lines[len(lines)-1]; ended != nil || !strings.Contains(last, "has ended before it served") || !strings.Contains(last, "signal=terminated") || strings.Contains(last, "error=") {
		t.Errorf("it ended with %v, and says\n%s", ended, text)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it ended after %v", took)
	}
}
