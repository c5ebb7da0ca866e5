package main

import (
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/testharness"
)

// All ways, for a moment: each ends with a history that is what was acknowledged,
// or measure fails; and each shows what it is known for.
func TestMeasure_EveryWay(t *testing.T) {
	t.Parallel()
	f := &flags{
		Servers: []int{2}, Aggregates: []int{2}, Ways: []string{"plain", "cache", "turns", "durable", "direct"},
		InFlight: 16, ReadEvery: 2, Duration: 500 * time.Millisecond, Warmup: 500 * time.Millisecond, Rounds: 1, Members: 1,
		MongoURI: testharness.SharedMongo(t, 1).URI(), Attempts: 10, Backoff: 5 * time.Millisecond,
		BackoffMax: 250 * time.Millisecond, CacheTTL: time.Second,
	}
	r, err := measure(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	plain, _ := r.find("plain", 2, 2)
	stale := int64(0)
	for _, x := range r.Results {
		t.Logf("%+v", x)
		stale += x.StaleReads
		routed := x.Way == "durable" || x.Way == "direct"
		if x.PerSecond <= 0 || x.HTTPReads == 0 || x.Writes <= 0 {
			t.Errorf("%s measured nothing: %+v", x.Way, x)
		}
		if routed && (x.StaleReads != 0 || x.Writes >= 1 || x.Conflicts >= plain.Conflicts) {
			t.Errorf("%s: %d stale reads, %.2f writes and %.2f conflicts a command", x.Way, x.StaleReads, x.Writes, x.Conflicts)
		}
		if cached := x.Way == "cache" || x.Way == "turns"; cached != (x.CacheHits > 0) {
			t.Errorf("%s: %d cache hits", x.Way, x.CacheHits)
		}
	}
	if plain.Conflicts == 0 || plain.Reads < 1 {
		t.Errorf("without routing and cache: %.2f conflicts and %.2f reads a command", plain.Conflicts, plain.Reads)
	}
	if stale == 0 {
		t.Error("no read was stale, of caches that nobody tells of changes")
	}
	if len(r.Results) != len(ways()) {
		t.Errorf("%d results for %d ways", len(r.Results), len(ways()))
	}
}
