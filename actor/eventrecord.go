package actor

import "time"

// EventRecord is an event as readers of the event stream get it, durable and in
// the order of commits. It is a value; Data must not be changed.
type EventRecord struct {
	Position  uint64    // in the event stream: the first is 1, and it grows by one with each event
	Partition Partition // of the aggregate
	Source    Address   // the aggregate that raised it
	Version   Version   // of the aggregate after the event; (Source, Version) names the event for good
	Name      string    // under which it is stored, like "deposited.v1"
	Data      []byte    // JSON object
	Time      time.Time // of the commit, UTC; grows along an aggregate
	CommandID CommandID // of the command that raised it
	Metadata  Metadata  // of that command
}

// EventFilter selects events. Its zero value selects all.
type EventFilter struct {
	Stream     string      // incarnation of the event stream that positions are of; empty: whichever there is
	Partitions []Partition // nil: of all partitions
	Kinds      []Kind      // nil: of all kinds
	// Progress: records with nothing but a position come, too, now and then. Up to
	// there no other event is selected. Who saves how far he is begins near then,
	// however rare his events are.
	Progress bool
}
