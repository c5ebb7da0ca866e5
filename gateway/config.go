package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Defaults of [Config].
const (
	DefaultMaxBodyBytes = 1 << 20
	DefaultTimeout      = 10 * time.Second
	DefaultMaxTimeout   = 60 * time.Second
	DefaultBodyTimeout  = 10 * time.Second
	DefaultMaxStreams   = 1024
)

// Config tunes a [Gateway]. The zero value means the defaults.
type Config struct {
	MaxBodyBytes   int64         // of a request; default 1 MiB
	DefaultTimeout time.Duration // of a request that names none; default 10 s
	MaxTimeout     time.Duration // that a request may name; default 60 s
	BodyTimeout    time.Duration // for a body to arrive, however long its request may take; default 10 s
	MaxStreams     int           // open event streams; default 1024

	// Authenticate finds out who sends a request, before anything else is looked at. Nil:
	// nobody is asked, and requests have no principal.
	Authenticate Authenticator
	// Authorize decides whether a principal may do what a request asks for. Nil: all
	// who are authenticated may do everything.
	Authorize Authorizer
	// PublicDescription has /openapi.json read by everybody. Otherwise it takes the same
	// credentials as all endpoints, and the right to [ActionDescription].
	PublicDescription bool

	// WholeEvents has the data of all events shown, whatever their kinds hide
	// ([actor.Behavior.Shown]): for a server that operators alone reach.
	WholeEvents bool

	// History serves events, lists, local reads and those of the past. Nil: those routes do not exist.
	History History
	// Views serves /v1/views. Nil: those routes do not exist.
	Views Views
	// Cluster serves /v1/cluster. Nil: the route does not exist.
	Cluster Cluster

	// Knows reports whether some live node of the cluster has aggregates of a kind
	// that this gateway has no definition of: one of a newer build, while a cluster
	// is upgraded. Requests for such a kind are passed on, and checked by the
	// aggregate's owner. That nobody has the kind must be true of a moment after
	// the call. Nil: nobody has.
	Knows func(ctx context.Context, kind actor.Kind) (bool, error)

	// ExposeInternal offers what is the application's own ([actor.Internal]), and
	// describes it: for development and tests. The owners must be told as well.
	ExposeInternal bool

	// Now tells the time that commands and ids are stamped with. Nothing is waited for by
	// it. Default [time.Now].
	Now func() time.Time

	Logger   *slog.Logger // default: none
	Listener EventListener
}

// withDefaults returns c with its zero values filled in, and all its faults.
func (c Config) withDefaults() (Config, error) {
	var faults []error
	if c.MaxBodyBytes < 0 {
		faults = append(faults, fmt.Errorf("MaxBodyBytes %d is negative", c.MaxBodyBytes))
	}
	if c.MaxStreams < 0 {
		faults = append(faults, fmt.Errorf("MaxStreams %d is negative", c.MaxStreams))
	}
	if c.DefaultTimeout < 0 {
		faults = append(faults, fmt.Errorf("DefaultTimeout %v is negative", c.DefaultTimeout))
	}
	if c.MaxTimeout < 0 {
		faults = append(faults, fmt.Errorf("MaxTimeout %v is negative", c.MaxTimeout))
	}
	faults = append(faults, c.checkSchemes()...)
	if c.BodyTimeout < 0 {
		faults = append(faults, fmt.Errorf("BodyTimeout %v is negative", c.BodyTimeout))
	}
	orDefault(&c.BodyTimeout, DefaultBodyTimeout)
	orDefault(&c.MaxBodyBytes, DefaultMaxBodyBytes)
	orDefault(&c.MaxStreams, DefaultMaxStreams)
	orDefault(&c.MaxTimeout, max(DefaultMaxTimeout, c.DefaultTimeout))
	orDefault(&c.DefaultTimeout, min(DefaultTimeout, c.MaxTimeout))
	if c.MaxTimeout > 0 && c.DefaultTimeout > c.MaxTimeout {
		faults = append(faults, fmt.Errorf("DefaultTimeout %v is above MaxTimeout %v", c.DefaultTimeout, c.MaxTimeout))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(faults...)
}

var schemeName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// checkSchemes finds authenticators that cannot say what they take.
func (c *Config) checkSchemes() (faults []error) {
	if c.Authenticate == nil {
		return nil
	}
	schemes := c.Authenticate.Schemes()
	if len(schemes) == 0 {
		faults = append(faults, errors.New("Authenticate has no scheme"))
	}
	for _, s := range schemes {
		if !schemeName.MatchString(s.Name) || s.Challenge == "" || len(s.OpenAPI) == 0 {
			faults = append(faults, fmt.Errorf("the scheme %q of Authenticate has no proper name, no challenge or no description", s.Name))
		}
	}
	return faults
}

func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}
