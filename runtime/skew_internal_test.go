package runtime

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/store"
)

// TestSkews: what looks at other nodes' renewals say of their clocks, and when it is told.
func TestSkews(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	clock := &stoppedClock{wall: time.Unix(1_000_000, 0)}
	cfg := Config{Name: "self", Clock: clock, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	s := newSkews(&cfg)
	beats := uint64(0)
	look := func(told int, want map[string]time.Duration, by map[string]time.Duration) {
		t.Helper()
		beats++
		clock.wall, clock.elapsed = clock.wall.Add(time.Second), clock.elapsed+time.Second
		var all []store.Session
		for name, d := range by {
			all = append(all, store.Session{Name: name, Incarnation: name, Beat: beats, Lease: 3 * time.Second, Time: clock.wall.Add(d)})
		}
		all = append(all,
			store.Session{Name: "self", Incarnation: "x", Beat: beats, Time: clock.wall.Add(time.Hour)},
			store.Session{Name: "dead", Incarnation: "d", Dead: true, Beat: beats, Time: clock.wall.Add(time.Hour)},
			store.Session{Name: "earlier", Incarnation: "e", Beat: beats})
		log.Reset()
		s.looked(t.Context(), clock.wall, clock.wall, all)
		if diff := cmp.Diff(want, s.known()); diff != "" {
			t.Errorf("look %d (-want +got):\n%s", beats, diff)
		}
		if got := strings.Count(log.String(), "clocks of nodes"); got != told {
			t.Errorf("look %d: %d lines, want %d: %s", beats, got, told, log.String())
		}
	}
	off := map[string]time.Duration{"fast": time.Hour, "slow": -time.Hour, "right": 0, "a little slow": -3 * time.Second}
	seen := map[string]time.Duration{"fast": time.Hour, "slow": -time.Hour + 4*time.Second, "right": 0, "a little slow": 0}
	look(0, map[string]time.Duration{}, off) // nobody knows yet when they were sent
	look(2, seen, off)
	look(0, seen, off)
	clock.elapsed += skewRepeat
	look(2, seen, off)
	off["fast"], seen["fast"] = 10*time.Millisecond, 10*time.Millisecond
	look(1, seen, off)
	delete(off, "slow")
	delete(seen, "slow")
	look(0, seen, off)
	beats-- // no renewal since: what was seen stays
	look(0, seen, off)
}
