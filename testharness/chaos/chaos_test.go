package chaos_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/chaos"
)

// seedOf returns the seed of a random test, from GANGLION_SEED or new, and
// prints it.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := chaos.RandomSeed()
	if s := os.Getenv("GANGLION_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("GANGLION_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("seed %d (GANGLION_SEED replays its schedule)", seed)
	return seed
}

// TestCluster_Chaos breaks three nodes, three NATS servers and three mongods on a
// schedule made from a seed. Even seeds have portfolios, whose money must be
// conserved, odd ones accounts, which tell more. GANGLION_CHAOS sets for how long;
// GANGLION_CHAOS_STORE=jetstream leaves the mongods away; GANGLION_CHAOS_ANSWERS=verified
// has nodes answer by the store's word, and stops their clocks, too;
// GANGLION_CHAOS_CLIENTS and GANGLION_CHAOS_AGGREGATES change the load of 16 clients on 64
// aggregates. With many clients on few, commands share messages.
func TestCluster_Chaos(t *testing.T) {
	if seed := seedOf(t); seed%2 == 0 {
		breakRandomly(t, seed, portfolios(), conserved)
	} else {
		breakRandomly(t, seed, accountModel(), nil)
	}
}

func breakRandomly[S comparable](t *testing.T, seed uint64, m chaos.Model[S], settled func(*chaos.History) error) {
	t.Helper()
	answers, ok := map[string]runtime.Answers{"": runtime.AnswersByLease, "lease": runtime.AnswersByLease, "verified": runtime.AnswersVerified}[os.Getenv("GANGLION_CHAOS_ANSWERS")]
	if !ok {
		t.Fatal("GANGLION_CHAOS_ANSWERS is neither lease nor verified")
	}
	report, err := chaos.Run(t.Context(), chaos.Trial[S]{
		Model: m, Settled: settled,
		Cluster: chaos.ClusterConfig{Mongod: testharness.Mongod(t), NoMongo: os.Getenv("GANGLION_CHAOS_STORE") == "jetstream", Answers: answers},
		Load: chaos.Load{
			Clients: testenv.Times(t, "GANGLION_CHAOS_CLIENTS", 16), Aggregates: testenv.Times(t, "GANGLION_CHAOS_AGGREGATES", 64),
		},
		Seed:     seed,
		Duration: testenv.Duration(t, "GANGLION_CHAOS", 30*time.Second),
		Keep:     os.Getenv("GANGLION_CHAOS_DIR"),
		Out:      t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err != nil {
		t.Error(err)
	}
}

// TestRun_BrokenPromise_IsKept runs an application that does not do what its model
// says, and looks for the evidence.
func TestRun_BrokenPromise_IsKept(t *testing.T) {
	wrong := portfolios()
	decide := wrong.Decide
	wrong.Decide = func(p portfolio, c chaos.Call) (portfolio, chaos.Decision) {
		next, d := decide(p, c)
		if c.Command == "DepositCash" {
			next.Cash++ // a bonus that nobody gets
		}
		return next, d
	}
	keep := t.TempDir()
	report, err := chaos.Run(t.Context(), chaos.Trial[portfolio]{
		Model: wrong, Seed: 1, Plan: []chaos.Fault{}, Keep: keep,
		Cluster: chaos.ClusterConfig{Nodes: 1, NATSServers: 1, Mongods: 1, Mongod: testharness.Mongod(t)},
		Load:    chaos.Load{Clients: 4, Aggregates: 4, Think: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	if report.Err() == nil || !strings.HasPrefix(report.Kept, keep) {
		t.Fatalf("%s\nerror %v, kept in %q", report, report.Err(), report.Kept)
	}
	for pattern, want := range map[string]string{
		"violations.txt": "not linearizable", "schedule.txt": "seed 1", "portfolio-a-*.html": "<html", "node-0.log": "serving",
		"operations.jsonl": "DepositCash", "commits.jsonl": "cashDeposited", "nats-0.log": "Server is ready", "member0.log": "mongod",
	} {
		files, err := filepath.Glob(filepath.Join(report.Kept, pattern))
		if err != nil || len(files) == 0 {
			t.Errorf("no %s: %v", pattern, err)
			continue
		}
		data, err := os.ReadFile(files[0])
		if err != nil || !strings.Contains(string(data), want) {
			t.Errorf("%s does not contain %q, %v", files[0], want, err)
		}
	}
}
