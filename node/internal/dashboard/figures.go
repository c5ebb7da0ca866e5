package dashboard

import "time"

// Cluster is the cluster at one moment, as far as it is known.
type Cluster struct {
	Self      string // name of the node that was asked
	Namespace string
	Taken     time.Time

	Members    []Member    // by name; the dead ones whose partitions are not all taken among them
	Partitions []Partition // by number
	NATS       NATS
	Store      Store

	Parked     int    // commands that are parked in the cluster, at most ParkedMost
	ParkedMost int    // up to which they are counted
	ParkedErr  string // why they are not; empty: they are

	// Problems say which parts are missing or old, and why.
	Problems []string
}

// MemberState says whether a member takes partitions.
type MemberState string

// The states of members.
const (
	MemberLive     MemberState = "live"
	MemberDraining MemberState = "draining"
	MemberDead     MemberState = "dead"
)

// Member is a node that has a session.
type Member struct {
	Name        string
	Incarnation string
	State       MemberState
	Cut         bool // no messages reach it
	Address     string
	Build       string
	Kinds       []string
	Opened      time.Time     // by its own clock; zero: unknown
	ClockAhead  time.Duration // of the clock of the node that was asked, at the least
	Partitions  int           // owned

	// Silent says why there are no figures; empty: there are.
	Silent  string
	Figures *Figures
}

// Partition is a part of the keyspace.
type Partition struct {
	Number int
	Owner  string // empty: nobody
	Epoch  uint64
	Lag    uint64 // durable commands stored and not finished

	Orphan          bool // its owner before has not released it: deaths are watched for
	Unfinished      int  // messages of both lanes in the owner
	AwaitingParking int  // commands that stand still, as no more can be parked
}

// NATS is the messaging system.
type NATS struct {
	Kind    string // embedded, cluster, external
	Server  string // that the asked node is connected to
	Cluster string
	RTT     time.Duration // 0: unknown
	Members []NATSMember  // of a cluster of embedded servers
	Streams []Stream
	Err     string // why something is missing
}

// NATSMember is a server of a cluster of embedded ones.
type NATSMember struct {
	Name   string
	Leader bool // of the cluster's metadata
	Live   bool
}

// Stream is a stream with its replicas.
type Stream struct {
	Name     string
	Leader   string
	Replicas int // that it is to have
	Live     int
	Gone     []string
	Behind   []string
	Messages uint64
	Bytes    uint64
}

// Lacks reports whether replicas are missing.
func (s Stream) Lacks() bool { return s.Live < s.Replicas }

// Store is where commits are kept.
type Store struct {
	Kind    string
	Latency time.Duration // of a question to it
	Err     string        // why it does not answer
}

// Figures are what a node says of itself. They travel between nodes as JSON: nodes of other
// builds may leave fields out, or have more.
type Figures struct {
	// Process differs from start to start: counters begin at 0 with it.
	Process string `json:"process"`
	// Uptime is the time since then, for rates.
	Uptime time.Duration `json:"uptime"`

	Faults   []string `json:"faults,omitempty"`   // why it is not ready
	Warnings []string `json:"warnings,omitempty"` // that stand although it is

	Activations int64 `json:"activations"`
	MemoryBytes int64 `json:"memoryBytes"`
	MemoryMax   int64 `json:"memoryMax"`
	Goroutines  int   `json:"goroutines"`
	HeapBytes   int64 `json:"heapBytes"`

	Relaying    bool          `json:"relaying,omitempty"`
	RelayBehind time.Duration `json:"relayBehind,omitempty"`

	Partitions  []PartitionFigures  `json:"partitions,omitempty"`
	Commands    []CommandFigures    `json:"commands,omitempty"`
	Kinds       []KindFigures       `json:"kinds,omitempty"`
	Projections []ProjectionFigures `json:"projections,omitempty"`
	Effects     []EffectFigures     `json:"effects,omitempty"`
	Actions     []ActionRecord      `json:"actions,omitempty"` // of operators, newest first

	Left int `json:"left,omitempty"` // entries that found no room
}

// PartitionFigures are what an owner knows of a partition.
type PartitionFigures struct {
	Partition       int  `json:"p"`
	Orphan          bool `json:"o,omitempty"`
	Unfinished      int  `json:"u,omitempty"`
	AwaitingParking int  `json:"a,omitempty"`
}

// CommandFigures count messages of one name since the process began.
type CommandFigures struct {
	Kind    string `json:"kind"`
	Command string `json:"command"` // empty: names that the kind does not declare
	Query   bool   `json:"query,omitempty"`
	OK      uint64 `json:"ok,omitempty"`
	Refused uint64 `json:"refused,omitempty"` // by the aggregate
	Failed  uint64 `json:"failed,omitempty"`  // anything else
	// Buckets count latencies up to the bounds of [LatencyBounds], and above.
	Buckets []uint64 `json:"buckets,omitempty"`
}

// KindFigures count what became of a kind's aggregates in memory, since the process began.
type KindFigures struct {
	Kind        string `json:"kind"`
	Activations int64  `json:"activations"` // in memory now
	Loaded      uint64 `json:"loaded"`      // brought into memory
	Passivated  uint64 `json:"passivated"`  // given up as idle, or for room
	Parked      uint64 `json:"parked,omitempty"`
}

// ProjectionFigures are what a node runs of a projection.
type ProjectionFigures struct {
	Name       string        `json:"name"`
	Partitions int           `json:"partitions"`
	Lag        uint64        `json:"lag"` // events behind the oldest that is not applied
	Age        time.Duration `json:"age"` // of that one
	Waiting    int           `json:"waiting,omitempty"`
	Parked     int           `json:"parked,omitempty"`
	Stuck      int           `json:"stuck,omitempty"` // of the parked: they wait for an operator
	Applied    uint64        `json:"applied"`
	Failures   uint64        `json:"failures,omitempty"`
	Error      string        `json:"error,omitempty"` // the last one
	ErrorAt    time.Time     `json:"errorAt,omitzero"`
}

// EffectFigures are what a node knows of an effect.
type EffectFigures struct {
	Effect  string         `json:"effect"`
	Handled bool           `json:"handled"`
	Paused  bool           `json:"paused,omitempty"`
	Slots   int            `json:"slots"`
	Busy    int            `json:"busy"`
	Stuck   int            `json:"stuck,omitempty"`
	Overdue int            `json:"overdue,omitempty"`
	States  map[string]int `json:"states,omitempty"`
	Oldest  time.Time      `json:"oldest,omitzero"`
	Error   string         `json:"error,omitempty"` // of one that failed last
}

// ActionRecord is something that an operator did at a node.
type ActionRecord struct {
	At        time.Time     `json:"at"`
	Who       string        `json:"who,omitempty"`
	Principal string        `json:"principal,omitempty"`
	From      string        `json:"from"`
	Action    string        `json:"action"`
	Outcome   string        `json:"outcome,omitempty"` // empty: it goes on
	Detail    string        `json:"detail,omitempty"`
	Took      time.Duration `json:"took,omitempty"`
	Node      string        `json:"-"` // which says so
}
