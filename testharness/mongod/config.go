package mongod

import (
	"errors"
	"fmt"
	"time"
)

const (
	// DefaultName is the replica set's name where [Config.Name] is empty.
	DefaultName = "rs0"

	defaultElectionTimeout = 2 * time.Second
	defaultCacheMB         = 256
	maxMembers             = 7 // as many as MongoDB lets vote
)

// Config says how [StartReplicaSet] runs a replica set. The zero value is one
// member in a temporary directory, from the binary that [Find] gives.
type Config struct {
	// Members is how many members to run, at most 7 and an odd number. 0 means 1.
	Members int

	// Dir holds data and logs. Empty means a temporary directory that Close
	// removes. With a Dir of one's own and fixed Ports, a set that was closed
	// starts again with its data.
	Dir string

	// Binary is the mongod to run. Empty means [Find] without progress.
	Binary string

	// Ports gives every member a fixed port of 127.0.0.1. Empty means free ones.
	// It cannot be combined with Proxied.
	Ports []int

	// Name is the name of the replica set. Empty means [DefaultName].
	Name string

	// ElectionTimeout is how long members wait for a primary before they elect
	// another, in whole milliseconds. 0 means 2 s.
	ElectionTimeout time.Duration

	// CacheMB is WiredTiger's cache a member in MiB, at least 256. 0 means 256.
	CacheMB int

	// Parameters are passed on as --setParameter name=value, for example
	// enableTestCommands=1 for fail points.
	Parameters map[string]string

	// Proxied puts a [netproxy.Proxy] in front of every member and lets the set
	// know its members under the proxies' addresses only, so that a cut
	// separates a member from clients and from the other members alike.
	Proxied bool
}

func (c Config) withDefaults() Config {
	if c.Members == 0 {
		c.Members = 1
	}
	if c.Name == "" {
		c.Name = DefaultName
	}
	if c.ElectionTimeout == 0 {
		c.ElectionTimeout = defaultElectionTimeout
	}
	if c.CacheMB == 0 {
		c.CacheMB = defaultCacheMB
	}
	return c
}

// validate checks a Config that has its defaults.
func (c Config) validate() error {
	var errs []error
	if c.Members < 1 || c.Members > maxMembers || c.Members%2 == 0 {
		errs = append(errs, fmt.Errorf("mongod: Config.Members is %d, want an odd number up to %d", c.Members, maxMembers))
	}
	if len(c.Ports) != 0 && len(c.Ports) != c.Members {
		errs = append(errs, fmt.Errorf("mongod: Config.Ports holds %d ports for %d members", len(c.Ports), c.Members))
	}
	if len(c.Ports) != 0 && c.Proxied {
		errs = append(errs, errors.New("mongod: Config.Ports and Config.Proxied exclude each other"))
	}
	if c.ElectionTimeout < time.Millisecond {
		errs = append(errs, fmt.Errorf("mongod: Config.ElectionTimeout is %v, want at least 1ms", c.ElectionTimeout))
	}
	if c.CacheMB < defaultCacheMB {
		errs = append(errs, fmt.Errorf("mongod: Config.CacheMB is %d, want at least %d", c.CacheMB, defaultCacheMB))
	}
	return errors.Join(errs...)
}
