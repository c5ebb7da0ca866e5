package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Config adjusts an [Engine]. The zero value is the documented default.
type Config struct {
	// Serving returns the partitions that this node owns at this moment. A wrong
	// answer costs time and never correctness: two engines may run the same
	// partition. It must not block. nil: all of them.
	Serving func() []actor.Partition
	// Claims returns how this node came to own the partitions of Serving. With it, an
	// event whose handler ends the process again and again is found out and parked. It
	// must not block. nil: events that do so are not looked for.
	Claims func() map[actor.Partition]Claim
	// Turn waits for the turn of an event that may end this process. With alone, as
	// processes have died under its name, nothing else that may do so is done until release
	// is called; otherwise others that are not alone may. It ends with the cause of ctx.
	// nil: only events of this engine take turns.
	Turn func(ctx context.Context, alone bool) (release func(), err error)
	// Acquit returns those of the deaths that were none, since the process was seen again.
	// While as many as condemns are left it may wait until the nodes of all are seen, for some
	// seconds after the partition was taken. It ends
	// with the cause of ctx. nil: all have died.
	Acquit func(ctx context.Context, p actor.Partition, deaths []Death, condemns int) (lived []Death, err error)
	// Client takes the commands of routers. Needed if there is one.
	Client actor.Client
	// Parallel is how many transactions may run at once. 0: 8.
	Parallel int
	// QueueMax is how many events wait in memory for each partition of a projection;
	// beyond it, the partition holds the others of its projection up. 0: 2000.
	QueueMax int
	// QueueBytes is how many bytes of events wait in memory for a projection, about,
	// and as many for one that is rebuilt. Each of its partitions here has the same
	// share, and may have one event beyond it. 0: 128 MiB.
	QueueBytes int
	// CacheBytes is how many bytes of documents are kept in memory for a projection,
	// about, and as many for one that is rebuilt, so that a handler that reads what it
	// has written costs no read of the storage. Each of its partitions here has the same
	// share. 0: 64 MiB.
	CacheBytes int
	// BatchBytes bounds the events, and the documents that they write, of one
	// transaction, about. 0: 4 MiB.
	BatchBytes int
	// BatchTimeout bounds one transaction with its handlers. 0: 30 s.
	BatchTimeout time.Duration
	// Attempts is how often a failing event is tried before it waits for somebody to
	// retry or skip it. An event that cannot be decoded is tried for ever, as a newer
	// build may know it. 0: 8.
	Attempts int
	// Backoff is the pause after the first failure; it doubles up to BackoffMax for an
	// event that fails, and up to two seconds at most while the storage or the event
	// stream does, which everybody waits for. 0: 100 ms, and 30 s.
	Backoff    time.Duration
	BackoffMax time.Duration
	// ParkedMax is how many events of one partition of a projection can wait. Beyond
	// it the partition stands still for that projection. 0: 10,000.
	ParkedMax int
	// SaveEvery is after how many events of other partitions and kinds, and at least
	// four ticks, the place of a partition that has none itself is saved. 0: 4,096.
	SaveEvery uint64
	// Tick is how often the engine looks at what it owns and what operators want;
	// while there is a rebuild, ten times as often. 0: 500 ms.
	Tick time.Duration
	// Keep is how long a view that was replaced is kept for those who are reading it.
	// 0: 30 s.
	Keep time.Duration
	// IndexTimeout bounds the making of a generation's indexes, see [Definition.Index].
	// 0: 10 min.
	IndexTimeout time.Duration
	// Logger gets what goes wrong. nil: nothing is logged.
	Logger *slog.Logger
	// Listener is told what happens.
	Listener EventListener
	// Now tells the time for pauses and ages. nil: time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	for v, to := range map[*int]int{&c.Parallel: 8, &c.QueueMax: 2000, &c.QueueBytes: 128 << 20, &c.CacheBytes: 64 << 20, &c.BatchBytes: 4 << 20, &c.Attempts: 8, &c.ParkedMax: 10_000} {
		if *v == 0 {
			*v = to
		}
	}
	for v, to := range map[*time.Duration]time.Duration{
		&c.BatchTimeout: 30 * time.Second, &c.Backoff: 100 * time.Millisecond, &c.BackoffMax: 30 * time.Second,
		&c.Tick: 500 * time.Millisecond, &c.Keep: 30 * time.Second, &c.IndexTimeout: defaultIndexTimeout,
	} {
		if *v == 0 {
			*v = to
		}
	}
	if c.SaveEvery == 0 {
		c.SaveEvery = 4096
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// outageMax bounds the pauses while something is away that is to be used again soon
// after it is back.
const outageMax = 2 * time.Second

// outagePause returns the pause after one of that length, or after none.
func (c *Config) outagePause(last time.Duration) time.Duration {
	return min(max(2*last, c.Backoff), c.BackoffMax, outageMax)
}

func (c *Config) validate() error {
	var faults []error
	for name, v := range map[string]int{"Parallel": c.Parallel, "QueueMax": c.QueueMax, "QueueBytes": c.QueueBytes, "CacheBytes": c.CacheBytes, "BatchBytes": c.BatchBytes, "Attempts": c.Attempts, "ParkedMax": c.ParkedMax} {
		if v < 0 {
			faults = append(faults, fmt.Errorf("%s is %d: %w", name, v, ErrConfig))
		}
	}
	for name, v := range map[string]time.Duration{
		"BatchTimeout": c.BatchTimeout, "Backoff": c.Backoff, "BackoffMax": c.BackoffMax, "Tick": c.Tick, "Keep": c.Keep, "IndexTimeout": c.IndexTimeout,
	} {
		if v < 0 {
			faults = append(faults, fmt.Errorf("%s is %v: %w", name, v, ErrConfig))
		}
	}
	return errors.Join(faults...)
}
