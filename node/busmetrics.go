package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
)

// busListener counts what a node meets in messages that it cannot use.
func (m *metrics) busListener() natsbus.EventListener {
	malformed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "ganglion", Name: "malformed_messages_total", Help: "Messages that this build cannot read: stored ones that nobody waits for are parked, others refused.",
	}, []string{"lane"})
	unanswered := prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "ganglion", Name: "unanswerable_messages_total", Help: "Messages that ask for an answer where no client of the namespace has an inbox.",
	})
	m.registry.MustRegister(malformed, unanswered)
	lanes := map[actor.Lane]string{actor.LaneDurable: "durable", actor.LaneDirect: "direct"}
	for _, lane := range lanes {
		malformed.WithLabelValues(lane)
	}
	return natsbus.EventListener{
		Malformed:    func(lane actor.Lane, _ string, _ error) { malformed.WithLabelValues(lanes[lane]).Inc() },
		NotReplyable: func(string) { unanswered.Inc() },
	}
}
