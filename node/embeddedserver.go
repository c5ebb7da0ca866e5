package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// startPoll is how often a start looks whether the server takes connections.
	startPoll = 100 * time.Millisecond
	// listenPolls is how many looks a server gets to listen after its start is over: it
	// opens the listener for other servers beside its start, and 100 ms are not always
	// enough for that on a busy machine.
	listenPolls = 300
	// startRemind is the time between two lines of the log about a start that takes long.
	startRemind = 10 * time.Second
	// startStuck is for how long a server that starts may read nothing and say nothing.
	startStuck = 10 * time.Minute
	// recoveryReads is how often a recovery reads what is stored, at most.
	recoveryReads = 4
	// stopPatience bounds the wait for a server that is given up while it starts.
	stopPatience = 5 * time.Second

	// maxReadyAccounts is more accounts than an embedded server has: its own and the
	// system's.
	maxReadyAccounts = 16
)

// ErrEmbeddedServer says that the embedded NATS server did not start: its data folder
// cannot be read or written, or it cannot listen.
var ErrEmbeddedServer = errors.New("embedded NATS server")

// errServerEnds says that the server is not to be replaced: the process ends.
var errServerEnds = errors.New("the embedded NATS server ends")

// embedded is the NATS server inside the process. The server itself may be replaced by
// another one on the same data folder, see [embedded.restart]; connections of this
// process come back by themselves.
type embedded struct {
	options  func() (*server.Options, error)
	log      *serverLog
	progress *progress
	token    string // with which this process connects to it
	system   string // with which it connects to the system account
	listens  bool   // others reach it
	alone    bool   // it is in no cluster

	stored uint64 // bytes of messages when the process began

	current atomic.Pointer[server.Server]
	caught  atomic.Bool // see caughtUp

	replacing sync.Mutex  // held while one server follows another
	ending    atomic.Bool // it is not to be replaced any more
}

// newEmbedded prepares a NATS server inside the process, which joins others if
// the settings say so. When it also holds the store, it writes through to the
// disk before it acknowledges; else a crash of the machine (not of the process)
// can take the last commands with it.
//
// own is what it shows others; nil: it has no certificates.
func newEmbedded(s *settings, own *identities) (*embedded, error) {
	e := &embedded{
		log:      &serverLog{to: s.Logger},
		progress: newProgress(bytesRead),
		token:    rand.Text(),
		system:   rand.Text(),
		listens:  s.NATSClusterAddr != "" || s.NATSClientAddr != "",
		alone:    !s.clustered(),
	}
	clients := &gate{
		own: e.token, secret: s.secret, open: s.NATSClientAddr != "" && s.secret == "",
		system: e.system, server: e.server,
	}
	e.options = func() (*server.Options, error) {
		var id *identity
		if own != nil {
			id = own.used.Load()
		}
		opts, err := embeddedOptions(s, id)
		if err == nil && e.listens {
			opts.CustomClientAuthentication = clients
		}
		return opts, err
	}
	dir, err := embeddedDir(s)
	if err != nil {
		return nil, err
	}
	e.stored = storedBytes(dir)
	return e, nil
}

// waitsFor says what a start waits for.
func (e *embedded) waitsFor() string {
	return fmt.Sprintf("the embedded NATS server reads what it has stored: %d MiB so far", e.progress.read()>>20)
}

// start makes a server. It returns once the server takes connections. After a crash the
// server reads what it has stored, which takes as long as it takes: ctx ends the wait, or
// a server that does nothing any more.
func (e *embedded) start(ctx context.Context) error {
	opts, err := e.options()
	if err != nil {
		return err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEmbeddedServer, err)
	}
	e.log.begin(e.listens)
	s.SetLogger(e.log, false, false)
	e.progress.begin(e.log.lines(), startStep)
	started := make(chan struct{})
	// Start reads what is stored and waits for the listeners that routes need, hence
	// the goroutine. It is over before WaitForShutdown returns.
	go func() {
		defer close(started)
		s.Start()
	}()
	err = e.awaitReady(ctx, s, started)
	if err == nil && e.alone {
		err = unrecovered(s, opts.StoreDir, e.log)
	}
	if err != nil {
		abandon(s, started)
		return fmt.Errorf("%w on %s: %w", ErrEmbeddedServer, opts.StoreDir, err)
	}
	e.current.Store(s)
	return nil
}

// listening is a server that says whether it listens, after a wait of at most d.
type listening interface {
	ReadyForConnections(d time.Duration) bool
}

// awaitReady follows a start. What ends it is the server's own word that it cannot
// start, or that nothing happens any more; no clock can tell how much there is to read.
func (e *embedded) awaitReady(ctx context.Context, s listening, started <-chan struct{}) error {
	looks := 0
	begin := time.Now()
	remind := time.NewTicker(startRemind)
	defer remind.Stop()
	for !s.ReadyForConnections(startPoll) {
		if fatal := e.log.fatal(); fatal != "" {
			return errors.New(fatal)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-started:
			if looks++; looks >= listenPolls {
				return fmt.Errorf("it ended its start without being ready: %s", e.log.last())
			}
		case <-remind.C:
			e.log.to.InfoContext(ctx, "the embedded NATS server reads what it has stored", "for", since(begin),
				"mebibytes_read", e.progress.read()>>20, "now", e.log.last())
		default:
		}
		if idle := e.progress.idle(e.log.lines()); idle >= startStuck {
			return fmt.Errorf("it has read nothing for %v since it said %q", idle.Round(time.Second), e.log.last())
		}
	}
	if took := time.Since(begin); took >= startRemind {
		e.log.to.InfoContext(ctx, "the embedded NATS server has read what it had stored", "after", since(begin))
	}
	return nil
}

// abandon shuts a server down that may be in the middle of its start, and does not
// wait for one that reads on: the process ends soon.
func abandon(s *server.Server, started <-chan struct{}) {
	down := make(chan struct{})
	go func() {
		defer close(down)
		s.Shutdown()
		<-started
		s.WaitForShutdown()
	}()
	select {
	case <-down:
	case <-time.After(stopPatience):
	}
}

// whileRecovering bounds what waits for streams: it ends with the cause once this server
// has read nothing of what it has stored for the given time.
func (e *embedded) whileRecovering(ctx context.Context, patience time.Duration, cause error) (context.Context, func()) {
	return e.progress.while(ctx, patience, recoveryReads*e.stored, cause)
}

// server returns the server that runs now.
func (e *embedded) server() *server.Server { return e.current.Load() }

// InProcessConn implements nats.InProcessConnProvider: connections are to whichever
// server runs.
func (e *embedded) InProcessConn() (net.Conn, error) { return e.server().InProcessConn() }

// restart replaces the server by a new one on the same data folder. A server whose disk
// has refused a write stores nothing more in that stream as long as it lives.
func (e *embedded) restart(ctx context.Context) error {
	e.replacing.Lock()
	defer e.replacing.Unlock()
	if e.ending.Load() {
		return errServerEnds
	}
	e.shutDown()
	e.caught.Store(false)
	return e.start(ctx)
}

// reload has the server that runs take options that have changed, which only certificates
// do. Connections that there are stay.
func (e *embedded) reload() error {
	e.replacing.Lock()
	defer e.replacing.Unlock()
	if e.ending.Load() {
		return nil
	}
	opts, err := e.options()
	if err != nil {
		return err
	}
	if err := e.server().ReloadOptions(opts); err != nil {
		return fmt.Errorf("%w: reload certificates: %w", ErrEmbeddedServer, err)
	}
	return nil
}

// caughtUp reports whether the server has been as far as its cluster since its
// start, with the streams that it has replicas of. Until then it cannot take over
// from another one, which therefore should not go.
func (e *embedded) caughtUp() bool {
	if e.caught.Load() {
		return true
	}
	s := e.server()
	if !s.JetStreamIsCurrent() {
		return false
	}
	info, err := s.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Limit: maxReadyAccounts})
	if err != nil {
		return false
	}
	for _, account := range info.AccountDetails {
		for _, stream := range account.Streams {
			if !s.JetStreamIsStreamCurrent(account.Id, stream.Name) {
				return false
			}
		}
	}
	e.caught.Store(true)
	return true
}

// leave ends the server in order: it gives away what it leads, has its other
// clients move, and ends. ctx cuts that short; the server is then still to be shut
// down.
func (e *embedded) leave(ctx context.Context) error {
	e.ending.Store(true)
	left := make(chan struct{})
	go func() {
		defer close(left)
		e.server().LameDuckShutdown()
	}()
	select {
	case <-left:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("leave the cluster of NATS servers: %w", context.Cause(ctx))
	}
}

// close ends the server at once.
func (e *embedded) close() {
	e.ending.Store(true)
	e.replacing.Lock()
	defer e.replacing.Unlock()
	e.shutDown()
}

func (e *embedded) shutDown() {
	s := e.server()
	s.Shutdown()
	s.WaitForShutdown()
}

// startServer starts the embedded server and watches its disk.
func (n *Node) startServer(ctx context.Context) error {
	e, err := newEmbedded(&n.cfg, n.certificates.own)
	if err != nil {
		return err
	}
	dir := n.cfg.DataDir
	space := func() (free, total uint64, err error) { return diskSpace(dir) }
	b := newBallast(dir, space)
	if b.giveUp() {
		n.cfg.Logger.WarnContext(ctx, "the disk is full: its ballast is given up for what the start writes", "file", b.path)
	}
	n.start.waitsFor(e.waitsFor)
	if err := e.start(ctx); err != nil {
		return err
	}
	n.nats = e
	n.onClose(e.close)
	n.storage = &storage{server: e, logger: n.cfg.Logger, space: space, ballast: b}
	now := n.storage.look(ctx, storageState{}, nil) // before anything is taken in
	n.storage.state.Store(&now)
	if now.fault == nil {
		b.take()
	}
	if n.metrics != nil {
		n.metrics.observeStorage(n.storage)
	}
	return nil
}
