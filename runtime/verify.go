package runtime

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// Answers says what lets a node answer.
type Answers uint8

const (
	// AnswersByLease lets it answer as long as it has a lease that is valid on the
	// node's own clock.
	AnswersByLease Answers = iota
	// AnswersVerified lets it answer on the store's word, for each answer and each
	// write, that the node's session lives. No clock has a say. Every node of a cluster
	// must be configured so, or those that are not can still be fooled by theirs.
	AnswersVerified
)

// verifier asks the store whether the session lives, on behalf of all that waits
// at the time. It stands where the lease stands otherwise: at the gate, and before
// an append of the committer (docs/adr/0014-verified-answers.md).
//
// A partition goes to another node only after the session has been declared dead,
// or after the partition was left here. So if the session lives at some moment
// after an answer came to the gate, nobody else had the partition when it was
// decided, and nobody has been told anything that it does not know:
//
//	owner A, its clock stands still     store               node B
//	decides read R on version 7
//	                                    A is dead <-------- declares A dead
//	                                                        takes the partition
//	                                    version 8 <-------- commits, told: done
//	lease valid, says the clock: R would leave
//	asks ---------------------------->  A is dead
//	R is dropped
//
// The question must be asked after the answer came. One that was under way then may
// have been answered before A's death:
//
//	asks (for others) --------------->  A lives
//	                                    A is dead, B takes, commits, told: done
//	R is asked, decided, comes
//	hears that A lives: R must not leave
//
// Answers that stood on a commit wait in the same way, after the append. Their
// version is safe, but not yet known to everybody: B may take the partition and
// load version 7 while A's append of version 8 is under way, and answer reads. If
// A lives at a moment after version 8 was durable, then B took over later, and has
// loaded it.
type verifier struct {
	session store.Session
	store   store.Leases
	cfg     *Config
	bound   time.Duration // of one question
	send    func(answer)
	lost    func() // the session was lost; must not block

	mu      sync.Mutex
	next    *round // those whose question has not been asked
	waiting int    // answers in all rounds
	flying  int    // rounds whose question is being asked
	closed  bool
	wake    chan struct{} // capacity 1
	landed  chan struct{} // closed and replaced when a round has ended
}

// round is what one question is asked for.
type round struct {
	answers   []answer
	confirmed chan struct{} // closed: the session lived after the round had begun
}

func newRound() *round { return &round{confirmed: make(chan struct{})} }

// verifyFlights is the number of questions under way. With one, an answer would
// wait for the one before its own as well.
const verifyFlights = 2

func newVerifier(in *incarnation, send func(answer)) *verifier {
	return &verifier{
		session: in.session, store: in.store, cfg: in.cfg, bound: in.renewalAttempt(), send: send,
		lost: func() { in.cancel(errSessionLost) },
		wake: make(chan struct{}, 1), landed: make(chan struct{}),
	}
}

// add takes an answer that leaves once the session is confirmed. Beyond keptMax
// of them callers get no answer, and ask again.
func (v *verifier) add(a answer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed || v.waiting == keptMax {
		return
	}
	r := v.nextLocked()
	r.answers = append(r.answers, a)
	v.waiting++
}

// await returns once the session is confirmed by a question that is asked after
// the call, or ctx has ended.
func (v *verifier) await(ctx context.Context) error {
	v.mu.Lock()
	r := v.nextLocked()
	v.mu.Unlock()
	select {
	case <-r.confirmed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (v *verifier) nextLocked() *round {
	if v.next == nil {
		v.next = newRound()
		v.signal()
	}
	return v.next
}

func (v *verifier) signal() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// flush waits until everything that has come has left.
func (v *verifier) flush(ctx, life context.Context) error {
	for {
		v.mu.Lock()
		empty, landed := v.next == nil && v.flying == 0, v.landed
		v.mu.Unlock()
		if empty {
			return nil
		}
		select {
		case <-landed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-life.Done():
			return context.Cause(life)
		}
	}
}

// close drops what waits, and all that comes.
func (v *verifier) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed, v.next = true, nil
}

// run asks until ctx ends, and returns when nothing is under way.
func (v *verifier) run(ctx context.Context) {
	var flying sync.WaitGroup
	defer flying.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.wake:
		}
		for r := v.take(); r != nil; r = v.take() {
			flying.Go(func() {
				v.confirm(ctx, r)
				v.land(len(r.answers))
			})
		}
	}
}

// take returns the next round if there is one and its question may be asked now.
func (v *verifier) take() *round {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.next == nil || v.flying == verifyFlights {
		return nil
	}
	r := v.next
	v.next = nil
	v.flying++
	return r
}

func (v *verifier) land(answers int) {
	v.mu.Lock()
	v.flying--
	v.waiting -= answers
	close(v.landed)
	v.landed = make(chan struct{})
	v.mu.Unlock()
	v.signal()
}

// confirm asks until there is an answer, and lets out what has waited for it.
func (v *verifier) confirm(ctx context.Context, r *round) {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		err := v.ask(ctx, len(r.answers))
		switch {
		case err == nil:
			close(r.confirmed)
			for _, a := range r.answers {
				v.send(a)
			}
			return
		case errors.Is(err, store.ErrLost):
			v.lost()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (v *verifier) ask(ctx context.Context, answers int) error {
	ctx, cancel := context.WithTimeout(ctx, v.bound)
	defer cancel()
	start := v.cfg.Clock.Elapsed()
	err := v.store.ConfirmSession(ctx, v.session)
	if f := v.cfg.Listener.Confirmed; f != nil {
		f(answers, v.cfg.Clock.Elapsed()-start, err)
	}
	return err
}
