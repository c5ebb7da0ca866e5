package placement_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/store"
)

func shares(members []string, partitions int) map[string]int {
	n := map[string]int{}
	for p := range store.Partition(partitions) {
		n[placement.Highest(members, p)]++
	}
	return n
}

func namesUpTo(n int, format string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return all
}

// TestHighest_NeverChanges: nodes of different builds must agree.
func TestHighest_NeverChanges(t *testing.T) {
	t.Parallel()
	var got []string
	for p := range store.Partition(16) {
		got = append(got, placement.Highest([]string{"node-1", "node-2", "node-3"}, p))
	}
	want := []string{
		"node-2", "node-3", "node-2", "node-2", "node-2", "node-3", "node-3", "node-1",
		"node-1", "node-2", "node-3", "node-3", "node-2", "node-1", "node-1", "node-3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := placement.Highest(nil, 0); got != "" {
		t.Errorf("without members: %q", got)
	}
}

// TestHighest_SharesAreFair compares the shares of similar names with what chance
// gives (chi squared, far out in its tail).
func TestHighest_SharesAreFair(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"node-%d", "ganglion-%d.ganglion.svc", "%d", "10.0.0.%d", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%02d"} {
		for _, members := range []int{2, 3, 5, 16, 50} {
			const partitions = 16384
			expected := float64(partitions) / float64(members)
			chi := 0.0
			for name, n := range shares(namesUpTo(members, format), partitions) {
				if name == "" {
					t.Fatal("a partition belongs to nobody")
				}
				chi += (float64(n) - expected) * (float64(n) - expected) / expected
			}
			free := float64(members - 1)
			if limit := free + 5*math.Sqrt(2*free) + 10; chi > limit {
				t.Errorf("%d members %q: chi squared %.1f, at most %.1f is chance", members, format, chi, limit)
			}
		}
	}
}

// TestHighest_MovesOnlyWhatItMust: who comes takes from everybody, and nothing
// moves between others. The order of members does not matter.
func TestHighest_MovesOnlyWhatItMust(t *testing.T) {
	t.Parallel()
	const partitions = 4096
	before := namesUpTo(9, "node-%d")
	after := append(slices.Clone(before), "another")
	slices.Reverse(after)
	from := map[string]int{}
	for p := range store.Partition(partitions) {
		was, is := placement.Highest(before, p), placement.Highest(after, p)
		if was == is {
			continue
		}
		from[was]++
		if is != "another" {
			t.Errorf("partition %d moves from %s to %s", p, was, is)
		}
	}
	if len(from) != len(before) {
		t.Errorf("the new member takes from %v", from)
	}
}
