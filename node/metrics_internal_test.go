package node

import (
	"strings"
	"testing"
	"time"
)

// TestMetrics_Timers: what the runtime tells of timers and of sagas that are overdue is
// shown, by kind.
func TestMetrics_Timers(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	l := m.runtimeListener()
	l.TimerFired("order", 3*time.Second)
	l.TimerFired("order", time.Second)
	l.Overdue("buying")
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var name strings.Builder
			name.WriteString(family.GetName())
			for _, label := range metric.GetLabel() {
				name.WriteString(" " + label.GetValue())
			}
			found[name.String()] = metric.GetCounter().GetValue() + metric.GetHistogram().GetSampleSum()
		}
	}
	for name, want := range map[string]float64{"ganglion_timer_late_seconds order": 4, "ganglion_overdue_sagas_total buying": 1} {
		if found[name] != want {
			t.Errorf("%s is %v, want %v", name, found[name], want)
		}
	}
}
