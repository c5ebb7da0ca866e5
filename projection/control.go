package projection

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Control is what operators do with projections. It works on any node, through the
// storage alone; the nodes that run the projection act on it within a second. A
// projection that has never run is paused, resumed and rebuilt like any other. It is
// safe for concurrent use.
type Control struct {
	store       Storage
	source      Source
	projections map[string]*Projection
	order       []string
}

// NewControl returns the control of projections. It does no I/O.
func NewControl(s Storage, source Source, projections ...*Projection) *Control {
	c := &Control{store: s, source: source, projections: map[string]*Projection{}}
	for _, p := range projections {
		c.projections[p.name] = p
		c.order = append(c.order, p.name)
	}
	return c
}

// Status is a projection as the storage has it.
type Status struct {
	Name       string    `json:"name"`
	Router     bool      `json:"router"`
	Singleton  bool      `json:"singleton"`
	Started    bool      `json:"started"` // it has ever run
	Paused     bool      `json:"paused"`
	Generation uint64    `json:"generation"`
	Done       uint64    `json:"done"`     // events done with by the live generation
	Position   uint64    `json:"position"` // of the newest of them
	Head       uint64    `json:"head"`     // last position of the event stream
	Parked     int       `json:"parked"`   // events that wait
	Updated    time.Time `json:"updated"`  // of the newest event done with
	Rebuild    *Progress `json:"rebuild,omitempty"`
}

// Progress is how far a rebuild is.
type Progress struct {
	Generation uint64 `json:"generation"`
	Phase      Phase  `json:"phase"`
	Done       uint64 `json:"done"`  // events done with
	Total      uint64 `json:"total"` // events in the stream
	Parked     int    `json:"parked"`
}

// List returns the status of every projection in the order in which they were given.
func (c *Control) List(ctx context.Context) ([]Status, error) {
	all := make([]Status, 0, len(c.order))
	for _, name := range c.order {
		s, err := c.Show(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Show returns the status of a projection. The error wraps [ErrNotFound] for one
// that the program does not know.
func (c *Control) Show(ctx context.Context, name string) (Status, error) {
	p, err := c.known(name)
	if err != nil {
		return Status{}, err
	}
	s := Status{Name: name, Router: p.Router(), Singleton: p.singleton}
	if _, s.Head, err = c.source.EventsHead(ctx); err != nil {
		return s, fmt.Errorf("head of the event stream: %w", err)
	}
	h, _, err := readHead(ctx, c.store, name)
	if errors.Is(err, ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.Started, s.Paused, s.Generation = true, h.Paused, h.Live
	live, err := readCheckpoints(ctx, c.store, name, h.Live)
	if err != nil {
		return s, err
	}
	for _, cp := range live {
		s.Done += cp.Done
		s.Parked += cp.Parked
		s.Position = max(s.Position, cp.Position)
		if at := time.UnixMicro(cp.Time).UTC(); cp.Time > 0 && at.After(s.Updated) {
			s.Updated = at
		}
	}
	if h.Building == 0 {
		return s, nil
	}
	s.Rebuild = &Progress{Generation: h.Building, Phase: h.Phase, Total: s.Head}
	building, err := readCheckpoints(ctx, c.store, name, h.Building)
	for _, cp := range building {
		s.Rebuild.Done += cp.Done
		s.Rebuild.Parked += cp.Parked
	}
	return s, err
}

func (c *Control) known(name string) (*Projection, error) {
	if p := c.projections[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("projection %q: %w", name, ErrNotFound)
}

// Pause has all nodes stop applying events, a rebuild included, each when it looks next:
// [Config.Tick]. It is idempotent.
func (c *Control) Pause(ctx context.Context, name string) error { return c.pause(ctx, name, true) }

// Resume ends a pause. It is idempotent.
func (c *Control) Resume(ctx context.Context, name string) error { return c.pause(ctx, name, false) }

func (c *Control) pause(ctx context.Context, name string, paused bool) error {
	if err := c.register(ctx, name); err != nil {
		return err
	}
	return changeHead(ctx, c.store, name, func(h *head) error {
		if h.Paused == paused {
			return errLeave
		}
		h.Paused = paused
		return nil
	})
}

// register makes the head of a projection that has never run: what is asked of it
// holds from its first event on.
func (c *Control) register(ctx context.Context, name string) error {
	p, err := c.known(name)
	if err != nil {
		return err
	}
	_, err = registered(ctx, c.store, c.source, p, 0, time.Now())
	return err
}

// Rebuild begins to make the view anew from the first event on, beside the live
// one, which goes on and is replaced when the new one is level with it. The error
// wraps [ErrRebuilding] while another one is under way, and [ErrRouter].
func (c *Control) Rebuild(ctx context.Context, name string) error {
	p, err := c.known(name)
	if err != nil {
		return err
	}
	if p.Router() {
		return fmt.Errorf("rebuild %s: %w", name, ErrRouter)
	}
	if err := c.register(ctx, name); err != nil {
		return err
	}
	stream, _, err := c.source.EventsHead(ctx)
	if err != nil {
		return fmt.Errorf("head of the event stream: %w", err)
	}
	return changeHead(ctx, c.store, name, func(h *head) error {
		if h.Phase != PhaseNone {
			return fmt.Errorf("rebuild %s: %w", name, ErrRebuilding)
		}
		h.Last++
		h.Building, h.Phase, h.Stream, h.Again = h.Last, PhaseBuilding, stream, false
		return nil
	})
}

// CancelRebuild gives a rebuild up. The live view stays. The error wraps
// [ErrNotRebuilding] when there is none.
func (c *Control) CancelRebuild(ctx context.Context, name string) error {
	if err := c.register(ctx, name); err != nil {
		return err
	}
	return changeHead(ctx, c.store, name, func(h *head) error {
		if h.Phase == PhaseNone {
			return fmt.Errorf("cancel rebuild of %s: %w", name, ErrNotRebuilding)
		}
		h.Phase, h.Again = PhaseThawing, false
		return nil
	})
}

// ParkedState says what becomes of a parked source.
type ParkedState string

// The states.
const (
	ParkedRetrying ParkedState = "retrying" // it is tried again by itself
	ParkedWaiting  ParkedState = "waiting"  // for somebody who retries or skips
)

// Parked is an aggregate whose events wait for one projection, since one failed.
type Parked struct {
	Source   actor.Address
	State    ParkedState
	Event    string        // the name of the event that failed
	Version  actor.Version // its version
	Position uint64        // and its position
	Count    int           // events that wait, that one included
	Attempts int
	Reason   string
	Stack    string // of a panic
	Since    time.Time
	Next     time.Time // when it is tried again, in ParkedRetrying
}

// ParkedList returns at most limit parked aggregates of the live view.
func (c *Control) ParkedList(ctx context.Context, name string, limit int) ([]Parked, error) {
	h, err := c.head(ctx, name)
	if err != nil {
		return nil, err
	}
	var all []Parked
	for doc, err := range c.store.List(ctx, Place{name, h.Live, parkedName}, Range{Limit: limit}) {
		if err != nil {
			return nil, fmt.Errorf("list parked of %s: %w", name, err)
		}
		p, err := decodeParked(c.store, doc)
		if err != nil {
			return nil, err
		}
		all = append(all, p.shown())
	}
	return all, nil
}

// ParkedShow returns a parked aggregate and the first of the events that wait, at
// most limit. The error wraps [ErrNotFound].
func (c *Control) ParkedShow(ctx context.Context, name string, source actor.Address, limit int) (Parked, []actor.EventRecord, error) {
	h, err := c.head(ctx, name)
	if err != nil {
		return Parked{}, nil, err
	}
	p, err := c.findParked(ctx, name, h.Live, source)
	if err != nil {
		return Parked{}, nil, err
	}
	var events []actor.EventRecord
	waiting := Range{Prefix: parkedEventPrefix(slotID(p.Slot), p.Source), Limit: limit}
	for doc, err := range c.store.List(ctx, Place{name, h.Live, parkedEventsName}, waiting) {
		var e parkedEvent
		if err == nil {
			err = c.store.Unmarshal(doc.Data, &e)
		}
		if err != nil {
			return Parked{}, nil, fmt.Errorf("list parked events of %s: %w", source, err)
		}
		events = append(events, e.record(source).EventRecord)
	}
	return p.shown(), events, nil
}

// Retry has the events of a parked aggregate applied in order, from the one that
// failed on. The error wraps [ErrNotFound] when it is not parked.
func (c *Control) Retry(ctx context.Context, name string, source actor.Address) error {
	return c.ask(ctx, name, source, askRetry)
}

// Skip leaves the event that failed out, and has those behind it applied in order.
// The error wraps [ErrNotFound] when the aggregate is not parked.
func (c *Control) Skip(ctx context.Context, name string, source actor.Address) error {
	return c.ask(ctx, name, source, askSkip)
}

func (c *Control) ask(ctx context.Context, name string, source actor.Address, what ask) error {
	var err error
	for range headTries {
		var h head
		if h, err = c.head(ctx, name); err != nil {
			return err
		}
		var p parked
		if p, err = c.findParked(ctx, name, h.Live, source); err != nil {
			return err
		}
		was := p.revision
		p.Ask = what
		var data []byte
		if data, err = c.store.Marshal(p); err != nil {
			return fmt.Errorf("encode parked %s: %w", source, err)
		}
		w := Write{Place: Place{name, h.Live, parkedName}, Key: parkedKey(slotID(p.Slot), p.Source), Data: data, Check: true, Expect: was}
		if err = commitOne(ctx, c.store, w); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

// head returns the head of a projection; one that has never run has an empty one,
// whose generation holds nothing.
func (c *Control) head(ctx context.Context, name string) (head, error) {
	if _, err := c.known(name); err != nil {
		return head{}, err
	}
	h, _, err := readHead(ctx, c.store, name)
	if errors.Is(err, ErrNotFound) {
		return head{}, nil
	}
	return h, err
}

// findParked looks in all slots: who asks need not know the number of partitions.
func (c *Control) findParked(ctx context.Context, name string, generation uint64, source actor.Address) (parked, error) {
	suffix := "/" + source.String()
	for doc, err := range c.store.List(ctx, Place{name, generation, parkedName}, Range{}) {
		if err != nil {
			return parked{}, fmt.Errorf("find parked %s: %w", source, err)
		}
		if _, rest, _ := strings.Cut(doc.Key, "/"); "/"+rest == suffix {
			return decodeParked(c.store, doc)
		}
	}
	return parked{}, fmt.Errorf("%s is not parked for %s: %w", source, name, ErrNotFound)
}

func decodeParked(s Storage, doc Document) (parked, error) {
	var p parked
	if err := s.Unmarshal(doc.Data, &p); err != nil {
		return p, fmt.Errorf("decode parked %q: %w", doc.Key, err)
	}
	p.revision = doc.Revision
	return p, nil
}

func (p *parked) shown() Parked {
	source, _ := actor.ParseAddress(p.Source) // it was written from an address
	return Parked{
		Source: source, State: p.State, Event: p.Event, Version: actor.Version(p.Version), Position: p.Position,
		Count: p.Count, Attempts: p.Attempts, Reason: p.Reason, Stack: p.Stack,
		Since: time.UnixMicro(p.Since).UTC(), Next: time.UnixMicro(p.Next).UTC(),
	}
}
