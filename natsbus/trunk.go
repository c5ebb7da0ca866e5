package natsbus

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
)

const (
	// trunkWindows is the window of the trunk, in windows of one partition.
	trunkWindows = 16

	// branchWindows is how much a branch can hold, in the same unit.
	branchWindows = 4

	// trunkSettle is how long the trunk waits for others once somebody has joined.
	trunkSettle = 50 * time.Millisecond

	// trunkSoon is how long it waits if a lane has nothing to read from until then.
	trunkSoon = 5 * time.Millisecond

	// trunkFar is how many messages may wait for a trunk with filters. A consumer with
	// several filters that is farther behind than a block of the stream has subjects
	// has the server look at each of these for each message
	// (docs/adr/0022-one-tail-for-all-readers.md).
	trunkFar = 512

	// trunkNarrow is how long a trunk without filters goes on that is not far behind.
	trunkNarrow = 10 * time.Second

	// trunkPatience is how long the trunk tries to replace a broken feed before its
	// lanes are left to feeds of their own.
	trunkPatience = 10 * time.Second
)

// errCut ends a lane's stay on the trunk: its branch was full, or the trunk has
// ended.
var errCut = errors.New("the trunk has given up the partition")

// trunk is one consumer for all partitions of this node that keep up with it. A
// consumer for each partition has the server look at every message of the stream
// once for each of them, and again at every purge
// (docs/adr/0010-one-consumer-for-many-partitions.md).
//
// A lane that begins near the end of the stream joins at once. Another begins with a
// feed of its own, joins when it has nothing left to catch up with, and gives its feed
// up once the trunk has come as far as the lane. When lanes have joined that the present
// source cannot take in, or lanes have left, another source is opened that starts early
// enough for all of its members, and takes over when it has come as far as the present
// one. A member whose branch is full is cut and goes on with
// a feed of its own, so a slow partition does not hold up the others.
//
// Its goroutine runs while there are members. All fields below mu belong to it.
type trunk struct {
	bus    *Bus
	far    atomic.Uint64 // trunkFar
	narrow time.Duration // trunkNarrow

	mu       sync.Mutex
	stream   string // identity of the stream that it brings, while it runs
	branches map[*branch]struct{}
	running  bool
	changed  chan struct{} // capacity 1
	at       atomic.Uint64 // what the present source has reached
	troubled atomic.Bool   // it is broken
	expected atomic.Bool   // more lanes are about to join

	current, next *source
	opened        chan opening  // one answer for each opening
	pending       bool          // an opening is under way
	wide          bool          // the next source is to have no filters
	wideSince     time.Time     // or since it was last far behind, or lanes have joined
	brokenSince   time.Time     // current has no feed since then; zero: it has
	patience      time.Duration // with the next opening
}

// branch is the end of the trunk in one lane.
type branch struct {
	lane   *durableLane
	bare   bool          // the lane may have no feed of its own
	msgs   chan numbered // closed when the branch is cut
	last   uint64        // sequence of the last message put in; the trunk's own
	pushed atomic.Uint64 // messages put in
	taken  atomic.Uint64 // messages that the lane is done with
	source atomic.Pointer[source]
}

// numbered is a message with its sequence in the stream.
type numbered struct {
	sequence uint64
	msg      *nats.Msg
}

// source is a feed and the branches that it has every message for.
type source struct {
	feed    *feed // nil: broken
	members map[actor.Partition][]*branch
	size    int           // members when it was opened
	wide    bool          // without filters, although it need not bring everything
	reached atomic.Uint64 // everything up to here is in the branches
	latest  *latest       // of a wide one: what lanes that join may lack
}

type opening struct {
	source *source
	err    error
}

func newTrunk(b *Bus) *trunk {
	t := &trunk{bus: b, narrow: trunkNarrow, branches: map[*branch]struct{}{}, changed: make(chan struct{}, 1), opened: make(chan opening, 1), patience: beginPatience}
	t.far.Store(trunkFar)
	return t
}

// joinBare makes a lane a member that has no feed of its own, as it begins near to where
// the stream ends. A source without filters takes it in from what it has kept, or the next
// one begins where the lane does. nil: it begins too far back, or the trunk is broken.
//
// When partitions change hands, this is one consumer at the most, instead of one for each
// and the trunk's. nats-server makes the consumers of a connection one after the other,
// and does nothing else for that connection meanwhile
// (docs/adr/0023-a-hand-over-in-three-writes.md).
func (t *trunk) joinBare(ctx context.Context, d *durableLane) *branch {
	head := t.bus.head.Load()
	if head == nil || head.stream != d.stream || max(head.last, t.at.Load()) > d.cursor.Load()+latestMessages || t.troubled.Load() {
		return nil
	}
	return t.enter(ctx, d, true)
}

// join makes a lane a member. It is told by the branch what became of it. nil: not
// while there are members of another stream, which has been lost.
func (t *trunk) join(ctx context.Context, d *durableLane) *branch { return t.enter(ctx, d, false) }

func (t *trunk) enter(ctx context.Context, d *durableLane, bare bool) *branch {
	b := &branch{lane: d, bare: bare, msgs: make(chan numbered, branchWindows*t.bus.cfg.Window)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running && t.stream != d.stream {
		return nil
	}
	t.branches[b] = struct{}{}
	t.notify()
	if !t.running {
		t.running, t.stream = true, d.stream
		go t.run(context.WithoutCancel(ctx)) // it outlives the lane that came first
	}
	return b
}

// expect has the trunk go without filters for a while, so that lanes can join it as it
// is.
func (t *trunk) expect() {
	t.expected.Store(true)
	t.notify()
}

// leave ends a membership. Nothing of the branch is read any more.
func (t *trunk) leave(b *branch) {
	t.mu.Lock()
	delete(t.branches, b)
	t.mu.Unlock()
	b.source.Store(nil)
	t.notify()
}

// notify has the trunk look at its members.
func (t *trunk) notify() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// run serves the members until there are none.
func (t *trunk) run(ctx context.Context) {
	status := t.bus.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer t.bus.nc.RemoveStatusListener(status)
	tick := time.NewTicker(t.bus.cfg.Heartbeat)
	defer tick.Stop()
	var settled <-chan time.Time
	for !t.ended() {
		select {
		case msg := <-t.current.messages():
			t.take(ctx, t.current, msg)
			for n := 0; n < runLength && len(t.current.messages()) > 0; n++ {
				t.take(ctx, t.current, <-t.current.messages())
			}
		case msg := <-t.next.messages():
			t.take(ctx, t.next, msg)
		case o := <-t.opened:
			if t.succeed(o); o.err == nil {
				t.notify() // others may have joined meanwhile
			}
		case <-tick.C:
			t.tick(ctx)
		case <-status:
			t.broken(ctx, t.current, errReconnected)
			t.broken(ctx, t.next, errReconnected)
			if t.bus.nc.IsClosed() {
				t.cutAll()
			}
		case <-t.changed:
			if settled == nil {
				settled = time.After(t.settle())
			}
		case <-settled:
			settled = nil
			t.adopt()
			t.open(ctx)
		}
	}
}

// adopt makes lanes members of a source that has everything for them.
func (t *trunk) adopt() {
	for _, b := range t.registered() {
		if b.source.Load() != nil {
			continue
		}
		after := b.lane.cursor.Load()
		for _, s := range []*source{t.current, t.next} {
			if s != nil && s.feed != nil && s.latest.covers(after) {
				t.adoptOne(s, b, after)
				break
			}
		}
	}
}

// adoptOne has the branch belong to the source once everything that it has reached is in
// it, see [durableLane.position].
func (t *trunk) adoptOne(s *source, b *branch, after uint64) {
	p := b.lane.partition
	s.members[p] = append(slices.Clone(s.members[p]), b)
	s.size++
	t.wideSince = time.Now()
	for n := range s.latest.of(p, after) {
		if !t.push(b, n.sequence, n.msg) {
			return
		}
	}
	if t.gone(b) {
		s.remove(b)
		return
	}
	b.bare = true // it gives its feed up
	b.source.CompareAndSwap(nil, s)
}

// settle returns how long to wait for others.
func (t *trunk) settle() time.Duration {
	if t.awaited() {
		return trunkSoon
	}
	return trunkSettle
}

// awaited reports whether a lane has nothing to read from until another source is there.
func (t *trunk) awaited() bool {
	return slices.ContainsFunc(t.registered(), func(b *branch) bool { return b.bare && b.source.Load() == nil })
}

// ended leaves when nobody is a member and nothing is under way.
func (t *trunk) ended() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.branches) > 0 || t.pending {
		return false
	}
	for _, s := range []*source{t.current, t.next} {
		if s != nil && s.feed != nil {
			s.feed.close()
		}
	}
	t.current, t.next, t.brokenSince, t.running, t.wide = nil, nil, time.Time{}, false, false
	t.troubled.Store(false)
	t.at.Store(0)
	return true
}

func (s *source) messages() <-chan *nats.Msg {
	if s == nil || s.feed == nil {
		return nil
	}
	return s.feed.msgs
}

// take brings a message to its branches.
func (t *trunk) take(ctx context.Context, s *source, msg *nats.Msg) {
	sequence, err := s.feed.accept(msg)
	if err != nil {
		t.broken(ctx, s, err)
		return
	}
	if sequence > 0 {
		if p, ok := t.bus.ns.StoredPartition(msg.Subject); ok {
			for _, b := range s.members[p] {
				t.push(b, sequence, msg)
			}
			if s.latest != nil {
				s.latest.add(p, sequence, msg)
			}
		}
	}
	s.reached.Store(s.feed.flow.Reached())
	if s == t.current {
		t.at.Store(s.reached.Load())
	}
	t.promote()
}

// push puts a message into a branch, unless it has been there or the lane has had
// it. A branch without room is cut: what it lacks from here on is its lane's own
// concern. It reports whether the branch is still there.
func (t *trunk) push(b *branch, sequence uint64, msg *nats.Msg) bool {
	if sequence <= b.last || sequence <= b.lane.cursor.Load() {
		return true
	}
	b.last = sequence
	select {
	case b.msgs <- numbered{sequence, msg}:
		b.pushed.Add(1)
		return true
	default:
		t.cut(b)
		return false
	}
}

// cut ends a membership by the trunk. A source that still has the branch among
// its members does not find it there again.
func (t *trunk) cut(b *branch) {
	b.source.Store(nil)
	t.mu.Lock()
	delete(t.branches, b)
	t.mu.Unlock()
	for _, s := range []*source{t.current, t.next} {
		s.remove(b)
	}
	close(b.msgs)
}

func (s *source) remove(b *branch) {
	if s == nil {
		return
	}
	p := b.lane.partition
	var rest []*branch // a copy: take may be iterating
	for _, other := range s.members[p] {
		if other != b {
			rest = append(rest, other)
		}
	}
	s.members[p] = rest
}

func (t *trunk) cutAll() {
	for _, b := range t.registered() {
		t.cut(b)
	}
}

func (t *trunk) registered() []*branch {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*branch, 0, len(t.branches))
	for b := range t.branches {
		all = append(all, b)
	}
	return all
}

// broken gives a feed up. Its source keeps what it has reached, from which the
// next one goes on.
func (t *trunk) broken(ctx context.Context, s *source, cause error) {
	if s == nil || s.feed == nil {
		return
	}
	t.bus.cfg.Logger.DebugContext(ctx, "trunk reset", slog.Any("cause", cause))
	s.feed.close()
	s.feed = nil
	switch s {
	case t.next:
		t.next = nil
		s.release()
	case t.current:
		t.brokenSince = time.Now()
		t.troubled.Store(true)
	}
	t.promote()
	t.open(ctx)
}

// release has the branches that are in no source but this one, which never took over,
// wait for the one that follows; what they have got already they get only once. Say a
// lane joins, N is opened for it and breaks before it is as far as the present source:
// the next one takes in what belongs to none, or to the present one. A branch that still
// belonged to N would be at N's place for ever, and have the trunk open sources for ever.
func (s *source) release() {
	for _, branches := range s.members {
		for _, b := range branches {
			b.source.CompareAndSwap(s, nil)
		}
	}
}

// tick looks after the feeds, and opens another source when the members are not
// those of the present one.
func (t *trunk) tick(ctx context.Context) {
	for _, s := range []*source{t.current, t.next} {
		if s == nil || s.feed == nil {
			continue
		}
		if err := s.feed.tick(); err != nil {
			t.broken(ctx, s, err)
		}
	}
	t.measure()
	if !t.brokenSince.IsZero() && time.Since(t.brokenSince) > trunkPatience {
		t.current, t.brokenSince = nil, time.Time{}
		t.cutAll()
	}
	t.adopt()
	t.open(ctx)
}

// measure decides by how far behind the trunk is whether it does better without
// filters: it then gets what is of no use to it, and the server has less to do.
func (t *trunk) measure() {
	if t.current == nil || t.current.feed == nil {
		return
	}
	all := len(t.current.members) == int(t.bus.partitions)
	switch far := !all && t.current.feed.flow.Pending() >= t.far.Load(); {
	case far:
		t.wide, t.wideSince = true, time.Now()
	case t.wide && time.Since(t.wideSince) > t.narrow:
		t.wide = false
		if all {
			t.current.wide, t.current.latest = false, nil
		}
	}
}

// open begins to open the next source if one is needed. One that has not taken over
// yet is replaced if a lane waits: on a quiet stream it would be long until it does.
func (t *trunk) open(ctx context.Context) {
	awaited := t.awaited()
	if t.pending || t.next != nil && !awaited {
		return
	}
	if t.expected.Swap(false) || awaited { // others follow
		t.wide, t.wideSince = true, time.Now()
	}
	all := t.registered()
	if !t.current.outdated(all, t.wide) {
		return
	}
	s := &source{members: map[actor.Partition][]*branch{}, size: len(all)}
	start := t.include(s, all)
	filters := t.bus.filters(s.members)
	if s.wide = t.wide; s.wide {
		filters, s.latest = nil, &latest{low: start - 1}
	}
	t.pending = true
	patience := t.patience
	go func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		var err error
		s.feed, err = t.bus.openFeed(ctx, feedConfig{
			name: "trunk", filters: filters, stream: all[0].lane.stream, start: start, window: min(trunkWindows*t.bus.cfg.Window, maxWindow),
		})
		t.opened <- opening{s, err}
	}()
}

// outdated reports whether another source would serve the members better: one of
// them is not in this one, or it brings more than twice as many partitions as are
// wanted, or it is to be with or without filters and is not, or it is broken.
func (s *source) outdated(members []*branch, wide bool) bool {
	if s == nil { // one partition alone has no use for a trunk, unless it has nothing else
		return len(members) > 1 || len(members) == 1 && members[0].bare
	}
	if len(members) == 0 {
		return false
	}
	inside := 0
	for _, b := range members {
		if b.source.Load() == s {
			inside++
		}
	}
	return s.feed == nil || inside < len(members) || 2*inside < s.size || s.wide != wide
}

// include makes branches members of a source that is to be opened, and returns
// the sequence from which on it lacks nothing for any of them.
func (t *trunk) include(s *source, all []*branch) (start uint64) {
	for i, b := range all {
		p := b.lane.partition
		s.members[p] = append(s.members[p], b)
		upTo := b.lane.cursor.Load()
		if t.current != nil && b.source.Load() == t.current {
			upTo = max(upTo, t.current.reached.Load())
		}
		if i == 0 || upTo < start {
			start = upTo
		}
	}
	s.reached.Store(start)
	return start + 1
}

// filters returns the subjects of partitions; none when that is all of them.
func (b *Bus) filters(members map[actor.Partition][]*branch) []string {
	if len(members) == int(b.partitions) {
		return nil
	}
	filters := make([]string, 0, len(members))
	for p := range members {
		filters = append(filters, b.ns.StoredIn(p))
	}
	return filters
}

// succeed takes over a source that has been opened.
func (t *trunk) succeed(o opening) {
	t.pending = false
	if o.err != nil {
		t.bus.cfg.Logger.Debug("trunk not opened", slog.Any("error", o.err))
		if errors.Is(o.err, ErrStreamLost) { // what that means is for the lanes to find out
			t.current, t.brokenSince = nil, time.Time{}
			t.cutAll()
		}
		t.patience = min(2*t.patience, reopenTimeout)
		return // the next tick tries again
	}
	if t.next != nil {
		t.next.feed.close()
		t.next.release()
	}
	t.next, t.patience = o.source, beginPatience
	for _, branches := range t.next.members {
		for _, b := range branches {
			if t.gone(b) {
				t.next.remove(b)
				continue
			}
			b.source.CompareAndSwap(nil, t.next)
		}
	}
	t.promote()
}

// gone reports whether a branch left, or was cut, while the source was opened.
func (t *trunk) gone(b *branch) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, member := t.branches[b]
	return !member
}

// promote has the next source take over once it has come as far as the present
// one. From then on, what it has reached is what its members have.
func (t *trunk) promote() {
	if t.next == nil || t.current != nil && t.next.reached.Load() < t.current.reached.Load() {
		return
	}
	if t.current != nil && t.current.feed != nil {
		t.current.feed.close()
	}
	before := t.current
	t.current, t.next, t.brokenSince = t.next, nil, time.Time{}
	for _, branches := range t.current.members {
		for _, b := range branches {
			b.source.CompareAndSwap(before, t.current)
		}
	}
	if before != nil {
		before.release() // those that have joined it since this one was opened
	}
	t.troubled.Store(false)
	t.at.Store(t.current.reached.Load())
	t.notify() // others may have joined since it was opened
}
