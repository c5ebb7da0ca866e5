package browser_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

const (
	demoMax  = 5 * time.Minute // until all of it runs, on a busy machine
	endMax   = 2 * time.Minute
	auditMax = 3 * time.Minute
)

// demo is the demonstration, as people start it.
type demo struct {
	t      *testing.T
	binary string
	dir    string
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the launcher is gone
	ready  time.Duration // from its start until it says that all runs

	mu   sync.Mutex
	said strings.Builder
	pids map[string]int // of the parts, by name; the newest of each
	all  []int
}

// startDemo starts the demonstration and waits until it says that all runs. It ends with
// the test.
func startDemo(t *testing.T, flags ...string) *demo {
	t.Helper()
	// Not under the race detector, even if this test is: the nodes' own tests are.
	d := &demo{
		t: t, binary: nodes.Build(t, "./examples/trader", "-C", "../../.."), dir: filepath.Join(t.TempDir(), "demo"),
		ended: make(chan struct{}), pids: map[string]int{},
	}
	_, port, _ := strings.Cut(nodes.FreeAddress(t), ":")
	d.cmd = exec.Command(d.binary, append([]string{"--data=" + d.dir, "--port=" + port}, flags...)...)
	d.cmd.Stderr = os.Stderr
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.end)
	running := make(chan struct{})
	go d.read(out, running)
	patience := time.NewTimer(demoMax)
	defer patience.Stop()
	select {
	case <-running:
	case <-d.ended:
		t.Fatalf("the launcher has ended:\n%s", d.log())
	case <-patience.C:
		t.Fatalf("the launcher says no more than:\n%s", d.log())
	}
	d.ready = time.Since(began)
	return d
}

var (
	partRow  = regexp.MustCompile(`^(\S+)\s+\S+\s+kill -9 (\d+)\b`)
	runsLine = regexp.MustCompile(`^(\S+) runs again: kill -9 (\d+)`)
)

// read follows what the launcher says.
func (d *demo) read(out io.Reader, running chan struct{}) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		d.mu.Lock()
		d.said.WriteString(line + "\n")
		for _, form := range []*regexp.Regexp{partRow, runsLine} {
			if m := form.FindStringSubmatch(line); m != nil {
				pid, err := strconv.Atoi(m[2])
				if err == nil {
					d.pids[m[1]] = pid
					d.all = append(d.all, pid)
				}
			}
		}
		d.mu.Unlock()
		if strings.HasPrefix(line, "Open ") {
			close(running)
		}
	}
	_ = d.cmd.Wait()
	close(d.ended)
}

func (d *demo) log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.said.String()
}

func (d *demo) pid(part string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pids[part]
}

// plan is what the data folder keeps.
func (d *demo) plan() (store string, addresses map[string]string) {
	d.t.Helper()
	data, err := os.ReadFile(filepath.Join(d.dir, "demo.json"))
	if err != nil {
		d.t.Fatal(err)
	}
	var p struct {
		Store     string
		Addresses map[string]string
	}
	if err := json.Unmarshal(data, &p); err != nil {
		d.t.Fatal(err)
	}
	return p.Store, p.Addresses
}

// url returns the base of what a part serves.
func (d *demo) url(part string) string { return "http://" + d.host(part) }

func (d *demo) host(part string) string {
	d.t.Helper()
	_, addresses := d.plan()
	if addresses[part] == "" {
		d.t.Fatalf("no address of %s in %v", part, addresses)
	}
	return addresses[part]
}

// hosts are the addresses of all pages.
func (d *demo) hosts() (all []string) {
	_, addresses := d.plan()
	for _, one := range addresses {
		all = append(all, one)
	}
	return all
}

// kill ends a part as kill -9 does.
func (d *demo) kill(part string) {
	d.t.Helper()
	p, err := os.FindProcess(d.pid(part))
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		d.t.Fatalf("kill %s: %v", part, err)
	}
}

// backAgain waits until a part that was killed runs again.
func (d *demo) backAgain(part string, former int) {
	d.t.Helper()
	testharness.Eventually(d.t, time.Minute, func() bool { return d.pid(part) != former })
}

// audit checks all that is stored, once no commit comes any more, and returns the report.
func (d *demo) audit() (report string, err error) {
	d.t.Helper()
	store, addresses := d.plan()
	var all []string
	for i := 1; addresses["nats-"+strconv.Itoa(i)] != ""; i++ {
		all = append(all, "nats://"+addresses["nats-"+strconv.Itoa(i)])
	}
	args := []string{"audit", "--nats-url=" + strings.Join(all, ","), "--replicas=3"}
	if store == "mongo" {
		all = nil
		for i := 1; addresses["mongo-"+strconv.Itoa(i)] != ""; i++ {
			all = append(all, addresses["mongo-"+strconv.Itoa(i)])
		}
		args = []string{"audit", "--mongo-uri=mongodb://" + strings.Join(all, ",") + "/?replicaSet=trader"}
	}
	ctx, cancel := context.WithTimeout(d.t.Context(), auditMax)
	defer cancel()
	out, err := exec.CommandContext(ctx, d.binary, args...).CombinedOutput()
	return string(out), err
}

// end ends all of it, as Ctrl-C does: no process is left.
func (d *demo) end() {
	if d.t.Failed() {
		d.t.Log(d.log())
	}
	_ = d.cmd.Process.Signal(syscall.SIGINT)
	patience := time.NewTimer(endMax)
	defer patience.Stop()
	select {
	case <-d.ended:
	case <-patience.C:
		d.t.Errorf("the launcher has not ended:\n%s", d.log())
		_ = d.cmd.Process.Kill()
		<-d.ended
	}
	testharness.Eventually(d.t, 20*time.Second, func() bool { return !slices.ContainsFunc(d.all, alive) })
}

// alive reports whether there is a process. One that nobody has reaped is none.
func alive(pid int) bool {
	if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
		_, state, _ := strings.Cut(string(stat), ") ")
		return !strings.HasPrefix(state, "Z")
	}
	p, err := os.FindProcess(pid)
	return err == nil && p.Signal(syscall.Signal(0)) == nil
}
