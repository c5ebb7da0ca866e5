package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/ganglion-go/ganglion/store"
)

func bindingCases() []testCase {
	return []testCase{
		{"Binding/recorded once", testBindingOnce},
		{"Binding/completed once", testBindingCompleted},
		{"Binding/race", testBindingRace},
	}
}

func (s *setup) bind(t *testing.T, by store.Store, namespace string, partitions uint32) store.Binding {
	t.Helper()
	bound, err := by.Bind(s.ctx, namespace, partitions)
	must(t, fmt.Sprintf("bind to %q with %d partitions", namespace, partitions), err)
	return bound
}

func testBindingOnce(t *testing.T, s *setup) {
	first := s.bind(t, s, "one", 8)
	if want := (store.Binding{Store: first.Store, Namespace: "one", Partitions: 8}); first != want || first.Store == "" {
		t.Fatalf("bound as %+v", first)
	}
	for _, again := range []store.Binding{{Namespace: "one", Partitions: 8}, {Namespace: "two", Partitions: 16}, {Namespace: "", Partitions: 0}} {
		for _, by := range s.clients() {
			if got := s.bind(t, by, again.Namespace, again.Partitions); got != first {
				t.Errorf("bound again to %q with %d partitions: %+v, was %+v", again.Namespace, again.Partitions, got, first)
			}
		}
	}
}

func testBindingCompleted(t *testing.T, s *setup) {
	first := s.bind(t, s, "one", 0)
	if first.Partitions != 0 || s.bind(t, s.peer, "two", 0) != first {
		t.Fatalf("bound as %+v", first)
	}
	want := first
	want.Partitions = 1 << 14
	for _, partitions := range []uint32{1 << 14, 0, 8} {
		if got := s.bind(t, s.peer, "two", partitions); got != want {
			t.Errorf("with %d partitions: %+v, want %+v", partitions, got, want)
		}
	}
}

// testBindingRace: of many who bind at the same time one is the first, and all know it.
func testBindingRace(t *testing.T, s *setup) {
	const callers = 8
	got := make([]store.Binding, callers)
	var binding sync.WaitGroup
	for i := range callers {
		binding.Go(func() {
			by := s.clients()[i%2]
			for range 10 { // a write that lost the race may have an unknown outcome
				var err error
				if got[i], err = by.Bind(s.ctx, fmt.Sprint("ns-", i), uint32(i+1)); err == nil { //nolint:gosec // small
					return
				}
			}
			t.Errorf("caller %d was never answered", i)
		})
	}
	binding.Wait()
	for i, b := range got {
		if b != got[0] || b.Namespace != fmt.Sprint("ns-", b.Partitions-1) {
			t.Errorf("caller %d has %+v, the first one %+v", i, b, got[0])
		}
	}
}
