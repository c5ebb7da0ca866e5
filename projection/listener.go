package projection

import "time"

// EventListener is told what happens in an engine. Every function is optional, must
// be fast and safe for concurrent use, and must not call the engine.
type EventListener struct {
	// Applied: a transaction with so many events was committed. Rebuild: for the
	// generation that is being built.
	Applied func(projection string, events int, took time.Duration, rebuild bool)
	// Failed: a batch did not succeed and is done again: the storage or the stream did
	// not answer, or somebody else has written.
	Failed func(projection string, err error)
	// Parked: an event failed, and waits with its source's later ones. Once for each
	// time that the source is parked.
	Parked func(projection string, source string, reason string)
	// Lagging: about once a second, for each projection that this node runs: how many
	// events of the stream are behind the oldest that it has not applied, and how
	// old that one is. 0 when there is none, and when the node stops running it.
	Lagging func(projection string, events uint64, age time.Duration)
	// Waiting: as often: aggregates whose events wait here since one failed, and how many
	// of them wait for an operator, who retries or skips.
	Waiting func(projection string, parked, stuck int)
	// Rebuilding: about once a second while a generation is being built, of all nodes
	// together: events done with and events in the stream.
	Rebuilding func(projection string, done, total uint64)
	// Swapped: the view of a projection is now the one that was built.
	Swapped func(projection string)
}
