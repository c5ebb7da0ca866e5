package node

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

// damagedParking has a record that cannot be read before the others.
type damagedParking struct{ store.Parking }

func (d damagedParking) ListParked(ctx context.Context, a store.Aggregate) iter.Seq2[store.Parked, error] {
	return func(yield func(store.Parked, error) bool) {
		if !yield(store.Parked{Aggregate: "account/a", CommandID: "id"}, fmt.Errorf("damaged: %w", store.ErrCorrupt)) {
			return
		}
		for p, err := range d.Parking.ListParked(ctx, a) {
			if !yield(p, err) {
				return
			}
		}
	}
}

// TestParked_DamagedRecord: it is listed with what is known of it, and hides none of the
// others from operators, nor from what sends them again.
func TestParked_DamagedRecord(t *testing.T) {
	t.Parallel()
	s := damagedParking{memory.New()}
	err := s.Park(t.Context(), store.Parked{Aggregate: "account/b", CommandID: "id", Name: "Deposit", Message: []byte(`{"waits":"unknown_kind"}`)})
	if err != nil {
		t.Fatal(err)
	}
	pg := &page{limit: 10}
	if err := (&parking{store: s}).list(t.Context(), "", 0, pg); err != nil {
		t.Fatal(err)
	}
	if v := pg.views; len(v) != 2 || v[0].Aggregate != "account/a" || v[0].CommandID != "id" || v[0].Reason == "" || v[1].Name != "Deposit" {
		t.Errorf("listed: %+v", pg.views)
	}
	u := &unserved{
		store: s, cfg: &settings{Config: Config{Logger: slog.New(slog.DiscardHandler)}}, said: map[string]int{},
		metrics: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "waiting"}, []string{"kind"}),
	}
	u.look(t.Context())
	if n := u.said[string(runtime.KindUnreadable)]; n != 1 {
		t.Errorf("waiting: %v", u.said)
	}
}
