package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// relaySends bounds the commands that are on their way at once.
const relaySends = 64

// outgoing is one thing that a commit sends, or does to a timer.
type outgoing struct {
	actor.Outgoing
	committed time.Time
	order     int64 // of what is done to the same timer
}

// sending is what a batch of commits sends, by target: what is for one aggregate
// goes out one after another.
type sending struct {
	targets map[actor.Address][]outgoing
	order   []actor.Address // of their first
	timers  map[timerKey]int
}

type timerKey struct {
	of   actor.Address
	name string
}

func newSending() *sending {
	return &sending{targets: map[actor.Address][]outgoing{}, timers: map[timerKey]int{}}
}

// add adds what comes after all that was added before. Of what is done to one timer
// only the last counts: what came before is replaced already.
func (s *sending) add(o outgoing) {
	list, ok := s.targets[o.To]
	if !ok {
		s.order = append(s.order, o.To)
	}
	if o.Timer != "" {
		key := timerKey{o.To, o.Timer}
		if i, ok := s.timers[key]; ok {
			list[i] = o
			return
		}
		s.timers[key] = len(list)
	}
	s.targets[o.To] = append(list, o)
}

// collect adds what a commit sends. What cannot be understood, nobody can send: it
// must not hold up all that comes after it.
func (s *relaying) collect(ctx context.Context, to *sending, c *store.Commit) {
	for i := range c.Out {
		o, err := outgoingOf(c.Aggregate, &c.Out[i])
		if err != nil {
			s.cfg.Logger.ErrorContext(ctx, "what a commit sends cannot be understood", "aggregate", c.Aggregate, "version", c.First, "error", err)
			continue
		}
		if o.Timer == "" && !o.At.IsZero() {
			o.Timer = c.Out[i].ID // a timer of its own
		}
		to.add(outgoing{Outgoing: o, committed: time.UnixMicro(c.Time).UTC(), order: c.Time})
	}
}

// send brings everything out, and returns when it is stored.
func (s *relaying) send(ctx context.Context, all *sending) error {
	if len(all.order) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var targets sync.WaitGroup
	slots := make(chan struct{}, relaySends)
	for _, to := range all.order {
		slots <- struct{}{}
		targets.Go(func() {
			defer func() { <-slots }()
			for i := range all.targets[to] {
				if err := s.sendOne(ctx, &all.targets[to][i]); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	targets.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("relay: %w", context.Cause(ctx))
	}
	return nil
}

func (s *relaying) sendOne(ctx context.Context, o *outgoing) error {
	m := o.Message(o.committed)
	var err error
	switch {
	case o.Timer == "":
		err = s.outbox.Send(ctx, m)
	case o.Name == "":
		err = s.outbox.CancelTimer(ctx, o.To, o.Timer, o.order)
	default:
		err = s.outbox.SetTimer(ctx, m, o.Timer, o.order)
	}
	if never, ok := errors.AsType[*actor.Error](err); ok && ctx.Err() == nil {
		return s.putAside(ctx, &m, never)
	}
	return err
}

// putAside parks a command that no stream takes.
func (s *relaying) putAside(ctx context.Context, m *actor.Message, why *actor.Error) error {
	s.cfg.Logger.ErrorContext(ctx, "a command cannot be sent", "target", m.Target.String(), "command", m.Name, "id", string(m.ID), "error", why)
	err := s.store.Park(ctx, store.Parked{
		Aggregate: store.Aggregate(m.Target.String()), CommandID: string(m.ID), Name: m.Name,
		Reason: "it could not be sent: " + why.Error(), Attempts: 1, Time: time.Now(), Message: encodeParked(m, actor.CodeOK),
	})
	if err != nil {
		return fmt.Errorf("park what cannot be sent: %w", err)
	}
	if f := s.cfg.Listener.Parked; f != nil {
		f(m.Target.Kind)
	}
	return nil
}
