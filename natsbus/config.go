package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// DefaultNamespace is the namespace of a [Config] or [ClientConfig] without one.
const DefaultNamespace = "ganglion"

const (
	maxNamespaceBytes = 64
	maxReplicas       = 5
	maxWindow         = 65536
)

// Config tunes a [Bus]. The zero value is the documented default of every field.
type Config struct {
	// Namespace separates clusters on one NATS account: 1 to 64 letters, digits,
	// '-' and '_'. Default [DefaultNamespace].
	Namespace string

	// Partitions must be what the command stream has. 0 takes what the stream
	// has, or creates it with [actor.DefaultPartitions].
	Partitions actor.Partitions

	// Store is the identity of the store that the streams are to belong to
	// (Binding in package store). It is recorded in their metadata; streams that say nothing
	// adopt it, and those that name another one are refused with [ErrOtherStore].
	// Default: it is neither recorded nor looked at.
	Store string

	// StoreName says to people which store that is, without secrets.
	StoreName string

	// StorePartitions is the number of partitions that the store is divided into.
	// Streams with another one are refused, and not created. Default: not known.
	StorePartitions actor.Partitions

	// Replicas of the stream when it is created: 1 to 5. Default 1.
	Replicas int

	// MaxBytes of the stream when it is created. A full stream refuses commands
	// with [actor.CodeOverloaded]. Default 1 GiB.
	MaxBytes int64

	// Window is the number of commands a partition may have on the way to its
	// handler, 2 to 65536. Default 256.
	Window int

	// DirectWindow is the number of direct-lane messages of a partition that may
	// wait for its handler, 1 to 65536; those beyond are dropped and their callers
	// try again. Default 1024.
	DirectWindow int

	// Heartbeat is the interval in which the server shows that a partition's
	// consumer lives, at least 100 ms; two missed ones have it made anew.
	// Default 1 s.
	Heartbeat time.Duration

	// OpenTimeout bounds [Open], which in a cluster waits for the election of a leader
	// for each stream. Default 30 s.
	OpenTimeout time.Duration

	// BeforeUpdate is called before the command stream of an earlier build is changed
	// so that nodes of that build cannot use it any more. It returns nil once there is
	// none; with an error, [Open] fails. It may be called again. Default: there is none.
	BeforeUpdate func(ctx context.Context) error

	// Logger takes what an operator should see. Default: nothing is logged.
	Logger *slog.Logger

	// Events are called as things happen.
	Events EventListener
}

// EventListener observes a [Bus] or a [Client], for metrics. Nil functions are
// skipped; the others must not block and may be called from any goroutine.
type EventListener struct {
	// ConsumerReset: a partition's consumer is being made anew, which delays the
	// partition a little and loses nothing.
	ConsumerReset func(p actor.Partition, cause error)
	// Malformed: a message that this build cannot execute was refused, skipped, or, as it
	// is a stored one that nobody waits for, handed over as it is.
	Malformed func(lane actor.Lane, subject string, cause error)
	// NotReplyable: a message asks for an answer where no caller of the namespace has
	// an inbox; it is handled, and nobody gets the answer.
	NotReplyable func(inbox string)
	// DirectDropped: n messages of the direct lane found their partition's queue full.
	DirectDropped func(p actor.Partition, n int)
	// Published: a client has made an attempt to deliver a message, 1 for the first.
	Published func(lane actor.Lane, attempt int)
}

func (c Config) withDefaults() Config {
	c.Namespace = defaultTo(c.Namespace, DefaultNamespace)
	c.Replicas = defaultTo(c.Replicas, 1)
	c.MaxBytes = defaultTo(c.MaxBytes, 1<<30)
	c.Window = defaultTo(c.Window, 256)
	c.DirectWindow = defaultTo(c.DirectWindow, 1024)
	c.Heartbeat = defaultTo(c.Heartbeat, time.Second)
	c.OpenTimeout = defaultTo(c.OpenTimeout, openTimeout)
	c.Logger = defaultLogger(c.Logger)
	return c
}

// validate names all faults at once.
func (c Config) validate() error {
	faults := []error{validateNamespace(c.Namespace)}
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format+": %w", append(args, ErrConfig)...))
		}
	}
	fault(c.Partitions != 0 && !c.Partitions.Valid(), "partitions %d is not a power of two up to %d", c.Partitions, actor.MaxPartitions)
	fault(c.Replicas < 1 || c.Replicas > maxReplicas, "replicas %d is not 1 to %d", c.Replicas, maxReplicas)
	fault(c.MaxBytes < 0, "negative maximum of bytes %d", c.MaxBytes)
	fault(c.OpenTimeout < 0, "negative timeout %v of the opening", c.OpenTimeout)
	fault(c.Window < 2 || c.Window > maxWindow, "window %d is not 2 to %d", c.Window, maxWindow)
	fault(c.DirectWindow < 1 || c.DirectWindow > maxWindow, "direct window %d is not 1 to %d", c.DirectWindow, maxWindow)
	fault(c.Heartbeat < 100*time.Millisecond || c.Heartbeat > 30*time.Second, "heartbeat %v is not 100 ms to 30 s", c.Heartbeat)
	return errors.Join(faults...)
}

func validateNamespace(ns string) error {
	if ns == "" || len(ns) > maxNamespaceBytes {
		return fmt.Errorf("namespace of %d bytes, 1 to %d are allowed: %w", len(ns), maxNamespaceBytes, ErrConfig)
	}
	for i := range len(ns) {
		c := ns[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return fmt.Errorf("namespace %q: letters, digits, '-' and '_' are allowed: %w", ns, ErrConfig)
		}
	}
	return nil
}

func defaultTo[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func defaultLogger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
