package stage

import (
	"context"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// Role is what a part is for.
type Role string

// The roles.
const (
	RoleBalancer Role = "balancer"
	RoleNode     Role = "node"
	RoleNATS     Role = "nats"
	RoleMongo    Role = "mongo"
	RoleOther    Role = "other"
)

// Part is a process of the machine at one moment.
type Part struct {
	Name    string
	Role    Role
	What    string // a few words
	Where   string // it listens
	Command string // that starts it by hand
	PID     int    // 0: it does not run
	Since   time.Time
	Paused  bool
	Cut     bool // off from NATS and MongoDB
}

// Machine is what the stage acts upon: the processes that somebody has started, and starts
// again when they end. Its methods are safe for concurrent use, and return soon unless they
// say otherwise. Parts are named by [Part.Name]; an error is for people to read.
type Machine interface {
	// Parts returns all parts, in an order that stays.
	Parts() []Part
	// Ready asks a part whether it can do its work. It is bounded by ctx.
	Ready(ctx context.Context, part string) error
	// Kill ends a part as kill -9 does.
	Kill(part string) error
	// Pause stops a part until Resume; it keeps its memory and its connections.
	Pause(part string) error
	// Resume is idempotent.
	Resume(part string) error
	// Cut cuts a node off from NATS and MongoDB, or ends that.
	Cut(part string, cut bool) error
	// Expect says that a part was asked to end in order: its end is no failure.
	Expect(part string) error
	// Start has a part start that is down, at once. It is idempotent.
	Start(part string) error
	// StartOther starts the web servers of the other way, and returns their bases once they
	// are ready. It waits until ctx ends. stop ends them and may be called once.
	StartOther(ctx context.Context) (bases []string, stop func(), err error)
	// OpenStore opens the store that the nodes use, over connections of its own.
	OpenStore(ctx context.Context) (s store.Store, closing func(), err error)
}

// Node is where a node is reached.
type Node struct {
	Name  string
	Admin string // base URL of its administration
}

// Server is where a NATS server, or a member of a replica set, is reached.
type Server struct {
	Name  string
	Where string // of clients
	Admin string // base URL of a NATS server's monitoring; empty for others
}

// Config says what the stage shows.
type Config struct {
	Machine  Machine
	Nodes    []Node   // that have a web server each
	Balancer string   // base URL of the balancer's inner address: command API and figures
	Market   string   // URL of the pages
	NATS     []Server // with their monitoring
	Mongo    []Server // empty: the store is JetStream
	MongoURI string
	Store    string // what the store is, for people
	Users    int    // of the market, see load.Config
	Books    int
	Started  time.Time // of the demonstration
}
