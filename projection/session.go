package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// session runs one generation of a projection for a fixed set of slots: one reader
// of the event stream, from the place of the slot that is farthest behind, which
// hands each event to its slot. After a failure of the reader it begins again from
// the checkpoints.
type session struct {
	engine     *Engine
	projection *Projection
	complain   func(context.Context, error)
	generation uint64
	live       uint64 // generation that is read; the bound of one that is being built
	building   bool
	owned      []slotID
	origin     origin
	created    int64
	frozen     atomic.Bool // a slot was found frozen
	paused     atomic.Bool // no slot begins another transaction, as checkpoints are being frozen

	stream  string
	slots   map[slotID]*slot
	cancel  context.CancelCauseFunc // of the run under way
	workers sync.WaitGroup
	share   int           // bytes that wait for a slot, about
	kept    int           // bytes of documents that a slot keeps in memory, about
	reached atomic.Uint64 // every event up to here was handed to its slot
	asking  atomic.Int64  // since when the reader waits for an event, microseconds; 0: it has one
	mu      sync.Mutex
	lag     Load
}

func newSession(s *supervisor, h *head, generation uint64, owned []slotID, building bool) *session {
	return &session{
		engine: s.engine, projection: s.projection, complain: s.complain, generation: generation, live: h.Live,
		building: building, owned: slices.Clone(owned), origin: h.Origin, created: h.Created,
	}
}

// run goes on until ctx ends.
func (s *session) run(ctx context.Context) {
	defer s.forget()
	var backoff time.Duration
	for ctx.Err() == nil {
		began := s.engine.cfg.Now()
		err := s.once(ctx)
		if ctx.Err() != nil {
			return
		}
		s.complain(ctx, err)
		if s.engine.cfg.Now().Sub(began) > outageMax {
			backoff = 0
		}
		backoff = s.engine.cfg.outagePause(backoff)
		wait(ctx, backoff)
	}
}

var (
	errEnded   = errors.New("the event stream ended")
	errRewound = errors.New("the checkpoint has gone back")
	errMoved   = errors.New("the event stream is another one")
)

// once reads until something fails. Nothing of it runs any more when it returns.
func (s *session) once(ctx context.Context) error {
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.cancel = cancel
	if err := s.engine.index(run, s.projection, s.generation); err != nil {
		return err
	}
	if err := s.begin(run); err != nil {
		return err
	}
	s.workers.Go(func() { s.watch(run) })
	cancel(s.read(run))
	s.workers.Wait()
	s.leave(ctx)
	return context.Cause(run)
}

// begin loads the checkpoints and what is parked.
func (s *session) begin(ctx context.Context) (err error) {
	var last uint64
	if s.stream, last, err = s.engine.source.EventsHead(ctx); err != nil {
		return fmt.Errorf("head of the event stream: %w", err)
	}
	claims := s.engine.claims()
	known, err := readCheckpoints(ctx, s.engine.store, s.projection.name, s.generation)
	if err != nil {
		return err
	}
	s.slots = make(map[slotID]*slot, len(s.owned))
	s.share = s.engine.cfg.QueueBytes / max(len(s.owned), 1)
	s.kept = s.engine.cfg.CacheBytes / max(len(s.owned), 1)
	for _, id := range s.owned {
		sl := newSlot(s, id, s.adapt(known[id]))
		sl.claim = claims[actor.Partition(id)]
		sl.caution = newCaution(&sl.cp, sl.claim, last, s.projection.batchMax)
		s.slots[id] = sl
	}
	for doc, err := range s.engine.store.List(ctx, s.place(parkedName), Range{}) {
		if err != nil {
			return fmt.Errorf("list parked: %w", err)
		}
		p, err := decodeParked(s.engine.store, doc)
		if err != nil {
			return err
		}
		if sl := s.slots[slotID(p.Slot)]; sl != nil {
			sl.parked[p.Source] = &p
			sl.review = true // before new events: a try that ends the process must not hide behind their progress
			sl.countParked()
		}
	}
	s.reached.Store(0)
	return nil
}

// adapt makes a checkpoint one of the stream that there is. Positions of another one
// mean nothing here: all is read again, and what was applied is passed over by the
// versions of its sources.
func (s *session) adapt(cp checkpoint) checkpoint {
	switch {
	case cp.Frozen:
		s.frozen.Store(true)
	case cp.revision == "":
		cp.Stream = s.stream
		if s.origin.Skip && s.origin.Stream == s.stream {
			cp.Passed = s.origin.Position
		}
	case cp.Stream != s.stream:
		cp.Stream, cp.Position, cp.Passed, cp.Verify = s.stream, 0, 0, true
	}
	return cp
}

func (s *session) place(collection string) Place {
	return Place{s.projection.name, s.generation, collection}
}

// read hands events to slots until there is an error, or ctx ends.
func (s *session) read(ctx context.Context) error {
	filter := actor.EventFilter{Stream: s.stream, Progress: true}
	if !s.building { // one that is built sees the events of whatever kinds the live one has ever stood at
		filter.Kinds = s.projection.Kinds()
	}
	after, active := s.from()
	if !active {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if !s.projection.singleton && len(s.owned) < int(s.engine.partitions) {
		for _, id := range s.owned {
			filter.Partitions = append(filter.Partitions, actor.Partition(id))
		}
	}
	s.reached.Store(after)
	s.asking.Store(s.now())
	for e, err := range s.engine.source.Events(ctx, filter, after) {
		s.asking.Store(0)
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		if err := s.deliver(ctx, &e); err != nil {
			return err
		}
		s.asking.Store(s.now())
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errEnded
}

func (s *session) now() int64 { return s.engine.cfg.Now().UnixMicro() }

// from is the place of the slot that is farthest behind.
func (s *session) from() (after uint64, active bool) {
	for _, sl := range s.slots {
		if sl.stopped() {
			continue
		}
		if place := sl.place(); !active || place < after {
			after, active = place, true
		}
	}
	return after, active
}

func (s *session) deliver(ctx context.Context, e *actor.EventRecord) error {
	if e.Name == "" { // it only tells how far the reader is
		s.reached.Store(e.Position)
		return nil
	}
	id := slotID(e.Partition)
	if s.projection.singleton {
		id = 0
	}
	sl := s.slots[id]
	if sl == nil {
		return nil
	}
	old := s.old(e)
	if old && s.origin.Skip {
		return nil
	}
	if err := sl.push(ctx, &record{EventRecord: *e, replayed: old || s.building}); err != nil {
		return err
	}
	s.reached.Store(e.Position)
	return nil
}

// old reports whether an event was there when the projection became known. Where the
// stream has been made anew since then, only the clocks tell.
func (s *session) old(e *actor.EventRecord) bool {
	if s.origin.Stream == s.stream {
		return e.Position <= s.origin.Position
	}
	return e.Time.UnixMicro() <= s.created
}

// watch does for the slots what is due from time to time.
func (s *session) watch(ctx context.Context) {
	tick := s.engine.cfg.Tick
	if s.building {
		tick /= 10
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	next := int64(0)
	for n := 0; ; n++ {
		if s.building {
			s.raiseBounds(ctx)
		}
		for _, sl := range s.slots {
			sl.attend(ctx)
		}
		if n%saveTicks == 0 {
			s.saveFar(ctx)
		}
		if now := s.now(); now >= next && !s.building {
			s.measure(ctx)
			next = now + time.Second.Microseconds()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// raiseBounds lets the generation that is being built go on to where the live one is.
func (s *session) raiseBounds(ctx context.Context) {
	live, err := readCheckpoints(ctx, s.engine.store, s.projection.name, s.live)
	if err != nil {
		return // the next look may succeed
	}
	for id, cp := range live {
		sl := s.slots[id]
		switch {
		case sl == nil || cp.Stream != s.stream && cp.Position > 0:
		case cp.Frozen: // of no stream if it never had an event
			sl.settle(ctx, cp.Position)
		default:
			sl.raise(ctx, cp.Position)
		}
	}
}

// caughtUpAfter is how long a reader waits for an event before it is said that there
// is none.
const caughtUpAfter = 250 * time.Millisecond

// measure finds out how far behind the session is.
func (s *session) measure(ctx context.Context) {
	stream, last, err := s.engine.head(ctx)
	if err != nil {
		return // so does the reader, and says so
	}
	if stream != s.stream {
		s.cancel(errMoved)
		return
	}
	load := Load{Partitions: len(s.owned)}
	oldest, since := s.reached.Load()+1, time.Time{}
	for _, sl := range s.slots {
		n, first, at := sl.waits()
		load.Waiting += n
		load.Parked += int(sl.waiting.Load())
		load.Stuck += int(sl.stuck.Load())
		if n > 0 && first <= oldest {
			oldest, since = first, at
		}
	}
	asking := s.asking.Load()
	caughtUp := load.Waiting == 0 && asking > 0 && s.now()-asking >= caughtUpAfter.Microseconds()
	if !caughtUp && last >= oldest {
		load.Lag = last - oldest + 1
	}
	s.mu.Lock()
	s.lag = load
	s.mu.Unlock()
	if f := s.engine.cfg.Listener.Lagging; f != nil {
		age := time.Duration(0)
		if !since.IsZero() {
			age = max(s.engine.cfg.Now().Sub(since), 0)
		}
		f(s.projection.name, load.Lag, age)
	}
	if f := s.engine.cfg.Listener.Waiting; f != nil {
		f(s.projection.name, load.Parked, load.Stuck)
	}
}

// forget takes back what was measured: this node does not run the generation any more.
func (s *session) forget() {
	if s.building {
		return
	}
	if f := s.engine.cfg.Listener.Lagging; f != nil {
		f(s.projection.name, 0, 0)
	}
	if f := s.engine.cfg.Listener.Waiting; f != nil {
		f(s.projection.name, 0, 0)
	}
}

func (s *session) load() Load {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lag
	l.Partitions = len(s.owned)
	return l
}
