package projection

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// supervisor runs one projection on this node: it looks at what the node owns and at
// what the head says, and has the sessions run that follow from both.
type supervisor struct {
	engine     *Engine
	projection *Projection
	poked      chan struct{} // capacity 1

	live, building *running  // of the goroutine of run
	fast           bool      // look often
	seen           []slotID  // owned at the last look
	since          time.Time // of the first look that found it

	mu      sync.Mutex
	said    string // the last fault that was logged
	saidAt  time.Time
	current *session // of the live generation, for load
}

// running is a session with its goroutine.
type running struct {
	session *session
	stop    context.CancelFunc
	done    chan struct{}
}

func newSupervisor(e *Engine, p *Projection) *supervisor {
	return &supervisor{engine: e, projection: p, poked: make(chan struct{}, 1)}
}

func (s *supervisor) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			s.end(&s.building)
			s.end(&s.live)
			return
		case <-s.poked:
			if !s.gather(ctx) {
				continue
			}
		case <-timer.C:
		}
		s.fast = false
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			s.complain(ctx, err)
		}
		pause := s.engine.cfg.Tick
		if s.fast {
			pause /= 10
		}
		timer.Reset(pause)
	}
}

// gather lets other pokes of the same cause come: in a hand-over each partition makes
// one, and each look reads the head. It returns false when ctx has ended.
func (s *supervisor) gather(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(min(gatherPokes, s.engine.cfg.Tick/4)):
	}
	select {
	case <-s.poked:
	default:
	}
	return true
}

const (
	gatherPokes = 100 * time.Millisecond

	// steadyFor is how long a node has to own the same before sessions are made for it.
	steadyFor = 300 * time.Millisecond
)

// Bounds of how often a projection's faults are logged: another one at once, but no
// flood of those of many partitions; the same one again while it lasts.
const (
	faultPause  = time.Second
	faultRepeat = time.Minute
)

func (s *supervisor) complain(ctx context.Context, err error) {
	if f := s.engine.cfg.Listener.Failed; f != nil {
		f(s.projection.name, err)
	}
	text := err.Error()
	s.mu.Lock()
	since := time.Since(s.saidAt)
	due := s.saidAt.IsZero() || since >= faultRepeat || s.said != text && since >= faultPause
	if due {
		s.said, s.saidAt = text, time.Now()
	}
	s.mu.Unlock()
	if due {
		s.engine.cfg.Logger.WarnContext(ctx, "projection cannot go on for now", slog.String("projection", s.projection.name), slog.Any("error", err))
	}
}

// look does what is to be done at this moment.
func (s *supervisor) look(ctx context.Context) error {
	owned := s.engine.owned(s.projection)
	if len(owned) == 0 && s.live == nil && s.building == nil {
		return nil
	}
	e := s.engine
	h, err := registered(ctx, e.store, e.source, s.projection, e.slots(s.projection), e.cfg.Now())
	if err == nil {
		h, err = s.shaped(ctx, h)
	}
	if errors.Is(err, errShape) {
		s.end(&s.live)
	}
	if err != nil {
		return err
	}
	s.reconcile(ctx, &h, owned)
	if !slices.Contains(owned, 0) || h.Paused {
		return nil
	}
	return s.coordinate(ctx, &h)
}

// reconcile ends and begins sessions. When what the node owns changes, it waits until
// it has been the same for a while, as partitions come and go several at a time, and a
// session that begins reads the checkpoints of all of them.
func (s *supervisor) reconcile(ctx context.Context, h *head, owned []slotID) {
	if !slices.Equal(owned, s.seen) {
		s.seen, s.since = owned, time.Now()
	}
	steady := time.Since(s.since) >= min(steadyFor, s.engine.cfg.Tick)
	live, building := h.Live, h.Building
	if h.Paused || len(owned) == 0 {
		live, building = 0, 0
	}
	if h.Phase == PhaseThawing {
		building = 0
	}
	s.fast = building != 0 || !steady
	s.match(ctx, &s.building, h, building, owned, true, steady)
	s.match(ctx, &s.live, h, live, owned, false, steady)
	s.mu.Lock()
	s.current = nil
	if s.live != nil {
		s.live.session.paused.Store(h.Phase == PhaseFreezing)
		s.current = s.live.session
	}
	s.mu.Unlock()
}

func (s *supervisor) match(ctx context.Context, at **running, h *head, generation uint64, owned []slotID, building, steady bool) {
	if r := *at; r != nil {
		thawed := !building && h.Phase != PhaseFreezing && r.session.frozen.Load()
		if r.session.generation == generation && !thawed && (slices.Equal(r.session.owned, owned) || !steady) {
			return
		}
		s.end(at)
	}
	if generation == 0 {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &running{session: newSession(s, h, generation, owned, building), stop: cancel, done: make(chan struct{})}
	*at = r
	go func() {
		defer close(r.done)
		r.session.run(ctx)
	}()
}

func (s *supervisor) end(at **running) {
	if r := *at; r != nil {
		r.stop()
		<-r.done
		*at = nil
	}
}

func (s *supervisor) load() Load {
	s.mu.Lock()
	current := s.current
	s.mu.Unlock()
	if current == nil {
		return Load{}
	}
	return current.load()
}
