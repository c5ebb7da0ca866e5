package mongod

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/testharness/internal/child"
	"github.com/ganglion-go/ganglion/testharness/internal/loopback"
	"github.com/ganglion-go/ganglion/testharness/netproxy"
)

const (
	pollInterval = 20 * time.Millisecond
	pollTimeout  = time.Second // a paused member does not answer; ask again later
)

// Member is one mongod of a [ReplicaSet].
type Member struct {
	index   int
	binary  string
	args    []string
	logPath string
	port    *loopback.Port
	proxy   *netproxy.Proxy // nil unless Config.Proxied
	admin   *mongo.Client   // straight to the process, past a proxy

	mu   sync.Mutex
	proc *child.Process // the running child, or the last one
}

func newMember(cfg Config, index int) (_ *Member, err error) {
	m := &Member{index: index, binary: cfg.Binary}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	dbPath := filepath.Join(cfg.Dir, fmt.Sprintf("member%d", index))
	m.logPath = dbPath + ".log"
	if err := os.MkdirAll(dbPath, dirMode); err != nil {
		return nil, err
	}
	if m.port, err = reservePort(cfg, index); err != nil {
		return nil, err
	}
	if cfg.Proxied {
		if m.proxy, err = netproxy.New(m.port.Addr()); err != nil {
			return nil, err
		}
	}
	m.args = arguments(cfg, m.port.Number(), dbPath)
	m.admin, err = mongo.Connect(options.Client().SetHosts([]string{m.port.Addr()}).SetDirect(true))
	return m, err
}

func reservePort(cfg Config, index int) (*loopback.Port, error) {
	if len(cfg.Ports) > 0 {
		return loopback.ReserveNumber(cfg.Ports[index])
	}
	return loopback.Reserve()
}

func arguments(cfg Config, port int, dbPath string) []string {
	args := []string{
		"--replSet", cfg.Name,
		"--port", strconv.Itoa(port),
		"--dbpath", dbPath,
		"--bind_ip", loopback.Host,
		"--wiredTigerCacheSizeGB", strconv.FormatFloat(float64(cfg.CacheMB)/1024, 'f', 3, 64),
		"--oplogSize", "256",
		"--setParameter", "diagnosticDataCollectionEnabled=false",
		"--setParameter", "oplogNetworkTimeoutBufferSeconds=" + strconv.Itoa(silenceSeconds),
		"--setParameter", "oplogFetcherSteadyStateMaxFetcherRestarts=0",
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Parameters)) {
		args = append(args, "--setParameter", name+"="+cfg.Parameters[name])
	}
	return args
}

// Index is the member's place in [ReplicaSet.Members].
func (m *Member) Index() int { return m.index }

// Addr is "host:port" as the replica set and its clients know the member: its
// own address, or its proxy's.
func (m *Member) Addr() string {
	if m.proxy != nil {
		return m.proxy.Addr()
	}
	return m.port.Addr()
}

// Proxy is what stands in front of the member, or nil without [Config.Proxied].
// It belongs to the replica set: do not close it.
func (m *Member) Proxy() *netproxy.Proxy { return m.proxy }

// LogPath is the file with everything that the member wrote, over all its restarts.
func (m *Member) LogPath() string { return m.logPath }

// PID is the process of the member, or 0 while it is down.
func (m *Member) PID() int {
	if p := m.process(); p != nil && !p.Gone() {
		return p.PID()
	}
	return 0
}

// Kill ends the member with SIGKILL and returns when it is gone. The data that
// it acknowledged as journaled stays. It is idempotent.
func (m *Member) Kill() {
	if p := m.process(); p != nil {
		p.Kill()
	}
}

// Pause stops the member with SIGSTOP: its connections stay open and nothing
// answers. After the pause of a primary another one takes writes in 3 to 5 s, but
// majority writes can take 30 s more: a secondary whose report of progress was
// under way to the old primary waits that long, a constant of MongoDB, before it
// reports to the new one. A cut through a proxy has the same effect. It fails with [ErrNotRunning], or [errors.ErrUnsupported] on a system
// without signals. It is idempotent.
func (m *Member) Pause() error { return m.signal((*child.Process).Pause) }

// Resume lets a paused member run on. It fails like [Member.Pause] and does
// nothing to one that runs.
func (m *Member) Resume() error { return m.signal((*child.Process).Resume) }

// Restart starts a member that was killed, or kills it first, and waits until it
// is primary or secondary. In a set without a majority that never happens; ctx
// bounds the wait. It fails with a [*StartError].
func (m *Member) Restart(ctx context.Context) error {
	m.Kill()
	if err := m.start(); err != nil {
		return err
	}
	return m.await(ctx, func(h hello) bool { return h.Primary || h.Secondary })
}

func (m *Member) signal(send func(*child.Process) error) error {
	p := m.process()
	if p == nil || p.Gone() {
		return fmt.Errorf("%w: %s", ErrNotRunning, m.Addr())
	}
	return send(p)
}

func (m *Member) start() error {
	p, err := child.Start(m.binary, m.args, nil, m.logPath)
	if err != nil {
		return m.startError(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.proc = p
	return nil
}

func (m *Member) process() *child.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proc
}

// hello is what a member says about itself.
type hello struct {
	Primary    bool          `bson:"isWritablePrimary"`
	Secondary  bool          `bson:"secondary"`
	ElectionID bson.ObjectID `bson:"electionId"`
}

func (m *Member) hello(ctx context.Context) (hello, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	var said hello
	err := m.run(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&said)
	return said, err
}

func (m *Member) run(ctx context.Context, command bson.D) *mongo.SingleResult {
	return m.admin.Database("admin").RunCommand(ctx, command)
}

// await asks the member until ready says yes, the process dies or ctx ends.
func (m *Member) await(ctx context.Context, ready func(hello) bool) error {
	p := m.process()
	for {
		said, err := m.hello(ctx)
		if err == nil && ready(said) {
			return nil
		}
		select {
		case <-p.Exited():
			return m.startError(fmt.Errorf("mongod ended: %w", p.State()))
		case <-ctx.Done():
			return m.startError(errors.Join(context.Cause(ctx), err))
		case <-time.After(pollInterval):
		}
	}
}

func (m *Member) startError(cause error) error {
	text, err := fileTail(m.logPath)
	if err != nil {
		text = err.Error()
	}
	return &StartError{Addr: m.port.Addr(), LogPath: m.logPath, LogTail: text, Err: cause}
}

// close kills the process and gives back what [newMember] took, as far as it got.
func (m *Member) close() error {
	m.Kill()
	var err error
	if m.admin != nil {
		// The server is dead, so the driver must not wait to say good-bye to it.
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err = m.admin.Disconnect(ctx)
	}
	if m.proxy != nil {
		err = errors.Join(err, m.proxy.Close())
	}
	if m.port != nil {
		m.port.Release()
	}
	return err
}
