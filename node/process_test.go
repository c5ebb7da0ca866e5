package node_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// TestNode_CommandLine runs the binary: the subcommands against a node that
// serves, all faults of a configuration at once, and a second process on one
// data folder.
func TestNode_CommandLine(t *testing.T) {
	t.Parallel()
	binary := nodes.Build(t, "../cmd/node")
	p := nodes.Spawn(t, binary, []string{"GANGLION_NAME=from-environment"})
	c := caller{t, p.URL()}
	c.expect("create", c.post("/v1/portfolio/p%2F1/CreatePortfolio", `{"userId":"u-1"}`), 200, "")
	c.expect("deposit", c.post("/v1/portfolio/p%2F1/DepositCash", `{"amount":7}`), 200, "")

	url := "--url=" + p.URL()
	for _, run := range []struct {
		args []string
		want []string
	}{
		{[]string{"status", url}, []string{"from-environment", "live", "128"}},
		{[]string{"partitions", url}, []string{"PARTITION", "127", "from-environment"}},
		{[]string{"events", url, "portfolio/p/1"}, []string{`"type":"cashDeposited.v1"`, `"data":{"amount":7}`, `"command":"DepositCash"`}},
		{[]string{"inspect", url, "portfolio/p/1"}, []string{`"cash": 7`, `"version": 2`, `"lastEvent": {`, `"command": "DepositCash"`}},
		{[]string{"parked", "--admin-url=" + p.AdminURL()}, []string{`"parked": []`}},
	} {
		out, code := execute(t, binary, run.args...)
		for _, want := range run.want {
			if code != 0 || !strings.Contains(out, want) {
				t.Errorf("%v: exit %d, no %q in\n%s", run.args, code, want, out)
			}
		}
	}

	out, code := execute(t, binary, "--partitions=3", "--lease=soon", "--linger=1h", "--answers=maybe", "--schema-check=hope", "--replicas=9", "--log-level=loud", "--mongo-uri=http://x", "--http-addr=nowhere")
	for _, flag := range []string{"--partitions", "--lease", "--linger", "--answers", "--schema-check", "--replicas", "--log-level", "--mongo-uri", "--http-addr"} {
		if code != 2 || !strings.Contains(out, flag) {
			t.Errorf("bad configuration: exit %d, nothing of %s in\n%s", code, flag, out)
		}
	}
	if out, code := execute(t, binary, "--no-such-flag"); code != 2 {
		t.Errorf("unknown flag: exit %d\n%s", code, out)
	}
	if out, code := execute(t, binary, "inspect", url, "portfolio/nobody"); code != 1 || !strings.Contains(out, "does_not_exist") {
		t.Errorf("inspect of nobody: exit %d\n%s", code, out)
	}

	missing := filepath.Join(t.TempDir(), "missing")
	for _, run := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"status", "--url="}, 2, "is not the URL of a node"},
		{[]string{"status", "--url=localhost:8080"}, 2, "is not the URL of a node"},
		{[]string{"replace-member", "n3", "--admin-url=" + p.AdminURL()}, 1, "in no cluster of embedded NATS servers"},
		{[]string{"drain", "--admin-url=" + p.URL() + "/v1"}, 1, "404"},
		{[]string{"check-events", "--data-dir=" + missing}, 2, "no such file"},
	} {
		if out, code := execute(t, binary, run.args...); code != run.code || !strings.Contains(out, run.want) {
			t.Errorf("%v: exit %d, no %q in\n%s", run.args, code, run.want, out)
		}
	}
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a check of a store that is not there has made it: %v", err)
	}

	if out, code := execute(t, binary, "drain", "--admin-url="+p.AdminURL()); code != 0 {
		t.Errorf("drain: exit %d\n%s", code, out)
	}
	<-p.Exited()
	p.Start(t)
	if got := c.do("GET", "/v1/portfolio/p%2F1", ""); !strings.Contains(string(got.body), `"cash":7`) {
		t.Errorf("after a drain and a start: %s", got.body)
	}
	p.Terminate(t)
}

// execute runs the binary to its end and returns all it printed and its exit code.
func execute(t *testing.T, binary string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestNode_DataFolder_BelongsToOneProcess(t *testing.T) {
	t.Parallel()
	binary := nodes.Build(t, "../cmd/node")
	dir := t.TempDir()
	p := nodes.Spawn(t, binary, []string{"GANGLION_LOG_FORMAT=json"}, "--data-dir", dir)
	out, code := execute(t, binary, "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	if code != 1 || !strings.Contains(out, "in use by another process") {
		t.Errorf("second process: exit %d\n%s", code, out)
	}
	if log := p.Log(); !strings.HasPrefix(log, `{"time":`) {
		t.Errorf("log is not JSON: %s", log)
	}
}
