package projection

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Register records the projections that the storage does not know yet, with the end of
// the event stream as the beginning of what is new to them: see [FromNow] and
// [LiveOnly]. It is idempotent, and cheap when all are known (one listing). Call it
// before the first command is taken in that a new projection must not miss; Run
// registers, too, but nobody knows when that is done. Errors are those of the storage
// and of the source.
//
// "New" is decided here, once for a cluster, and not when a partition first runs:
//
//	node                        client                 projection
//	says that it is ready
//	                            commits, gets 200
//	                                                   first look at what it owns
//	                                                   reads the end of the stream
//
// The commit would be history, and what it asked for outside would never be done.
func (e *Engine) Register(ctx context.Context) error {
	known := map[string][]string{} // what it shows
	for doc, err := range e.store.List(ctx, heads(), Range{}) {
		if err != nil {
			return fmt.Errorf("list heads of projections: %w", err)
		}
		var h head
		if err := e.store.Unmarshal(doc.Data, &h); err != nil {
			return fmt.Errorf("decode head of %s: %w", doc.Key, err)
		}
		known[doc.Key] = append([]string{}, h.Shown...)
	}
	for _, s := range e.supervisors {
		if shown := known[s.projection.name]; shown != nil {
			if err := s.projection.note(ctx, e.store, shown); err != nil {
				return err
			}
			continue
		}
		if err := register(ctx, e.store, e.source, s.projection, e.slots(s.projection), e.cfg.Now()); err != nil {
			return err
		}
	}
	for _, s := range e.supervisors {
		if err := e.indexAll(ctx, s.projection); err != nil {
			return err
		}
	}
	return nil
}

// registerAll registers until that has succeeded or ctx ends.
func (e *Engine) registerAll(ctx context.Context) {
	var backoff time.Duration
	for ctx.Err() == nil {
		err := e.Register(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		for _, s := range e.supervisors {
			s.complain(ctx, err)
		}
		backoff = e.cfg.outagePause(backoff)
		wait(ctx, backoff)
	}
}

// register makes the head of a projection unless there is one. slots is 0 where the
// number of partitions is not known; the first engine that runs the projection fills
// it in.
func register(ctx context.Context, store Storage, source Source, p *Projection, slots uint32, now time.Time) error {
	stream, last, err := source.EventsHead(ctx)
	if err != nil {
		return fmt.Errorf("register projection %s: head of the event stream: %w", p.name, err)
	}
	h := head{
		Live: 1, Last: 1, Slots: slots, Created: now.UnixMicro(),
		Origin: origin{Stream: stream, Position: last, Skip: p.start == FromNow},
		Shown:  p.shownNames(),
	}
	err = writeHead(ctx, store, p.name, &h, "")
	if err != nil && !errors.Is(err, ErrConflict) { // a conflict: another node was faster
		return fmt.Errorf("register projection %s: %w", p.name, err)
	}
	return nil
}

// registered returns the head of a projection, which it makes if there is none.
func registered(ctx context.Context, store Storage, source Source, p *Projection, slots uint32, now time.Time) (head, error) {
	h, _, err := readHead(ctx, store, p.name)
	if !errors.Is(err, ErrNotFound) {
		return h, err
	}
	if err := register(ctx, store, source, p, slots, now); err != nil {
		return head{}, err
	}
	h, _, err = readHead(ctx, store, p.name)
	return h, err
}

// errShape: a projection that was partitioned has become a singleton or the reverse.
var errShape = errors.New("the projection was kept for another number of partitions: give it another name")

// shaped returns the head with the number of slots, and an error if it was kept for
// another one.
func (s *supervisor) shaped(ctx context.Context, h head) (head, error) {
	slots := s.engine.slots(s.projection)
	if h.Slots == 0 {
		err := changeHead(ctx, s.engine.store, s.projection.name, func(h *head) error {
			if h.Slots != 0 {
				return errLeave
			}
			h.Slots = slots
			return nil
		})
		if err == nil {
			h, _, err = readHead(ctx, s.engine.store, s.projection.name)
		}
		if err != nil {
			return h, err
		}
	}
	if h.Slots != slots {
		return h, errShape
	}
	return h, nil
}
