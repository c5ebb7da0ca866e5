package node

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node/internal/dashboard"
)

// messageFigures counts messages by what they ask for: each command and query that a kind of
// this node declares, reads of states, and what is left. Names that nobody declares share one
// entry: callers make them up.
type messageFigures struct {
	latency *prometheus.HistogramVec
	ended   *prometheus.CounterVec
	entries map[messageKey]*messageEntry // not changed
	order   []messageKey
}

// messageKey is a kind, and a name of its commands or queries; the empty name is for what is
// left.
type messageKey struct {
	kind actor.Kind
	kin  string // command, query, state; empty: what is left
	name string
}

const (
	kinCommand = "command"
	kinQuery   = "query"
	kinState   = "state"
)

// messageEntry has series from the first message on: most names are never met by a node.
type messageEntry struct {
	begin               sync.Once
	met                 chan struct{} // closed when the fields below are there
	latency             prometheus.Observer
	ok, refused, failed prometheus.Counter
}

// messageFigures registers the metrics of messages, and returns what feeds them.
func (m *metrics) messageFigures(definitions []actor.Registrable) *messageFigures {
	f := &messageFigures{
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "ganglion", Name: "message_seconds", Help: "From a message's arrival at its owner to the release of the answer, by what it asks for.",
			Buckets: latencyBuckets(),
		}, []string{"kind", "type", "name"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "ganglion", Name: "messages_total", Help: "Messages that got their outcome: ok, refused by the aggregate, or failed.",
		}, []string{"kind", "type", "name", "result"}),
		entries: map[messageKey]*messageEntry{},
	}
	m.registry.MustRegister(f.latency, f.ended)
	for _, d := range definitions {
		b := d.Behavior()
		for info := range b.Commands() {
			f.add(messageKey{b.Kind(), kinCommand, info.Name})
		}
		for info := range b.Queries() {
			f.add(messageKey{b.Kind(), kinQuery, info.Name})
		}
		f.add(messageKey{b.Kind(), kinState, ""})
		f.add(messageKey{b.Kind(), "", ""})
	}
	return f
}

func (f *messageFigures) add(key messageKey) {
	if f.entries[key] == nil {
		f.entries[key] = &messageEntry{met: make(chan struct{})}
		f.order = append(f.order, key)
	}
}

// decided is a listener of the runtime.
func (f *messageFigures) decided(m *actor.Message, code actor.Code, latency time.Duration) {
	key := messageKey{kind: m.Target.Kind, name: m.Name}
	switch m.Type {
	case actor.TypeCommand:
		key.kin = kinCommand
	case actor.TypeQuery:
		key.kin = kinQuery
	case actor.TypeState:
		key.kin = kinState
	}
	e := f.entries[key]
	if e == nil {
		key = messageKey{kind: m.Target.Kind}
		if e = f.entries[key]; e == nil {
			return // no kind of this node
		}
	}
	e.begin.Do(func() {
		labels := []string{string(key.kind), key.kin, key.name}
		e.latency = f.latency.WithLabelValues(labels...)
		e.ok = f.ended.WithLabelValues(append(labels, "ok")...)
		e.refused = f.ended.WithLabelValues(append(labels, "refused")...)
		e.failed = f.ended.WithLabelValues(append(labels, "failed")...)
		close(e.met)
	})
	e.latency.Observe(latency.Seconds())
	switch {
	case code == actor.CodeOK:
		e.ok.Inc()
	case code.Recorded(): // the aggregate decided
		e.refused.Inc()
	default:
		e.failed.Inc()
	}
}

// figures returns the counts, of at most so many names; left is how many found no room.
func (f *messageFigures) figures(most int) (all []dashboard.CommandFigures, left int) {
	for _, key := range f.order {
		e := f.entries[key]
		c := dashboard.CommandFigures{Kind: string(key.kind), Command: key.name, Query: key.kin == kinQuery || key.kin == kinState}
		if key.kin == kinState {
			c.Command = "(state)"
		}
		select {
		case <-e.met:
			c.OK, c.Refused, c.Failed = valueOf(e.ok), valueOf(e.refused), valueOf(e.failed)
			c.Buckets = bucketsOf(e.latency)
		default:
			if key.kin == "" || key.kin == kinState {
				continue // nothing to be seen of
			}
		}
		if len(all) >= most {
			left++
			continue
		}
		all = append(all, c)
	}
	return all, left
}

func valueOf(c prometheus.Counter) uint64 {
	var m dto.Metric
	if c.Write(&m) != nil {
		return 0
	}
	return uint64(m.GetCounter().GetValue())
}

// bucketsOf returns the counts of a histogram's buckets, and above the last of them.
func bucketsOf(o prometheus.Observer) []uint64 {
	h, ok := o.(prometheus.Metric)
	var m dto.Metric
	if !ok || h.Write(&m) != nil {
		return nil
	}
	cumulative := m.GetHistogram().GetBucket()
	all := make([]uint64, 0, len(cumulative)+1)
	before := uint64(0)
	for _, b := range cumulative {
		all = append(all, b.GetCumulativeCount()-before)
		before = b.GetCumulativeCount()
	}
	return append(all, m.GetHistogram().GetSampleCount()-before)
}
