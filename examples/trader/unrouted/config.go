package unrouted

import (
	"errors"
	"fmt"
	"time"
)

// Config tunes a [Server]. The zero value of a field is the default that its
// comment names.
type Config struct {
	Attempts   int           // saves that one command may try, the first one included: 10
	Backoff    time.Duration // bound of the random pause after the first conflict, doubled by each further one: 5 ms
	BackoffMax time.Duration // where that doubling ends: 250 ms
	Timeout    time.Duration // of a request: 10 s

	Cache     bool          // keep accounts in memory
	CacheSize int           // accounts: 100,000
	CacheTTL  time.Duration // how long one is used before it is loaded again: 1 s

	TakeTurns bool // one request at a time changes an aggregate, within the server
}

func (c Config) withDefaults() (Config, error) {
	orDefault(&c.Attempts, 10)
	orDefault(&c.Backoff, 5*time.Millisecond)
	orDefault(&c.BackoffMax, 250*time.Millisecond)
	orDefault(&c.Timeout, 10*time.Second)
	orDefault(&c.CacheSize, 100_000)
	orDefault(&c.CacheTTL, time.Second)
	var faults []error
	for name, v := range map[string]int64{
		"attempts": int64(c.Attempts), "backoff": int64(c.Backoff), "backoff max": int64(c.BackoffMax),
		"timeout": int64(c.Timeout), "cache size": int64(c.CacheSize), "cache ttl": int64(c.CacheTTL),
	} {
		if v < 0 {
			faults = append(faults, fmt.Errorf("unrouted: %s is negative", name))
		}
	}
	return c, errors.Join(faults...)
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
