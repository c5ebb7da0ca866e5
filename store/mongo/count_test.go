package mongo_test

import (
	"testing"

	"github.com/ganglion-go/ganglion/store"
)

func TestCountEvents(t *testing.T) {
	t.Parallel()
	s, _ := shell(t)
	for i, a := range []store.Aggregate{"account/counted", "account/counted too"} {
		if n, err := s.CountEvents(t.Context()); err != nil || n != uint64(i)*15 {
			t.Errorf("%d events, %v", n, err)
		}
		fill(t, s, a, 5) // of three events each
	}
}
