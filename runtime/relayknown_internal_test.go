package runtime

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// namesOutbox is an event stream that has lost its beginning.
type namesOutbox struct {
	Outbox
	events []actor.EventRecord
}

func (o *namesOutbox) EventNames(context.Context, string, uint64) iter.Seq2[actor.EventRecord, error] {
	return func(yield func(actor.EventRecord, error) bool) {
		for _, e := range o.events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// TestRelay_Rescan_ClocksDiffer: of an aggregate of which the stream has nothing, a commit
// is taken for one that was removed only if it is older than all that the stream has. Clocks
// of owners differ; the first event may be of one that is fast, and what is not relayed yet
// of one that is slow.
func TestRelay_Rescan_ClocksDiffer(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	event := func(id string, position uint64, ago time.Duration) actor.EventRecord {
		return actor.EventRecord{Source: actor.Address{Kind: "account", ID: id}, Version: 1, Name: "deposited.v1", Position: position, Time: now.Add(-ago)}
	}
	const fast, slow = -time.Hour, time.Hour
	for name, c := range map[string]struct {
		first   uint64
		events  []time.Duration
		commit  time.Duration
		removed bool
	}{
		"old":                             {7, []time.Duration{10 * time.Minute, 5 * time.Minute}, 20 * time.Minute, true},
		"new":                             {7, []time.Duration{10 * time.Minute, 5 * time.Minute}, 0, false},
		"the first is of a fast owner":    {7, []time.Duration{10*time.Minute + fast, 5 * time.Minute}, 0, false},
		"a slow owner, and it has events": {7, []time.Duration{10 * time.Minute, 5*time.Minute + slow}, slow, false},
		"old, beside a slow owner":        {7, []time.Duration{10 * time.Minute, 5*time.Minute + slow}, 2 * time.Hour, true},
		"nothing was removed":             {1, []time.Duration{10 * time.Minute, 5 * time.Minute}, 20 * time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &namesOutbox{}
			for i, ago := range c.events {
				o.events = append(o.events, event("known", c.first+uint64(i), ago)) //nolint:gosec // small
			}
			s := &relaying{Relay: NewRelay(RelayConfig{}, nil, o), last: c.first + 1}
			s.cfg.RescanMax = 10
			if err := s.learn(t.Context()); err != nil {
				t.Fatal(err)
			}
			from, _, err := s.sift(&store.Commit{Aggregate: "account/other", First: 1, Time: now.Add(-c.commit).UnixMicro(), Events: make([]store.Event, 1)})
			if err != nil {
				t.Fatal(err)
			}
			if removed := from == 1; removed != c.removed {
				t.Errorf("taken for one that was removed: %t", removed)
			}
		})
	}
}
