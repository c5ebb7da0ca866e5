package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
)

// effectListener registers the counters of effects, and adds what feeds them.
func (m *metrics) effectListener(to *runtime.EventListener) {
	attempts := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "ganglion", Name: "effect_attempt_seconds", Help: "Duration of attempts of effects.", Buckets: latencyBuckets(),
	}, []string{"effect", "outcome"})
	givenUp := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "ganglion", Name: "effects_given_up_total", Help: "Effects that were given up.",
	}, []string{"effect", "reason"})
	m.registry.MustRegister(attempts, givenUp)
	to.EffectAttempted = func(effect string, outcome runtime.EffectOutcome, took time.Duration) {
		attempts.WithLabelValues(effect, string(outcome)).Observe(took.Seconds())
	}
	to.EffectGivenUp = func(effect string, reason actor.GiveUpReason) {
		givenUp.WithLabelValues(effect, string(reason)).Inc()
	}
}

// observeEffects adds gauges of the effects that the node looks after.
func (m *metrics) observeEffects(n *runtime.Node) { m.registry.MustRegister(&effectGauges{node: n}) }

// effectGauges is a collector of its own, as which effects there are is seen as it is
// asked.
type effectGauges struct{ node *runtime.Node }

func effectDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ganglion_"+name, help, append([]string{"effect"}, labels...), nil)
}

// Describe implements [prometheus.Collector]. It describes nothing: names are checked as
// they are collected.
func (*effectGauges) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (g *effectGauges) Collect(to chan<- prometheus.Metric) {
	pending := effectDesc("effects_pending", "Effects that this node looks after, by what they wait for.", "state")
	running := effectDesc("effects_running", "Attempts that run on this node, the stuck ones included.")
	slots := effectDesc("effects_slots", "Attempts that may run at once on this node.")
	stuck := effectDesc("effects_stuck", "Handlers that do not return although their context has ended: each keeps a slot.")
	oldest := effectDesc("effects_oldest_seconds", "Age of the oldest effect that this node looks after.")
	overdue := effectDesc("effects_overdue", "Effects that this node looks after which were asked for longer ago than they are tried for.")
	unhandled := effectDesc("effects_unhandled", "1 for an effect that aggregates of this node ask for, and that it does not carry out: what is asked for waits.")
	paused := effectDesc("effects_paused", "1 while an operator has paused the effect.")
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, s := range g.node.EffectStatus() {
		for state, count := range s.States {
			gauge(pending, float64(count), s.Effect, string(state))
		}
		gauge(running, float64(s.Busy), s.Effect)
		gauge(slots, float64(s.Slots), s.Effect)
		gauge(stuck, float64(s.Stuck), s.Effect)
		age, isPaused, isUnhandled := 0.0, 0.0, 0.0
		if !s.Oldest.IsZero() {
			age = max(time.Since(s.Oldest).Seconds(), 0)
		}
		if s.Paused {
			isPaused = 1
		}
		gauge(oldest, age, s.Effect)
		gauge(overdue, float64(s.Overdue), s.Effect)
		if !s.Handled {
			isUnhandled = 1
		}
		gauge(paused, isPaused, s.Effect)
		gauge(unhandled, isUnhandled, s.Effect)
	}
}
