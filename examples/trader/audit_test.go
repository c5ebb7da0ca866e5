package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// runAudit audits and returns the report.
func runAudit(t *testing.T, c auditCommand) (string, error) {
	t.Helper()
	c.Quiet, c.Timeout = max(c.Quiet, time.Second), max(c.Timeout, 2*time.Minute)
	var report strings.Builder
	err := c.run(t.Context(), &report)
	return report.String(), err
}

// TestAudit_DataDir: load with cancels on a node of its own; then it stops, and the
// store in its folder is audited. A forged commit is found.
func TestAudit_DataDir(t *testing.T) {
	t.Parallel()
	dir := testharness.TempDir(t)
	n := nodes.Start(t, node.Config{DataDir: dir}, domain.Definitions()...)
	c := parse(t, "--url", n.URL(), "--duration", "3s", "--clients", "8", "--cancel-share", "0.3")
	var report strings.Builder
	if err := c.run(t.Context(), nil, &report, silent); err != nil {
		t.Fatalf("%v\n%s", err, report.String())
	}
	if _, err := runAudit(t, auditCommand{DataDir: dir}); !errors.Is(err, node.ErrDataDirInUse) {
		t.Errorf("while the node runs: %v", err)
	}
	n.Stop(t)
	out, err := runAudit(t, auditCommand{DataDir: dir})
	if err != nil || strings.Contains(out, " 0 trades") || !strings.Contains(out, "0 violations") {
		t.Errorf("%v\n%s\n%s", err, out, report.String())
	}
	forge(t, dir)
	out, err = runAudit(t, auditCommand{DataDir: dir})
	if !errors.Is(err, errViolated) || exitCode(err) != 1 || !strings.Contains(out, "portfolio/forged") {
		t.Errorf("%v\n%s", err, out)
	}
}

// forge appends a reservation that no transaction has made.
func forge(t *testing.T, dir string) {
	t.Helper()
	s, closing, err := node.OpenStore(t.Context(), node.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer closing()
	reserved, err := domain.Portfolios.Behavior().Encode(domain.CashReserved{TransactionID: "t", Amount: 5})
	if err != nil {
		t.Fatal(err)
	}
	errs := s.Append(t.Context(), []store.Commit{{
		Aggregate: "portfolio/forged", First: 1, Time: time.Now().UnixMicro(), Events: []store.Event{store.Event(reserved)},
		Outcomes: []store.Outcome{{CommandID: "c", Events: 1, Reply: []byte("null")}},
	}})
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
}

func TestAudit_Refuses(t *testing.T) {
	t.Parallel()
	if _, err := runAudit(t, auditCommand{DataDir: t.TempDir()}); !errors.Is(err, errNothing) || exitCode(err) != 1 {
		t.Errorf("an empty store: %v", err)
	}
	if _, err := runAudit(t, auditCommand{Namespace: "no such.thing"}); !errors.Is(err, errUsage) || exitCode(err) != 2 {
		t.Errorf("a wrong flag: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := (auditCommand{NATSURL: "nats://127.0.0.1:1", Timeout: time.Second}).run(ctx, &strings.Builder{}); err == nil {
		t.Error("no server, and no error")
	}
}
