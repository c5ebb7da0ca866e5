package node_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// TestNode_ManyReaders_CostNoRenewal: sixty readers of one history that take their time
// over it, and twenty that follow it, do not delay the renewals of a node's session, whose
// store is in JetStream on another server.
func TestNode_ManyReaders_CostNoRenewal(t *testing.T) {
	t.Parallel()
	const readers, followers, writers, events = 60, 20, 32, 1600
	n := nodes.Start(t, node.Config{NATSURL: serverInMemory(t), Name: "n1", Partitions: 4, Lease: time.Second}, domain.Definitions()...)
	c := caller{t, n.URL()}
	c.expect("create", c.post("/v1/portfolio/p/CreatePortfolio", `{"userId":"u"}`), 200, "")
	var writing sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for range events / writers {
				if a := c.post("/v1/portfolio/p/DepositCash", `{"amount":1}`); a.status != http.StatusOK {
					t.Errorf("deposit: %d %s", a.status, a.body)
				}
			}
		})
	}
	writing.Wait()

	incarnation := n.Status().Incarnation
	ctx, cancel := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	for i := range readers + followers {
		accept := "application/json"
		if i >= readers {
			accept = "text/event-stream"
		}
		reading.Go(func() {
			for ctx.Err() == nil {
				readSlowly(ctx, n.URL()+fmt.Sprintf("/v1/portfolio/p/events?limit=%d", events/2), accept)
			}
		})
	}
	valid := time.Now()
	for end := valid.Add(6 * time.Second); time.Now().Before(end); wait(t, 20*time.Millisecond) {
		if n.Status().LeaseValid {
			valid = time.Now()
		}
		if gap := time.Since(valid); gap > lapseMax {
			t.Errorf("the lease has lapsed for %v", gap)
			break
		}
	}
	cancel()
	reading.Wait()
	if now := n.Status().Incarnation; now != incarnation {
		t.Error("the session was lost")
	}
}

// serverInMemory starts a NATS server whose files are in memory where there is such a
// folder, so that what other tests do to the disk does not count.
func serverInMemory(t *testing.T) string {
	t.Helper()
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err != nil || !info.IsDir() {
		return testharness.NATS(t, testharness.WithListener()).URL()
	}
	dir, err := os.MkdirTemp(memory, "ganglion-test-") //nolint:usetesting // not where other temporary files are
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("no NATS server")
	}
	return s.ClientURL()
}

// lapseMax is for how long a lease may lapse on a machine that has much else to do.
const lapseMax = time.Second

// readSlowly takes an answer in small parts.
func readSlowly(ctx context.Context, url, accept string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer func() { _ = resp.Body.Close() }()
	part := make([]byte, 32<<10)
	for {
		if _, err := io.ReadFull(resp.Body, part); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
}
