package stage

import (
	"maps"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

// waits is how long users waited since a moment, such as a fault. It belongs to [evidence],
// under its lock.
type waits struct {
	since   time.Time
	longest time.Duration // of a command with all its attempts
	tracks  map[string]*gap
	owners  []string // of partitions at that moment
	resting bool     // nobody trades: what passes is no gap
}

// gap is a time without an acknowledged command.
type gap struct {
	last    time.Time
	longest time.Duration
}

// begin forgets what was before. Tracks are those who own the partitions now: what users of
// a node notice is what users of its aggregates notice, whoever serves them later.
func (w *waits) begin(now time.Time, owners []string) {
	*w = waits{since: now, owners: slices.Clone(owners), tracks: map[string]*gap{}, resting: w.resting}
	for _, owner := range owners {
		if owner != "" {
			w.tracks[owner] = &gap{last: now}
		}
	}
}

// ended counts a command that was answered.
func (w *waits) ended(to actor.Address, began time.Time, took time.Duration) {
	at := began.Add(took)
	if w.since.IsZero() || at.Before(w.since) {
		return
	}
	w.longest = max(w.longest, took)
	if t := w.tracks[w.track(to)]; t != nil && !w.resting {
		t.longest = max(t.longest, at.Sub(t.last))
		t.last = at
	}
}

func (w *waits) track(of actor.Address) string {
	if len(w.owners) == 0 || !actor.Partitions(len(w.owners)).Valid() {
		return ""
	}
	return w.owners[actor.Partitions(len(w.owners)).Of(of)]
}

// gaps returns the longest ones. While commands are wanted, what lasts counts, too.
func (w *waits) gaps(now time.Time, wanted bool) (all []page.Gap) {
	for _, name := range slices.Sorted(maps.Keys(w.tracks)) {
		t := w.tracks[name]
		longest := t.longest
		if wanted {
			longest = max(longest, now.Sub(t.last))
		}
		all = append(all, page.Gap{Track: name, Longest: longest})
	}
	return all
}

// beginWaits measures how long users wait from now on.
func (v *evidence) beginWaits(now time.Time, owners []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waits.begin(now, owners)
}

// beginWaitsOnce begins to measure, unless that has begun.
func (v *evidence) beginWaitsOnce(now time.Time, owners []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.waits.since.IsZero() {
		v.waits.begin(now, owners)
	}
}

// trade says that users begin to trade, or that they rest from now on.
func (v *evidence) trade(now time.Time, on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if on && v.waits.resting {
		for _, t := range v.waits.tracks {
			t.last = now
		}
	}
	v.waits.resting = !on
}

// noticed returns how long users waited since then. Commands that wait still count with
// what they have waited.
func (v *evidence) noticed(now time.Time, wanted bool) (time.Duration, []page.Gap) {
	v.mu.Lock()
	defer v.mu.Unlock()
	longest := v.waits.longest
	if v.waits.since.IsZero() {
		return 0, nil
	}
	for r := range v.flying {
		longest = max(longest, now.Sub(r.began))
	}
	return longest, v.waits.gaps(now, wanted)
}

// answeredSince reports whether a command was answered after a moment, that is for what a
// node owned before the fault; of any track, if the name is no node's.
func (v *evidence) answeredSince(track string, moment time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if t := v.waits.tracks[track]; t != nil {
		return t.last.After(moment)
	}
	for _, t := range v.waits.tracks {
		if t.last.After(moment) {
			return true
		}
	}
	return false
}
