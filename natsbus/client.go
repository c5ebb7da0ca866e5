package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/effort"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

const (
	maxMaxInFlight = 1 << 20

	// inboxPending bounds what waits for a client's goroutine. Beyond it, messages
	// are dropped and asked for again.
	inboxPendingMessages = 1 << 19
	inboxPendingBytes    = 256 << 20
)

// ClientConfig tunes a [Client]. The zero value is the documented default of
// every field.
type ClientConfig struct {
	// Namespace of the cluster. Default [DefaultNamespace].
	Namespace string

	// DefaultTimeout is how long a call without a deadline waits. Default 10 s.
	DefaultTimeout time.Duration

	// MaxInFlight is the number of calls that may wait at once, up to 1048576;
	// those beyond are refused with [actor.CodeOverloaded]. Default 16384.
	MaxInFlight int

	// BatchMax is the number of commands for one aggregate that the durable lane
	// carries in one message, up to 4096. More than one go together when they come while
	// the stream has not answered to the one before. 1: each goes by itself, as nodes
	// need it whose build does not know batches. Default 128.
	BatchMax int

	// Inbox names the NATS user whose client it is, and whose rights are for inboxes of
	// its own: the client is answered at NAMESPACE.inbox.INBOX.>, and no other user can
	// be given the right to listen there. 1 to 64 letters, digits, '-' and '_'. Owners of
	// builds before this field answer nothing there. Default: NAMESPACE.inbox.>, where
	// all users listen who are given that.
	Inbox string

	// Partitions is what the command stream has, for a client that has no right to ask
	// JetStream for it. With another number than that, direct messages find no owner or are
	// refused. Default: the client asks.
	Partitions actor.Partitions

	// AsNode has the client publish where nodes alone may: its messages may be for what
	// is the application's own ([actor.Internal]), and are believed on whose behalf they
	// are. Its connection has the rights of a node. Clients of a [Bus] do so anyway.
	AsNode bool

	// Now tells the time that messages and ids are stamped with. Nothing is waited for
	// by it. Default [time.Now].
	Now func() time.Time

	// Logger takes what an operator should see. Default: nothing is logged.
	Logger *slog.Logger

	// Events are called as things happen.
	Events EventListener
}

func (c ClientConfig) withDefaults() ClientConfig {
	c.Namespace = defaultTo(c.Namespace, DefaultNamespace)
	c.DefaultTimeout = defaultTo(c.DefaultTimeout, 10*time.Second)
	c.MaxInFlight = defaultTo(c.MaxInFlight, 16384)
	c.BatchMax = defaultTo(c.BatchMax, defaultBatchMax)
	c.Logger = defaultLogger(c.Logger)
	return c
}

// wall returns the time for stamps, where now is that of [time.Now].
func (c *ClientConfig) wall(now time.Time) time.Time {
	if c.Now == nil {
		return now
	}
	return c.Now()
}

func (c ClientConfig) validate() error {
	faults := []error{validateNamespace(c.Namespace)}
	if c.DefaultTimeout < 0 {
		faults = append(faults, fmt.Errorf("negative default timeout %v: %w", c.DefaultTimeout, ErrConfig))
	}
	if c.MaxInFlight < 0 || c.MaxInFlight > maxMaxInFlight {
		faults = append(faults, fmt.Errorf("maximum of calls in flight %d is not 1 to %d: %w", c.MaxInFlight, maxMaxInFlight, ErrConfig))
	}
	if c.Inbox != "" && validateNamespace(c.Inbox) != nil {
		faults = append(faults, fmt.Errorf("inbox %.80q: 1 to %d letters, digits, '-' and '_' are allowed: %w", c.Inbox, maxNamespaceBytes, ErrConfig))
	}
	if c.Partitions != 0 && !c.Partitions.Valid() {
		faults = append(faults, fmt.Errorf("partitions %d is not a power of two up to %d: %w", c.Partitions, actor.MaxPartitions, ErrConfig))
	}
	if c.BatchMax < 0 || c.BatchMax > wire.MaxBatch {
		faults = append(faults, fmt.Errorf("maximum of commands in a message %d is not 1 to %d: %w", c.BatchMax, wire.MaxBatch, ErrConfig))
	}
	return errors.Join(faults...)
}

// Client brings messages to the owners of their aggregates. It implements
// [actor.Client], in a process that serves partitions and in one that does not.
type Client struct {
	nc         *nats.Conn
	ns         wire.Namespace
	partitions actor.Partitions
	local      *local // of the bus that this client belongs to; nil: of none
	internal   bool   // its commands are the runtime's
	node       bool   // it publishes where nodes alone may
	families   families
	cfg        ClientConfig
	patience   effort.Patience

	prefix string // of all its inboxes
	sub    *nats.Subscription
	owners *nats.Subscription
	calls  *calls
	ids    idSource

	batcher *batcher

	reconnects atomic.Uint64
	closing    sync.Once
	closed     chan struct{}
	watching   sync.WaitGroup
}

var _ actor.Client = (*Client)(nil)

// NewClient returns a client of a namespace that a node has provisioned. It waits
// for a JetStream that does not answer yet until ctx ends, at most 30 s. Errors
// wrap [ErrConfig], [ErrNotProvisioned], [ErrForeignStream], or are JetStream's.
// With [ClientConfig.Partitions] it asks nobody, and waits for nothing.
// The caller closes the client, and the connection after it.
func NewClient(ctx context.Context, nc *nats.Conn, cfg ClientConfig) (*Client, error) {
	if err := cfg.withDefaults().validate(); err != nil {
		return nil, err
	}
	if cfg.Partitions != 0 {
		return newClient(nc, cfg.Partitions, nil, false, cfg)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	found, err := persist(ctx, func(ctx context.Context) (commandStream, error) {
		return lookUp(ctx, js, wire.Namespace(cfg.withDefaults().Namespace))
	})
	if err != nil {
		return nil, err
	}
	return newClient(nc, found.partitions, nil, false, cfg)
}

// newClient returns a client, of a bus if local is not nil.
func newClient(nc *nats.Conn, p actor.Partitions, local *local, internal bool, cfg ClientConfig) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Client{
		nc: nc, ns: wire.Namespace(cfg.Namespace), partitions: p, local: local, internal: internal, cfg: cfg, patience: effort.DefaultPatience(),
		node: local != nil || cfg.AsNode, families: make(families, p),
		prefix: wire.Namespace(cfg.Namespace).Inboxes(cfg.Inbox, nuid.Next()), calls: newCalls(cfg.MaxInFlight), closed: make(chan struct{}),
	}
	c.batcher = newBatcher(c)
	var err error
	if c.sub, err = nc.Subscribe(c.prefix+".*.*", c.route); err != nil {
		return nil, fmt.Errorf("subscribe to the inbox: %w", err)
	}
	if err := c.sub.SetPendingLimits(inboxPendingMessages, inboxPendingBytes); err != nil {
		return nil, fmt.Errorf("limit the inbox: %w", err)
	}
	if c.owners, err = nc.Subscribe(c.ns.AnyOwned(), c.ownerChanged); err != nil {
		_ = c.sub.Unsubscribe()
		return nil, fmt.Errorf("subscribe to changes of owners: %w", err)
	}
	status := nc.StatusChanged(nats.CONNECTED)
	c.watching.Go(func() { c.watch(status) })
	if local != nil {
		local.clients.enter(c)
	}
	return c, nil
}

// route hands a message to the call that it is for.
func (c *Client) route(msg *nats.Msg) {
	inbox, ok := wire.ParseInbox(c.prefix, msg.Subject)
	if !ok {
		return
	}
	switch inbox.Purpose {
	case wire.ForBatch:
		c.batcher.answered(inbox.Call, msg)
	case wire.ForAck:
		c.acknowledged(inbox.Call, msg)
	case wire.ForOutcome:
		c.put(inbox.Call, arrival{msg: msg})
	}
}

// acknowledged takes what the stream says to a call's message, or that nobody was there.
// The call may try again as soon as it knows: before that, the try has landed.
func (c *Client) acknowledged(id uint64, msg *nats.Msg) {
	call := c.calls.find(id)
	if call == nil {
		return
	}
	l := call.land(id)
	a := arrival{msg: msg}
	if stored(msg.Data) {
		a = arrival{stored: time.Now()}
	}
	call.put(id, a)
	c.batcher.landed(l)
}

// put hands an arrival to the call that it is for.
func (c *Client) put(id uint64, a arrival) {
	if call := c.calls.find(id); call != nil {
		call.put(id, a)
	}
}

// watch tells the calls when the connection has been lost and made again, and has
// the batcher forget what is not answered any more.
func (c *Client) watch(status chan nats.Status) {
	defer c.nc.RemoveStatusListener(status)
	tick := time.NewTicker(batchForgotten)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			c.batcher.forget(now)
		case <-status:
			c.reconnects.Add(1)
			c.calls.notifyAll()
		case <-c.closed:
			return
		}
	}
}

// Close ends the calls in flight with what is known of them, and gives the inbox
// up. Later calls fail with [actor.CodeNoOwner]. It is idempotent.
func (c *Client) Close() {
	c.closing.Do(func() {
		close(c.closed)
		if c.local != nil {
			c.local.clients.leave(c)
		}
		_ = c.sub.Unsubscribe()
		_ = c.owners.Unsubscribe()
	})
	c.watching.Wait()
}

func (c *Client) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}
