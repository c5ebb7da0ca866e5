package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// Relay brings commits out of the store: their events to the event stream, in the
// order of the feed, each once; what they send to the command stream; their timers to
// where timers are kept. A node runs one while it serves partition 0; see [Relay.Run].
//
// There may be two for a while: the former owner of partition 0 was paused, and does
// not know yet. The event stream is what they are held to. An append names the end
// that it stands on, so that of two relays one is refused, and each event carries a
// mark that says how the next relay goes on after it.
//
// What a commit sends is stored before the last of its events is in the event stream.
//
//	relay A                                relay B
//	sends the commands of commit 7
//	dies                                   finds the event stream at commit 6
//	                                       sends the commands of commit 7 again
//	                                       appends the events of commit 7
//
// So a command is sent at least once, and its id makes the second one harmless. Were
// the events first, a death in between would lose the commands.
//
//	sends the commands of commit 7
//	is paused                              does all of the above, and commit 8 and 9
//	sends the timers of commit 7, which    (8 has set one of them anew)
//	  are refused: the order is lower
//	appends the events of commit 7:
//	  refused, the stream ends elsewhere
//
// Commands for one aggregate are sent one after another. Those for two may overtake
// each other on a retry, which nobody can see: they meet no common state.
type Relay struct {
	cfg    RelayConfig
	store  store.Store
	outbox Outbox
	rescan bool // the feed does not know the mark's place any more
	moved  bool // something was appended since the last interruption

	unsent   relayUnsent
	progress relayProgress
}

// RelayConfig tunes a [Relay]. The zero value of each field means the default that
// its comment names.
type RelayConfig struct {
	BatchEvents int           // events that are appended at once, reached or just passed: 2000
	BatchBytes  int           // bytes of what waits to be appended, reached or just passed: 8 MiB
	RescanMax   int           // aggregates that a rescan remembers, some 100 bytes each: 2,000,000
	Timeout     time.Duration // of one look at the event stream and of one append: 5 s
	LookEvery   time.Duration // between two looks for whether the streams are still there: 5 s

	// SendTimeout is for how long the relay tries to send one command, or to set one
	// timer, before it parks that and goes on, if the streams are there: 20 s.
	SendTimeout time.Duration
	ResendEvery time.Duration // between two tries of what is parked so, at least: 10 s
	ParkedMax   int           // commands that can be parked in the cluster; the relay stands at the next one: 10,000
	StandsAfter time.Duration // time without progress after which it is said that the relay stands: 30 s

	Schedules []actor.Schedule // of the cluster, kept while the relay runs

	Partitions actor.Partitions // of the cluster; needed to skip commits that cannot be read

	Logger   *slog.Logger // discards
	Listener EventListener
}

func (c RelayConfig) withDefaults() RelayConfig {
	if c.BatchEvents == 0 {
		c.BatchEvents = 2000
	}
	if c.BatchBytes == 0 {
		c.BatchBytes = 8 << 20
	}
	if c.RescanMax == 0 {
		c.RescanMax = 2_000_000
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.LookEvery == 0 {
		c.LookEvery = 5 * time.Second
	}
	if c.SendTimeout == 0 {
		c.SendTimeout = 20 * time.Second
	}
	if c.ResendEvery == 0 {
		c.ResendEvery = 10 * time.Second
	}
	if c.ParkedMax == 0 {
		c.ParkedMax = 10_000
	}
	if c.StandsAfter == 0 {
		c.StandsAfter = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// NewRelay returns a relay from a store to an outbox.
func NewRelay(cfg RelayConfig, s store.Store, outbox Outbox) *Relay {
	return &Relay{cfg: cfg.withDefaults(), store: s, outbox: outbox, unsent: relayUnsent{held: map[store.Aggregate]lastUnsent{}}}
}

const (
	relayMinPause = 50 * time.Millisecond
	relayMaxPause = 2 * time.Second
)

// Run relays until ctx ends. Whatever goes wrong, it looks at the event stream again
// and goes on from there. It may be called once.
func (r *Relay) Run(ctx context.Context) {
	var beside sync.WaitGroup
	defer beside.Wait()
	r.progress.moved()
	beside.Go(func() { r.forward(ctx) })
	beside.Go(func() { r.resend(ctx) })
	beside.Go(func() { r.watch(ctx) })
	wait := relayMinPause
	for ctx.Err() == nil {
		r.moved = false
		err := r.session(ctx)
		if ctx.Err() != nil {
			return
		}
		r.progress.interrupted(err)
		if r.moved {
			wait = relayMinPause
		}
		if f := r.cfg.Listener.RelayInterrupted; f != nil {
			f(err)
		}
		r.cfg.Logger.WarnContext(ctx, "relay interrupted", "error", err, "retry_in", wait)
		sleep(ctx, wait)
		wait = min(2*wait, relayMaxPause)
	}
}

// forward keeps the forwarding of timers going.
func (r *Relay) forward(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.forwardTimers(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Logger.WarnContext(ctx, "timers not forwarded", "error", err)
			sleep(ctx, relayMaxPause)
		}
	}
}

func (r *Relay) forwardTimers(ctx context.Context) error {
	if f, ok := r.outbox.(asideForwarder); ok {
		return f.ForwardTimersAside(ctx, r.keepDue)
	}
	return r.outbox.ForwardTimers(ctx)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// relaying is a relay from one look at the event stream until something goes wrong.
type relaying struct {
	*Relay
	stream   string // incarnation of the event stream
	last     uint64 // its end
	outgoing string // what the streams of commands and timers are, in short
	mark     mark   // of the newest event
	begun    begunCommit
	known    *knownEvents
	resend   bool // what was sent before is lost: send it again
	queue    *relayQueue

	held  map[store.Aggregate]*heldNow // aggregates whose events wait
	tried time.Time                    // when it was tried last to go on with them
}

// begunCommit is a commit of which the event stream has a part, and that the feed is
// yet to bring: of the aggregate, nothing up to the version is to be appended. Empty:
// there is none.
type begunCommit struct {
	aggregate store.Aggregate
	version   store.Version
}

// errStreamsChanged ends a relaying whose streams are not what they were.
var errStreamsChanged = errors.New("another stream has taken the place of one")

// session relays until something goes wrong, and returns what.
func (r *Relay) session(ctx context.Context) error {
	s := &relaying{Relay: r, queue: newRelayQueue(r.cfg.BatchEvents, r.cfg.BatchBytes)}
	if err := s.begin(ctx); err != nil {
		return err
	}
	if err := s.loadHeld(ctx); err != nil {
		return err
	}
	s.progress.begin(s.queue)
	ctx, cancel := context.WithCancelCause(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel(nil)
	parts.Go(func() { cancel(s.follow(ctx)) })
	parts.Go(func() { cancel(s.look(ctx)) })
	for {
		batch, err := s.queue.take(ctx, s.retryHistories())
		if err == nil {
			err = s.relay(ctx, batch)
		}
		if err == nil && len(s.held) > 0 && time.Since(s.tried) >= s.cfg.ResendEvery {
			if len(batch) == 0 {
				s.caughtUp()
			}
			err = s.releaseHistories(ctx)
			s.tried = time.Now()
		}
		if err == nil {
			s.queue.done()
			s.progress.relayed(newestOf(batch))
			continue
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		r.rescan = r.rescan || errors.Is(err, store.ErrTokenExpired)
		return err
	}
}

// newestOf returns the time of the newest commit of a batch; 0: it is empty.
func newestOf(batch []store.FeedItem) (newest int64) {
	for i := range batch {
		newest = max(newest, batch[i].Commit.Time)
	}
	return newest
}

// retryHistories returns when to try again what is held; nil: never.
func (s *relaying) retryHistories() <-chan time.Time {
	if len(s.held) == 0 {
		return nil
	}
	return time.After(time.Until(s.tried.Add(s.cfg.ResendEvery)))
}

// begin finds out where to go on.
func (s *relaying) begin(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	outgoing, err := s.outgoingNow(bounded)
	if err != nil {
		return err
	}
	stream, last, text, err := s.outbox.EventsTail(bounded)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	s.stream, s.last, s.outgoing = stream, last, outgoing
	s.keepSchedules(bounded)
	if last == 0 {
		s.mark, s.rescan = mark{Outgoing: outgoing}, false
		return nil
	}
	if s.mark, err = parseMark(text); err != nil {
		return s.rebuild(ctx, err)
	}
	if s.mark.Outgoing != outgoing {
		s.cfg.Logger.WarnContext(ctx, "commands or timers were lost, all are sent again")
	}
	s.resend = s.mark.Resend || s.mark.Outgoing != outgoing
	if s.rescan || s.resend || s.mark.Rescan {
		return s.learn(ctx)
	}
	s.begun = begunCommit{s.mark.Aggregate, s.mark.Version}
	return nil
}

// keepSchedules holds up nothing: what is wrong with a schedule is for an operator.
func (s *relaying) keepSchedules(ctx context.Context) {
	if err := s.outbox.KeepSchedules(ctx, s.cfg.Schedules); err != nil {
		s.cfg.Logger.ErrorContext(ctx, "schedules not kept", "error", err)
	}
}

// outgoingNow identifies the streams of commands and timers.
func (s *relaying) outgoingNow(ctx context.Context) (string, error) {
	commands, deadlines, err := s.outbox.Outgoing(ctx)
	if err != nil {
		return "", fmt.Errorf("relay: %w", err)
	}
	return shortOf(commands, deadlines), nil
}

// rebuild has the event stream filled anew from the store.
func (s *relaying) rebuild(ctx context.Context, why error) error {
	s.cfg.Logger.ErrorContext(ctx, "the event stream is given up", "stream", s.stream, "error", why)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	s.rescan = false
	return errors.Join(why, s.outbox.RebuildEvents(ctx, s.stream))
}

// follow reads the feed into the queue.
func (s *relaying) follow(ctx context.Context) error {
	token := s.mark.Token
	if s.known != nil {
		token = "" // what is known already is passed over
	}
	for item, err := range s.store.Follow(ctx, token) {
		if err != nil {
			return fmt.Errorf("relay: %w", err)
		}
		if err := s.queue.put(ctx, item); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errFeedEnded
}

var errFeedEnded = errors.New("the feed has ended")

// look finds out that a stream was lost also while there is nothing to relay.
func (s *relaying) look(ctx context.Context) error {
	for failed := 0; ; {
		sleep(ctx, s.cfg.LookEvery)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		changed, err := s.changed(ctx)
		switch {
		case changed:
			return errStreamsChanged
		case err == nil:
			failed = 0
		default:
			if failed++; failed > 1 {
				return err
			}
		}
	}
}

func (s *relaying) changed(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	outgoing, err := s.outgoingNow(ctx)
	if err != nil {
		return false, err
	}
	stream, _, _, err := s.outbox.EventsTail(ctx)
	if err != nil {
		return false, fmt.Errorf("relay: %w", err)
	}
	return stream != s.stream || outgoing != s.outgoing, nil
}

// relay brings out what a batch of commits holds.
func (s *relaying) relay(ctx context.Context, batch []store.FeedItem) error {
	var events []actor.EventRecord
	var marks []string
	out := newSending()
	for i := range batch {
		c := &batch[i].Commit
		passed, err := s.passOver(ctx, &batch[i])
		if err != nil {
			return err
		}
		if passed {
			s.mark = s.markAfter(&batch[i])
			continue
		}
		from, again, err := s.sift(c)
		if err != nil {
			return s.rebuild(ctx, err)
		}
		if from < len(c.Events) || again {
			if err := s.collect(ctx, out, c); err != nil {
				return err
			}
		}
		events, marks, err = s.events(events, marks, &batch[i], from)
		if err != nil {
			return err
		}
		s.mark = s.markAfter(&batch[i])
	}
	started := time.Now()
	if err := s.send(ctx, out); err != nil {
		return err
	}
	if err := s.appendEvents(ctx, events, marks, started); err != nil || len(events) == 0 {
		return err
	}
	return s.forgetReleased(ctx)
}

// appendEvents appends events behind the newest one.
func (s *relaying) appendEvents(ctx context.Context, events []actor.EventRecord, marks []string, started time.Time) error {
	if len(events) == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	if err := s.outbox.AppendEvents(bounded, s.stream, s.last, events, marks); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	s.last += uint64(len(events))
	s.moved = true
	s.progress.moved()
	if f := s.cfg.Listener.Relayed; f != nil {
		f(len(events), max(time.Since(events[len(events)-1].Time), 0), time.Since(started))
	}
	return nil
}

// markAfter is the place after a commit.
func (s *relaying) markAfter(item *store.FeedItem) mark {
	if s.known != nil {
		return mark{Rescan: true, Resend: s.resend, Outgoing: s.outgoing}
	}
	return mark{Token: item.Token, Outgoing: s.outgoing, Aggregate: s.begun.aggregate, Version: s.begun.version}
}

// markWithin is the place after an event of a commit that is not its last: a relay
// that dies within a commit leaves a part of it in the event stream. The next one goes
// on where the feed was before the commit, and passes over what it finds of it. Between
// the two, other commits may come: a scan that was interrupted may go on with a later
// state of the store. There is no room to remember two commits, so then it rescans.
func (s *relaying) markWithin(c *store.Commit, version store.Version) mark {
	m := s.mark
	switch {
	case m.Rescan:
	case s.begun != begunCommit{}:
		m = mark{Outgoing: m.Outgoing, Rescan: true}
	default:
		m.Aggregate, m.Version = c.Aggregate, version
	}
	return m
}

// events adds the events of a commit, without the first so many.
func (s *relaying) events(events []actor.EventRecord, marks []string, item *store.FeedItem, from int) ([]actor.EventRecord, []string, error) {
	c := &item.Commit
	source, err := actor.ParseAddress(string(c.Aggregate))
	if err != nil {
		return nil, nil, fmt.Errorf("relay commit of %q: %w: %w", c.Aggregate, store.ErrCorrupt, err)
	}
	after := s.markAfter(item).String()
	raised := 0 // events of the outcomes before
	outcome := 0
	for i := range c.Events {
		for outcome < len(c.Outcomes) && i >= raised+c.Outcomes[outcome].Events {
			raised += c.Outcomes[outcome].Events
			outcome++
		}
		if i < from {
			continue
		}
		e := actor.EventRecord{
			Partition: actor.Partition(c.Partition), Source: source, Version: actor.Version(c.First) + actor.Version(i), //nolint:gosec // not negative
			Name: c.Events[i].Name, Data: c.Events[i].Data, Time: time.UnixMicro(c.Time).UTC(),
		}
		if outcome < len(c.Outcomes) {
			o := &c.Outcomes[outcome]
			e.CommandID, e.Metadata = actor.CommandID(o.CommandID), actor.Metadata(o.Metadata)
		}
		m := after
		if i < len(c.Events)-1 {
			m = s.markWithin(c, c.First+store.Version(i)).String() //nolint:gosec // not negative
		}
		events, marks = append(events, e), append(marks, m)
	}
	return events, marks, nil
}
