package load

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Config says what load to make.
type Config struct {
	URLs           []string      // of nodes, without a path; at least one
	Users          int           // at least 2: one buys, one sells
	Books          int           // at least 1
	Clients        int           // transactions at the same time, at least 1
	Rate           float64       // transactions per second; 0: as fast as the clients can
	Duration       time.Duration // in which transactions are started
	CancelShare    float64       // of the transactions, 0 to 1
	Lane           string        // durable or direct
	Seed           uint64        // of the random choices
	PasswordHash   string        // of the users that are seeded
	RequestTimeout time.Duration // of one attempt
	ResolveWithin  time.Duration // for all attempts of one command together
	SettleWithin   time.Duration // for which nothing may move after the run before everything is at rest
	Watch          Watch         // of commands; the zero value: nobody watches
}

// Lanes.
const (
	LaneDurable = "durable"
	LaneDirect  = "direct"
)

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	if len(c.URLs) == 0 {
		errs = append(errs, errors.New("no url: want that of a node"))
	}
	for _, base := range c.URLs {
		if u, err := url.Parse(base); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" {
			errs = append(errs, fmt.Errorf("url %q: want http://host:port", base))
		}
	}
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Users >= 2, "users %d: want at least 2", c.Users)
	check(c.Books >= 1, "books %d: want at least 1", c.Books)
	check(c.Clients >= 1, "clients %d: want at least 1", c.Clients)
	check(c.Rate >= 0, "rate %v: want 0 or more", c.Rate)
	check(c.Duration > 0, "duration %v: want more than 0", c.Duration)
	check(c.CancelShare >= 0 && c.CancelShare <= 1, "cancel share %v: want 0 to 1", c.CancelShare)
	check(c.Lane == LaneDurable || c.Lane == LaneDirect, "lane %q: want durable or direct", c.Lane)
	check(c.RequestTimeout > 0, "request timeout %v: want more than 0", c.RequestTimeout)
	check(c.SettleWithin > 0, "time to settle %v: want more than 0", c.SettleWithin)
	check(c.ResolveWithin > 0, "time to resolve %v: want more than 0", c.ResolveWithin)
	return errors.Join(errs...)
}
