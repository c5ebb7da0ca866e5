package page

import "time"

// Snapshot is the whole machine at one moment, as measured. A page is rendered from it and
// from nothing else. What is not known is absent: nil figures are shown as a dash, never
// as 0.
type Snapshot struct {
	Time    time.Time `json:"time"`    // when it was made; no two have the same
	Started time.Time `json:"started"` // of the demonstration
	Store   string    `json:"store"`   // what the store is, such as "MongoDB 8.0"
	Market  string    `json:"market"`  // URL of the balancer's pages

	Verdict    Verdict     `json:"verdict"`
	Load       Load        `json:"load"`
	Balancer   Balancer    `json:"balancer"`
	Tracks     []Track     `json:"tracks"`     // a node with its web server each, in order of their names
	Partitions []Partition `json:"partitions"` // in order of their numbers
	NATS       []Server    `json:"nats"`
	Mongo      []Server    `json:"mongo"` // members of the replica set; none: the store is JetStream
	Views      []View      `json:"views"`
	Compare    Compare     `json:"compare"`
	Tour       []Step      `json:"tour"`
	Log        []Entry     `json:"log"` // newest first
	Parts      []Part      `json:"parts"`
	Actions    []Action    `json:"actions"`
	Outcome    *Outcome    `json:"outcome,omitempty"` // of the newest action; nil: there was none lately
}

// States of a [Verdict].
const (
	Unchecked = ""         // nothing was checked yet
	Checking  = "checking" // a check runs; the figures are those of the one before
	Right     = "right"
	Wrong     = "wrong"
	Failed    = "failed" // the check could not be carried out, see Problem
)

// Verdict is what the newest check has found.
type Verdict struct {
	State        string        `json:"state"`
	Checked      time.Time     `json:"checked"` // when; zero: never
	Acknowledged int64         `json:"acknowledged"`
	Stored       int64         `json:"stored"`
	Lost         int64         `json:"lost"`
	Doubled      int64         `json:"doubled"`
	Changed      int64         `json:"changed"`     // stored with another answer than the one that was acknowledged
	Broken       int64         `json:"broken"`      // places at which a history cannot be read on: a gap, or what cannot be understood
	LongestWait  time.Duration `json:"longestWait"` // that a user saw since After
	After        string        `json:"after"`       // what it followed: "node-2 was killed"
	How          string        `json:"how"`         // what was compared with what, a sentence
	Problem      string        `json:"problem"`     // of a check that failed, or the first violations of a wrong one
	Live         int64         `json:"live"`        // acknowledged up to now, the check's or later
	Unknown      int64         `json:"unknown"`     // commands whose outcome nobody knows yet: they are sent again, and count as neither
	Took         time.Duration `json:"took"`        // of the check
	Gaps         []Gap         `json:"gaps"`
	Audit        string        `json:"audit"`   // what the audit at rest has found, a sentence; empty: there was none since
	Audited      time.Time     `json:"audited"` // when
}

// Gap is the longest time without an acknowledged command at one web server, since
// [Verdict.After].
type Gap struct {
	Track   string        `json:"track"`
	Longest time.Duration `json:"longest"`
}

// Load is the trading load on our nodes.
type Load struct {
	Running   bool          `json:"running"`
	Since     time.Time     `json:"since"`  // of the running load
	Wanted    int           `json:"wanted"` // users' commands a second
	Max       int           `json:"max"`
	Orders    float64       `json:"orders"` // a second, acknowledged, now
	P50       time.Duration `json:"p50"`
	P99       time.Duration `json:"p99"`
	Conflicts float64       `json:"conflicts"` // a second, in the stores of both nodes
}

// Balancer is the load balancer.
type Balancer struct {
	State string    `json:"state"` // Up, Dead
	Since time.Time `json:"since"`
	Where string    `json:"where"`
	Rate  *float64  `json:"rate"` // requests a second
}

// States of parts. Others are shown as they are.
const (
	Up       = "up"
	Starting = "starting" // the process runs and is not ready
	Joining  = "joining"  // it is ready and takes partitions over
	Paused   = "paused"
	Cut      = "cut off"
	Draining = "draining"
	Dead     = "dead"
)

// Track is a node and its web server.
type Track struct {
	Name       string         `json:"name"` // of the node
	State      string         `json:"state"`
	Since      time.Time      `json:"since"`    // of the state
	Requests   *float64       `json:"requests"` // a second, of its web server
	P50        *time.Duration `json:"p50"`
	P99        *time.Duration `json:"p99"`
	Commands   *float64       `json:"commands"` // a second, of the node
	Writes     *float64       `json:"writes"`   // a second, to the store
	PerWrite   *float64       `json:"perWrite"` // commands in one
	Conflicts  *float64       `json:"conflicts"`
	Partitions int            `json:"partitions"`
}

// Partition is one partition.
type Partition struct {
	Number int       `json:"number"`
	Owner  string    `json:"owner"` // node; empty: nobody
	Rate   float64   `json:"rate"`  // commands a second
	Moved  time.Time `json:"moved"` // when the stage saw its owner change last; zero: never
}

// Server is a NATS server, or a member of the replica set.
type Server struct {
	Name  string    `json:"name"`
	Where string    `json:"where"`
	State string    `json:"state"`
	Since time.Time `json:"since"`
	Role  string    `json:"role"`  // "primary", "secondary"; of NATS "meta leader" or empty
	Leads []string  `json:"leads"` // streams whose leader it is
}

// View is a projection.
type View struct {
	Name   string         `json:"name"`
	Behind *time.Duration `json:"behind"`
	Events *float64       `json:"events"` // a second
}

// Phases of a [Compare].
const (
	Idle      = ""
	Preparing = "preparing"
	OursRuns  = "ours"
	OtherRuns = "other"
	Done      = "done"
)

// Compare is the same load carried out in two ways, in turns.
type Compare struct {
	Phase    string        `json:"phase"`
	Round    int           `json:"round"` // from 1
	Rounds   int           `json:"rounds"`
	Ends     time.Time     `json:"ends"` // of the phase, about; zero: unknown
	Accounts int           `json:"accounts"`
	Max      int           `json:"max"`     // accounts
	Problem  string        `json:"problem"` // why it was given up
	Span     time.Duration `json:"span"`    // what the charts are wide
	Ours     Way           `json:"ours"`
	Other    Way           `json:"other"`
}

// Way is one of the two. Figures are nil until something was measured.
type Way struct {
	Orders    *float64       `json:"orders"` // a second
	P50       *time.Duration `json:"p50"`
	P99       *time.Duration `json:"p99"`
	Conflicts *float64       `json:"conflicts"` // an order
	Failed    *float64       `json:"failed"`    // share of orders, 0 to 1
	Stale     *float64       `json:"stale"`     // share of reads, 0 to 1
	Points    []Point        `json:"points"`    // ordered by At
}

// Point is what was measured in about a second.
type Point struct {
	At        time.Duration `json:"at"` // since the way's own start, turns of the other left out
	Orders    float64       `json:"orders"`
	P99       time.Duration `json:"p99"`
	Conflicts float64       `json:"conflicts"` // a second
}

// Step is one of the tour's.
type Step struct {
	Name   string `json:"name"`
	Text   string `json:"text"`   // what to watch for
	State  string `json:"state"`  // "done", "now" or empty
	Action string `json:"action"` // what the button of the step that is now does, such as "Kill node-2"
}

// Entry is something that happened.
type Entry struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
	Kind string    `json:"kind"` // "fault", "right", "wrong" or empty
}

// Part is a process.
type Part struct {
	Name    string    `json:"name"`
	What    string    `json:"what"`
	Where   string    `json:"where"`
	State   string    `json:"state"`
	Since   time.Time `json:"since"`
	PID     int       `json:"pid"`     // 0: it does not run
	Command string    `json:"command"` // that starts it by hand
}

// Names of actions.
const (
	ActLoad        = "load" // rate: users' commands a second
	ActStop        = "stop"
	ActKill        = "kill"
	ActPause       = "pause"
	ActCut         = "cut"
	ActDrain       = "drain"
	ActBack        = "back" // whatever is due: resume, heal, start, admit
	ActStepDown    = "step-down"
	ActCheck       = "check"
	ActAudit       = "audit"
	ActCompare     = "compare" // accounts
	ActCompareStop = "compare-stop"
	ActTour        = "tour" // the step that is now
	ActTourSkip    = "tour-skip"
	ActTourAgain   = "tour-again"
)

// Action is something that can be done to the machine: POST /actions/{Name}, with the form
// field target.
type Action struct {
	Name   string `json:"name"`
	Target string `json:"target"` // a part; empty: none is needed
	Why    string `json:"why"`    // why it cannot be done now; empty: it can
}

// Outcome is what became of an action.
type Outcome struct {
	Time   time.Time `json:"time"`
	Action string    `json:"action"`
	Target string    `json:"target"`
	Done   bool      `json:"done"`
	Text   string    `json:"text"` // what happened, or why it was refused
}
