package node

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// metrics are the process's Prometheus metrics.
type metrics struct {
	registry *prometheus.Registry

	decided     *prometheus.CounterVec
	latency     *prometheus.HistogramVec
	flushes     prometheus.Histogram
	flushSize   prometheus.Histogram
	failed      prometheus.Counter
	loads       *prometheus.HistogramVec
	replayed    *prometheus.CounterVec
	discarded   *prometheus.CounterVec
	passivated  *prometheus.CounterVec
	overloaded  *prometheus.CounterVec
	parked      *prometheus.CounterVec
	snapshots   *prometheus.CounterVec
	timers      *prometheus.HistogramVec
	overdue     *prometheus.CounterVec
	renewals    *prometheus.CounterVec
	relayed     prometheus.Counter
	relayLag    prometheus.Histogram
	relays      prometheus.Histogram
	relayFaults prometheus.Counter
	confirms    *prometheus.HistogramVec
	requests    *prometheus.HistogramVec
	streams     prometheus.Gauge
}

// latencyBuckets are from 0.25 ms to 32 s.
func latencyBuckets() []float64 { return prometheus.ExponentialBuckets(0.00025, 2, 18) }

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "ganglion", Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "ganglion", Name: name, Help: help, Buckets: buckets}, labels)
	}
	m := &metrics{
		registry:    prometheus.NewRegistry(),
		decided:     counter("outcomes_total", "Messages that got their outcome.", "kind", "code"),
		latency:     histogram("outcome_seconds", "From a message's arrival at its owner to the release of the answer.", latencyBuckets(), "kind"),
		flushes:     prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "ganglion", Name: "flush_seconds", Help: "Duration of appends to the store.", Buckets: latencyBuckets()}),
		flushSize:   prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "ganglion", Name: "flush_commits", Help: "Commits in one append.", Buckets: prometheus.ExponentialBuckets(1, 2, 11)}),
		failed:      prometheus.NewCounter(prometheus.CounterOpts{Namespace: "ganglion", Name: "commits_failed_total", Help: "Commits that did not succeed at once."}),
		loads:       histogram("load_seconds", "Duration of bringing an aggregate into memory.", latencyBuckets(), "kind"),
		replayed:    counter("replayed_events_total", "Events replayed to bring aggregates into memory.", "kind"),
		discarded:   counter("discarded_total", "States that were thrown away and loaded again.", "kind", "reason"),
		passivated:  counter("passivated_total", "Activations that were given up.", "kind", "reason"),
		overloaded:  counter("overloaded_total", "Messages refused because of a limit.", "kind", "limit"),
		parked:      counter("parked_total", "Commands that were parked.", "kind"),
		snapshots:   counter("snapshots_total", "Snapshots written, or not.", "kind", "result"),
		timers:      histogram("timer_late_seconds", "How long after its time a timer met its owner; less than 0 for one that came early and waits.", latencyBuckets(), "kind"),
		overdue:     counter("overdue_sagas_total", "Sagas that had not ended within their deadline.", "kind"),
		relayed:     prometheus.NewCounter(prometheus.CounterOpts{Namespace: "ganglion", Name: "relayed_events_total", Help: "Events that this node has appended to the event stream."}),
		relayLag:    prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "ganglion", Name: "relay_lag_seconds", Help: "Time from a commit to its events in the event stream, of the newest commit of each append.", Buckets: latencyBuckets()}),
		relays:      prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "ganglion", Name: "relay_append_seconds", Help: "Duration of appends to the event stream, with what is sent before.", Buckets: latencyBuckets()}),
		relayFaults: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "ganglion", Name: "relay_interruptions_total", Help: "How often the relay began anew at the end of the event stream."}),
		renewals:    counter("renewals_total", "Renewals of the session.", "result"),
		confirms:    histogram("confirm_seconds", "Duration of questions to the store whether the session lives; only with verified answers.", latencyBuckets(), "result"),
		requests:    histogram("http_request_seconds", "Duration of HTTP requests.", latencyBuckets(), "method", "route", "status"),
		streams:     prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "ganglion", Name: "http_event_streams", Help: "Open event streams."}),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.decided, m.latency, m.flushes, m.flushSize, m.failed, m.loads, m.replayed, m.discarded, m.passivated,
		m.overloaded, m.parked, m.snapshots, m.timers, m.overdue, m.relayed, m.relayLag, m.relays, m.relayFaults, m.renewals, m.confirms, m.requests, m.streams)
	return m
}

// observeCertificates adds the gauge of when what the node shows others, and believes of
// them, ends.
func (m *metrics) observeCertificates() *prometheus.GaugeVec {
	until := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "ganglion", Name: "certificate_expiry_timestamp_seconds",
		Help: "When a certificate, or the credentials of a user of NATS, expires, in seconds since 1970.",
	}, []string{"option", "file"})
	m.registry.MustRegister(until)
	return until
}

// observe adds gauges that are read from the node when they are asked for.
func (m *metrics) observe(n *runtime.Node) {
	gauge := func(name, help string, read func(runtime.Status) float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Namespace: "ganglion", Name: name, Help: help},
			func() float64 { return read(n.Status()) }))
	}
	gauge("activations", "Aggregates in memory.", func(s runtime.Status) float64 { return float64(s.Activations) })
	gauge("activation_bytes", "Estimated bytes of aggregates in memory.", func(s runtime.Status) float64 { return float64(s.MemoryBytes) })
	gauge("activation_bytes_max", "Bytes that aggregates in memory may take; beyond it, idle ones are given up.", func(s runtime.Status) float64 { return float64(s.MemoryMax) })
	gauge("struggling_aggregates", "Aggregates that stand still, as the store has failed their loads or writes again and again.", func(s runtime.Status) float64 { return float64(s.Struggling) })
	gauge("snapshots_failing", "Aggregates whose newest snapshot could not be taken or saved: they take longer and longer to load.", func(s runtime.Status) float64 { return float64(s.SnapshotsFailing) })
	gauge("partitions", "Partitions that the node serves.", func(s runtime.Status) float64 { return float64(len(s.Partitions)) })
	gauge("lease_valid", "1 while the node may answer.", func(s runtime.Status) float64 {
		if s.LeaseValid {
			return 1
		}
		return 0
	})
	gauge("cut", "1 while the node says that it is cut off from NATS, and connected nodes get its partitions.", func(s runtime.Status) float64 {
		if s.Cut {
			return 1
		}
		return 0
	})
	gauge("clock_skew_seconds", "Largest difference of another node's clock to this one's, at the least.", func(s runtime.Status) float64 {
		var most time.Duration
		for _, d := range s.Skews {
			most = max(most, d.Abs())
		}
		return most.Seconds()
	})
	gauge("relaying", "1 while this node brings events and outgoing commands out of the store.", func(s runtime.Status) float64 {
		if s.Relaying {
			return 1
		}
		return 0
	})
	gauge("relay_behind_seconds", "Age of the oldest commit that this node has yet to bring out.", func(s runtime.Status) float64 { return s.RelayBehind.Seconds() })
	gauge("relay_standing", "1 while the relay, which is on this node, brings nothing out although there is something, or cannot find out.", func(s runtime.Status) float64 {
		if s.RelayStanding {
			return 1
		}
		return 0
	})
	gauge("relay_held_targets", "Aggregates that nothing is sent to, as something before it could not be sent and is parked.", func(s runtime.Status) float64 { return float64(s.RelayHeldTargets) })
	gauge("relay_held_histories", "Aggregates whose events wait, as one of their commits cannot be read.", func(s runtime.Status) float64 { return float64(s.RelayHeldHistories) })
	gauge("awaiting_parking", "Commands that stand still here, as no more can be parked.", func(s runtime.Status) float64 {
		n := 0
		for _, p := range s.Partitions {
			n += p.AwaitingParking
		}
		return float64(n)
	})
	gauge("unfinished", "Messages in the node without an answer.", func(s runtime.Status) float64 {
		n := 0
		for _, p := range s.Partitions {
			n += p.Unfinished
		}
		return float64(n)
	})
}

// observeParking adds a gauge of what is parked. It asks the store when it is read, and
// is absent when that does not answer.
func (m *metrics) observeParking(s store.Parking) { m.registry.MustRegister(&parkedGauge{store: s}) }

// parkedGauge is a collector of its own, as a gauge function cannot say that it does not
// know.
type parkedGauge struct{ store store.Parking }

// Bounds of a look at what is parked.
const (
	parkedCountMax     = 1_000_000
	parkedCountTimeout = 2 * time.Second
)

func (*parkedGauge) desc() *prometheus.Desc {
	return prometheus.NewDesc("ganglion_parked", "Commands that are parked in the cluster, and wait for an operator.", nil, nil)
}

// Describe implements [prometheus.Collector].
func (g *parkedGauge) Describe(to chan<- *prometheus.Desc) { to <- g.desc() }

// Collect implements [prometheus.Collector].
func (g *parkedGauge) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), parkedCountTimeout) //nolint:forbidigo // a collector gets no context
	defer cancel()
	if n, err := g.store.CountParked(ctx, parkedCountMax); err == nil {
		to <- prometheus.MustNewConstMetric(g.desc(), prometheus.GaugeValue, float64(n))
	}
}

// observeReplicas adds a gauge of what a cluster of embedded servers lacks.
func (m *metrics) observeReplicas(w *replicaWatch) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Namespace: "ganglion", Name: "streams_lacking_replicas", Help: "Streams with fewer live replicas than they are to have."},
		func() float64 { return float64(len(w.current())) }))
}

// observeStorage adds gauges of the embedded server's disk.
func (m *metrics) observeStorage(s *storage) {
	gauge := func(name, help string, read func(storageState) float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Namespace: "ganglion", Name: name, Help: help},
			func() float64 { return read(s.current()) }))
	}
	gauge("storage_free_bytes", "Free bytes on the disk of the embedded NATS server.", func(s storageState) float64 { return float64(s.free) })
	gauge("storage_fault", "1 while that disk is full or fails.", func(s storageState) float64 {
		if s.fault != nil {
			return 1
		}
		return 0
	})
}

func (m *metrics) runtimeListener() runtime.EventListener {
	return runtime.EventListener{
		Decided: func(msg *actor.Message, code actor.Code, latency time.Duration) {
			kind, name := string(msg.Target.Kind), string(code)
			if code == actor.CodeOK {
				name = "ok"
			}
			m.decided.WithLabelValues(kind, name).Inc()
			m.latency.WithLabelValues(kind).Observe(latency.Seconds())
		},
		Flushed: func(commits, failed int, took time.Duration) {
			m.flushes.Observe(took.Seconds())
			m.flushSize.Observe(float64(commits))
			m.failed.Add(float64(failed))
		},
		Loaded: func(kind actor.Kind, events int, took time.Duration) {
			m.loads.WithLabelValues(string(kind)).Observe(took.Seconds())
			m.replayed.WithLabelValues(string(kind)).Add(float64(events))
		},
		Discarded: func(kind actor.Kind, reason runtime.DiscardReason) {
			m.discarded.WithLabelValues(string(kind), string(reason)).Inc()
		},
		Passivated: func(kind actor.Kind, reason runtime.PassivationReason) {
			m.passivated.WithLabelValues(string(kind), string(reason)).Inc()
		},
		Overloaded: func(kind actor.Kind, limit string) { m.overloaded.WithLabelValues(string(kind), limit).Inc() },
		Parked:     func(kind actor.Kind) { m.parked.WithLabelValues(string(kind)).Inc() },
		SnapshotSaved: func(kind actor.Kind, _ int, err error) {
			m.snapshots.WithLabelValues(string(kind), result(err)).Inc()
		},
		TimerFired: func(kind actor.Kind, late time.Duration) {
			m.timers.WithLabelValues(string(kind)).Observe(late.Seconds())
		},
		Overdue: func(kind actor.Kind) { m.overdue.WithLabelValues(string(kind)).Inc() },
		Confirmed: func(_ int, took time.Duration, err error) {
			m.confirms.WithLabelValues(result(err)).Observe(took.Seconds())
		},
		Relayed: func(events int, lag, took time.Duration) {
			m.relayed.Add(float64(events))
			m.relayLag.Observe(lag.Seconds())
			m.relays.Observe(took.Seconds())
		},
		RelayInterrupted: func(error) { m.relayFaults.Inc() },
		Renewed:          func(_ time.Duration, err error) { m.renewals.WithLabelValues(result(err)).Inc() },
	}
}

func (m *metrics) gatewayListener() gateway.EventListener {
	return gateway.EventListener{
		RequestDone: func(r gateway.RequestInfo) {
			m.requests.WithLabelValues(r.Method, r.Route, strconv.Itoa(r.Status)).Observe(r.Duration.Seconds())
		},
		StreamsChanged: func(open int) { m.streams.Set(float64(open)) },
	}
}

func result(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}
