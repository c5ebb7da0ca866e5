package mongo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
)

const (
	// DefaultDatabase is the database that a zero [Config] names.
	DefaultDatabase = "ganglion"

	defaultTimeout          = 10 * time.Second
	defaultFollowTimeout    = 60 * time.Second
	defaultSelectionTimeout = 5 * time.Second
	defaultPoolSize         = 64
)

// Config tunes a [Store]. The zero value is the documented default.
type Config struct {
	// Database holds all collections. Empty: "ganglion".
	Database string

	// WriteTimeout bounds a write whose context allows it more time. During a
	// fail-over the driver tries writes again until then. 0: 10 s.
	WriteTimeout time.Duration

	// ReadTimeout bounds each read, and each batch of a read that streams, if the
	// context allows it more time. 0: 10 s.
	ReadTimeout time.Duration

	// FollowTimeout is how long [Store.Follow] tries to reach the server again
	// before it gives up. 0: 60 s.
	FollowTimeout time.Duration

	// ServerSelectionTimeout is how long an operation waits for a primary before
	// it fails. [Open] uses it, a client given to [New] has its own. A value in
	// the URI goes first. 0: 5 s.
	ServerSelectionTimeout time.Duration

	// MaxPoolSize limits the connections to each server. [Open] uses it, a client
	// given to [New] has its own. A value in the URI goes first. 0: 64.
	MaxPoolSize uint64

	// Dial opens every connection. [Open] uses it, a client given to [New] has its
	// own. nil: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Logger gets what the feed survives. nil: nothing is logged.
	Logger *slog.Logger

	direct bool // the connection string has directConnection=true
}

func (c Config) withDefaults() Config {
	if c.Database == "" {
		c.Database = DefaultDatabase
	}
	for _, d := range []struct {
		value *time.Duration
		to    time.Duration
	}{
		{&c.WriteTimeout, defaultTimeout},
		{&c.ReadTimeout, defaultTimeout},
		{&c.FollowTimeout, defaultFollowTimeout},
		{&c.ServerSelectionTimeout, defaultSelectionTimeout},
	} {
		if *d.value == 0 {
			*d.value = d.to
		}
	}
	if c.MaxPoolSize == 0 {
		c.MaxPoolSize = defaultPoolSize
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate checks a Config that has its defaults.
func (c Config) validate() error {
	const most = 63 // bytes of a database name
	var errs []error
	if len(c.Database) > most || strings.ContainsAny(c.Database, "/\\. \"$*<>:|?\x00") {
		errs = append(errs, fmt.Errorf("mongo: Config.Database %q is not a database name", c.Database))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"WriteTimeout", c.WriteTimeout},
		{"ReadTimeout", c.ReadTimeout},
		{"FollowTimeout", c.FollowTimeout},
		{"ServerSelectionTimeout", c.ServerSelectionTimeout},
	} {
		if d.value < time.Millisecond {
			errs = append(errs, fmt.Errorf("mongo: Config.%s is %v, want at least 1ms", d.name, d.value))
		}
	}
	return errors.Join(errs...)
}

// dialFunc is a function as the driver's dialer.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// DialContext calls the function.
func (f dialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}
