package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// A command may end the whole process: a library calls log.Fatal, maps are written
// concurrently, a recursion has no end, memory runs out. No panic tells which one it
// was, and the next owner reads it again. So the claim counts the sessions that died
// with it, and an owner that follows on two of them watches the partition: what may
// have killed them is executed one at a time, after the claim names it.
//
//	session A   reads X, dies                           deaths: 1 (A had made no progress)
//	session B   reads X, dies                           deaths: 2
//	session C   watches: names X, executes it, dies     suspect: X, 0 deaths
//	session D   watches: names X, executes it, dies     suspect: X, 1 death
//	session E   finds X named by D, which died: two deaths under its name. X is parked.
//
// Where one death was counted, the claim also notes when X was executed: who dies after
// that, as while the store takes no commit, or because of something else that kills this
// node every few seconds, is counted apart. Only many such deaths park X, as it may have
// left something behind that kills later.
//
// A node executes a command under whose name a process died when no other watched one runs:
// of two that were executed at the same time, nobody could tell which one did it. Those
// without deaths run side by side, one for each partition. Should they die, each has one
// death, of which the next owners acquit those that did not do it.
//
// What else can meet:
//
//	dies before naming       The suspect is another one, or none: nobody is blamed, or
//	                         one who was executed. That one has its outcome, and is
//	                         looked up before anything is parked.
//	dies between naming      X is blamed for a death that it has not caused. Two such
//	and executing            deaths in a row park it; an operator retries it.
//	a node that was paused   has not died, see alibi.go.
//	kill -9 by an operator   is a death like any other. One costs nothing; two without
//	                         progress make the third session name what it reads again;
//	                         the command is executed, and its name is taken away.
//	hand-over while          A release says that all is well, since a process that is
//	watching                 there to release has not died.
//	a query                  waits its turn, and is never named: nobody reads it again
//	                         but its caller, and reads of an aggregate have no ids. Of
//	                         two nodes that were killed amid reads, all later reads
//	                         would be blamed.
//	a build without this     leaves the fields of the claim as they are.
//
// Progress is a durable command of the partition that came to its end: the count begins anew,
// in a watched partition, too, so that processes that are killed every few seconds do not
// keep it slow for ever. Who is named keeps the next owner watching. A direct command is in
// no stream, so the watch goes on for watchFor: its caller repeats it by then.
const (
	deathsFeared  = 2                // deaths after which the partition is watched
	deathsSuspect = 2                // deaths under its name after which a command is parked
	sparedSuspect = 6                // likewise, after it was executed
	watchFor      = 30 * time.Second // at least
	fearFor       = 5 * time.Second  // for which others wait for one that takes its time
)

// suspect is the stored form of [store.Claim.Suspect].
type suspect struct {
	Node      string `json:"node,omitempty"`
	Session   string `json:"session"` // of that node, which named it
	Aggregate string `json:"aggregate"`
	ID        string `json:"id"`
	Name      string `json:"name"`
	Deaths    int    `json:"deaths"` // under its name, before that session

	Blamed []Death `json:"blamed,omitempty"` // sessions of these deaths, as far as this build has counted them

	Executed bool `json:"executed,omitempty"` // its handler has returned
	Spared   int  `json:"spared,omitempty"`   // deaths after that, before that session
}

// condemned reports whether enough processes died of it.
func (s *suspect) condemned() bool { return s.Deaths >= deathsSuspect || s.Spared >= sparedSuspect }

func (s *suspect) encode() string {
	data, err := json.Marshal(s)
	if err != nil { // strings and a number
		panic("runtime: encode suspect: " + err.Error())
	}
	return string(data)
}

// crashWatch is what a watched partition knows beside others. It is guarded by partition.mu,
// but for what its goroutine alone uses.
type crashWatch struct {
	deaths int
	queue  []*delivery // in the order of arrival
	wake   chan struct{}

	acquitted bool // the process lives from which the partition was taken: one of the deaths was none

	until time.Duration // Clock.Elapsed; of the goroutine
	known *suspect      // of the claim as it was taken, with the death of who named it; of the goroutine
}

// newCrashWatch returns nil for a partition that need not be watched.
func newCrashWatch(in *incarnation, c *store.Claim) *crashWatch {
	var s suspect
	named := c.Suspect != "" && json.Unmarshal([]byte(c.Suspect), &s) == nil
	if c.Deaths < deathsFeared && !named {
		return nil
	}
	w := &crashWatch{deaths: c.Deaths, wake: make(chan struct{}, 1), until: in.cfg.Clock.Elapsed() + watchFor}
	if named {
		switch {
		case s.Session == in.session.Incarnation:
		case s.Executed:
			s.Spared++
		default:
			s.Deaths++
			s.Blamed = append(s.Blamed, Death{s.Node, s.Session})
		}
		w.known = &s
	}
	return w
}

// fears reports whether there is still something to fear once it is known that the process
// of the former owner lives. The caller holds partition.mu.
func (w *crashWatch) fears(former Death) bool {
	if !w.acquitted || w.deaths > deathsFeared {
		return true
	}
	return w.known != nil && (w.known.Session != former.Session || w.known.Deaths+w.known.Spared > 1)
}

func (p *partition) fears() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.watch.fears(p.former)
}

// watchedLocked hands a message to the watch; false: there is none. The caller holds mu.
func (p *partition) watchedLocked(d *delivery) bool {
	if p.watch == nil {
		return false
	}
	d.rarely().ended = make(chan struct{})
	p.watch.queue = append(p.watch.queue, d)
	select {
	case p.watch.wake <- struct{}{}:
	default:
	}
	return true
}

// fullLocked reports whether the watch takes no more direct messages. The caller holds mu.
func (p *partition) fullLocked() bool {
	return p.watch != nil && len(p.watch.queue) >= p.cfg.MailboxMax
}

// keepWatch executes what comes, one at a time, until there is nothing to fear.
func (p *partition) keepWatch() {
	p.cfg.Logger.Warn("sessions died with this partition and made no progress: what may have killed them is executed one at a time, and named first",
		"partition", uint32(p.id), "deaths", p.watch.deaths)
	for {
		d, over := p.nextWatched()
		if over {
			return
		}
		if d == nil {
			select {
			case <-p.ctx.Done():
				return
			case <-p.watch.wake:
			case <-time.After(time.Second):
			}
			continue
		}
		if !p.executeWatched(d) {
			return
		}
	}
}

// nextWatched returns the next message; nil: none at present. The watch is over when
// its time is, and everything has come that its predecessors may have read.
func (p *partition) nextWatched() (next *delivery, over bool) {
	read := p.caughtUp()
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.watch
	if len(w.queue) > 0 {
		next = w.queue[0]
		w.queue[0] = nil
		w.queue = w.queue[1:]
		return next, false
	}
	if w.fears(p.former) && (!read || p.cfg.Clock.Elapsed() < w.until) {
		return nil, false
	}
	p.watch, p.claimDeaths, p.claimSuspect = nil, 0, ""
	return nil, true
}

// executeWatched brings one message to its end, and returns false when the partition is
// left.
func (p *partition) executeWatched(d *delivery) bool {
	var (
		named    *suspect
		executed <-chan struct{}
	)
	if d.Message.Type == actor.TypeCommand && (d.replayed || d.Sequence == 0) && p.fears() { // it may have killed a predecessor
		s := p.suspectOf(d)
		if s.Deaths > 0 && !p.acquit(s) {
			return false
		}
		release, err := p.turns.Take(p.ctx, s.Deaths+s.Spared > 0)
		if err != nil {
			return false
		}
		defer release()
		if s.condemned() {
			condemned, ok := p.condemn(d, s.Deaths+s.Spared)
			if !ok || condemned {
				return ok
			}
		}
		if !p.name(s) {
			return false
		}
		if s.Deaths > 0 {
			returned := make(chan struct{})
			d.rarely().executed = sync.OnceFunc(func() { close(returned) })
			s.Executed, executed = true, returned
		}
		named = s
	}
	for !p.post(p.behaviors[d.Message.Target.Kind], d) {
		if d.Sequence == 0 {
			p.refuseOverloaded(d)
			break
		}
		if !p.memory.awaitRoom(p.ctx, p.ctx) {
			p.giveUp(d)
			return false
		}
	}
	return p.awaitWatched(d, executed, named)
}

// awaitWatched waits for the end of a message, for a bounded time, and notes in between
// that it was executed.
func (p *partition) awaitWatched(d *delivery, executed <-chan struct{}, s *suspect) bool {
	patience := time.After(fearFor)
	for {
		select {
		case <-d.rare.ended:
			p.mu.Lock()
			p.claimSuspect = "" // saved with what is saved next
			p.mu.Unlock()
			return true
		case <-executed:
			executed = nil
			if !p.name(s) {
				return false
			}
		case <-patience:
			return true
		case <-p.ctx.Done():
			return false
		}
	}
}

// suspectOf returns what the claim is to say of a message, with the deaths under its name.
func (p *partition) suspectOf(d *delivery) *suspect {
	s := &suspect{
		Node: p.session.Name, Session: p.session.Incarnation, Aggregate: d.Message.Target.String(), ID: string(d.Message.ID),
		Name: shorten(d.Message.Name, 128),
	}
	if known := p.watch.known; known != nil && known.ID == s.ID && known.Aggregate == s.Aggregate {
		s.Deaths, s.Spared, s.Blamed = known.Deaths, known.Spared, slices.Clone(known.Blamed)
	}
	return s
}

// name writes into the claim what is executed next, and returns false when the partition
// is left first.
func (p *partition) name(s *suspect) bool {
	named := s.encode()
	p.mu.Lock()
	p.claimSuspect = named
	p.mu.Unlock()
	return p.retry(0, func(ctx context.Context) error {
		all := p.served() // what others name meanwhile goes with it
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
		err := p.save(ctx, all)
		p.mu.Lock()
		defer p.mu.Unlock()
		if err == nil && p.claim.Suspect != named {
			err = errNotNamed
		}
		return err
	}) == nil
}

// condemn parks a command under whose name processes died, unless it was decided before:
// then condemned is false. ok is false when the partition is left first.
//
// The aggregate is not loaded for it: that may be what kills.
func (p *partition) condemn(d *delivery, deaths int) (condemned, ok bool) {
	reason := fmt.Sprintf("%d processes in a row died while they executed it", deaths)
	ans := answer{delivery: d, outcome: actor.Failure(actor.CodeParked, reason)}
	decided := false
	err := p.retryBounded(func(ctx context.Context) (err error) {
		_, timed := d.Message.ID.UnixMilli()
		_, decided, err = p.store.FindOutcome(ctx, store.Aggregate(d.Message.Target.String()), string(d.Message.ID), !timed)
		return err
	})
	if err != nil || decided {
		return false, err == nil
	}
	switch p.takeAside(d, reason, "") {
	case itsNextOwners:
		return false, false
	case itHasNoRoom:
		ans.outcome = overloadedParking(reason)
	case itIsParked:
	}
	p.conclude(ans)
	return true, true
}

// fearNothing is for a release: who is there to release has not died.
func (p *partition) fearNothing() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claimDeaths, p.claimSuspect = 0, ""
}
