package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ganglion-go/ganglion/actor"
)

// RouterConfig describes a router.
type RouterConfig struct {
	// Name is that of a projection, and kept like it.
	Name string
	// Wants selects events by the kind of their source and their stored names. No
	// names: all events of that kind.
	Wants map[actor.Kind][]string
	// Route returns the commands that an event leads to, at most [MaxRouted]. It is
	// a pure function of the event. An empty ID is derived from the router's name,
	// the event's source and version and the command's place among them, and an
	// empty Time is the event's, so that the commands of an event take effect once
	// however often it is routed.
	Route func(actor.EventRecord) ([]actor.Message, error)
	// Start is where the router begins that has never run.
	Start Start
}

// MaxRouted bounds the commands that one event leads to.
const MaxRouted = 1000

// NewRouter returns a projection whose effect is commands, on the durable lane: it
// goes on behind an event only after the command stream has stored them. Commands
// to one aggregate are sent in the order of the events of a partition. It panics on
// a configuration that is incomplete.
//
// A router by default begins with the first event there is, so that a new policy
// also takes in what has happened already: its commands carry ids that tell apart
// what was done, and aggregates refuse what makes no sense any more. With [FromNow]
// it leaves history alone.
func NewRouter(cfg RouterConfig) *Projection {
	if cfg.Route == nil || len(cfg.Wants) == 0 {
		panic(fmt.Sprintf("projection: router %s needs Route and Wants", cfg.Name))
	}
	p := newProjection(cfg.Name)
	p.route, p.start = cfg.Route, cfg.Start
	p.wants = make(map[actor.Kind]map[string]bool, len(cfg.Wants))
	for kind, names := range cfg.Wants {
		p.wants[kind] = map[string]bool{}
		for _, name := range names {
			p.wants[kind][name] = true
		}
	}
	return p
}

// Router reports whether the projection is a router.
func (p *Projection) Router() bool { return p.route != nil }

var errTooMany = errors.New("too many commands for one event")

func (p *Projection) routeEvent(tx *Tx, r *record) error {
	if names := p.wants[r.Source.Kind]; names == nil || len(names) > 0 && !names[r.Name] {
		return nil
	}
	messages, err := p.route(r.EventRecord)
	if err != nil {
		return err
	}
	if len(messages) > MaxRouted {
		return fmt.Errorf("%d commands, the limit is %d: %w", len(messages), MaxRouted, errTooMany)
	}
	for i := range messages {
		m := messages[i]
		if m.Time.IsZero() {
			m.Time = r.Time
		}
		if m.ID == "" {
			m.ID = actor.InternalID(r.Time, p.name, r.Source.String(), fmt.Sprint(r.Version), fmt.Sprint(i))
		}
		m.Type, m.Lane, m.Attempt = actor.TypeCommand, actor.LaneDurable, max(m.Attempt, 1)
		if err := m.Validate(); err != nil {
			return fmt.Errorf("command %d: %w", i, err)
		}
		tx.outgoing = append(tx.outgoing, outgoing{m, r.Position})
	}
	return nil
}

// sendersMax bounds the commands of a batch that are on their way at once.
const sendersMax = 16

// sendError says which event's command could not be enqueued.
type sendError struct {
	event uint64
	cause error
}

func (e *sendError) Error() string { return e.cause.Error() }
func (e *sendError) Unwrap() error { return e.cause }

// final reports that no other try would succeed.
func (e *sendError) final() bool {
	known, ok := errors.AsType[*actor.Error](e.cause)
	return ok && (known.Code == actor.CodeMalformed || known.Code == actor.CodeTooLarge)
}

// send enqueues commands: those to one aggregate one after another, in order. The
// error is a *sendError, or the cause of ctx.
func send(ctx context.Context, client actor.Client, commands []outgoing) error {
	sending, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	targets := map[actor.Address][]outgoing{}
	order := make([]actor.Address, 0, len(commands))
	for _, o := range commands {
		if targets[o.message.Target] == nil {
			order = append(order, o.message.Target)
		}
		targets[o.message.Target] = append(targets[o.message.Target], o)
	}
	slots := make(chan struct{}, sendersMax)
	var senders sync.WaitGroup
	for _, target := range order {
		slots <- struct{}{}
		senders.Go(func() {
			defer func() { <-slots }()
			for _, o := range targets[target] {
				if err := client.Enqueue(sending, o.message); err != nil {
					cancel(&sendError{o.event, fmt.Errorf("enqueue %s to %s: %w", o.message.Name, o.message.Target, err)})
					return
				}
			}
		})
	}
	senders.Wait()
	return context.Cause(sending)
}
