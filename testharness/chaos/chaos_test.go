package chaos_test

import (
	"os"
	"strconv"
	"testing"
	"time"

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

// durationOf is what an environment variable says, for long runs, else short.
func durationOf(t *testing.T, variable string, short time.Duration) time.Duration {
	t.Helper()
	s := os.Getenv(variable)
	if s == "" {
		return short
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		t.Fatalf("%s=%q is not a duration above 0", variable, s)
	}
	return d
}

// TestCluster_Chaos breaks three nodes, three NATS servers and three mongods on a
// schedule made from a seed. GANGLION_CHAOS sets for how long.
func TestCluster_Chaos(t *testing.T) {
	trial := chaos.Trial[portfolio]{
		Model: portfolios(), Settled: conserved,
		Cluster:  chaos.ClusterConfig{Mongod: testharness.Mongod(t)},
		Seed:     seedOf(t),
		Duration: durationOf(t, "GANGLION_CHAOS", 30*time.Second),
		Keep:     os.Getenv("GANGLION_CHAOS_DIR"),
		Out:      t.Output(),
	}
	report, err := chaos.Run(t.Context(), trial)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	for _, r := range report.Redecided {
		t.Log("refused, asked for again, and decided otherwise: ", r)
	}
}
