package mongo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/ganglion-go/ganglion/internal/mongotls"
	"github.com/ganglion-go/ganglion/projection"
)

// DefaultDatabase is the database that a zero [Config] names.
const DefaultDatabase = "ganglion"

const (
	defaultTimeout   = 10 * time.Second
	selectionTimeout = 5 * time.Second
	closeTimeout     = time.Second // for a cursor that is not read to its end
)

// Config adjusts a [Storage]. The zero value is the documented default.
type Config struct {
	// Database holds all collections. Empty: "ganglion".
	Database string
	// Timeout bounds every read, and every write outside the transaction of a batch,
	// besides its context. 0: 10 s.
	Timeout time.Duration
	// Prepare is called, by every process, when it first uses a collection of a
	// generation, to make its indexes. It must be idempotent. nil: nothing is done.
	Prepare func(ctx context.Context, at projection.Place, c *driver.Collection) error
	// Dial opens every connection of [Open]. nil: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// AllowDirect takes a connection string with directConnection=true, which is right
	// for a replica set of one member alone.
	AllowDirect bool
}

// Storage is a [projection.Storage] on a replica set. Make it with [Open] or [New].
type Storage struct {
	cfg    Config
	client *driver.Client
	owned  bool
	db     *driver.Database
	seen   clock

	abandoned *abandonment
	registry  *bson.Registry // of what earlier builds have encoded

	mu    sync.Mutex
	known map[string]bool // collections that exist
}

var _ projection.Storage = (*Storage)(nil)

// ErrDirect says that the connection string keeps to one server. When another member of the set
// becomes the primary, every write would fail for ever.
var ErrDirect = errors.New("mongo: leave out directConnection=true and loadBalanced=true: the connection must follow the primary of the replica set")

var errURI = errors.New("mongo: the connection string cannot be parsed")

// Open connects to a replica set, as [AppName], whatever uri says of that. Close the
// storage to disconnect. It does not wait for the server. The error is what is wrong
// with uri, [ErrDirect] among others.
func Open(uri string, cfg Config) (*Storage, error) {
	opts := options.Client().SetServerSelectionTimeout(selectionTimeout).ApplyURI(uri).SetAppName(AppName(cfg.Database))
	if cfg.Dial != nil {
		opts.SetDialer(dialFunc(cfg.Dial))
	}
	if opts.Validate() != nil {
		return nil, errURI // the driver's words quote the values of options
	}
	if set(opts.LoadBalanced) || set(opts.Direct) && !cfg.AllowDirect {
		return nil, ErrDirect
	}
	mongotls.Follow(opts, uri)
	client, err := driver.Connect(opts)
	if err != nil {
		return nil, fmt.Errorf("mongo: connect: %w", err)
	}
	s := New(client, cfg)
	s.owned = true
	return s, nil
}

func set(option *bool) bool { return option != nil && *option }

// New is [Open] with a client that the caller made and disconnects. It does no I/O.
// The client's read preference and its read and write concerns do not matter. Its
// application name should be [AppName], and no other client's: a transaction that a
// process leaves open when it is killed blocks whoever takes its partitions, and is
// ended by those after [AbandonedAfter] if it has that name, else by the server after
// transactionLifetimeLimitSeconds.
func New(client *driver.Client, cfg Config) *Storage {
	if cfg.Database == "" {
		cfg.Database = DefaultDatabase
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	abandoned := &abandonment{client: client, app: AppName(cfg.Database)}
	return &Storage{cfg: cfg, client: client, abandoned: abandoned, registry: bson.NewRegistry(), known: map[string]bool{}, db: client.Database(cfg.Database, options.Database().
		SetReadPreference(readpref.Primary()).
		SetReadConcern(readconcern.Majority()).
		SetWriteConcern(durable()))}
}

func durable() *writeconcern.WriteConcern {
	journal := true
	return &writeconcern.WriteConcern{W: "majority", Journal: &journal}
}

// Close disconnects the client if [Open] made it.
func (s *Storage) Close(ctx context.Context) error {
	if !s.owned {
		return nil
	}
	if err := s.client.Disconnect(ctx); err != nil {
		return fmt.Errorf("mongo: disconnect: %w", err)
	}
	return nil
}

// Database returns the database, with majority reads and writes.
func (s *Storage) Database() *driver.Database { return s.db }

// Collection returns the collection of a view's live generation, for reading: with
// queries, aggregations, change streams. A rebuild replaces it, so ask for it anew
// each time; what was live is kept for half a minute. It panics if the view is not
// on this package's storage.
func Collection(ctx context.Context, v *projection.View, collection string) (*driver.Collection, error) {
	s, ok := v.Storage().(*Storage)
	if !ok {
		panic(fmt.Sprintf("projection/mongo: view %s is kept by %T", v.Projection().Name(), v.Storage()))
	}
	at, err := v.Place(ctx, collection)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names what failed
	}
	return s.collection(homeOf(at)), nil
}

const codeNamespaceExists = 48

// ensure makes a collection that does not exist, since two transactions that both
// make it would be a conflict.
func (s *Storage) ensure(ctx context.Context, at projection.Place, h home) error {
	s.mu.Lock()
	known := s.known[h.collection]
	s.mu.Unlock()
	if known {
		return nil
	}
	byKey := options.CreateCollection().SetClusteredIndex(bson.D{{Key: "key", Value: bson.D{{Key: "_id", Value: 1}}}, {Key: "unique", Value: true}})
	if err := s.db.CreateCollection(ctx, h.collection, byKey); err != nil && !hasCode(err, codeNamespaceExists) {
		return fmt.Errorf("create %s: %w: %w", h.collection, projection.ErrUnavailable, err)
	}
	if s.cfg.Prepare != nil && at.Projection != "" && !strings.HasPrefix(at.Collection, "_") {
		if err := s.cfg.Prepare(ctx, at, s.collection(h)); err != nil {
			return fmt.Errorf("prepare %s: %w: %w", h.collection, projection.ErrUnavailable, err)
		}
	}
	s.mu.Lock()
	s.known[h.collection] = true
	s.mu.Unlock()
	return nil
}

// Drop implements [projection.Storage].
func (s *Storage) Drop(ctx context.Context, name string, generation uint64) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	start := homeOf(projection.Place{Projection: name, Generation: generation}).collection
	names, err := s.db.ListCollectionNames(ctx, bson.D{{Key: "name", Value: bson.Regex{Pattern: "^" + regexp.QuoteMeta(start)}}})
	for _, n := range names {
		if err == nil {
			err = s.db.Collection(n).Drop(ctx)
		}
	}
	s.mu.Lock()
	maps.DeleteFunc(s.known, func(collection string, _ bool) bool { return strings.HasPrefix(collection, start) })
	s.mu.Unlock()
	return unavailable("drop generation", s.abandoned.end(ctx, err))
}

// stored is a document as the database has it.
type stored struct {
	Key      string        `bson:"_id"`
	Revision bson.ObjectID `bson:"r"`
	Format   int32         `bson:"f"`
	Data     bson.RawValue `bson:"d"`
	Text     string        `bson:"j"`
}

func (d *stored) document() (projection.Document, error) {
	var value bson.D
	if d.Text != "" {
		value = append(value, bson.E{Key: fieldText, Value: d.Text})
	} else {
		value = append(value, bson.E{Key: fieldFormat, Value: d.Format}, bson.E{Key: fieldValue, Value: d.Data})
	}
	data, err := bson.Marshal(value)
	if err != nil {
		return projection.Document{}, fmt.Errorf("document %q: %w", d.Key, err)
	}
	return projection.Document{Key: d.Key, Revision: projection.Revision(d.Revision.Hex()), Data: data}, nil
}

// reading starts a session whose reads see what this storage has seen.
func (s *Storage) reading(ctx context.Context) (context.Context, func(), error) {
	session, err := s.client.StartSession(options.Session().SetCausalConsistency(true))
	if err != nil {
		return nil, nil, err
	}
	if t, ok := s.seen.now(); ok {
		if err := session.AdvanceOperationTime(&t); err != nil {
			return nil, nil, err
		}
	}
	return driver.NewSessionContext(ctx, session), func() {
		s.seen.advance(session.OperationTime())
		session.EndSession(ctx)
	}, nil
}

// Read implements [projection.Storage].
func (s *Storage) Read(ctx context.Context, at projection.Place, keys ...string) ([]projection.Document, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	docs := make([]projection.Document, len(keys))
	places := make(map[string][]int, len(keys))
	h := homeOf(at)
	ids := make([]string, len(keys))
	for i, key := range keys {
		docs[i].Key, ids[i] = key, h.prefix+key
		places[key] = append(places[key], i)
	}
	for doc, err := range s.find(ctx, h, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, options.Find()) {
		if err != nil {
			return nil, err
		}
		for _, i := range places[doc.Key] {
			docs[i] = doc
		}
	}
	return docs, nil
}

// List implements [projection.Storage].
func (s *Storage) List(ctx context.Context, at projection.Place, r projection.Range) iter.Seq2[projection.Document, error] {
	h := homeOf(at)
	order := 1
	if r.Reverse {
		order = -1
	}
	opts := options.Find().SetSort(bson.D{{Key: "_id", Value: order}})
	if r.Limit > 0 {
		opts.SetLimit(int64(r.Limit))
	}
	return func(yield func(projection.Document, error) bool) {
		for doc, err := range s.find(ctx, h, h.keys(r), opts) {
			if !yield(doc, err) || err != nil {
				return
			}
		}
	}
}

// Count implements [projection.Storage]. The server reads the range, and sends a number.
func (s *Storage) Count(ctx context.Context, at projection.Place, r projection.Range) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	h := homeOf(at)
	what := "count " + h.collection
	ctx, end, err := s.reading(ctx)
	if err != nil {
		return 0, unavailable(what, err)
	}
	defer end()
	opts := options.Count()
	if r.Limit > 0 {
		opts.SetLimit(int64(r.Limit))
	}
	n, err := s.collection(h).CountDocuments(ctx, h.keys(r), opts)
	return int(n), unavailable(what, err)
}

func (s *Storage) find(ctx context.Context, h home, filter bson.D, opts *options.FindOptionsBuilder) iter.Seq2[projection.Document, error] {
	return func(yield func(projection.Document, error) bool) {
		what := "read " + h.collection
		ctx, end, err := s.reading(ctx)
		if err != nil {
			yield(projection.Document{}, unavailable(what, err))
			return
		}
		defer end()
		cursor, err := s.collection(h).Find(ctx, filter, opts)
		if err != nil {
			yield(projection.Document{}, unavailable(what, err))
			return
		}
		defer closeCursor(ctx, cursor)
		for cursor.Next(ctx) {
			var d stored
			err := cursor.Decode(&d)
			var doc projection.Document
			if err == nil {
				d.Key = strings.TrimPrefix(d.Key, h.prefix)
				doc, err = d.document()
			}
			if err != nil {
				yield(doc, unavailable(what, err))
				return
			}
			if !yield(doc, nil) {
				return
			}
		}
		if err := cursor.Err(); err != nil {
			yield(projection.Document{}, unavailable(what, err))
		}
	}
}

func closeCursor(ctx context.Context, c interface{ Close(context.Context) error }) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = c.Close(ctx) // the server ends it by itself
}

func unavailable(what string, err error) error {
	if err == nil || errors.Is(err, projection.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", what, projection.ErrUnavailable, err)
}

// dialFunc is a function as the driver's dialer.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// DialContext calls the function.
func (f dialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}
