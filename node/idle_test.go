package node_test

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// processSeconds returns the processor time that a node has used.
func processSeconds(t *testing.T, p *nodes.Process) float64 {
	t.Helper()
	resp, err := http.Get(p.AdminURL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "process_cpu_seconds_total "); ok {
			seconds, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			return seconds
		}
	}
	t.Fatal("no processor time among the metrics")
	return 0
}

// TestNode_Idle_CostsLittle measures three nodes that share 128 partitions and
// have nothing to do. GANGLION_IDLE_SECONDS sets for how long, and has the result held
// to what is promised on a machine of one's own.
func TestNode_Idle_CostsLittle(t *testing.T) { //nolint:tparallel // one after the other
	measures(t, "GANGLION_IDLE_SECONDS")
	percent := bound(3.0, "GANGLION_IDLE_SECONDS")
	binary := nodes.Build(t, "../cmd/node")
	uri := testharness.SharedMongo(t, 1).URI()
	for name, flags := range map[string][]string{
		"jetstream": nil,
		"mongo":     {"--mongo-uri", uri, "--mongo-database", testharness.DatabaseName(t)},
	} {
		t.Run(name, func(t *testing.T) {
			names := []string{"n1", "n2", "n3"}
			m := spawnMembers(t, binary, names, flags...)
			wait(t, 2*time.Second) // what starting has left behind
			window := time.Duration(testenv.Times(t, "GANGLION_IDLE_SECONDS", 5)) * time.Second
			before := map[string]float64{}
			for name, p := range m.nodes {
				before[name] = processSeconds(t, p)
			}
			start := time.Now()
			wait(t, window)
			for name, p := range m.nodes {
				used := 100 * (processSeconds(t, p) - before[name]) / time.Since(start).Seconds()
				t.Logf("%s uses %.2f %% of a core", name, used)
				if used > percent {
					t.Errorf("%s uses %.2f %% of a core, %.0f %% are allowed", name, used, percent)
				}
			}
		})
	}
}
