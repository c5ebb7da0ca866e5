package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node/internal/guard"
	"github.com/ganglion-go/ganglion/node/internal/redact"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/runtime"
)

// ErrConfig wraps every fault of a [Config].
var ErrConfig = errors.New("invalid configuration")

// Config is all that a node process can be told. Durations and numbers are text,
// as flags and environment variables have them, so that all faults can be
// reported at once. The zero value of each field means the default in its
// comment.
type Config struct {
	Name      string `help:"Unique name of the node. Default: made once and kept in the data folder." env:"GANGLION_NAME" placeholder:"NAME"`
	Namespace string `help:"Prefix of streams and subjects; clusters in one NATS system differ in it." default:"ganglion" env:"GANGLION_NAMESPACE"`
	Build     string `help:"Version of the binary, told to the other nodes. Default: from its build information." env:"GANGLION_BUILD" placeholder:"VERSION"`
	DataDir   string `help:"Folder of the embedded NATS server and store." default:"ganglion-data" env:"GANGLION_DATA_DIR" type:"path"`

	NATSURL     string `name:"nats-url" help:"Comma-separated NATS servers. Default: an embedded server in the data folder." env:"GANGLION_NATS_URL" placeholder:"URL,..."`
	NATSURLFile string `name:"nats-url-file" help:"File with what --nats-url would say, if there are passwords in it." env:"GANGLION_NATS_URL_FILE" placeholder:"FILE"`
	NATSCreds   string `name:"nats-creds" help:"NATS credentials file." env:"GANGLION_NATS_CREDS" placeholder:"FILE"`
	NATSTLSCA   string `name:"nats-tls-ca" help:"PEM file of the authority that signs the NATS servers' certificates; of an embedded server, also its clients'." env:"GANGLION_NATS_TLS_CA" placeholder:"FILE"`
	NATSTLSCert string `name:"nats-tls-cert" help:"PEM file of the certificate of the client, or of the embedded server." env:"GANGLION_NATS_TLS_CERT" placeholder:"FILE"`
	NATSTLSKey  string `name:"nats-tls-key" help:"PEM file of its key." env:"GANGLION_NATS_TLS_KEY" placeholder:"FILE"`

	NATSClusterAddr string `name:"nats-cluster-addr" help:"Address on which the embedded NATS server listens for those of other nodes. Default: it has no cluster." env:"GANGLION_NATS_CLUSTER_ADDR" placeholder:"HOST:PORT"`
	NATSRoutes      string `name:"nats-routes" help:"Comma-separated cluster addresses of the other nodes, or of all." env:"GANGLION_NATS_ROUTES" placeholder:"HOST:PORT,..."`
	NATSSecretFile  string `name:"nats-secret-file" help:"File with the secret that embedded servers show each other, and that clients give as their token." env:"GANGLION_NATS_SECRET_FILE" placeholder:"FILE"`
	NATSClientAddr  string `name:"nats-client-addr" help:"Address on which the embedded NATS server listens for clients. Default: none but this process." env:"GANGLION_NATS_CLIENT_ADDR" placeholder:"HOST:PORT"`

	MongoURI      string `name:"mongo-uri" help:"Connection string of a MongoDB replica set. Default: the store is JetStream." env:"GANGLION_MONGO_URI" placeholder:"URI"`
	MongoURIFile  string `name:"mongo-uri-file" help:"File with what --mongo-uri would say, if there is a password in it." env:"GANGLION_MONGO_URI_FILE" placeholder:"FILE"`
	MongoDatabase string `name:"mongo-database" help:"Database in it." default:"ganglion" env:"GANGLION_MONGO_DATABASE"`

	HTTPAddr       string `name:"http-addr" help:"Address of the HTTP API, which authenticates nobody." default:"127.0.0.1:8080" env:"GANGLION_HTTP_ADDR"`
	AdminAddr      string `name:"admin-addr" help:"Address of health, metrics, profiles and operation: host:port, or unix:PATH. One that other machines reach needs --admin-token-file." default:"127.0.0.1:8081" env:"GANGLION_ADMIN_ADDR"`
	AdminTokenFile string `name:"admin-token-file" help:"File with the token that the admin server asks for, but for /livez and /readyz." env:"GANGLION_ADMIN_TOKEN_FILE" placeholder:"FILE"`
	AllowedHosts   string `name:"allowed-hosts" help:"Comma-separated host names under which the HTTP servers are addressed, besides localhost and IP addresses; *.NAME is all names below NAME." env:"GANGLION_ALLOWED_HOSTS" placeholder:"NAME,..."`

	Partitions string `help:"Partitions of the keyspace: a power of two, fixed when the cluster is created. Default: 128, or what the cluster has." env:"GANGLION_PARTITIONS" placeholder:"P"`
	Replicas   string `help:"Replicas of the JetStream streams, 1 to 5. Default: 3 with --nats-cluster-addr, else 1." env:"GANGLION_REPLICAS" placeholder:"N"`
	Lease      string `help:"Time for which one renewal lets a node answer, at least 200ms." default:"3s" env:"GANGLION_LEASE"`
	Linger     string `help:"Time for which a node that ends goes on answering after /readyz has said so, if there are others: more than the interval of what asks it." default:"1s" env:"GANGLION_LINGER"`
	CutAfter   string `name:"nats-cut-after" help:"Time without a connection to NATS after which a node with MongoDB says that it is cut, and connected nodes get its partitions, at least 1s." default:"15s" env:"GANGLION_NATS_CUT_AFTER"`
	Answers    string `help:"What lets a node answer: lease (its own clock) or verified (the store's word each time, slower)." default:"lease" env:"GANGLION_ANSWERS"`

	SchemaCheck string `name:"schema-check" help:"What a start does that finds stored events which this build cannot read, or timers and messages whose commands it does not declare: refuse, warn or off." default:"refuse" env:"GANGLION_SCHEMA_CHECK"`

	LogLevel  string `name:"log-level" help:"debug, info, warn or error." default:"info" env:"GANGLION_LOG_LEVEL"`
	LogFormat string `name:"log-format" help:"text or json." default:"text" env:"GANGLION_LOG_FORMAT"`

	// Limits tunes the runtime, for programs that open a node themselves. Name,
	// Address, Build, Lease, Answers, Outbox, Schedules, Logger and Listener in it are of no effect: they come
	// from the fields above.
	Limits runtime.Config `kong:"-"`

	// Schedules are commands that the cluster sends again and again, see actor.Repeat:
	// the same on all nodes.
	Schedules []actor.Schedule `kong:"-"`

	// Dial opens every connection to NATS and MongoDB, for programs with a network
	// of their own. Default: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error) `kong:"-"`

	// ClusterTimeout is how long a node whose embedded NATS server is in a cluster
	// waits at its start for a majority of the servers, for programs that open a node
	// themselves. Default: 2 minutes.
	ClusterTimeout time.Duration `kong:"-"`

	// NoRelay keeps what is committed in the store while partition 0 is at this node:
	// no events in the event stream, no timers, nothing that handlers send, hence no
	// sagas, policies and projections, until a node without it has the partition. It
	// is for programs that measure, or that follow the store's feed themselves.
	NoRelay bool `kong:"-"`

	// Projections are the read models that the node runs beside its definitions. The
	// sagas and policies among the definitions need no mention.
	Projections []*projection.Projection `kong:"-"`

	// FromNow names the kinds of sagas and policies that, when they run for the first
	// time, begin with what happens from then on. The others take in all of history.
	FromNow []actor.Kind `kong:"-"`

	Logger *slog.Logger `kong:"-"` // default: to standard error, by LogLevel and LogFormat
}

// settings is a Config that was found good.
type settings struct {
	Config
	partitions actor.Partitions
	replicas   int
	lease      time.Duration
	linger     time.Duration
	cutAfter   time.Duration
	answers    runtime.Answers
	logLevel   slog.Level
	routes     []*url.URL // of the embedded server
	others     int        // nodes that they lead to
	secret     string     // of the embedded servers; empty: none
	adminToken string     // empty: none is asked for
	hosts      guard.Hosts
	hide       redact.Set
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

// check returns the settings, or all faults at once, each wrapping [ErrConfig].
func (c Config) check() (settings, error) {
	s := settings{Config: c}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format+": %w", append(args, ErrConfig)...))
	}
	s.readSecrets(fault)
	s.defaults()
	s.checkNumbers(fault)
	s.checkNames(fault)
	s.checkConnections(fault)
	s.checkNATS(fault)
	s.checkSchemaCheck(fault)
	s.checkLog(fault)
	s.hideSecrets()
	return s, s.hide.Error(errors.Join(faults...))
}

// defaultClusterTimeout is the default of Config.ClusterTimeout.
const defaultClusterTimeout = 2 * time.Minute

func (s *settings) defaults() {
	replicas := "1"
	if s.clustered() {
		replicas = "3"
	}
	if s.ClusterTimeout == 0 {
		s.ClusterTimeout = defaultClusterTimeout
	}
	for v, value := range map[*string]string{
		&s.Namespace: "ganglion", &s.DataDir: "ganglion-data", &s.MongoDatabase: "ganglion",
		&s.HTTPAddr: "127.0.0.1:8080", &s.AdminAddr: "127.0.0.1:8081", &s.Replicas: replicas, &s.Lease: "3s", &s.Linger: "1s", &s.CutAfter: "15s", &s.Answers: "lease",
		&s.SchemaCheck: schemaRefuse,
		&s.LogLevel:    "info", &s.LogFormat: "text",
	} {
		if *v == "" {
			*v = value
		}
	}
}

type faultFunc func(format string, args ...any)

func (s *settings) checkNumbers(fault faultFunc) {
	if s.Partitions != "" {
		n, err := strconv.ParseUint(s.Partitions, 10, 32)
		s.partitions = actor.Partitions(n)
		if err != nil || !s.partitions.Valid() {
			fault("--partitions=%s: a power of two from 1 to %d is required", s.Partitions, actor.MaxPartitions)
		}
	}
	n, err := strconv.Atoi(s.Replicas)
	if s.replicas = n; err != nil || n < 1 || n > 5 {
		fault("--replicas=%s: 1 to 5 is required", s.Replicas)
	}
	s.lease, err = time.ParseDuration(s.Lease)
	if err != nil || s.lease < 200*time.Millisecond || s.lease > 10*time.Minute {
		fault("--lease=%s: a duration from 200ms to 10m is required", s.Lease)
	}
	s.linger, err = time.ParseDuration(s.Linger)
	if err != nil || s.linger < 0 || s.linger > handOverTimeout {
		fault("--linger=%s: a duration from 0s to %v is required", s.Linger, handOverTimeout)
	}
	s.cutAfter, err = time.ParseDuration(s.CutAfter)
	if err != nil || s.cutAfter < time.Second || s.cutAfter > time.Hour {
		fault("--nats-cut-after=%s: a duration from 1s to 1h is required", s.CutAfter)
	}
	switch s.Answers {
	case "lease":
		s.answers = runtime.AnswersByLease
	case "verified":
		s.answers = runtime.AnswersVerified
	default:
		fault("--answers=%s: lease or verified is required", s.Answers)
	}
}

// The values of Config.SchemaCheck.
const (
	schemaRefuse = "refuse"
	schemaWarn   = "warn"
	schemaOff    = "off"
)

func (s *settings) checkSchemaCheck(fault faultFunc) {
	switch s.SchemaCheck {
	case schemaRefuse, schemaWarn, schemaOff:
	default:
		fault("--schema-check=%s: refuse, warn or off is required", s.SchemaCheck)
	}
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

func (s *settings) checkNames(fault faultFunc) {
	if s.Name != "" && !namePattern.MatchString(s.Name) {
		fault("--name=%q: 1 to 64 letters, digits, '-' and '_' are allowed", s.Name)
	}
	if !namePattern.MatchString(s.Namespace) {
		fault("--namespace=%q: 1 to 64 letters, digits, '-' and '_' are allowed", s.Namespace)
	}
}

func (s *settings) checkConnections(fault faultFunc) {
	for flag, addr := range map[string]string{
		"http-addr": s.HTTPAddr, "admin-addr": s.AdminAddr, "nats-cluster-addr": s.NATSClusterAddr, "nats-client-addr": s.NATSClientAddr,
	} {
		if addr != "" && (flag != "admin-addr" || s.adminSocket() == "") {
			checkAddress(fault, flag, addr)
		}
	}
	if s.HTTPAddr == s.AdminAddr && !strings.HasSuffix(s.HTTPAddr, ":0") {
		fault("--http-addr and --admin-addr are both %s", s.HTTPAddr)
	}
	s.checkDoors(fault)
	if !s.embeddedStore() && s.MongoURI != unknownSecret && !strings.HasPrefix(s.MongoURI, "mongodb://") && !strings.HasPrefix(s.MongoURI, "mongodb+srv://") {
		fault("--mongo-uri: mongodb:// or mongodb+srv:// is required")
	}
}

func checkAddress(fault faultFunc, flag, addr string) {
	if _, port, err := net.SplitHostPort(addr); err != nil {
		fault("--%s=%q: host:port is required", flag, addr)
	} else if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		fault("--%s=%q: the port is not a number from 0 to 65535", flag, addr)
	}
}

func (s *settings) checkLog(fault faultFunc) {
	if err := s.logLevel.UnmarshalText([]byte(s.LogLevel)); err != nil {
		fault("--log-level=%s: debug, info, warn or error is required", s.LogLevel)
	}
	switch {
	case s.LogFormat != "text" && s.LogFormat != "json":
		fault("--log-format=%s: text or json is required", s.LogFormat)
	case s.Logger != nil:
	case s.LogFormat == "json":
		s.Logger = slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: s.logLevel}))
	default:
		s.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: s.logLevel}))
	}
}
