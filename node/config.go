package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/runtime"
)

// ErrConfig wraps every fault of a [Config].
var ErrConfig = errors.New("invalid configuration")

// SchemaCheck is what a start does that finds stored events which the build cannot read,
// or timers and messages whose commands it does not declare.
type SchemaCheck string

// The values of [Config.SchemaCheck].
const (
	SchemaCheckRefuse SchemaCheck = "refuse" // it fails
	SchemaCheckWarn   SchemaCheck = "warn"   // it logs them
	SchemaCheckOff    SchemaCheck = "off"    // it does not look
)

// LogFormat is the form of a node's own log.
type LogFormat string

// The values of [Config.LogFormat].
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Config is all that a node process can be configured with. The zero value of each field
// means the default in its comment. [Main] and [MainWith] also take the fields of the first
// groups from flags and environment variables.
type Config struct {
	Name      string // unique name of the node; default: made once and kept in the data folder
	Namespace string // prefix of streams and subjects, in which clusters in one NATS system differ; default "ganglion"
	Build     string // version of the binary, which other nodes see; default: from its build information
	DataDir   string // folder of the embedded NATS server and store, and of the name; default "ganglion-data"

	NATSURL     string // comma-separated URLs of NATS servers, as nats.Connect takes them; default: a server embedded in the process
	NATSURLFile string // file with NATSURL instead, if there are passwords in it
	NATSCreds   string // NATS credentials file
	NATSTLSCA   string // PEM file of the authority of the NATS servers' certificates; of an embedded server, also its clients'
	NATSTLSCert string // PEM file of the certificate of the client, or of the embedded server
	NATSTLSKey  string // PEM file of its key

	NATSClusterAddr string   // host:port on which the embedded server listens for those of other nodes; default: it has no cluster
	NATSRoutes      []string // cluster addresses, host:port, of the other nodes, or of all
	NATSSecretFile  string   // file with the secret that embedded servers show each other, and clients give as their token
	NATSClientAddr  string   // host:port on which the embedded server listens for clients; default: this process alone

	MongoURI      string // connection string of a MongoDB replica set; default: the store is JetStream
	MongoURIFile  string // file with MongoURI instead, if there is a password in it
	MongoDatabase string // default "ganglion"

	HTTPAddr       string   // host:port of the HTTP API; default "127.0.0.1:8080"
	AdminAddr      string   // host:port of the admin server, or unix:PATH; default "127.0.0.1:8081"
	AdminTokenFile string   // file with the token that the admin server asks for; required where other machines reach it
	AllowedHosts   []string // host names under which both are addressed, besides localhost and IP addresses; "*.NAME" is all below NAME

	HTTPTLSCert     string // PEM file of the certificate of HTTPAddr; default: no encryption
	HTTPTLSKey      string // PEM file of its key
	HTTPTLSClientCA string // PEM file of the authority whose certificates authenticate clients of HTTPAddr; default: none does

	JWTIssuer         string        // issuer (iss) of the signed tokens that authenticate clients of HTTPAddr; default: none does
	JWTAudience       []string      // of which their aud must name one
	JWTKeySet         string        // JWKS with the issuer's keys: a file or an https URL
	JWTPrincipalClaim string        // claim that names the principal; default "sub"
	JWTSkew           time.Duration // by which the issuer's clock may differ, at most 10 min; default 5 s; negative: none

	// ExposeInternal lets everybody who can call the node, over HTTP and over NATS, have
	// what is the application's own ([actor.Internal]). For development and tests, on all
	// nodes alike.
	ExposeInternal bool

	// DashboardCommands lets whoever may use the admin server send commands from its
	// dashboard, as the principal "operator:NAME" and without the rights of the HTTP API
	// being asked for. Commands that are the application's own ([actor.Internal]) are not
	// among them.
	DashboardCommands bool

	Partitions actor.Partitions // of the keyspace, a power of two, fixed when the cluster is created; default: 128, or what the cluster has
	Replicas   int              // of the JetStream streams, 1 to 5; default: 3 with NATSClusterAddr, else 1
	Lease      time.Duration    // for which one renewal lets the node answer, 200 ms to 10 min; default 3 s
	Linger     time.Duration    // for which a node that ends goes on answering after /readyz has said so, if there are others, at most 15 s; default 1 s; negative: none
	CutAfter   time.Duration    // without NATS after which a node with MongoDB says that it is cut, 1 s to 1 h; default 15 s
	Answers    runtime.Answers  // what lets the node answer; default [runtime.AnswersByLease]

	SchemaCheck SchemaCheck // default [SchemaCheckRefuse]

	LogLevel  slog.Level   // of the default Logger; default [slog.LevelInfo]
	LogFormat LogFormat    // of the default Logger; default [LogText]
	Logger    *slog.Logger // default: to standard error, by LogLevel and LogFormat

	// Authenticate finds out who sends a request to the HTTP API, before the tokens and
	// certificates that other fields ask for. Nil: they alone do, if there are any.
	Authenticate gateway.Authenticator

	// Authorize decides what a principal may do. Nil: everything.
	Authorize gateway.Authorizer

	// PublicDescription has /openapi.json read without credentials and rights.
	PublicDescription bool

	// Limits tunes the runtime. Name, Address, Build, Lease, Answers, ExposeInternal, Outbox,
	// Schedules, Logger and Listener in it are of no effect: they come from the other fields.
	Limits runtime.Config

	// Schedules are commands that the cluster sends again and again, see actor.Repeat:
	// the same on all nodes.
	Schedules []actor.Schedule

	// Dial opens every connection to NATS and MongoDB, for programs with a network
	// of their own. Default: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// ClusterTimeout is how long a node whose embedded NATS server is in a cluster
	// waits at its start for a majority of the servers. Default: 2 minutes.
	ClusterTimeout time.Duration

	// NoRelay keeps what is committed in the store while partition 0 is at this node:
	// no events in the event stream, no timers, nothing that handlers send, hence no
	// sagas, policies and projections, until a node without it has the partition. It
	// is for programs that measure, or that follow the store's feed themselves.
	NoRelay bool

	// Effects carry out what aggregates ask of the world, see [actor.DefineEffect]. Setup
	// may add those that need what it opens, by [Node.Handle].
	Effects []*actor.Performer

	// Projections are the read models that the node runs beside its definitions. The
	// sagas and policies among the definitions need no mention.
	Projections []*projection.Projection

	// ProjectionLimits tunes the engine of projections, sagas' and policies' routers
	// included. Serving, Claims, Turn, Acquit, Client, Logger, Listener and Now in it are of no
	// effect.
	ProjectionLimits projection.Config

	// FromNow names the kinds of sagas and policies that, when they run for the first
	// time, begin with what happens from then on. The others take in all of history.
	FromNow []actor.Kind

	// Setup opens what is the application's own: connections, caches, metrics, handlers'
	// dependencies. It is called once, when the node is opened and does not serve yet, and
	// n can be used: Client, View, Metrics, OnClose. Nobody executes a command for this
	// node before Setup has returned: on the only node of a cluster, a command that Setup
	// waits for is not executed, while one that it only sends (Client.Send) is kept.
	// An error, or a panic, ends the start. ctx ends with SetupTimeout, and with a signal
	// that ends the start; Setup must return then. What it has opened by then is closed by
	// [Node.OnClose].
	Setup func(ctx context.Context, n *Node) error

	// SetupTimeout bounds Setup, and the call of Handler. Default: 2 minutes.
	SetupTimeout time.Duration

	// Handler returns what HTTPAddr serves: the application's routes, pages and middleware
	// beside gateway, the node's own API. It is called once, after Setup. The node guards
	// all of it: hosts, origins and the time for a request and its answer, and has requests
	// wait until the node runs. A handler that panics is answered with 500. gateway may be
	// mounted under a prefix with [http.StripPrefix]; middleware that wraps its writer
	// should have an Unwrap method, see [http.ResponseController]. Nil: gateway alone.
	Handler func(n *Node, gateway http.Handler) http.Handler

	// Flags is a pointer to a struct, whose fields become flags of the node, beside its
	// own, by the tags of package kong. [Main] and [MainWith] fill it in before Setup.
	// A flag, or variable, with the name of one of the node's ends the process.
	Flags any

	// Commands are subcommands of the application, for [MainWith].
	Commands []Command
}

// now is the clock that the node stamps with; nil: the system's.
func (c *Config) now() func() time.Time {
	if c.Limits.Clock == nil {
		return nil
	}
	return c.Limits.Clock.Now
}

// embeddedNATS and embeddedStore report what the process brings along itself.
func (c *Config) embeddedNATS() bool  { return c.NATSURL == "" }
func (c *Config) embeddedStore() bool { return c.MongoURI == "" }

// clustered reports whether the embedded server is one of several.
func (c *Config) clustered() bool { return c.embeddedNATS() && c.NATSClusterAddr != "" }
