package node_test

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
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

// badges knows who has which badge.
type badges map[string]string

func (b badges) Authenticate(r *http.Request) (gateway.Principal, error) {
	badge, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !ok:
		return gateway.Principal{}, gateway.ErrNoCredentials
	case badge == "explode":
		panic("it exploded")
	case b[badge] == "":
		return gateway.Principal{}, &gateway.CredentialsError{Reason: "no such badge"}
	}
	return gateway.Principal{Name: b[badge]}, nil
}

func (badges) Schemes() []gateway.Scheme {
	return []gateway.Scheme{{Name: "badge", OpenAPI: map[string]any{"type": "http", "scheme": "bearer"}, Challenge: "Bearer"}}
}

// TestNode_Operators_WithAPrincipal: whoever shows credentials of the HTTP API is in the log
// under their principal, beside what their machine says, and in what they leave. Who shows
// none, or some that do not hold, does what the admin server's own door allows.
func TestNode_Operators_WithAPrincipal(t *testing.T) {
	t.Parallel()
	var log lockedLog
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := nodes.Start(t, node.Config{
		Partitions: 4, Logger: slog.New(slog.NewTextHandler(&log, nil)), Authenticate: badges{"b-1": "ann"}, AdminTokenFile: token,
	}, gauges(nil))
	c := caller{t, n.AdminURL()}
	const header = "Ganglion-Operator-Authorization"
	for effect, credentials := range map[string]string{"shown": "Bearer b-1", "wrong": "Bearer b-2", "panics": "Bearer explode", "other": "Basic eA=="} {
		c.expect(effect, c.post("/effects/pause?effect="+effect, "", "Authorization", "Bearer 0123456789abcdef", header, credentials, "Ganglion-Operator", "me@here"), 202, "")
	}
	c.expect("without the token", c.post("/effects/pause?effect=none", "", header, "Bearer b-1"), 401, "")
	text := log.text()
	for _, want := range []string{
		`effect=shown" who=me@here .* principal=ann\n`, `effect=shown" who=me@here .* principal=ann outcome=accepted`,
		`effect=wrong" who=me@here .* principal="" credentials=".*no such badge`, `effect=panics" who=me@here .* principal="" credentials="it panicked`,
		`effect=other" who=me@here from=\S+ token=true\n`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	parked := string(c.do(http.MethodGet, "/parked", "", "Authorization", "Bearer 0123456789abcdef").body)
	if !strings.Contains(parked, "paused by ann") || !strings.Contains(parked, "paused by me@here") {
		t.Errorf("what is paused: %s", parked)
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
