package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// Effects are what a decision sends, and the timers that it sets and cancels. They
// are written with its events, in the same commit, and nobody sends them from here:
// whoever follows the store's feed does, once the commit is durable. So they are as
// durable as the events, they happen exactly if the decision does, and their ids are
// derived, so that a decision that is made again sends the same.
//
// Timers are exact because the aggregate itself knows which command each of its
// timers is set to (actor.Instance, rebuilt from the commits, kept in snapshots). A
// firing is a command like any other, of the id that it was set with, and has an
// effect only while the timer is set to that id. What can meet:
//
//	cancel meets fire       Both are commands of one aggregate, so one is decided
//	                        first. The cancel: the firing finds its timer gone, and
//	                        answers cancelled. The firing: the cancel does nothing.
//	replace meets fire      The same: another id is set, or the firing comes first.
//	fires twice             The first is in a commit, also if it was refused or did
//	                        nothing; the second gets its outcome, by recall.
//	fires after hand-over   The next owner has the timers from the commits. A firing
//	                        that was not decided is above the watermark, or waits
//	                        there (see postpone), and is read again.
//	commit unknown          The timers are thrown away with the state, and loaded
//	                        again. The firing is looked up: if the store has it, it
//	                        gets that outcome, else it is decided again.
//	set by a slow commit    A former owner's write arrives after this one has loaded,
//	                        and the timer fires at once. That it is not known here
//	                        does not say that it was cancelled: see isBehind.
//	fires early             Whose clock says so is wrong, or ours is. See postpone.

// storedOutgoing is the stored form of what a decision sends.
func storedOutgoing(o *actor.Outgoing) store.Outgoing {
	s := store.Outgoing{
		ID: string(o.ID), To: store.Aggregate(o.To.String()), Name: o.Name, Timer: o.Timer,
		Data: o.Data, Metadata: store.Metadata(o.Metadata),
	}
	if !o.At.IsZero() {
		s.At = o.At.UnixMicro()
	}
	if f := o.OnRefusal; f != nil {
		s.OnRefusal, s.OnRefusalData = f.Name, f.Data
	}
	return s
}

// outgoingOf is the inverse of storedOutgoing, for an entry of a commit of that
// aggregate.
func outgoingOf(of store.Aggregate, s *store.Outgoing) (actor.Outgoing, error) {
	to, err := actor.ParseAddress(string(s.To))
	if err != nil {
		return actor.Outgoing{}, fmt.Errorf("outgoing %s of %s: %w: %w", s.ID, of, store.ErrCorrupt, err)
	}
	o := actor.Outgoing{
		ID: actor.CommandID(s.ID), To: to, Name: s.Name, Timer: s.Timer, Data: s.Data, Metadata: actor.Metadata(s.Metadata),
	}
	if s.At != 0 {
		o.At = time.UnixMicro(s.At).UTC()
	}
	if s.OnRefusal != "" {
		sender, err := actor.ParseAddress(string(of))
		if err != nil {
			return actor.Outgoing{}, fmt.Errorf("outgoing %s of %s: %w: %w", s.ID, of, store.ErrCorrupt, err)
		}
		o.OnRefusal = &actor.Fallback{To: sender, Name: s.OnRefusal, Data: s.OnRefusalData}
	}
	return o, nil
}

// Outgoing returns what a commit sends, in order, and what it does to the timers of its
// aggregate: for whoever sends it. The error wraps [store.ErrCorrupt]. Commands travel
// as [actor.Outgoing.Message] of the commit's time.
func Outgoing(c *store.Commit) ([]actor.Outgoing, error) {
	all := make([]actor.Outgoing, 0, len(c.Out))
	for i := range c.Out {
		o, err := outgoingOf(c.Aggregate, &c.Out[i])
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

func outgoingBytes(o *actor.Outgoing) int {
	n := 128 + len(o.To.ID) + len(o.Name) + len(o.Data)
	if o.OnRefusal != nil {
		n += len(o.OnRefusal.Data)
	}
	return n
}

// applyEffects brings the timers to what they were after the commit.
func (l *loaded) applyEffects(c *store.Commit) error {
	var timers []actor.Outgoing
	for i := range c.Out {
		if c.Out[i].Timer == "" {
			continue
		}
		o, err := outgoingOf(c.Aggregate, &c.Out[i])
		if err != nil {
			return err
		}
		timers = append(timers, o)
	}
	if len(timers) == 0 && l.instance.TimerCount() == 0 {
		return nil
	}
	l.instance.ReplayEffects(func(yield func(actor.CommandID) bool) {
		for i := range c.Outcomes {
			if !yield(actor.CommandID(c.Outcomes[i].CommandID)) {
				return
			}
		}
	}, timers)
	return nil
}

// errNoRuntimeState reports a snapshot that may lack timers.
var errNoRuntimeState = errors.New("the snapshot is of a build that knew no timers")

// timerBytes estimates what the timers take in memory.
func (a *activation) timerBytes() int {
	if a.instance == nil {
		return 0
	}
	return 256 * a.instance.TimerCount()
}

// awaitsRefusal reports whether a refusal of the command is written down.
func awaitsRefusal(m *actor.Message) bool { return m.OnRefusal != nil || m.Timer != "" }

// firing looks at the firing of a timer that was not decided before. It returns
// false when there is nothing to decide now.
func (a *activation) firing(d *delivery) bool {
	t, set := a.instance.Fires(&d.Message)
	if !set {
		behind, err := a.isBehind()
		switch {
		case err != nil:
			a.cannotLoad(d, err)
		case behind:
			a.catchUp(d)
		}
		return !behind && err == nil // Decide says that it is cancelled
	}
	if _, ok := actor.EffectOf(d.Message.Timer); ok {
		if d.Message.Name == actor.PerformCommand {
			a.performs(d)
			return false
		}
		return true // what ends it has no time to wait for
	}
	now := a.partition.cfg.Clock.Now()
	late := now.Sub(t.At)
	if f := a.partition.cfg.Listener.TimerFired; f != nil {
		f(a.behavior.Kind(), late)
	}
	if late >= 0 {
		return true
	}
	if !d.early {
		d.early = true
		// A little longer: another clock measures the wait.
		a.partition.postpone(a.behavior, d, min(t.At.Sub(now), a.partition.cfg.TimerPatience)+time.Millisecond)
		return false
	}
	a.accept(d, a.instance.SetAgain(&d.Message))
	return false
}

// isBehind reports whether the store has commits beyond the state in memory. While a
// commit is gathered or under way there is no need to ask: it can only succeed if
// there are none, and what is decided now stands on it.
//
//	former owner                             this owner, and the relay
//	writes version 18, which sets timer T;
//	the write is slow, its fate unknown
//	                                         loads version 17
//	the write arrives                        the relay sends T, which is due
//	                                         T comes: not known at version 17
//
// Were T called cancelled here, it would never take effect.
func (a *activation) isBehind() (behind bool, err error) {
	if a.gathering != nil || a.inFlight != nil {
		return false, nil
	}
	err = a.partition.retryBounded(func(ctx context.Context) error {
		behind = false
		for _, err := range a.partition.store.Load(ctx, store.Aggregate(a.address.String()), store.Version(a.instance.Version())) {
			behind = err == nil
			return err
		}
		return nil
	})
	return behind, err
}

// postpone brings a firing back to its aggregate after a while: its time has not
// come by the clock of this node. It waits beside the flow: a drain does not wait for
// it, the watermark does not pass it, and so the next owner gets it again.
//
// It waits TimerPatience at the most, for it holds back the watermark. If its time
// has not come then, it is set again by a commit (actor.Instance.SetAgain): whoever
// fires timers does so again, as early as its clock is ahead, but not more often
// than once in TimerPatience.
func (p *partition) postpone(behavior *actor.Behavior, d *delivery, wait time.Duration) {
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return
	}
	p.unfinished--
	d.endLocked()
	p.running.Go(func() { p.resume(behavior, d, wait) })
	p.mu.Unlock()
	p.signal()
}

// resume is the end of a postponement.
func (p *partition) resume(behavior *actor.Behavior, d *delivery, wait time.Duration) {
	select {
	case <-p.ctx.Done():
		return
	case <-time.After(wait):
	}
	p.mu.Lock()
	stopped := p.stopped
	if !stopped {
		p.unfinished++
	}
	p.mu.Unlock()
	for !stopped && !p.post(behavior, d) {
		if !p.memory.awaitRoom(p.ctx, p.ctx) {
			p.giveUp(d)
			return
		}
	}
}

// overdue tells of sagas that have not ended in time.
func (a *activation) overdue(events []actor.Event) {
	for i := range events {
		if events[i].Name != actor.EventOverdue {
			continue
		}
		a.partition.cfg.Logger.Warn("saga overdue", "aggregate", a.address.String())
		if f := a.partition.cfg.Listener.Overdue; f != nil {
			f(a.behavior.Kind())
		}
	}
}
