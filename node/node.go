package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/node/internal/dashboard"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
)

// Node is a node process: connections, runtime, HTTP API and admin server.
type Node struct {
	cfg       settings
	named     bool // the name was given, not taken from the data folder
	dir       *dataDir
	nats      *embedded // nil: external
	conn      *nats.Conn
	gone      *goneConn
	echoes    []*echo    // of connections to a server elsewhere
	leases    *nats.Conn // of sessions and claims alone; nil: the store is not in JetStream
	store     store.Store
	bus       *natsbus.Bus
	client    *natsbus.Client
	internal  *natsbus.Client // of the runtime
	unserved  *unserved
	runtime   *runtime.Node
	peers     *peers
	gateway   *gateway.Gateway
	served    gateway.Config   // of the gateway
	operators *gateway.Gateway // of the admin server: it reads alone, and shows everything
	sending   *gateway.Gateway // by which operators send commands; nil: they may not
	handler   http.Handler     // what the HTTP address serves

	projections *projections // nil: the node has none
	rest        rest

	metrics *metrics
	watch   *watch
	storage *storage // nil: the NATS server is external

	dashboard *dashboard.Dashboard
	figures   *figures
	acted     actionLog
	jobs      background

	replicas *replicaWatch // nil: there is no cluster of embedded servers
	members  *memberships  // likewise

	api, admin           *http.Server
	apiListen, admListen net.Listener
	refusals             rationed

	certificates *certificates

	start                opening
	beginning            http.Handler                 // of the admin server, while the node opens
	operation            atomic.Pointer[http.Handler] // after that
	apiEnded, adminEnded chan error                   // why, then closed

	draining atomic.Bool
	drained  chan struct{} // closed when a drain was asked for over HTTP
	askDrain func()
	undo     undoing
	closeBy  func() time.Time // until when functions of OnClose may take, from the first call on
	closing  sync.Once
	stopping chan struct{} // closed when the servers take no more requests
	stop     func()        // closes stopping
}

// Open checks the configuration, connects, and returns a node that listens on
// its addresses but serves only once it runs. The admin server answers from the moment on
// at which it listens, before Open returns: /livez that the process lives, /readyz what
// it waits for. Requests of the API wait until the node runs, for 10 s at most. The caller
// closes the node. Errors wrap
// [ErrConfig], [ErrDataDirInUse], [ErrEmbeddedServer], [ErrUnrecovered], [ErrNoQuorum], [ErrNATSRefused],
// [ErrNATSUntrusted], [ErrNATSUnreachable], [ErrCertificate], [ErrOtherCluster], are an [*UndecodableError] or [*UndeclaredError], or those of the
// systems it connects to.
func Open(ctx context.Context, cfg Config, definitions ...actor.Registrable) (*Node, error) {
	s, err := cfg.check()
	if err != nil {
		return nil, err
	}
	return open(ctx, s, definitions)
}

// open is [Open] with settings.
func open(ctx context.Context, s settings, definitions []actor.Registrable) (*Node, error) {
	n := newNode(s)
	n.metrics, n.drained = newMetrics(), make(chan struct{})
	n.start.started()
	n.askDrain = sync.OnceFunc(func() { close(n.drained) })
	for _, step := range []struct {
		what string
		open func(context.Context, []actor.Registrable) error
	}{
		{"opens the data folder", n.openData},
		{"listens", n.listen},
		{"listens", n.openServers},
		{"connects to NATS", n.openNATS},
		{"opens the store", n.openStore},
		{"opens the command stream", n.openRuntime},
		{"checks that it can read what is stored", n.checkSchema},
		{"registers its projections", n.openProjections},
		{"opens the gateway", n.openGateway},
		{"runs the application's setup", n.openApplication},
		{"opens the gateway", n.openOperation},
	} {
		n.start.step(step.what)
		if err := step.open(ctx, definitions); err != nil {
			n.start.fails()
			n.release()
			return nil, n.broken(ctx, step.what, err)
		}
	}
	return n, nil
}

// newNode returns a node of which nothing is opened.
func newNode(s settings) *Node {
	n := &Node{cfg: s, named: s.Name != "", gone: newGoneConn(), stopping: make(chan struct{})}
	n.stop = sync.OnceFunc(func() { close(n.stopping) })
	n.closeBy = sync.OnceValue(func() time.Time { return time.Now().Add(closersTimeout) })
	return n
}

func (n *Node) onClose(f func()) { n.undo.add(f) }

// release undoes, backwards, what was opened.
func (n *Node) release() {
	n.gone.ours.Store(true)
	n.undo.run()
}

// openData opens the data folder if anything is kept there: the embedded server,
// or the node's name.
func (n *Node) openData(context.Context, []actor.Registrable) error {
	if !n.cfg.embeddedNATS() && n.cfg.Name != "" {
		return nil
	}
	dir, err := openDataDir(n.cfg.DataDir)
	if err != nil {
		return err
	}
	n.dir = dir
	n.onClose(func() { _ = dir.close() })
	if n.cfg.Name == "" {
		n.cfg.Name, err = dir.name()
	}
	return err
}

// soleHolder reports that the lock on the data folder proves a predecessor under
// the same name dead: the name is the folder's own, or the whole store is inside it.
func (n *Node) soleHolder() bool {
	return n.dir != nil && (!n.named || n.cfg.embeddedNATS() && !n.cfg.clustered() && n.cfg.embeddedStore())
}

// noteSession notes in the data folder which session is about to be opened. What cannot be
// noted is waited for at the next start, as a session of somebody else.
func (n *Node) noteSession(incarnation string) {
	if err := n.dir.opening(incarnation); err != nil {
		n.cfg.Logger.Warn("the data folder does not say which session is its own: the next start takes longer", "error", err)
	}
}

func (n *Node) openNATS(ctx context.Context, _ []actor.Registrable) error {
	if err := n.openCertificates(ctx); err != nil {
		return err
	}
	if n.cfg.embeddedNATS() {
		if err := n.startServer(ctx); err != nil {
			return err
		}
	}
	n.watchCertificates(ctx)
	conn, err := connect(&n.cfg, n.nats, n.gone)
	if err != nil {
		return err
	}
	n.conn = conn
	n.onClose(conn.Close)
	if !n.cfg.clustered() {
		return nil
	}
	n.storage.others = func(ctx context.Context) bool { return storesCommands(ctx, conn, n.cfg.Namespace) }
	n.replicas = &replicaWatch{conn: conn, logger: n.cfg.Logger}
	n.members = &memberships{server: n.nats, replicas: n.cfg.Replicas}
	if n.metrics != nil {
		n.metrics.observeReplicas(n.replicas)
	}
	q := &quorum{server: n.nats, conn: conn, others: n.cfg.others, replicas: n.cfg.Replicas, logger: n.cfg.Logger}
	n.start.waitsFor(q.waitsFor)
	return q.await(ctx, n.cfg.ClusterTimeout)
}

// replicatedTimeout bounds a call of a store on replicated streams. A leader that
// resigns or dies leaves writes without an answer, and the callers of their commands
// wait for 10 s if they do not say otherwise: what has become of a write must be
// looked up before that.
const replicatedTimeout = 4 * time.Second

const (
	// openPatience bounds the opening of streams on an embedded server that reads
	// nothing meanwhile.
	openPatience = time.Minute
	// recoveryTimeout bounds it in any case.
	recoveryTimeout = 24 * time.Hour
)

// opening bounds what looks for streams. Those of an embedded server may have much to
// read after a crash.
func (n *Node) opening(ctx context.Context) (context.Context, func()) {
	if n.nats == nil {
		return ctx, func() {}
	}
	return n.nats.whileRecovering(ctx, openPatience, context.DeadlineExceeded)
}

func (n *Node) openStore(ctx context.Context, _ []actor.Registrable) error {
	if n.cfg.embeddedStore() {
		leases, err := connect(&n.cfg, n.nats, n.gone)
		if err != nil {
			return err
		}
		n.leases = leases
		n.onClose(leases.Close)
		cfg := jetstream.Config{Namespace: n.cfg.Namespace, Replicas: n.cfg.Replicas, Leases: leases, Logger: n.cfg.Logger}
		ctx, cancel := n.opening(ctx)
		defer cancel()
		if n.nats != nil {
			cfg.OpenTimeout = recoveryTimeout
		}
		if n.cfg.Replicas > 1 {
			cfg.Timeout = replicatedTimeout
		}
		s, err := jetstream.Open(ctx, n.conn, cfg)
		if err != nil {
			return fmt.Errorf("open JetStream store: %w", err)
		}
		n.store = s
		return nil
	}
	s, err := mongostore.Open(ctx, n.cfg.MongoURI, mongostore.Config{
		Database: n.cfg.MongoDatabase, Dial: n.cfg.Dial, Logger: n.cfg.Logger,
	})
	if errors.Is(err, mongostore.ErrDirect) || errors.Is(err, mongostore.ErrURI) {
		return fmt.Errorf(n.cfg.say("${MongoURI}: %w: %w"), err, ErrConfig)
	}
	if err != nil {
		return fmt.Errorf("open MongoDB store: %w", err)
	}
	n.store = s
	n.onClose(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	return nil
}

func (n *Node) openRuntime(ctx context.Context, definitions []actor.Registrable) error {
	bound, err := n.bind(ctx, 0)
	if err != nil {
		return err
	}
	opening, cancel := n.opening(ctx)
	defer cancel()
	config := natsbus.Config{
		Namespace: n.cfg.Namespace, Partitions: n.cfg.Partitions, Replicas: n.cfg.Replicas, Logger: n.cfg.Logger, BeforeUpdate: n.awaitNoOthers,
		Events: n.metrics.busListener(),
		Store:  bound.Store, StoreName: n.storeName(), StorePartitions: actor.Partitions(bound.Partitions),
	}
	if n.nats != nil {
		config.OpenTimeout = recoveryTimeout
	}
	bus, err := natsbus.Open(opening, n.conn, config)
	if err != nil {
		return fmt.Errorf("open command stream: %w", n.belonging(err))
	}
	n.bus = bus
	if err := n.bound(ctx); err != nil {
		return err
	}
	if n.internal, err = bus.RuntimeClient(natsbus.ClientConfig{Namespace: n.cfg.Namespace, Now: n.cfg.now(), Logger: n.cfg.Logger}); err != nil {
		return fmt.Errorf("open client: %w", err)
	}
	n.onClose(n.internal.Close)
	if n.client, err = bus.Client(natsbus.ClientConfig{Namespace: n.cfg.Namespace, Now: n.cfg.now(), Logger: n.cfg.Logger}); err != nil {
		return fmt.Errorf("open client: %w", err)
	}
	n.onClose(n.client.Close)
	limits := n.cfg.Limits
	limits.Name, limits.Address, limits.Build, limits.Lease = n.cfg.Name, n.advertised(), n.build(), n.cfg.Lease
	limits.Answers, limits.ExposeInternal = n.cfg.Answers, n.cfg.ExposeInternal
	limits.Outbox, limits.Schedules = n.bus, n.cfg.Schedules
	if n.cfg.NoRelay {
		limits.Outbox = nil
	}
	if limits.SoleHolderOfName = n.soleHolder(); n.dir != nil {
		limits.Opened, limits.Opening = n.dir.opened, n.noteSession
	}
	limits.Alone = n.cfg.embeddedNATS() && !n.cfg.clustered() // no other node reaches its server
	limits.SoleStore = limits.Alone && n.cfg.NATSClientAddr == "" && n.cfg.embeddedStore()
	if err := n.openEchoes(); err != nil {
		return err
	}
	limits.Reach, limits.CutAfter = n.contact(), n.cfg.CutAfter
	limits.Logger, limits.Listener = n.cfg.Logger, n.metrics.runtimeListener()
	n.metrics.effectListener(&limits.Listener)
	n.figures = newFigures(n, definitions)
	n.figures.listen(&limits.Listener)
	limits.Effects.Timers, limits.Effects.Performers = n.bus, slices.Concat(limits.Effects.Performers, n.cfg.Effects)
	limits.Listener.PartitionServed = func(actor.Partition) { n.pokeProjections() }
	limits.Listener.PartitionLeft = func(actor.Partition, error) { n.pokeProjections() }
	n.runtime, err = runtime.New(limits, n.store, n.bus, definitions...)
	if err != nil {
		return errors.Join(err, ErrConfig)
	}
	n.metrics.observe(n.runtime)
	n.metrics.observeParking(n.store)
	n.metrics.observeEffects(n.runtime)
	n.peers = &peers{conn: n.conn, namespace: n.cfg.Namespace}
	stop, err := n.peers.answer(n.cfg.Name, n.runtime.Status, n.figures.encoded)
	if err != nil {
		return fmt.Errorf("subscribe for other nodes: %w", err)
	}
	n.onClose(stop)
	return nil
}

func (n *Node) build() string {
	if n.cfg.Build != "" {
		return n.cfg.Build
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return info.Main.Version + "+" + s.Value
		}
	}
	return info.Main.Version
}

func (n *Node) openGateway(_ context.Context, definitions []actor.Registrable) error {
	n.unserved = newUnserved(n, definitions)
	n.watch = newWatch(n.store, n.cfg.Logger)
	n.served = gateway.Config{
		History: &history{store: n.store, behaviors: behaviorsOf(definitions), watch: n.watch, replays: make(chan struct{}, replaysMax)},
		Cluster: &cluster{
			namespace: n.cfg.Namespace, own: n.runtime.Status, store: n.store,
			partitions: n.bus.Partitions(), backlog: n.bus.Backlog, peers: n.peers,
		},
		ExposeInternal: n.cfg.ExposeInternal,

		Knows:        n.runtime.Knows,
		Authenticate: n.cfg.authenticator, Authorize: n.cfg.Authorize, PublicDescription: n.cfg.PublicDescription,
		Now:    n.cfg.now(),
		Logger: n.cfg.Logger, Listener: n.metrics.gatewayListener(),
	}
	if n.projections != nil {
		n.served.Views = n.projections.views
	}
	g, err := gateway.New(n.Client(), definitions, n.served)
	if err != nil {
		return errors.Join(err, ErrConfig)
	}
	n.gateway = g
	return n.openOperators(definitions)
}

func behaviorsOf(definitions []actor.Registrable) map[actor.Kind]*actor.Behavior {
	behaviors := make(map[actor.Kind]*actor.Behavior, len(definitions))
	for _, d := range definitions {
		behaviors[d.Behavior().Kind()] = d.Behavior()
	}
	return behaviors
}

// advertised returns the address under which others reach the HTTP API, as far
// as the process can know it.
func (n *Node) advertised() string {
	host, port, err := net.SplitHostPort(n.HTTPAddr())
	if err != nil {
		return n.HTTPAddr()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return net.JoinHostPort(host, port)
}

// serveAPI has clients go elsewhere with their next request once the node drains.
// (http.Server.SetKeepAlivesEnabled would also close connections that are idle at
// this moment, and with them a request that is just being sent.)
func (n *Node) serveAPI(w http.ResponseWriter, r *http.Request) {
	if n.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	n.handler.ServeHTTP(w, r)
}

// HTTPAddr returns the address on which the HTTP API listens.
func (n *Node) HTTPAddr() string { return n.apiListen.Addr().String() }

// AdminAddr returns the address on which the admin server listens: host:port, or
// unix:PATH.
func (n *Node) AdminAddr() string {
	if n.cfg.adminSocket() != "" {
		return n.cfg.AdminAddr
	}
	return n.admListen.Addr().String()
}

// Name returns the node's name.
func (n *Node) Name() string { return n.cfg.Name }

// Client returns a client of the node's cluster. It lives as long as the node.
func (n *Node) Client() actor.Client { return guarded{n.client, n.storage} }

// Drained is closed when somebody asked for a drain over the admin server.
func (n *Node) Drained() <-chan struct{} { return n.drained }

// Status returns the state of the node's runtime.
func (n *Node) Status() runtime.Status { return n.runtime.Status() }

// Run serves until Shutdown, Close, or the end of ctx, which cuts as Close does.
// It returns nil after those, and otherwise why the node cannot go on.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	part := func(run func() error) {
		parts.Go(func() {
			if err := run(); err != nil && !errors.Is(err, http.ErrServerClosed) {
				cancel(err)
			}
		})
	}
	n.start.run()
	for _, ended := range []<-chan error{n.apiEnded, n.adminEnded} {
		part(func() error {
			select {
			case err := <-ended:
				return err
			case <-ctx.Done():
				return nil
			}
		})
	}
	if n.storage != nil {
		part(func() error { return n.storage.run(ctx) })
	}
	if n.replicas != nil {
		parts.Go(func() { n.replicas.run(ctx) })
	}
	part(func() error { return n.gone.run(ctx) })
	for _, e := range n.echoes {
		parts.Go(func() { e.run(ctx) })
	}
	parts.Go(func() { n.watch.run(ctx) })
	parts.Go(func() { n.unserved.run(ctx) })
	parts.Go(func() { n.announce(ctx) })
	if n.cfg.tokens != nil {
		parts.Go(func() { _ = n.cfg.tokens.Run(ctx) }) // returns nil
	}
	if n.projections != nil {
		parts.Go(func() { n.projections.run(ctx) })
	}
	err := n.runtime.Run(ctx)
	if errors.Is(err, runtime.ErrNameInUse) && n.dir != nil && !n.named {
		err = fmt.Errorf("another node lives under the name that is kept in the data folder %s, which is a copy, or was copied: start it with another --name, or remove the file \"name\" from one of the two: %w", n.dir.path, err)
	}
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	cancel(nil)
	_ = n.api.Close()
	_ = n.admin.Close()
	parts.Wait()
	return n.cfg.hide.Error(err)
}

// announce logs when the node first serves.
func (n *Node) announce(ctx context.Context) {
	n.cfg.Logger.InfoContext(ctx, "listening", "http", n.HTTPAddr(), "admin", n.AdminAddr(), "node", n.cfg.Name,
		"nats", n.where(n.cfg.embeddedNATS(), "external"), "store", n.where(n.cfg.embeddedStore(), "mongodb"))
	if n.runtime.AwaitServing(ctx, 1) == nil {
		n.cfg.Logger.InfoContext(ctx, "serving", "node", n.cfg.Name)
	}
}

func (n *Node) where(embedded bool, otherwise string) string {
	if embedded {
		return "embedded in " + n.cfg.DataDir
	}
	return otherwise
}

// Close ends the node at once and releases everything it has opened. It is
// idempotent, and must be called last also after Shutdown, when Run has returned
// or was never called.
func (n *Node) Close() error {
	n.closing.Do(func() {
		n.stop()
		_ = n.api.Close()
		_ = n.admin.Close()
		_ = n.runtime.Close()
		n.release()
	})
	return nil
}

// AwaitServing waits until the node has a valid lease and serves at least the
// given number of partitions, or ctx ends.
func (n *Node) AwaitServing(ctx context.Context, partitions int) error {
	return n.runtime.AwaitServing(ctx, partitions)
}
