package mongo

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/ganglion-go/ganglion/internal/mongotls"
	"github.com/ganglion-go/ganglion/store"
)

const (
	// A monitor notices within heartbeat + connectTimeout that a server has
	// stopped to answer, and the driver then interrupts what waits for it.
	heartbeat      = 2 * time.Second
	connectTimeout = 3 * time.Second

	closeTimeout = time.Second // for a cursor that is not read to its end
)

// Store is a [store.Store] on a MongoDB replica set. Make one with [Open] or [New].
type Store struct {
	cfg    Config
	client *driver.Client
	owned  bool // Close disconnects the client
	db     *driver.Database
	seen   clock

	batches batches

	commits, snapshots, nodes, claims, parked, parkedParts, binding *driver.Collection

	confirmed *driver.Collection // nodes, with linearizable reads

	writing, reading *options.SessionOptionsBuilder
}

var _ store.Store = (*Store)(nil)

// Open connects to the replica set and prepares the database: it creates what is
// missing and may run on several nodes at once. It blocks until that is done or
// ctx ends. Close the store to disconnect.
//
// The error is [ErrStandalone], [ErrServerVersion], [ErrSchema], what is wrong
// with uri or cfg, or wraps [store.ErrUnavailable] when another try may succeed.
func Open(ctx context.Context, uri string, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	opts := options.Client().
		SetHeartbeatInterval(heartbeat).
		SetConnectTimeout(connectTimeout).
		SetServerSelectionTimeout(cfg.ServerSelectionTimeout).
		SetMaxPoolSize(cfg.MaxPoolSize).
		SetAppName("ganglion").
		ApplyURI(uri).
		SetRetryWrites(true).
		SetRetryReads(true)
	if cfg.Dial != nil {
		opts.SetDialer(dialFunc(cfg.Dial))
	}
	if opts.Validate() != nil {
		return nil, ErrURI // the driver's words quote the values of options
	}
	if opts.LoadBalanced != nil && *opts.LoadBalanced {
		return nil, fmt.Errorf("mongo: loadBalanced=true: %w", ErrDirect)
	}
	mongotls.Follow(opts, uri)
	cfg.direct = opts.Direct != nil && *opts.Direct
	client, err := driver.Connect(opts)
	if err != nil {
		return nil, fmt.Errorf("mongo: connect: %w", err)
	}
	s, err := New(ctx, client, cfg)
	if err != nil {
		_ = client.Disconnect(context.WithoutCancel(ctx)) // nothing is in progress, err says more
		return nil, err
	}
	s.owned = true
	return s, nil
}

// New is [Open] with a client that the caller made and disconnects. Its read
// preference and its read and write concerns do not matter. Monitoring, pool and
// retries are as the client has them. Appends are never retried here: a fail-over makes
// the outcome of every one in progress unknown.
func New(ctx context.Context, client *driver.Client, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	journal := true
	db := client.Database(cfg.Database, options.Database().
		SetReadPreference(readpref.Primary()).
		SetReadConcern(readconcern.Majority()).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}))
	s := &Store{
		cfg:         cfg,
		client:      client,
		db:          db,
		commits:     db.Collection(commitsName),
		snapshots:   db.Collection(snapshotsName),
		nodes:       db.Collection(nodesName),
		claims:      db.Collection(claimsName),
		parked:      db.Collection(parkedName),
		parkedParts: db.Collection(partsName),
		binding:     db.Collection(bindingName),
		writing:     options.Session().SetCausalConsistency(false),
		reading:     options.Session().SetCausalConsistency(true),
	}
	s.confirmed = s.linearizable(s.nodes)
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Close disconnects the client if [Open] made it, and waits for operations in
// progress until ctx ends.
func (s *Store) Close(ctx context.Context) error {
	if !s.owned {
		return nil
	}
	if err := s.client.Disconnect(ctx); err != nil {
		return fmt.Errorf("mongo: disconnect: %w", err)
	}
	return nil
}

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.confirmedTime(ctx)
	return readError("ping", err)
}

// write runs a write with its time limit. After a success, later reads see
// whatever the write has seen.
func (s *Store) write(ctx context.Context, operation func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	session, err := s.client.StartSession(s.writing)
	if err != nil {
		return err
	}
	defer session.EndSession(ctx)
	err = operation(driver.NewSessionContext(ctx, session))
	if acknowledged(err) {
		s.seen.advance(session.OperationTime())
	}
	return err
}

// readSession starts a session whose reads wait for what this store has seen.
func (s *Store) readSession() (*driver.Session, error) {
	session, err := s.client.StartSession(s.reading)
	if err != nil {
		return nil, err
	}
	if t, ok := s.seen.now(); ok {
		if err := session.AdvanceOperationTime(&t); err != nil {
			return nil, err
		}
	}
	return session, nil
}

// read runs a read that is over when it returns, with its time limit.
func (s *Store) read(ctx context.Context, operation func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()
	session, err := s.readSession()
	if err != nil {
		return err
	}
	defer session.EndSession(ctx)
	return operation(driver.NewSessionContext(ctx, session))
}

// linearizable returns a view of a collection whose reads are confirmed: the
// server answers only after a majority has confirmed that it still is the primary.
func (s *Store) linearizable(c *driver.Collection) *driver.Collection {
	return c.Clone(options.Collection().SetReadConcern(readconcern.Linearizable()))
}

// confirmedTime returns a time in the oplog that is not before any write that was
// acknowledged, to anybody, before the call. All up to it is durable.
//
// The linearizable read proves that its server was the primary after the call
// began. The second read waits until the majority's state includes the first,
// and its operation time is that state's.
func (s *Store) confirmedTime(ctx context.Context) (bson.Timestamp, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()
	session, err := s.client.StartSession(s.reading)
	if err != nil {
		return bson.Timestamp{}, err
	}
	defer session.EndSession(ctx)
	ctx = driver.NewSessionContext(ctx, session)
	for _, c := range []*driver.Collection{s.linearizable(s.nodes), s.nodes} {
		if err := optional(c.FindOne(ctx, bson.D{}).Err()); err != nil {
			return bson.Timestamp{}, err
		}
	}
	return *session.OperationTime(), nil
}

// bounded calls an operation with a limit of its own.
func bounded[T any](ctx context.Context, limit time.Duration, operation func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return operation(ctx)
}
