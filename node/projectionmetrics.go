package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ganglion-go/ganglion/projection"
)

// projectionListener registers the metrics of projections, and returns what feeds them.
func (m *metrics) projectionListener() projection.EventListener {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "ganglion", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "ganglion", Name: name, Help: help}, []string{"projection"})
	}
	applied := counter("projection_events_total", "Events that projections are done with.", "projection", "generation")
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "ganglion", Name: "projection_seconds", Help: "Duration of projections' transactions, handlers included.", Buckets: latencyBuckets(),
	}, []string{"projection"})
	failed := counter("projection_failures_total", "Batches of projections that were done again.", "projection")
	parked := counter("projection_parked_total", "Aggregates that were parked for a projection.", "projection")
	lag := gauge("projection_lag_events", "Events of the stream behind the oldest that the projection has not applied here.")
	age := gauge("projection_lag_seconds", "Age of the oldest event that was read and not applied here.")
	done := gauge("projection_rebuild_events", "Events done with by the generation that is being built.")
	total := gauge("projection_rebuild_total", "Events in the stream when that was looked at.")
	waiting := gauge("projection_parked", "Aggregates whose events wait here for the projection, since one failed.")
	stuck := gauge("projection_stuck", "Those of them that wait for an operator, who retries or skips.")
	m.registry.MustRegister(applied, took, failed, parked, lag, age, waiting, stuck, done, total)
	return projection.EventListener{
		Applied: func(name string, events int, d time.Duration, rebuild bool) {
			generation := "live"
			if rebuild {
				generation = "rebuild"
			}
			applied.WithLabelValues(name, generation).Add(float64(events))
			took.WithLabelValues(name).Observe(d.Seconds())
		},
		Failed: func(name string, _ error) { failed.WithLabelValues(name).Inc() },
		Parked: func(name, _, _ string) { parked.WithLabelValues(name).Inc() },
		Lagging: func(name string, events uint64, old time.Duration) {
			lag.WithLabelValues(name).Set(float64(events))
			age.WithLabelValues(name).Set(old.Seconds())
		},
		Waiting: func(name string, all, operator int) {
			waiting.WithLabelValues(name).Set(float64(all))
			stuck.WithLabelValues(name).Set(float64(operator))
		},
		Rebuilding: func(name string, events, of uint64) {
			done.WithLabelValues(name).Set(float64(events))
			total.WithLabelValues(name).Set(float64(of))
		},
	}
}
