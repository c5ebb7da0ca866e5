package mongo_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/mongo"
	"github.com/ganglion-go/ganglion/projection/projectiontest"
	"github.com/ganglion-go/ganglion/testharness"
)

// freedWithin is far more than it takes, and less than the 60 s after which the server
// ends a transaction by itself.
const freedWithin = 30 * time.Second

// network is what a process has, until it is killed.
type network struct {
	mu       sync.Mutex
	conns    []net.Conn
	dead     bool
	onCommit func() // before a transaction's end is sent
	onBegin  func() // once, when its first operation is sent, which then arrives late
	over     bool   // late grows no more
	late     sync.WaitGroup
}

// lateBy is how long what is sent late is on its way, also when its connection is closed.
const lateBy = 300 * time.Millisecond

func (n *network) dial(ctx context.Context, protocol, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead {
		return nil, net.ErrClosed
	}
	c, err := (&net.Dialer{}).DialContext(ctx, protocol, address)
	if err != nil {
		return nil, err
	}
	n.conns = append(n.conns, c)
	return &line{c, n}, nil
}

// die closes all connections without a word, as the system does for a process that was
// killed.
func (n *network) die() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead = true
	for _, c := range n.conns {
		_ = c.Close()
	}
}

func (n *network) takeOnBegin() func() {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := n.onBegin
	n.onBegin = nil
	return f
}

// after does something later, and at once when the test is over.
func (n *network) after(pause time.Duration, do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		do()
		return
	}
	n.late.Go(func() {
		<-time.After(pause)
		do()
	})
}

// end waits for what comes late.
func (n *network) end() {
	n.mu.Lock()
	n.over = true
	n.mu.Unlock()
	n.late.Wait()
}

type line struct {
	net.Conn
	of *network
}

func (l *line) Write(p []byte) (int, error) {
	if l.of.onCommit != nil && bytes.Contains(p, []byte("commitTransaction")) {
		l.of.onCommit()
	}
	if bytes.Contains(p, []byte("startTransaction")) {
		if begins := l.of.takeOnBegin(); begins != nil {
			sent := bytes.Clone(p)
			l.of.after(lateBy, func() { _, _ = l.Conn.Write(sent) })
			begins()
			return len(p), nil
		}
	}
	return l.Conn.Write(p)
}

// Close lets what is on its way arrive.
func (l *line) Close() error {
	l.of.after(2*lateBy, func() { _ = l.Conn.Close() })
	return nil
}

// openOn opens a storage as a process of its own.
func openOn(t *testing.T, n *network, database string) *mongo.Storage {
	t.Helper()
	s, err := mongo.Open(testharness.SharedMongo(t, 1).URI(), mongo.Config{Database: database, Dial: n.dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	return s
}

// writes are of two collections, so that there is a transaction.
func writesOf(t *testing.T, s *mongo.Storage, by string) []projection.Write {
	t.Helper()
	data, err := s.Marshal(map[string]string{"by": by})
	if err != nil {
		t.Fatal(err)
	}
	return []projection.Write{
		{Place: projection.Place{Projection: "p", Generation: 1, Collection: "one"}, Key: "k", Data: data},
		{Place: projection.Place{Projection: "p", Generation: 1, Collection: "two"}, Key: "k", Data: data},
	}
}

func commit(ctx context.Context, t *testing.T, s *mongo.Storage, by string) error {
	t.Helper()
	tx := s.Begin()
	defer tx.Abort(ctx)
	_, err := tx.Commit(ctx, writesOf(t, s, by))
	return err
}

// expectBy makes sure that both documents are of one writer.
func expectBy(ctx context.Context, t *testing.T, s *mongo.Storage, by string) {
	t.Helper()
	for _, w := range writesOf(t, s, by) {
		docs, err := s.Read(ctx, w.Place, w.Key)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(docs[0].Data, w.Data) {
			t.Errorf("%s is %s, want what %s has written", w.Place.Collection, bson.Raw(docs[0].Data), by)
		}
	}
}

// A process is killed before it can commit. Another one's transaction on the same
// documents succeeds long before the server would give the first one up.
func TestStorage_ProcessDiesBeforeCommit(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), freedWithin)
	defer cancel()
	database := testharness.DatabaseName(t)
	dying := &network{}
	dies, lives := openOn(t, dying, database), openOn(t, &network{}, database)
	if err := commit(ctx, t, lives, "nobody"); err != nil {
		t.Fatal(err)
	}
	dying.onCommit = dying.die
	short, cancelShort := context.WithTimeout(ctx, time.Second)
	defer cancelShort()
	if err := commit(short, t, dies, "the dead"); err == nil {
		t.Fatal("committed without a network")
	}
	for {
		err := commit(ctx, t, lives, "the living")
		if err == nil {
			break
		}
		if !errors.Is(err, projection.ErrConflict) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
	expectBy(ctx, t, lives, "the living")
}

// The context of a commit ends while its first write is on its way to the server, as when a
// partition changes hands: whoever comes next meets nothing of it, as the transaction's end does
// not overtake its begin.
func TestStorage_CommitIsCutOff(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), freedWithin)
	defer cancel()
	database := testharness.DatabaseName(t)
	slow := &network{}
	leaves, comes := openOn(t, slow, database), openOn(t, &network{}, database)
	t.Cleanup(slow.end)
	if err := commit(ctx, t, leaves, "nobody"); err != nil {
		t.Fatal(err)
	}
	held, release := context.WithCancel(ctx)
	slow.mu.Lock()
	slow.onBegin = release
	slow.mu.Unlock()
	if err := commit(held, t, leaves, "who leaves"); err == nil {
		t.Fatal("committed, although its context had ended")
	}
	<-time.After(2 * lateBy) // whatever is on its way arrives
	if err := commit(ctx, t, comes, "who comes"); err != nil {
		t.Error(err)
	}
	expectBy(ctx, t, comes, "who comes")
}

// A transaction that only takes its time is left alone, however often another one meets
// what it has written.
func TestStorage_SlowCommitIsNotAbandoned(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	database := testharness.DatabaseName(t)
	slow := &network{}
	waits, meets := openOn(t, slow, database), openOn(t, &network{}, database)
	if err := commit(ctx, t, waits, "nobody"); err != nil {
		t.Fatal(err)
	}
	var began atomic.Pointer[time.Time]
	slow.onCommit = func() {
		now := time.Now()
		began.Store(&now)
		<-time.After(mongo.AbandonedAfter / 2)
	}
	for {
		var slowErr error
		var committing sync.WaitGroup
		committing.Go(func() { slowErr = commit(ctx, t, waits, "the slow") })
		for began.Load() == nil && ctx.Err() == nil {
			<-time.After(time.Millisecond)
		}
		conflicts := 0
		for time.Since(*began.Load()) < mongo.AbandonedAfter*2/5 {
			if err := commit(ctx, t, meets, "the other"); !errors.Is(err, projection.ErrConflict) {
				t.Fatalf("%v, want a conflict", err)
			}
			conflicts++
			<-time.After(10 * time.Millisecond)
		}
		committing.Wait()
		if took := time.Since(*began.Swap(nil)); took >= mongo.AbandonedAfter {
			t.Logf("this machine stood still: %v, again", took)
			continue
		}
		if slowErr != nil || conflicts == 0 {
			t.Fatalf("%v after %d conflicts", slowErr, conflicts)
		}
		break
	}
	expectBy(ctx, t, meets, "the slow")
}

// A process is killed while a handler of its is at work in the transaction. The next
// one's handler meets what that has written, and gets on.
func TestSession_ProcessDiesWithin(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), freedWithin)
	defer cancel()
	database := testharness.DatabaseName(t)
	rooms := actor.Define("room", func(d *actor.Definition[room]) { actor.Apply(d, (*room).entered) })
	dying := &network{}
	var died atomic.Bool
	p := projection.Define("rooms", func(d *projection.Definition) {
		projection.On(d, rooms, func(ctx context.Context, tx *projection.Tx, e projection.Event[entered]) error {
			inside, db, err := mongo.Session(ctx, tx)
			if err != nil {
				return err
			}
			_, err = db.Collection("counts").UpdateOne(inside, bson.D{{Key: "_id", Value: "all"}},
				bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}}, options.UpdateOne().SetUpsert(true))
			if err == nil && died.CompareAndSwap(false, true) {
				dying.die()
			}
			return err
		})
	})
	stream := projectiontest.NewStream(1)
	stream.Append(rooms.ID("r1"), rooms, entered{"ann"}, entered{"bob"})
	lives := openOn(t, &network{}, database)
	if err := lives.Database().CreateCollection(ctx, "counts"); err != nil {
		t.Fatal(err)
	}
	v := projection.NewView(lives, p)
	for _, s := range []*mongo.Storage{openOn(t, dying, database), lives} {
		e, err := projection.New(projection.Config{Tick: 20 * time.Millisecond, Backoff: time.Millisecond, BackoffMax: 10 * time.Millisecond}, s, stream, 1, p)
		if err != nil {
			t.Fatal(err)
		}
		running, stop := context.WithCancel(ctx)
		var ended sync.WaitGroup
		ended.Go(func() { _ = e.Run(running) })
		defer func() { stop(); ended.Wait() }()
		for !died.Load() && ctx.Err() == nil {
			<-time.After(time.Millisecond)
		}
	}
	if err := v.Wait(ctx, projection.Version(rooms.ID("r1"), 2)); err != nil {
		t.Fatal(err)
	}
	var counts struct {
		N int64 `bson:"n"`
	}
	if err := lives.Database().Collection("counts").FindOne(ctx, bson.D{}).Decode(&counts); err != nil || counts.N != 2 {
		t.Errorf("count %d, want 2, %v", counts.N, err)
	}
}
