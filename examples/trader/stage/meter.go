package stage

import (
	"slices"
	"sync"
	"time"
)

// meter measures answers over the last seconds. It is safe for concurrent use.
type meter struct {
	mu      sync.Mutex
	answers []answer // oldest first
}

type answer struct {
	at   time.Time
	took time.Duration
}

const (
	meterWindow = 5 * time.Second
	meterMax    = 100_000
)

func (m *meter) add(at time.Time, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers = append(m.answers, answer{at, took})
	if len(m.answers) > meterMax {
		m.trim(at)
	}
}

func (m *meter) trim(now time.Time) {
	old := 0
	for old < len(m.answers) && now.Sub(m.answers[old].at) > meterWindow {
		old++
	}
	m.answers = slices.Delete(m.answers, 0, max(old, len(m.answers)-meterMax))
}

// figures are a rate and quantiles.
type figures struct {
	rate     float64
	p50, p99 time.Duration
}

// read returns the figures of the window before now, or of the time since began if that
// is shorter.
func (m *meter) read(now, began time.Time) figures {
	m.mu.Lock()
	m.trim(now)
	took := make([]time.Duration, len(m.answers))
	for i, a := range m.answers {
		took[i] = a.took
	}
	m.mu.Unlock()
	span := min(meterWindow, now.Sub(began)).Seconds()
	f := figures{p50: quantileOf(took, 0.5), p99: quantileOf(took, 0.99)}
	if span > 0 {
		f.rate = float64(len(took)) / span
	}
	return f
}

// quantileOf sorts all, and returns 0 for none.
func quantileOf(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(q*float64(len(all))))]
}
