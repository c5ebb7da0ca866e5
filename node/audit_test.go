package node_test

import (
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// TestNode_Operators_LeaveALine: what an operator does is in the log, with who and whence.
func TestNode_Operators_LeaveALine(t *testing.T) {
	t.Parallel()
	var log lockedLog
	n := nodes.Start(t, node.Config{Partitions: 4, Logger: slog.New(slog.NewTextHandler(&log, nil))}, gauges(nil))
	c := caller{t, n.AdminURL()}
	c.post("/parked/skip?aggregate=gauge/a&id=x", "", "Ganglion-Operator", "someone@there")
	if text := log.text(); !strings.Contains(text, "/parked/skip?aggregate=gauge/a&id=x") || !strings.Contains(text, "who=someone@there from=127.0.0.1:") {
		t.Errorf("the log has %s", text)
	}
}

// TestNode_Operators_HearAndLogTheOutcome: how each action ended is in the log, with what
// became of the command, and no reply of an aggregate.
func TestNode_Operators_HearAndLogTheOutcome(t *testing.T) {
	t.Parallel()
	var log lockedLog
	var broken atomic.Bool
	broken.Store(true)
	purses := spenders(&broken, new(atomic.Int64))
	n := nodes.Start(t, node.Config{Partitions: 4, Logger: slog.New(slog.NewTextHandler(&log, nil))}, purses)
	park := func(id string) {
		if _, err := actor.Ask(t.Context(), n.Client(), purses.ID("p"), spend{Cents: 1}, actor.WithCommandID(actor.CommandID(id))); !errors.Is(err, actor.ErrParked) {
			t.Fatalf("%s: %v", id, err)
		}
	}
	park("first")
	park("second")
	park("third")
	if _, err := actor.Ask(t.Context(), n.Client(), purses.ID("p"), payIn{Cents: 77_345}); err != nil {
		t.Fatal(err)
	}
	c := caller{t, n.AdminURL()}
	c.post("/parked/retry?aggregate=purse/p&id=first", "")
	broken.Store(false)
	c.post("/parked/retry?aggregate=purse/p&id=second", "")
	c.post("/parked/skip?aggregate=purse/p&id=third", "")
	c.post("/parked/skip?aggregate=purse/p&id=none", "")
	c.post("/nowhere", "")
	c.post("/drain", "", "Ganglion-Operator", "someone@there")
	var lines []string
	for line := range strings.Lines(log.text()) {
		if strings.Contains(line, "operator") {
			lines = append(lines, line)
		}
	}
	text := strings.Join(lines, "")
	for _, want := range []string{
		`id=first" who="" from=127.0.0.1:\d+ token=false outcome=refused status=409 code=parked detail="the command stays parked.*" took=`,
		`id=second".* outcome=done status=200 result=finished commands="\[ok, version \d+\]" took=`,
		`id=third".* outcome=done status=200 result=skipped commands="\[rejected \(skipped_by_operator\), version \d+\]" took=`,
		`id=none".* outcome=refused status=404 code=not_found detail="the command is not parked`,
		`action=/nowhere .* outcome=refused status=404 took=`,
		`action=/drain who=someone@there .* outcome=accepted status=202 result=draining took=`,
	} {
		if !regexp.MustCompile(`msg="operator's action ended" method=POST .*` + want).MatchString(text) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "77344") {
		t.Error("the log has the reply of an aggregate")
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
