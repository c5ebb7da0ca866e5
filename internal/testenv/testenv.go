// Package testenv is what tests take from the environment: the seed of a random
// run, how often or how long a run is to go on, and the sources that a go command reads
// which they run. Only tests import it.
//
// # Concurrency
//
// All functions are safe for concurrent use.
//
// # Failures
//
// A variable that cannot be read ends the test.
package testenv

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// seedVariable repeats a random test. The fault runs of internal/check set it.
const seedVariable = "GANGLION_SEED"

// Seed returns the seed of a random test, from GANGLION_SEED or new, and prints it.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv(seedVariable); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
		seed = n
	}
	t.Logf("seed %d (%s=%d repeats it)", seed, seedVariable, seed)
	return seed
}

// Rand returns a generator from [Seed].
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(Seed(t), 0))
}

// Times returns how often something is repeated: what the variable says, a number
// above 0, for long runs, else few.
func Times(t testing.TB, variable string, few int) int {
	t.Helper()
	s := os.Getenv(variable)
	if s == "" {
		return few
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a number above 0", variable, s)
	}
	return n
}

// Duration returns for how long something goes on: what the variable says, a duration
// above 0, for long runs, else short.
func Duration(t testing.TB, variable string, short time.Duration) time.Duration {
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
