package runtime

import (
	"strings"
	"testing"
)

func TestFootprint(t *testing.T) {
	t.Parallel()
	type node struct {
		Next *node
		Name string
	}
	shared := &node{Name: strings.Repeat("s", 10_000)}
	loop := &node{}
	loop.Next = loop
	for _, c := range []struct {
		name     string
		state    any
		min, max int
	}{
		{"scalar", new(int64), 8, 8},
		{"string", new(strings.Repeat("x", 1000)), 1000, 1100},
		{"bytes", &[]byte{1, 2, 3}, 24, 40},
		{"slice of strings", &[]string{strings.Repeat("x", 500), strings.Repeat("y", 500)}, 1000, 1100},
		{"map", &map[int64]int64{1: 1, 2: 2}, 32, 200},
		{"map of strings", &map[string]string{"k": strings.Repeat("x", 1000)}, 1000, 1200},
		{"shared once", &[]*node{shared, shared, shared}, 10_000, 10_200},
		{"cycle", loop, 24, 100},
		{"interface", new(any(strings.Repeat("x", 1000))), 1000, 1100},
		{"nothing", &node{}, 24, 24},
	} {
		if got := footprint(c.state); got < c.min || got > c.max {
			t.Errorf("%s: %d bytes, want %d to %d", c.name, got, c.min, c.max)
		}
	}
}

// TestFootprint_LongList_IsCutOff: the depth of the walk is bounded.
func TestFootprint_LongList_IsCutOff(t *testing.T) {
	t.Parallel()
	type node struct{ Next *node }
	var head *node
	for range 1_000_000 {
		head = &node{head}
	}
	if got := footprint(head); got < 8 || got > 8*footprintDepth {
		t.Errorf("%d bytes", got)
	}
}
