package runtime

import (
	"math"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// forgotten is what an aggregate's ring still knows of the outcomes that it has
// forgotten: enough to say, without a look at the store, that an id was never decided.
//
// An id is judged by its text and by what was forgotten, never by a clock, so that it
// is judged alike at every try, whichever arrives first. A clock only decides where a
// forgotten time is noted, and the note is right in either place
// (docs/adr/0035-an-id-is-judged-by-its-text.md).
type forgotten struct {
	until  int64  // greatest time of a stamped id; math.MinInt64: none
	ahead  []span // times of stamped ids that were in the index; ascending, apart, above until
	keys   bool   // a key of a caller
	legacy int64  // greatest time of a key that looks like a UUIDv7 and is not in the index; math.MinInt64: none
}

// span is a range of milliseconds, both ends included.
type span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// maxSpans bounds forgotten.ahead. Beyond it, the two that are closest become one.
const maxSpans = 64

// aheadOf is how far a stamped id may be ahead of the clock of the owner that decides it
// and be judged by its time alone.
const aheadOf = 5 * time.Minute

func nothingForgotten() forgotten { return forgotten{until: math.MinInt64, legacy: math.MinInt64} }

// lookUp is where an id has to be looked for.
type lookUp uint8

const (
	lookNowhere lookUp = iota // it was never decided
	lookInIndex               // it was not, or is in the store's index of keys
	lookInAll                 // nobody knows
)

// indexed reports whether the outcome of an id goes into the store's index of keys: it is
// a caller's, or of a time so far ahead that it must not stand for those before it.
func indexed(id actor.CommandID, now time.Time) bool {
	ms, stamped := id.Stamped()
	return !stamped || ms > now.Add(aheadOf).UnixMilli()
}

// indexedFormerly is what builds without stamped ids put into the index.
func indexedFormerly(id actor.CommandID) bool {
	_, timed := id.UnixMilli()
	return !timed
}

// where returns where to look for an id that the ring does not hold.
func (f *forgotten) where(id actor.CommandID) lookUp {
	if ms, stamped := id.Stamped(); stamped {
		switch {
		case ms <= f.until:
			return lookInAll
		case f.isAhead(ms):
			return lookInIndex
		}
		return lookNowhere
	}
	if ms, timed := id.UnixMilli(); timed && ms <= f.legacy {
		return lookInAll
	}
	if f.keys {
		return lookInIndex
	}
	return lookNowhere
}

// add notes that an outcome is forgotten.
func (f *forgotten) add(id actor.CommandID, indexed bool) {
	if ms, stamped := id.Stamped(); stamped {
		if indexed {
			f.addAhead(ms)
		} else {
			f.passed(ms)
		}
		return
	}
	if ms, timed := id.UnixMilli(); timed && !indexed {
		f.legacy = max(f.legacy, ms)
		return
	}
	f.keys = true
}

// passed notes the time of a stamped id, and drops what is ahead no more.
func (f *forgotten) passed(ms int64) {
	if ms <= f.until {
		return
	}
	f.until = ms
	f.ahead = slices.DeleteFunc(f.ahead, func(s span) bool { return s.To <= ms })
}

func (f *forgotten) isAhead(ms int64) bool {
	return slices.ContainsFunc(f.ahead, func(s span) bool { return s.From <= ms && ms <= s.To })
}

// addAhead notes a time of its own. Of too many, the two with the smallest gap between
// them are joined, so that as few ids as possible are looked for in vain.
func (f *forgotten) addAhead(ms int64) {
	if ms <= f.until || f.isAhead(ms) {
		return
	}
	i, _ := slices.BinarySearchFunc(f.ahead, ms, func(s span, ms int64) int { return int(min(1, max(-1, s.From-ms))) })
	f.ahead = slices.Insert(f.ahead, i, span{ms, ms})
	if len(f.ahead) <= maxSpans {
		return
	}
	closest := 1
	for j := 2; j < len(f.ahead); j++ {
		if f.ahead[j].From-f.ahead[j-1].To < f.ahead[closest].From-f.ahead[closest-1].To {
			closest = j
		}
	}
	f.ahead[closest-1].To = f.ahead[closest].To
	f.ahead = slices.Delete(f.ahead, closest, closest+1)
}
