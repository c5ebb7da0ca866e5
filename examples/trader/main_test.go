package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/schollz/progressbar/v3"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/views"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/chaos"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

func TestMain(m *testing.M) {
	chaos.MainWith(m, node.Config{Projections: views.All()}, domain.Definitions()...)
}

// parse returns the command as the flags make it.
func parse(t *testing.T, flags ...string) loadCommand {
	t.Helper()
	var c loadCommand
	parser, err := kong.New(&c, kong.Exit(func(int) { t.Fatal("the parser wants to exit") }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(flags); err != nil {
		t.Fatal(err)
	}
	return c
}

func silent(steps int, _ string) *progressbar.ProgressBar {
	return progressbar.NewOptions(max(steps, 1), progressbar.OptionSetWriter(io.Discard))
}

func TestLoad_RealNode(t *testing.T) {
	t.Parallel()
	for _, lane := range []string{"durable", "direct"} {
		t.Run(lane, func(t *testing.T) {
			t.Parallel()
			n := nodes.Start(t, node.Config{}, domain.Definitions()...)
			c := parse(t, "--url", n.URL(), "--duration", "2s", "--clients", "4", "--cancel-share", "0.3", "--lane", lane)
			var report strings.Builder
			if err := c.run(t.Context(), nil, &report, silent); err != nil {
				t.Errorf("%v\n%s", err, report.String())
			}
			if !strings.Contains(report.String(), "wrong answers: 0") || strings.HasPrefix(report.String(), "0 transactions") {
				t.Error(report.String())
			}
		})
	}
}

// A node that is killed and comes back leaves no answer wrong, and nothing lost.
func TestLoad_NodeIsKilled(t *testing.T) {
	t.Parallel()
	p := nodes.Spawn(t, nodes.Build(t, "../../cmd/node"), nil)
	c := parse(t, "--url", p.URL(), "--duration", "1m", "--clients", "4", "--cancel-share", "0.3")
	var report strings.Builder
	ended, stop := make(chan error, 1), make(chan struct{})
	go func() { ended <- c.run(t.Context(), stop, &report, silent) }()
	trades := int64(0)
	for range 2 {
		trades += 3
		testharness.Eventually(t, time.Minute, func() bool { return tradesAt(t, p.URL()) >= trades })
		p.Kill()
		p.Start(t)
		trades = tradesAt(t, p.URL())
	}
	testharness.Eventually(t, time.Minute, func() bool { return tradesAt(t, p.URL()) >= trades+3 })
	close(stop)
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s\n%s", err, report.String(), p.Log())
	}
	if !strings.Contains(report.String(), "transport error") {
		t.Errorf("no request met the kill: nothing was tested\n%s", report.String())
	}
}

// tradesAt returns the number of trades of the first book; 0 while it is unknown.
func tradesAt(t *testing.T, base string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/orderbook/company-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer func() { _ = answer.Body.Close() }()
	var body struct{ State domain.OrderBookView }
	if json.NewDecoder(answer.Body).Decode(&body) != nil {
		return 0
	}
	return body.State.Trades
}

func TestLoad_WrongAnswers(t *testing.T) {
	t.Parallel()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	t.Cleanup(broken.Close)
	err := parse(t, "--url", broken.URL, "--duration", "100ms").run(t.Context(), nil, io.Discard, silent)
	if err == nil || exitCode(err) != 1 || !strings.Contains(err.Error(), "seed") {
		t.Errorf("got %v", err)
	}
	var report strings.Builder
	err = parse(t, "--url", broken.URL, "--duration", "100ms", "--skip-seed", "--no-verify").run(t.Context(), nil, &report, silent)
	if !errors.Is(err, errWrong) || exitCode(err) != 1 || strings.Contains(report.String(), "wrong answers: 0") {
		t.Errorf("got %v\n%s", err, report.String())
	}
}

func TestLoad_InvalidFlags(t *testing.T) {
	t.Parallel()
	err := parse(t, "--users", "1", "--books", "0").run(t.Context(), nil, io.Discard, silent)
	if !errors.Is(err, errUsage) || exitCode(err) != 2 || !strings.Contains(err.Error(), "users") || !strings.Contains(err.Error(), "books") {
		t.Errorf("got %v", err)
	}
}
