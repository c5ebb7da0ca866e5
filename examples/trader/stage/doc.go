// Package stage shows a whole machine at work, lets people break it, and checks after each
// fault that nothing was lost. It is the engine behind the page of package page: figures,
// actions, load, checks, the comparison with web servers without routing, the guided tour
// and the log of what happened. The machine itself is a [Machine], made by package demo.
//
// Figures are differences of counters between two samples, from the nodes' metrics, the
// balancer, NATS' monitoring, the replica set and the store. Nothing is sampled while nobody
// looks and nothing happens.
//
// A check compares what the load's users were told with the store itself, over connections
// of its own: see evidence. It costs as much as there is new since the check before; no
// check scans commits, and only an audit, which somebody has to ask for, reads all of them.
//
// # Concurrency
//
// An [Engine] is safe for concurrent use. [Engine.Run] has goroutines for sampling, for the
// feed of commits, for what follows a fault, for the load and for the comparison, and waits
// for all of them.
//
// # Failures
//
// What cannot be measured is absent from the snapshot. An action that makes no sense is
// refused with words. A check that cannot be carried out says why; it is never right by
// default. Pauses and cuts end by themselves after [FaultMax].
package stage
