package node_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// TestNode_Operators_LeaveALine: what an operator does is in the log, with who and whence.
func TestNode_Operators_LeaveALine(t *testing.T) {
	t.Parallel()
	var log lockedLog
	n := nodes.Start(t, node.Config{Partitions: "4", Logger: slog.New(slog.NewTextHandler(&log, nil))}, gauges(nil))
	c := caller{t, n.AdminURL()}
	c.post("/parked/skip?aggregate=gauge/a&id=x", "", "Ganglion-Operator", "someone@there")
	if text := log.text(); !strings.Contains(text, "/parked/skip?aggregate=gauge/a&id=x") || !strings.Contains(text, "who=someone@there from=127.0.0.1:") {
		t.Errorf("the log has %s", text)
	}
}

// lockedLog is a log that is read while others write it.
type lockedLog struct {
	mu    sync.Mutex
	lines strings.Builder
}

// Write implements io.Writer.
func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

func (l *lockedLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}
