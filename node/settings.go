package node

import (
	"cmp"
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
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/gateway/jwtauth"
	"github.com/ganglion-go/ganglion/node/internal/guard"
	"github.com/ganglion-go/ganglion/node/internal/redact"
	"github.com/ganglion-go/ganglion/runtime"
)

// settings is a Config that was found good, with its defaults filled in.
type settings struct {
	Config
	name       func(field string) string // of a field, in faults
	typed      map[string]typed          // by field: what was given as text
	routes     []*url.URL                // of the embedded server
	others     int                       // nodes that they lead to
	secret     string                    // of the embedded servers; empty: none
	adminToken string                    // empty: none is asked for
	hosts      guard.Hosts

	authenticator gateway.Authenticator  // of the HTTP API; nil: nobody is asked
	tokens        *jwtauth.Authenticator // of it; nil: it takes none
	httpTLS       *httpIdentities        // nil: it is not encrypted

	hide redact.Set
}

// fieldName is the name of a field of a Config that was made in Go.
func fieldName(field string) string { return "Config." + field }

// check returns the settings, or all faults at once, each wrapping [ErrConfig].
func (c Config) check() (settings, error) {
	s := settings{Config: c, name: fieldName}
	return s.checked()
}

// say puts names in the place of fields in a text: ${Lease} is --lease, or Config.Lease.
func (s *settings) say(text string) string { return os.Expand(text, s.name) }

// value returns a field as it was given.
func (s *settings) value(field string, value any) string {
	if t, ok := s.typed[field]; ok {
		return t.text
	}
	return fmt.Sprint(value)
}

// faultFunc notes a fault. The format has fields as [settings.say] takes them.
type faultFunc func(format string, args ...any)

func (s *settings) checked() (settings, error) {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(s.say(format)+": %w", append(args, ErrConfig)...))
	}
	s.readSecrets(fault)
	s.defaults()
	s.checkNumbers(fault)
	s.checkNames(fault)
	s.checkConnections(fault)
	s.checkNATS(fault)
	s.checkSchemaCheck(fault)
	s.checkLog(fault)
	s.checkRights(fault)
	s.hideSecrets()
	return *s, s.hide.Error(errors.Join(faults...))
}

// defaultClusterTimeout is the default of Config.ClusterTimeout.
const defaultClusterTimeout = 2 * time.Minute

func (s *settings) defaults() {
	for to, text := range map[*string]string{
		&s.Namespace: "ganglion", &s.DataDir: "ganglion-data", &s.MongoDatabase: "ganglion",
		&s.HTTPAddr: "127.0.0.1:8080", &s.AdminAddr: "127.0.0.1:8081",
	} {
		*to = cmp.Or(*to, text)
	}
	for to, d := range map[*time.Duration]time.Duration{
		&s.Lease: 3 * time.Second, &s.Linger: time.Second, &s.CutAfter: 15 * time.Second, &s.ClusterTimeout: defaultClusterTimeout, &s.SetupTimeout: defaultSetupTimeout,
	} {
		*to = cmp.Or(*to, d)
	}
	s.Linger = max(s.Linger, 0)
	replicas := 1
	if s.clustered() {
		replicas = 3
	}
	s.Replicas = cmp.Or(s.Replicas, replicas)
	s.SchemaCheck = cmp.Or(s.SchemaCheck, SchemaCheckRefuse)
	s.LogFormat = cmp.Or(s.LogFormat, LogText)
}

func (s *settings) checkNumbers(fault faultFunc) {
	if s.typed["Partitions"].bad || s.Partitions != 0 && !s.Partitions.Valid() {
		fault("${Partitions}=%s: a power of two from 1 to %d is required", s.value("Partitions", s.Partitions), actor.MaxPartitions)
	}
	if s.typed["Replicas"].bad || s.Replicas < 1 || s.Replicas > 5 {
		fault("${Replicas}=%s: 1 to 5 is required", s.value("Replicas", s.Replicas))
	}
	if s.typed["Lease"].bad || s.Lease < 200*time.Millisecond || s.Lease > 10*time.Minute {
		fault("${Lease}=%s: a duration from 200ms to 10m is required", s.value("Lease", s.Lease))
	}
	if s.typed["Linger"].bad || s.Linger > handOverTimeout {
		fault("${Linger}=%s: a duration from 0s to %v is required", s.value("Linger", s.Linger), handOverTimeout)
	}
	if s.typed["CutAfter"].bad || s.CutAfter < time.Second || s.CutAfter > time.Hour {
		fault("${CutAfter}=%s: a duration from 1s to 1h is required", s.value("CutAfter", s.CutAfter))
	}
	if s.typed["Answers"].bad || s.Answers > runtime.AnswersVerified {
		fault("${Answers}=%s: lease or verified is required", s.value("Answers", s.Answers))
	}
	if s.ClusterTimeout < 0 {
		fault("${ClusterTimeout}=%v: it is negative", s.ClusterTimeout)
	}
	if s.SetupTimeout < 0 {
		fault("${SetupTimeout}=%v: it is negative", s.SetupTimeout)
	}
}

func (s *settings) checkSchemaCheck(fault faultFunc) {
	switch s.SchemaCheck {
	case SchemaCheckRefuse, SchemaCheckWarn, SchemaCheckOff:
	default:
		fault("${SchemaCheck}=%s: refuse, warn or off is required", s.SchemaCheck)
	}
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

func (s *settings) checkNames(fault faultFunc) {
	if s.Name != "" && !namePattern.MatchString(s.Name) {
		fault("${Name}=%q: 1 to 64 letters, digits, '-' and '_' are allowed", s.Name)
	}
	if !namePattern.MatchString(s.Namespace) {
		fault("${Namespace}=%q: 1 to 64 letters, digits, '-' and '_' are allowed", s.Namespace)
	}
}

func (s *settings) checkConnections(fault faultFunc) {
	for field, addr := range map[string]string{
		"HTTPAddr": s.HTTPAddr, "AdminAddr": s.AdminAddr, "NATSClusterAddr": s.NATSClusterAddr, "NATSClientAddr": s.NATSClientAddr,
	} {
		if addr != "" && (field != "AdminAddr" || s.adminSocket() == "") {
			checkAddress(fault, field, addr)
		}
	}
	if s.HTTPAddr == s.AdminAddr && !strings.HasSuffix(s.HTTPAddr, ":0") {
		fault("${HTTPAddr} and ${AdminAddr} are both %s", s.HTTPAddr)
	}
	s.checkDoors(fault)
	if !s.embeddedStore() && s.MongoURI != unknownSecret && !strings.HasPrefix(s.MongoURI, "mongodb://") && !strings.HasPrefix(s.MongoURI, "mongodb+srv://") {
		fault("${MongoURI}: mongodb:// or mongodb+srv:// is required")
	}
}

func checkAddress(fault faultFunc, field, addr string) {
	if _, port, err := net.SplitHostPort(addr); err != nil {
		fault("${"+field+"}=%q: host:port is required", addr)
	} else if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		fault("${"+field+"}=%q: the port is not a number from 0 to 65535", addr)
	}
}

func (s *settings) checkLog(fault faultFunc) {
	if s.typed["ExposeInternal"].bad {
		fault("${ExposeInternal}=%s: true or false is required", s.value("ExposeInternal", s.ExposeInternal))
	}
	if s.typed["DashboardCommands"].bad {
		fault("${DashboardCommands}=%s: true or false is required", s.value("DashboardCommands", s.DashboardCommands))
	}
	if s.typed["LogLevel"].bad {
		fault("${LogLevel}=%s: debug, info, warn or error is required", s.value("LogLevel", s.LogLevel))
	}
	switch {
	case s.LogFormat != LogText && s.LogFormat != LogJSON:
		fault("${LogFormat}=%s: text or json is required", s.LogFormat)
	case s.Logger != nil:
	case s.LogFormat == LogJSON:
		s.Logger = slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: s.LogLevel}))
	default:
		s.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: s.LogLevel}))
	}
}
