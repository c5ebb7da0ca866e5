package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Config tunes a node. The zero value of each field means the default that its
// comment names; Name is required.
type Config struct {
	Name    string // unique among the nodes of the cluster; required
	Address string // where the node's HTTP API is reached; told to others
	Build   string // version of the binary; told to others

	// Lease is the time for which a renewal lets the node answer: 3 s.
	Lease time.Duration
	// Answers says what lets the node answer: AnswersByLease.
	Answers Answers
	// ExposeInternal lets messages from outside have what is the application's own
	// (actor.Internal): for development and tests.
	ExposeInternal bool
	// SoleHolderOfName says that no other process can run under this name (the
	// caller holds a lock that proves it), so that a predecessor's session is
	// dead without a wait.
	SoleHolderOfName bool
	// Opened tells, with SoleHolderOfName, whether a session was opened by a process that
	// has held that lock: any other one, such as that of a node with a copy of what proves
	// the name, is waited for. Default: all were.
	Opened func(incarnation string) bool
	// Opening is called before a session is opened.
	Opening func(incarnation string)

	// Alone says that no other node can join the cluster, so that a node that
	// starts has nobody to wait for.
	Alone bool

	// SoleStore says that no other process can reach the store: it is inside this one,
	// and the caller holds a lock on where it is kept. Nobody can declare the session
	// dead then, and the node answers whether or not renewals succeed: a disk that is
	// slow or full stops writes, and no reads.
	SoleStore bool

	MailboxMax  int // direct messages that may wait for one aggregate: 4096
	WindowMax   int // durable commands in progress per partition: 2048
	RingMax     int // outcomes remembered per activation: 4096
	BatchEvents int // events of one commit: 1000
	BatchBytes  int // bytes of one commit, reached or just passed: 1 MiB
	EventBytes  int // bytes of all events and the reply of one command: 512 KiB; less if the event stream takes less

	Flights       int           // appends in flight: 2
	FlushAhead    int           // commits that start an append beside those in flight: 512
	FlushPatience time.Duration // time after which fewer start one: 20 ms
	FlushCommits  int           // commits in one append: 1000
	FlushBytes    int           // bytes in one append, reached or just passed: 8 MiB
	WriteTimeout  time.Duration // bound of one append: 10 s

	MaxActivations int           // aggregates in memory: 100,000
	MaxBytes       int64         // estimated bytes of those: a third of the lower one of GOMEMLIMIT and the container's limit; 1 GiB without either
	PassivateAfter time.Duration // idle time after which an activation is given up: 10 min

	TimerPatience time.Duration // for which a timer that fires early is kept before it is set again: 5 s

	ParkAfter      int           // panics of one command before it is parked: 3
	ParkedMax      int           // commands that can be parked in the cluster; the next one stands still until there is room: 10,000
	SendTimeout    time.Duration // for which one outgoing command or timer is tried before it is parked, and the relay goes on: 20 s
	StandsAfter    time.Duration // time without progress after which it is said that the relay stands: 30 s
	WatermarkEvery time.Duration // between two savings of watermarks: 1 s
	TrimEvery      time.Duration // between two trimmings of the command stream: 5 s
	TrimAhead      int           // finished commands that may wait for another partition's to be trimmed: 131,072
	DrainTimeout   time.Duration // bound of a partition's drain: 10 s

	// Reach asks messaging for an answer. A node that gets none for CutAfter says in its
	// session that it is cut, and nodes that are not get its partitions. nil: it cannot be
	// cut, as whoever reaches the store reaches messaging.
	Reach    func(ctx context.Context) error
	CutAfter time.Duration // at least 1 s: 15 s

	// Outbox is where events and outgoing commands are brought while the node serves
	// partition 0. nil: nowhere.
	Outbox Outbox
	// Schedules are commands that the cluster sends again and again. Those of the node
	// that serves partition 0 count: configure all nodes alike.
	Schedules []actor.Schedule

	// Effects is how what aggregates ask of the world is carried out.
	Effects EffectsConfig

	Clock    Clock        // the system's
	Logger   *slog.Logger // discards
	Listener EventListener
}

func (c Config) withDefaults() Config {
	orInt := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	orTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	orTime(&c.Lease, 3*time.Second)
	orInt(&c.MailboxMax, 4096)
	orInt(&c.WindowMax, 2048)
	orInt(&c.RingMax, 4096)
	orInt(&c.BatchEvents, 1000)
	orInt(&c.BatchBytes, 1<<20)
	orInt(&c.EventBytes, 512<<10)
	if bounded, ok := c.Outbox.(interface{ MaxEventBytes() int }); ok { // what it could not take would be committed, and wait for ever
		c.EventBytes = max(min(c.EventBytes, bounded.MaxEventBytes()), 1)
	}
	orInt(&c.Flights, 2)
	orInt(&c.FlushAhead, 512)
	orTime(&c.FlushPatience, 20*time.Millisecond)
	orInt(&c.FlushCommits, 1000)
	orInt(&c.FlushBytes, 8<<20)
	orTime(&c.WriteTimeout, 10*time.Second)
	orInt(&c.MaxActivations, 100_000)
	if c.MaxBytes == 0 {
		c.MaxBytes = defaultBudget()
	}
	orTime(&c.PassivateAfter, 10*time.Minute)
	orTime(&c.TimerPatience, 5*time.Second)
	orInt(&c.ParkAfter, 3)
	orInt(&c.ParkedMax, 10_000)
	orTime(&c.SendTimeout, 20*time.Second)
	orTime(&c.StandsAfter, 30*time.Second)
	orTime(&c.WatermarkEvery, time.Second)
	orTime(&c.TrimEvery, 5*time.Second)
	orInt(&c.TrimAhead, 1<<17)
	orTime(&c.DrainTimeout, 10*time.Second)
	orTime(&c.CutAfter, 15*time.Second)
	orInt(&c.Effects.Max, 20_000)
	if c.Clock == nil {
		c.Clock = systemClock{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate reports all faults at once. Each wraps [ErrConfig].
func (c Config) validate() error {
	var faults []error
	if c.Name == "" || len(c.Name) > 128 {
		faults = append(faults, fmt.Errorf("name of %d bytes, 1 to 128 are allowed: %w", len(c.Name), ErrConfig))
	}
	for _, f := range []struct {
		name string
		v    int64
	}{
		{"lease", int64(c.Lease)},
		{"mailbox max", int64(c.MailboxMax)},
		{"window max", int64(c.WindowMax)},
		{"ring max", int64(c.RingMax)},
		{"batch events", int64(c.BatchEvents)},
		{"batch bytes", int64(c.BatchBytes)},
		{"event bytes", int64(c.EventBytes)},
		{"flights", int64(c.Flights)},
		{"flush ahead", int64(c.FlushAhead)},
		{"flush patience", int64(c.FlushPatience)},
		{"flush commits", int64(c.FlushCommits)},
		{"flush bytes", int64(c.FlushBytes)},
		{"write timeout", int64(c.WriteTimeout)},
		{"max activations", int64(c.MaxActivations)},
		{"max bytes", c.MaxBytes},
		{"passivate after", int64(c.PassivateAfter)},
		{"timer patience", int64(c.TimerPatience)},
		{"park after", int64(c.ParkAfter)},
		{"parked max", int64(c.ParkedMax)},
		{"send timeout", int64(c.SendTimeout)},
		{"stands after", int64(c.StandsAfter)},
		{"watermark every", int64(c.WatermarkEvery)},
		{"trim every", int64(c.TrimEvery)},
		{"trim ahead", int64(c.TrimAhead)},
		{"drain timeout", int64(c.DrainTimeout)},
		{"cut after", int64(c.CutAfter)},
		{"effects max", int64(c.Effects.Max)},
	} {
		if f.v < 0 {
			faults = append(faults, fmt.Errorf("%s is negative: %w", f.name, ErrConfig))
		}
	}
	if c.Lease > 0 && c.Lease < 200*time.Millisecond {
		faults = append(faults, fmt.Errorf("lease of %v, at least 200ms is required: %w", c.Lease, ErrConfig))
	}
	if c.CutAfter > 0 && c.CutAfter < time.Second {
		faults = append(faults, fmt.Errorf("cut after %v, at least 1s is required: %w", c.CutAfter, ErrConfig))
	}
	if c.Answers > AnswersVerified {
		faults = append(faults, fmt.Errorf("answers %d, by lease or verified is required: %w", c.Answers, ErrConfig))
	}
	return errors.Join(faults...)
}
