package store

// Aggregate is an aggregate's address in the form "kind/id".
type Aggregate string

// Version counts the events in an aggregate's history. The first event is version 1.
type Version uint64

// Partition is a slice of the aggregate keyspace.
type Partition uint32

// Position is a place in a command stream. Sequences of two incarnations of the
// stream cannot be compared.
type Position struct {
	Stream   string // incarnation of the stream; empty: no position
	Sequence uint64
	Rest     uint32 // commands of the same sequence that come after this place
}

// Covers reports whether p, as the position up to which everything was decided,
// includes the place q of the same incarnation.
func (p Position) Covers(q Position) bool {
	return p.Stream != "" && p.Stream == q.Stream && q.Sequence > 0 &&
		(q.Sequence < p.Sequence || q.Sequence == p.Sequence && q.Rest >= p.Rest)
}

// Event is one event of a commit.
type Event struct {
	Name string
	Data []byte // JSON object
}

// Metadata is what a command carried.
type Metadata struct {
	Trace, Correlation, Causation, User string
}

func (m *Metadata) size() int {
	return len(m.Trace) + len(m.Correlation) + len(m.Causation) + len(m.User)
}

// Outcome is what a command came to: exactly one of Reply and Rejection is set.
type Outcome struct {
	CommandID string
	Keyed     bool   // the id goes into the index of keys: a caller has chosen it, or its time says nothing
	Name      string // of the command; empty in what builds stored that did not keep it
	Digest    string // of the command's data, if its id is bound to it; empty: not kept
	Events    int    // how many of the commit's events are its own
	Hidden    int    // events up to and with its own that are beyond the version that its caller was told
	Reply     []byte // JSON
	Rejection []byte // JSON
	Metadata  Metadata
}

// Outgoing is a command to be sent once the commit is durable, at once or at a time.
type Outgoing struct {
	ID       string // of the command; empty in a cancellation
	To       Aggregate
	Name     string // of the command; empty: nothing is sent, the timer is cancelled
	At       int64  // microseconds since 1970 UTC; 0: at once
	Timer    string // name of a timer of To; setting it again replaces what it was set to; empty: none
	Data     []byte // JSON object
	Metadata Metadata

	// What is sent to the commit's own aggregate, should the command be refused.
	OnRefusal     string // name of that command; empty: nothing
	OnRefusalData []byte // JSON object
}

// Commit is a set of decisions of one aggregate that becomes durable as a whole.
type Commit struct {
	Aggregate Aggregate
	First     Version // version of the first event: one more than the history had. Unique per aggregate
	Partition Partition
	Position  Position // highest position in the command stream that the aggregate has decided
	Time      int64    // hybrid logical clock, microseconds since 1970 UTC; grows along an aggregate
	Outcomes  []Outcome
	Events    []Event // at least one: its place in the history is what fences the commit
	Out       []Outgoing
}

// Last returns the version of the commit's last event.
func (c *Commit) Last() Version { return c.First + Version(len(c.Events)) - 1 }

// Size returns about how many bytes the commit takes in a store.
func (c *Commit) Size() int {
	n := 128 + len(c.Aggregate) + len(c.Position.Stream)
	for i := range c.Events {
		n += 32 + len(c.Events[i].Name) + len(c.Events[i].Data)
	}
	for i := range c.Outcomes {
		o := &c.Outcomes[i]
		n += o.Size()
	}
	for i := range c.Out {
		o := &c.Out[i]
		n += 64 + len(o.ID) + len(o.To) + len(o.Name) + len(o.Timer) + len(o.Data) + o.Metadata.size() + len(o.OnRefusal) + len(o.OnRefusalData)
	}
	return n
}

// Size returns roughly how many bytes the outcome takes in a commit.
func (o *Outcome) Size() int {
	return 48 + len(o.CommandID) + len(o.Name) + len(o.Digest) + len(o.Reply) + len(o.Rejection) + o.Metadata.size()
}

// Recorded is an outcome that was found again.
type Recorded struct {
	Outcome Outcome
	Version Version // of the history after the command
}

// Told returns the version that the command's caller was told.
func (r *Recorded) Told() Version { return r.Outcome.Told(r.Version) }

// Told returns the version that the command's caller was told, given that of the
// history after the command.
func (o *Outcome) Told(after Version) Version {
	return after - min(after, Version(max(o.Hidden, 0)))
}

// OutcomeVersions calls visit for each outcome of c with the version of the
// aggregate after it.
func (c *Commit) OutcomeVersions(visit func(*Outcome, Version)) {
	v := c.First - 1
	for i := range c.Outcomes {
		v += Version(c.Outcomes[i].Events)
		visit(&c.Outcomes[i], v)
	}
}

// Snapshot is an aggregate's state at a version, with what is needed to judge
// repeated commands from there on.
type Snapshot struct {
	Aggregate Aggregate
	Version   Version
	Schema    string // of the state; a reader with another one ignores the snapshot
	Position  Position
	Time      int64  // the clock of the last commit in it
	State     []byte // JSON
	Ring      []byte // recent outcomes, opaque
}
