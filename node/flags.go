package node

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
)

// flags is what of a [Config] the command line and the environment can say. All of it is
// text, so that all faults can be reported at once; empty text says nothing.
type flags struct {
	Name      string `help:"Unique name of the node. Default: made once and kept in the data folder." env:"GANGLION_NAME" placeholder:"NAME"`
	Namespace string `help:"Prefix of streams and subjects; clusters in one NATS system differ in it." default:"${ganglion_namespace}" env:"GANGLION_NAMESPACE"`
	Build     string `help:"Version of the binary, told to the other nodes. Default: from its build information." env:"GANGLION_BUILD" placeholder:"VERSION"`
	DataDir   string `help:"Folder of the embedded NATS server and store." default:"${ganglion_data_dir}" env:"GANGLION_DATA_DIR"`

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
	MongoDatabase string `name:"mongo-database" help:"Database in it." default:"${ganglion_mongo_database}" env:"GANGLION_MONGO_DATABASE"`

	HTTPAddr       string `name:"http-addr" help:"Address of the HTTP API. It authenticates nobody unless one of --jwt-issuer and --http-tls-client-ca is given." default:"${ganglion_http_addr}" env:"GANGLION_HTTP_ADDR"`
	AdminAddr      string `name:"admin-addr" help:"Address of health, metrics, profiles and operation: host:port, or unix:PATH. One that other machines reach needs --admin-token-file." default:"${ganglion_admin_addr}" env:"GANGLION_ADMIN_ADDR"`
	AdminTokenFile string `name:"admin-token-file" help:"File with the token that the admin server asks for, but for /livez and /readyz." env:"GANGLION_ADMIN_TOKEN_FILE" placeholder:"FILE"`
	AllowedHosts   string `name:"allowed-hosts" help:"Comma-separated host names under which the HTTP servers are addressed, besides localhost and IP addresses; *.NAME is all names below NAME." env:"GANGLION_ALLOWED_HOSTS" placeholder:"NAME,..."`

	HTTPTLSCert     string `name:"http-tls-cert" help:"PEM file of the certificate of the HTTP API. Default: it is not encrypted." env:"GANGLION_HTTP_TLS_CERT" placeholder:"FILE"`
	HTTPTLSKey      string `name:"http-tls-key" help:"PEM file of its key." env:"GANGLION_HTTP_TLS_KEY" placeholder:"FILE"`
	HTTPTLSClientCA string `name:"http-tls-client-ca" help:"PEM file of the authority whose certificates authenticate clients of the HTTP API." env:"GANGLION_HTTP_TLS_CLIENT_CA" placeholder:"FILE"`

	JWTIssuer         string `name:"jwt-issuer" help:"Issuer of the signed tokens that authenticate clients of the HTTP API." env:"GANGLION_JWT_ISSUER" placeholder:"ISSUER"`
	JWTAudience       string `name:"jwt-audience" help:"Comma-separated audiences, of which a token must name one." env:"GANGLION_JWT_AUDIENCE" placeholder:"NAME,..."`
	JWTKeySet         string `name:"jwt-jwks" help:"JWKS with the keys of the issuer: a file or an https URL." env:"GANGLION_JWT_JWKS" placeholder:"FILE|URL"`
	JWTPrincipalClaim string `name:"jwt-principal-claim" help:"Claim of a token that names the principal. Default: sub." env:"GANGLION_JWT_PRINCIPAL_CLAIM" placeholder:"CLAIM"`
	JWTSkew           string `name:"jwt-skew" help:"Time by which the clock of the issuer may differ. Default: 5s." env:"GANGLION_JWT_SKEW" placeholder:"DURATION"`

	ExposeInternal toggle `name:"expose-internal" help:"Let all callers have what definitions keep for the application itself (actor.Internal). For development and tests." env:"GANGLION_EXPOSE_INTERNAL"`

	DashboardCommands toggle `name:"dashboard-commands" help:"Let whoever may use the admin server send commands from its dashboard." env:"GANGLION_DASHBOARD_COMMANDS"`

	Partitions string `help:"Partitions of the keyspace: a power of two, fixed when the cluster is created. Default: 128, or what the cluster has." env:"GANGLION_PARTITIONS" placeholder:"P"`
	Replicas   string `help:"Replicas of the JetStream streams, 1 to 5. Default: 3 with --nats-cluster-addr, else 1." env:"GANGLION_REPLICAS" placeholder:"N"`
	Lease      string `help:"Time for which one renewal lets a node answer, at least 200ms." default:"${ganglion_lease}" env:"GANGLION_LEASE"`
	Linger     string `help:"Time for which a node that ends goes on answering after /readyz has said so, if there are others: more than the interval of what asks it." default:"${ganglion_linger}" env:"GANGLION_LINGER"`
	CutAfter   string `name:"nats-cut-after" help:"Time without a connection to NATS after which a node with MongoDB says that it is cut, and connected nodes get its partitions, at least 1s." default:"${ganglion_nats_cut_after}" env:"GANGLION_NATS_CUT_AFTER"`
	Answers    string `help:"What lets a node answer: lease (its own clock) or verified (the store's word each time, slower)." default:"${ganglion_answers}" env:"GANGLION_ANSWERS"`

	SchemaCheck string `name:"schema-check" help:"What a start does that finds stored events which this build cannot read, or timers and messages whose commands it does not declare: refuse, warn or off." default:"${ganglion_schema_check}" env:"GANGLION_SCHEMA_CHECK"`

	LogLevel  string `name:"log-level" help:"debug, info, warn or error." default:"${ganglion_log_level}" env:"GANGLION_LOG_LEVEL"`
	LogFormat string `name:"log-format" help:"text or json." default:"${ganglion_log_format}" env:"GANGLION_LOG_FORMAT"`
}

// toggle is a flag without a value, or with true or false; an empty text says nothing.
type toggle string

// IsBool says to kong that the flag needs no value.
func (*toggle) IsBool() bool { return true }

// Decode implements [kong.MapperValue].
func (t *toggle) Decode(ctx *kong.DecodeContext) error {
	*t = "true"
	if ctx.Scan.Peek().Type == kong.FlagValueToken {
		*t = toggle(fmt.Sprint(ctx.Scan.Pop().Value))
	}
	return nil
}

// envPrefix begins the name of every variable that a node reads.
const envPrefix = "GANGLION_"

// flagName returns the flag of a field of [Config], which its variable is named after, or
// the field if it has none.
func flagName(field string) string {
	f, ok := reflect.TypeFor[flags]().FieldByName(field)
	if !ok {
		return fieldName(field)
	}
	name := strings.TrimPrefix(f.Tag.Get("env"), envPrefix)
	return "--" + strings.ToLower(strings.ReplaceAll(name, "_", "-"))
}

// flagDefaults returns the defaults of flags, as variables of their tags: what base says,
// or else the documented ones.
func flagDefaults(base Config) kong.Vars {
	s := settings{Config: base}
	s.defaults()
	vars := kong.Vars{}
	for field, text := range map[string]string{
		"namespace": s.Namespace, "data_dir": s.DataDir, "mongo_database": s.MongoDatabase, "http_addr": s.HTTPAddr, "admin_addr": s.AdminAddr,
		"lease": s.Lease.String(), "linger": s.Linger.String(), "nats_cut_after": s.CutAfter.String(), "answers": answersText(s.Answers),
		"schema_check": string(s.SchemaCheck), "log_level": strings.ToLower(s.LogLevel.String()), "log_format": string(s.LogFormat),
	} {
		vars["ganglion_"+field] = text
	}
	return vars
}

// check returns the settings of base with what the flags say instead, or all faults at
// once, each wrapping [ErrConfig].
func (f *flags) check(base Config) (settings, error) {
	s := settings{Config: base, name: flagName, typed: map[string]typed{}}
	f.texts(&s)
	read(&s, "ExposeInternal", string(f.ExposeInternal), &s.ExposeInternal, strconv.ParseBool)
	read(&s, "DashboardCommands", string(f.DashboardCommands), &s.DashboardCommands, strconv.ParseBool)
	read(&s, "Partitions", f.Partitions, &s.Partitions, parsePartitions)
	read(&s, "Replicas", f.Replicas, &s.Replicas, parseCount)
	read(&s, "Lease", f.Lease, &s.Lease, parseDuration)
	read(&s, "Linger", f.Linger, &s.Linger, parseLinger)
	read(&s, "JWTSkew", f.JWTSkew, &s.JWTSkew, parseLinger)
	read(&s, "CutAfter", f.CutAfter, &s.CutAfter, parseDuration)
	read(&s, "Answers", f.Answers, &s.Answers, parseAnswers)
	read(&s, "LogLevel", f.LogLevel, &s.LogLevel, parseLevel)
	return s.checked()
}

// texts sets what stays text.
func (f *flags) texts(s *settings) {
	// Two that say the same thing: what is given here replaces both.
	if f.NATSURL+f.NATSURLFile != "" {
		s.NATSURL, s.NATSURLFile = "", ""
	}
	if f.MongoURI+f.MongoURIFile != "" {
		s.MongoURI, s.MongoURIFile = "", ""
	}
	for to, text := range map[*string]string{
		&s.Name: f.Name, &s.Namespace: f.Namespace, &s.Build: f.Build,
		&s.NATSURL: f.NATSURL, &s.NATSURLFile: f.NATSURLFile, &s.NATSCreds: f.NATSCreds,
		&s.NATSTLSCA: f.NATSTLSCA, &s.NATSTLSCert: f.NATSTLSCert, &s.NATSTLSKey: f.NATSTLSKey,
		&s.NATSClusterAddr: f.NATSClusterAddr, &s.NATSSecretFile: f.NATSSecretFile, &s.NATSClientAddr: f.NATSClientAddr,
		&s.MongoURI: f.MongoURI, &s.MongoURIFile: f.MongoURIFile, &s.MongoDatabase: f.MongoDatabase,
		&s.HTTPTLSCert: f.HTTPTLSCert, &s.HTTPTLSKey: f.HTTPTLSKey, &s.HTTPTLSClientCA: f.HTTPTLSClientCA,
		&s.JWTIssuer: f.JWTIssuer, &s.JWTKeySet: f.JWTKeySet, &s.JWTPrincipalClaim: f.JWTPrincipalClaim,
		&s.HTTPAddr: f.HTTPAddr, &s.AdminAddr: f.AdminAddr, &s.AdminTokenFile: f.AdminTokenFile,
		(*string)(&s.SchemaCheck): f.SchemaCheck, (*string)(&s.LogFormat): f.LogFormat,
	} {
		if text != "" {
			*to = text
		}
	}
	if f.DataDir != "" {
		s.DataDir = kong.ExpandPath(f.DataDir)
	}
	for to, text := range map[*[]string]string{&s.NATSRoutes: f.NATSRoutes, &s.AllowedHosts: f.AllowedHosts, &s.JWTAudience: f.JWTAudience} {
		if text != "" {
			*to = strings.Split(text, ",")
		}
	}
}

// typed is a value as somebody has typed it.
type typed struct {
	text string
	bad  bool // it means nothing that the field can have
}

// read takes in the text of a flag, if there is any. One that means nothing is reported
// with the other faults of the field.
func read[T any](s *settings, field, text string, to *T, parse func(string) (T, error)) {
	if text == "" {
		return
	}
	v, err := parse(text)
	if err == nil {
		*to = v
	}
	s.typed[field] = typed{text: text, bad: err != nil}
}

// errZero refuses a zero that was typed: in a [Config] it is the default.
var errZero = errors.New("zero")

func parsePartitions(text string) (actor.Partitions, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if n == 0 {
		err = errors.Join(err, errZero)
	}
	return actor.Partitions(n), err
}

func parseCount(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if n == 0 {
		err = errors.Join(err, errZero)
	}
	return n, err
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if d == 0 {
		err = errors.Join(err, errZero)
	}
	return d, err
}

// errNegative refuses a negative duration that was typed: in a [Config] it means none.
var errNegative = errors.New("negative")

func parseLinger(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case d < 0:
		err = errNegative
	case d == 0:
		d = -1
	}
	return d, err
}

func parseLevel(text string) (l slog.Level, err error) {
	err = l.UnmarshalText([]byte(text))
	return l, err
}

// The texts of the ways to answer.
const (
	answersLease    = "lease"
	answersVerified = "verified"
)

func parseAnswers(text string) (runtime.Answers, error) {
	switch text {
	case answersLease:
		return runtime.AnswersByLease, nil
	case answersVerified:
		return runtime.AnswersVerified, nil
	}
	return 0, fmt.Errorf("answers %q: %w", text, ErrConfig)
}

func answersText(a runtime.Answers) string {
	switch a {
	case runtime.AnswersByLease:
		return answersLease
	case runtime.AnswersVerified:
		return answersVerified
	}
	return strconv.Itoa(int(a))
}
