package memory_test

import (
	"errors"
	"testing"

	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
	"github.com/ganglion-go/ganglion/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store { return memory.New() })
}

func TestStore_Append_RefusesGapsAndOverlaps(t *testing.T) {
	t.Parallel()
	s := memory.New()
	event := store.Event{Name: "e", Data: []byte(`{}`)}
	commit := func(first store.Version) []store.Commit {
		return []store.Commit{{Aggregate: "account/a", First: first, Events: []store.Event{event, event, event}}}
	}
	if err := s.Append(t.Context(), commit(1))[0]; err != nil {
		t.Fatal(err)
	}
	for _, first := range []store.Version{0, 1, 2, 3, 5, 6} {
		if err := s.Append(t.Context(), commit(first))[0]; !errors.Is(err, store.ErrConflict) {
			t.Errorf("append of version %d after 3: %v, want a conflict", first, err)
		}
	}
	if err := s.Append(t.Context(), commit(4))[0]; err != nil {
		t.Error(err)
	}
}
