package runtime

import (
	"context"
	"sync"
	"time"
)

// relayProgress is what a relay shows of itself: how old the oldest commit is that it has
// yet to bring out, and whether it stands still.
//
// It stands when, for as long as StandsAfter, it has brought out nothing, nor been seen
// to follow the feed with nothing to do. So it does while the feed cannot be read, the
// streams are away, or one of them takes nothing.
type relayProgress struct {
	mu       sync.Mutex
	queue    *relayQueue // of the session that is under way; nil: none is
	began    time.Time   // when it began
	left     int64       // time of the oldest commit that an interrupted session has left to the next
	good     time.Time   // when it did something last, or had nothing to do
	standing bool
	logged   time.Time
	last     error // of the last interruption

	heldTargets, heldHistories int // see relayUnsent, relayHeld
	awaitingRoom               int // 1 while what is to be parked waits for room
}

// begin notes a session.
func (p *relayProgress) begin(q *relayQueue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue, p.began = q, time.Now()
}

// relayed notes that a batch was brought out, or passed over, whose newest commit is of a
// time; 0: it was empty. What an interrupted session has left is among it, or comes later:
// the feed may begin with what had been brought out before that.
func (p *relayProgress) relayed(newest int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.good = time.Now()
	if newest >= p.left {
		p.left = 0
	}
}

// moved notes that something was appended.
func (p *relayProgress) moved() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.good = time.Now()
}

// interrupted notes that the session has ended, with something left or not.
func (p *relayProgress) interrupted(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = p.pendingLocked()
	p.queue, p.last = nil, err
}

// pendingLocked returns the time of the oldest commit that is not brought out, 0 for none. What an
// interrupted session has left counts until the next one has brought it out.
func (p *relayProgress) pendingLocked() int64 {
	if p.queue == nil {
		return p.left
	}
	if at := p.queue.oldest(); at != 0 {
		return at
	}
	return p.left
}

// look is called again and again. It returns an error to be logged when the relay stands
// still and that was not said for a while, and how long it has stood.
func (p *relayProgress) look(now time.Time, quiet, standsAfter time.Duration) (stood time.Duration, last error, say bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queue != nil && now.Sub(p.began) >= quiet {
		if p.queue.oldest() == 0 { // nothing has come for a while: there is nothing
			p.good, p.left = now, 0
		}
	}
	stood = now.Sub(p.good)
	p.standing = stood >= standsAfter
	if !p.standing || now.Sub(p.logged) < standsRepeat {
		return stood, nil, false
	}
	p.logged = now
	return stood, p.last, true
}

const (
	standsRepeat  = time.Minute     // between two lines about a relay that stands
	progressEvery = 2 * time.Second // at most, between two looks
)

// watch looks for whether the relay stands, until ctx ends.
func (r *Relay) watch(ctx context.Context) {
	every := min(progressEvery, r.cfg.StandsAfter/3)
	for {
		sleep(ctx, every)
		if ctx.Err() != nil {
			return
		}
		stood, last, say := r.progress.look(time.Now(), every, r.cfg.StandsAfter)
		if say {
			r.cfg.Logger.ErrorContext(ctx, "the relay stands still: no event reaches a reader, and no command or timer is sent",
				"for", stood.Round(time.Second), "behind", r.Behind().Round(time.Second), "last_error", last)
		}
	}
}

// RelayStatus is what a [Relay] knows of itself.
type RelayStatus struct {
	Behind        time.Duration // age of the oldest commit that it knows of and has not brought out; 0: none
	Standing      bool          // it has done nothing for RelayConfig.StandsAfter although there is something to do, or cannot find out
	HeldTargets   int           // aggregates that nothing is sent to, as something before it could not be sent
	HeldHistories int           // aggregates whose events wait, as one of their commits cannot be read
	AwaitingRoom  bool          // it stands as no more can be parked
}

// Status returns it. It is safe for concurrent use.
func (r *Relay) Status() RelayStatus {
	p := &r.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	s := RelayStatus{Standing: p.standing, HeldTargets: p.heldTargets, HeldHistories: p.heldHistories, AwaitingRoom: p.awaitingRoom > 0}
	if at := p.pendingLocked(); at != 0 {
		s.Behind = max(time.Since(time.UnixMicro(at)), 0)
	}
	return s
}

// Behind returns the age of the oldest commit that the feed has brought and that is
// not relayed, 0 without one. It is safe for concurrent use.
func (r *Relay) Behind() time.Duration { return r.Status().Behind }
