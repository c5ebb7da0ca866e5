package dashboard

import (
	"context"
	"time"
)

// Source says what the pages show, and does what operators ask for. Its methods are safe for
// concurrent use, and return when ctx ends at the latest.
type Source interface {
	Inspector

	// Cluster returns what is known. It does not fail as a whole.
	Cluster(ctx context.Context) Cluster
	// Projections returns the projections of the node, in its order, and of the first so many
	// from an offset on their progress.
	Projections(ctx context.Context, offset, limit int) (Projections, error)
	// PendingEffects returns the effects that are asked for and not over, oldest first.
	PendingEffects(ctx context.Context, limit int) (PendingEffects, error)
	// Parked returns what is parked, in order: commands, oldest first, then events. It ends
	// early when ctx does, and says so.
	Parked(ctx context.Context, limit int) (Parked, error)
	// ParkedOne returns one, with what it holds.
	ParkedOne(ctx context.Context, of ParkedRef) (ParkedDetail, error)
	// Act does a request of the admin server: POST of a path with a query, as it is on
	// behalf of an operator, log included.
	Act(ctx context.Context, by Operator, target string) Result
	// Start runs a job, which returns when its context ends. False: the node ends.
	Start(job func(ctx context.Context)) bool
}

// Operator is on whose behalf something is done.
type Operator struct {
	Who         string   // as they say
	From        string   // address
	Credentials []string // of the HTTP API, that they show
}

// Result is how an action ended.
type Result struct {
	OK     bool
	Status int
	Text   string
}

// Projections is a page of projections.
type Projections struct {
	All   []Projection
	Total int
}

// Projection is a projection as the storage has it.
type Projection struct {
	Name       string
	Router     bool // of a saga or a policy: it cannot be rebuilt
	Started    bool
	Paused     bool
	Generation uint64
	Done       uint64
	Position   uint64
	Head       uint64
	Parked     int
	Updated    time.Time
	Rebuild    *Rebuild
	Err        string // why its progress is not known
}

// Rebuild is how far a rebuild is.
type Rebuild struct {
	Phase       string
	Done, Total uint64
}

// PendingEffects are effects that are not over.
type PendingEffects struct {
	All      []PendingEffect
	More     bool // there are others
	Complete bool // all of the cluster was read
}

// PendingEffect is one of them.
type PendingEffect struct {
	Effect, Aggregate, Key, State, Node, Error string
	Asked, Next                                time.Time
	Attempts, Failures                         int
}

// ParkedRef names something parked: a command of an aggregate, or an aggregate's events for a
// projection.
type ParkedRef struct {
	Aggregate  string
	CommandID  string
	Projection string
}

// ParkedItem is something parked.
type ParkedItem struct {
	ParkedRef
	Name     string // of the command, or of the event that failed
	Reason   string
	Attempts int
	Events   int // that wait
	State    string
	Since    time.Time
}

// Parked is a list of what is parked.
type Parked struct {
	Items []ParkedItem
	More  bool // there are others
}

// ParkedDetail is one with what it holds.
type ParkedDetail struct {
	ParkedItem
	Stack string
	Data  string // JSON, indented
}
