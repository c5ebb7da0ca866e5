package runtime

import (
	"encoding/json"
	"fmt"
	"math/big"
	goruntime "runtime"
	"strings"
	"testing"
	"time"
)

type chained struct {
	Next *chained
	Name string
}

type inner struct {
	Tags  []string
	notes map[string][]byte
}

type embedding struct {
	inner
	*chained
	At     time.Time
	Amount *big.Int
	Any    any
}

func text(n, i int) string { return strings.Repeat(string(rune('a'+i%26)), n) }

// heaps are states of many shapes, about 10 KB each.
func heaps() map[string]func() any {
	return map[string]func() any{
		"string":           func() any { return new(text(10_000, 0)) },
		"bytes":            func() any { return new(make([]byte, 3, 10_000)) },
		"array":            func() any { return new([10_000]byte) },
		"strings":          func() any { return new(filled(100, func(i int) string { return text(100, i) })) },
		"pointers":         func() any { return new(filled(100, func(i int) *chained { return &chained{Name: text(70, i)} })) },
		"structs":          func() any { return new(filled(100, func(i int) chained { return chained{Name: text(70, i)} })) },
		"slices of slices": func() any { return new(filled(50, func(int) []int64 { return make([]int64, 20, 25) })) },
		"interfaces":       func() any { return new(filled(100, func(i int) any { return text(64, i) })) },
		"numbers, boxed":   func() any { return new(filled(400, func(i int) any { return float64(i) + 0.5 })) },
		"flat map":         func() any { return table(300, func(i int) int64 { return int64(i) }) },
		"small maps": func() any {
			return new(filled(20, func(i int) map[string]int64 { return map[string]int64{text(40, i): 1} }))
		},
		"map of strings": func() any { return table(100, func(i int) string { return text(50, i) }) },
		"map of large":   func() any { return table(50, func(int) [200]byte { return [200]byte{} }) },
		"list": func() any {
			head := &chained{}
			for i := range 300 {
				head = &chained{Next: head, Name: text(8, i)}
			}
			return head
		},
		"times": func() any {
			return new(filled(400, func(i int) time.Time { return time.Unix(int64(i), 0) }))
		},
		"times of zones": func() any {
			return new(filled(40, func(i int) (at time.Time) {
				if err := json.Unmarshal(fmt.Appendf(nil, `"2026-01-02T03:04:05+%02d:17"`, i%12), &at); err != nil {
					panic(err)
				}
				return at
			}))
		},
		"big numbers": func() any {
			return new(filled(100, func(i int) *big.Int { return new(big.Int).Lsh(big.NewInt(int64(i)+1), 500) }))
		},
		"embedded": func() any {
			return &embedding{
				inner:   inner{Tags: filled(20, func(i int) string { return text(100, i) }), notes: map[string][]byte{"n": make([]byte, 3000)}},
				chained: &chained{Name: text(3000, 1)}, At: time.Unix(0, 0), Amount: big.NewInt(5), Any: &chained{Name: text(2000, 2)},
			}
		},
		"shared": func() any {
			one, of := &chained{Name: text(5000, 1)}, text(5000, 2)
			return &[]any{one, one, one, of, of, &one.Name}
		},
		"one array": func() any {
			all := make([]int64, 1250)
			return &[][]int64{all[600:], all[:10], all, all[20:40], all[1000:]}
		},
		"cycle": func() any {
			last := &chained{Name: text(9000, 1)}
			last.Next = &chained{Next: last, Name: text(1000, 2)}
			return last
		},
		"JSON": func() any {
			var v any
			if err := json.Unmarshal([]byte(`{"a":[`+strings.Repeat(`{"name":"somebody","n":12.5,"on":true},`, 15)+`null]}`), &v); err != nil {
				panic(err)
			}
			return &v
		},
	}
}

func filled[T any](n int, of func(int) T) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = of(i)
	}
	return all
}

func table[T any](n int, of func(int) T) any {
	all := map[string]T{}
	for i := range n {
		all[fmt.Sprintf("key-%d", i)] = of(i)
	}
	return &all
}

// TestFootprint_WhatIsThere compares with what the garbage collector finds. It is not
// parallel: nothing else may allocate meanwhile.
func TestFootprint_WhatIsThere(t *testing.T) { //nolint:paralleltest // as said
	for name, build := range heaps() {
		var s shapes
		const copies = 400
		kept := make([]any, copies)
		before := heapInUse()
		for i := range kept {
			kept[i] = build()
		}
		actual := int(heapInUse()-before) / copies //nolint:gosec // far below
		got, _ := s.footprint(kept[0])
		if got < actual*3/4 || got > actual*3/2 {
			t.Errorf("%s: weighed as %d bytes, takes %d", name, got, actual)
		}
		goruntime.KeepAlive(kept)
	}
}

func heapInUse() uint64 {
	goruntime.GC()
	goruntime.GC()
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestFootprint_Nothing(t *testing.T) {
	t.Parallel()
	var s shapes
	for _, state := range []any{new(int64), new([]string), new(map[string]int), new(any), new(error), &struct {
		F func()
		C chan int
		P *int
	}{}} {
		if got, _ := s.footprint(state); got > 32 {
			t.Errorf("%T: %d bytes", state, got)
		}
	}
}

// TestFootprint_LongList: a list is weighed to its end, without a stack as deep.
func TestFootprint_LongList(t *testing.T) {
	t.Parallel()
	const length = 1_000_000
	var head *chained
	for range length {
		head = &chained{Next: head}
	}
	var s shapes
	if got, visited := s.footprint(head); got < 24*length || got > 40*length || visited < length {
		t.Errorf("%d bytes, %d visited", got, visited)
	}
}

// grower grows by events in one of several ways.
type grower struct {
	Words []string
	Map   map[int]string
	Head  *chained
	Count int
}

// TestWeight_FollowsGrowth: whatever the events are like, the estimate is never far from
// the state, and measuring costs each event a few visits.
func TestWeight_FollowsGrowth(t *testing.T) {
	t.Parallel()
	for name, apply := range map[string]func(g *grower, i int){
		"counter":      func(g *grower, _ int) { g.Count++ },
		"a large step": func(g *grower, i int) { g.Words = append(g.Words, text(1000, i)) },
		"map":          func(g *grower, i int) { g.Map[i] = text(100, i) },
		"list":         func(g *grower, i int) { g.Head = &chained{Next: g.Head, Name: text(30, i)} },
		"shrinking": func(g *grower, i int) {
			if i%500 == 499 {
				g.Words = nil
			}
			g.Words = append(g.Words, text(50, i))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s shapes
			g := &grower{Map: map[int]string{}}
			var w weight
			w.loaded(s.footprint(g))
			cost := 0
			const events = 5000
			for i := range events {
				apply(g, i)
				if w.applied++; w.due() {
					w.measure(s.footprint(g))
					cost += w.visited
				}
				if i%37 > 0 {
					continue
				}
				if actual, _ := s.footprint(g); (w.bytes() < actual/3 || w.bytes() > 3*actual) && name != "shrinking" {
					t.Fatalf("after %d events: %d bytes, has %d", i+1, w.bytes(), actual)
				}
			}
			if cost > 4*visitsPerEvent*events {
				t.Errorf("measuring %d events has cost %d visits", events, cost)
			}
		})
	}
}

// BenchmarkWeight is what an event of a hot aggregate costs in weighing: of a small state,
// and of one that is large.
func BenchmarkWeight(b *testing.B) {
	for _, size := range []int{0, 100, 10_000} {
		b.Run(fmt.Sprint(size, " values"), func(b *testing.B) {
			var s shapes
			g := &grower{Words: filled(size, func(i int) string { return text(20, i) })}
			var w weight
			w.loaded(s.footprint(g))
			for b.Loop() {
				g.Count++
				if w.applied++; w.due() {
					w.measure(s.footprint(g))
				}
			}
		})
	}
}
