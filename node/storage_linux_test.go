package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// smallDisk is a folder on a disk of its own, which only root can have.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	switch err := unix.Mount("none", dir, "tmpfs", 0, "size=64m"); {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("a disk of 64 MiB: %v", err)
	default:
		t.Skipf("NOT TESTED: a disk of 64 MiB: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk writes until nothing more fits.
func fillDisk(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	zeros := make([]byte, 64<<10)
	for n := len(zeros); n > 0; n /= 2 { // down to the last byte
		for err = nil; err == nil; {
			_, err = f.Write(zeros[:n])
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

// admin asks the admin server.
func admin(t *testing.T, p *nodes.Process, path string) (int, string) {
	t.Helper()
	return request(t.Context(), t, http.MethodGet, p.AdminURL()+path)
}

// TestNode_FullDisk_RefusesAndRecovers fills the disk of a node's own NATS server to the
// last byte, and has it write on, so that it meets an error that it does not survive.
// Commands get 507 at once, reads go on, also of what is not in memory and after a
// restart on the full disk, and when there is space again commands are executed by the
// same process. Every command counts once, and only those that were acknowledged.
func TestNode_FullDisk_RefusesAndRecovers(t *testing.T) {
	t.Parallel()
	binary := nodes.Build(t, "../cmd/node")
	t.Run("jetstream", func(t *testing.T) {
		t.Parallel()
		fullDisk(t, binary)
	})
	t.Run("mongo", func(t *testing.T) {
		t.Parallel()
		fullDisk(t, binary, "--mongo-uri", testharness.SharedMongo(t, 1).URI(), "--mongo-database", testharness.DatabaseName(t))
	})
}

func fullDisk(t *testing.T, binary string, flags ...string) {
	disk := smallDisk(t)
	fill := filepath.Join(disk, "fill")
	p := nodes.Spawn(t, binary, nil, append([]string{"--data-dir", filepath.Join(disk, "data"), "--partitions", "4", "--name", "n1", "--lease", "1s"}, flags...)...)
	c := caller{t, p.URL()}
	c.expect("create", c.post("/v1/portfolio/p/CreatePortfolio", `{"userId":"u"}`), 200, "")
	c.expect("create another", c.post("/v1/portfolio/q/CreatePortfolio", `{"userId":"u"}`), 200, "")
	defer func() {
		if t.Failed() {
			t.Log(p.Log())
		}
	}()
	deposits, unknown := 0, 0
	deposit := func() answer {
		a := c.post("/v1/portfolio/p/DepositCash?timeout=5s", `{"amount":1}`)
		switch a.status {
		case http.StatusOK:
			deposits++
		case http.StatusGatewayTimeout:
			unknown++
		}
		return a
	}

	fillDisk(t, fill)
	testharness.Eventually(t, 10*time.Second, func() bool { return deposit().status == http.StatusInsufficientStorage })
	refused := time.Now()
	c.expect("full", deposit(), http.StatusInsufficientStorage, "storage_full")
	c.expect("full, accepted only", c.post("/v1/portfolio/p/DepositCash", `{"amount":1}`, "Prefer", "respond-async"), http.StatusInsufficientStorage, "storage_full")
	if took := time.Since(refused); took > 2*time.Second {
		t.Errorf("two refusals took %v", took)
	}
	wait(t, 3*time.Second) // three leases: what the node itself writes meets the full disk
	c.expect("full, read", c.do("GET", "/v1/portfolio/q", ""), 200, "")
	c.expect("full, history", c.do("GET", "/v1/portfolio/q/events", ""), 200, "")
	// One that was written to in the moment of the fault waits for that command's end.
	testharness.Eventually(t, 30*time.Second, func() bool { return c.answers("/v1/portfolio/p") })
	if status, body := admin(t, p, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "full") {
		t.Errorf("readyz on a full disk: %d %s", status, body)
	}
	if status, _ := admin(t, p, "/livez"); status != http.StatusOK {
		t.Errorf("livez on a full disk: %d", status)
	}
	if _, body := admin(t, p, "/metrics"); !strings.Contains(body, "ganglion_storage_fault 1") {
		t.Error("no gauge tells of the full disk")
	}

	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	testharness.Eventually(t, 30*time.Second, func() bool { return deposit().status == http.StatusOK })
	p.AwaitReady(t)

	fillDisk(t, fill)
	p.Kill()
	p.Launch(t)
	testharness.Eventually(t, 30*time.Second, func() bool { return c.answers("/v1/portfolio/q") })
	c.expect("started full", deposit(), http.StatusInsufficientStorage, "storage_full")
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	testharness.Eventually(t, 30*time.Second, func() bool { return deposit().status == http.StatusOK })

	var got struct{ State struct{ Cash int } }
	if err := json.Unmarshal(c.do("GET", "/v1/portfolio/p", "").body, &got); err != nil {
		t.Fatal(err)
	}
	if got.State.Cash < deposits || got.State.Cash > deposits+unknown {
		t.Errorf("%d deposits were acknowledged and %d unknown, there are %d", deposits, unknown, got.State.Cash)
	}
}

// answers reports whether the node answers a read, and does not mind one that is not
// there yet.
func (c caller) answers(path string) bool {
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}
