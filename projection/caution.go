package projection

import (
	"context"
	"fmt"
	"slices"

	"github.com/ganglion-go/ganglion/actor"
)

// An event may end the whole process: a library that a handler calls ends it, maps are
// written concurrently, a recursion has no end, memory runs out. No panic tells which one
// it was, and the next owner reads it again. The claims of partitions tell that an owner
// died, and checkpoints under which claim a slot has last got on: both are written anyway.
// An owner that follows on two that did not get on, the last of which died, is cautious
// with what they may have handled: one event at a time, named in the checkpoint first.
//
//	epoch 5   applies up to 99, handles 100, dies          checkpoint 99 of epoch 5
//	epoch 6   handles 100, dies                            as before: one death costs nothing
//	epoch 7   names 100, handles it, dies                  suspect: 100, no deaths
//	epoch 8   finds 100 named, names it again, dies        suspect: 100, one death
//	epoch 9   finds it with two deaths: it is parked, and waits for an operator
//
// Where one death was counted, the event's handlers first run in a transaction that is not
// committed, and the checkpoint notes that they have returned: who dies after that, as while
// the storage takes no commit, or because of something else that kills this node every few
// seconds, is counted apart. Only many such deaths park the event. What its handlers do
// outside the transaction they do once more.
//
// An event under whose name a process died is handled when nothing else is that this node has
// reason to fear, commands included: of two things that were done at the same time, nobody
// could tell which one did it. Events without deaths are handled side by side, one for each
// slot. Should they die, each has one death, and the next owner handles each alone.
//
// An owner that was paused or cut off is declared dead, too, and lives. Its process is known by
// its next session, and what was held against the partition or an event is taken back.
//
// What else can meet:
//
//	no checkpoint yet, or of    The owner that follows on a death notes one, in a write of
//	a build without epochs      its own before its first transaction.
//	dies between naming and     The event is blamed for a death that it has not caused. Two
//	handling                    of them park it; an operator retries it.
//	a parked event that is      is named like any other. What is parked is looked at before
//	tried again                 new events are, so that these are no progress that hides it.
//	a batch without a fatal     is progress, and the count begins anew with the next one.
//	event before one with it
//	kill -9 by an operator      is a death like any other: events that nobody could apply in
//	                            two lives are applied one at a time in the third.
const (
	epochsFeared   = 2 // claims without progress, the last owner dead, after which a slot is cautious
	deathsCondemns = 2 // deaths under its name after which an event is parked
	sparedCondemns = 6 // likewise, after its handlers had returned
)

// Claim is how this node came to own a partition.
type Claim struct {
	// Epoch grows each time that the partition is taken.
	Epoch uint64
	// Orphan: its owner before has not released it, and its process was not seen since. It
	// died, or was cut off.
	Orphan bool
	// By is the session of this node. Zero: unknown.
	By Death
}

// Death is the end of a session that did not release what it held, as it seemed.
type Death struct {
	Node    string `json:"node"`
	Session string `json:"session"` // its incarnation
}

// suspect is the event that a cautious slot is about to handle. No Source: none.
type suspect struct {
	Source  string `json:"source"`
	Version uint64 `json:"version"`
	Epoch   uint64 `json:"epoch"`             // of the claim of who named it
	Deaths  int    `json:"deaths"`            // under its name, before that
	Handled bool   `json:"handled,omitempty"` // its handlers have returned
	Spared  int    `json:"spared,omitempty"`  // deaths after that, before that claim

	By     Death   `json:"by"`               // of that claim
	Blamed []Death `json:"blamed,omitempty"` // Deaths, as far as this build has counted them
}

// caution is what a slot knows beside others that follows on the dead. It is of the
// worker alone.
type caution struct {
	unmarked bool    // nobody knows how many died: one death is to be noted
	told     bool    // in the log
	upTo     uint64  // position of the newest event that they can have had
	left     int     // events until there was as much as a transaction of theirs had at most
	known    suspect // of the checkpoint, with the death of who named it
}

// newCaution returns nil for a slot that need fear nothing.
func newCaution(cp *checkpoint, c Claim, head uint64, batchMax int) *caution {
	if !c.Orphan || c.Epoch == 0 {
		return nil
	}
	cautious := &caution{upTo: head, left: batchMax}
	switch {
	case cp.Suspect.Source != "" && cp.Suspect.Epoch < c.Epoch:
		cautious.known = cp.Suspect
		if cautious.known.Handled {
			cautious.known.Spared++
		} else {
			cautious.known.Deaths++
			if by := cautious.known.By; by != (Death{}) {
				cautious.known.Blamed = append(slices.Clone(cautious.known.Blamed), by)
			}
		}
	case cp.Epoch == 0:
		cautious.unmarked = true
	case c.Epoch < cp.Epoch+epochsFeared:
		return nil
	}
	return cautious
}

// killedError is the failure of an event under whose name processes died.
type killedError struct{ deaths int }

func (e *killedError) Error() string {
	return fmt.Sprintf("%d processes in a row died while they handled it", e.deaths)
}

// most is how many events the next transaction may have. first is the position of the
// first one.
func (sl *slot) most(first uint64) int {
	if sl.fears(first) {
		return 1
	}
	return sl.limit
}

// fears reports whether an event of the queue is to be named before it is handled.
func (sl *slot) fears(position uint64) bool {
	c := sl.caution
	return c != nil && !c.unmarked && position <= c.upTo && c.left > 0
}

// bewareQueued is [slot.beware] for the next event of the queue.
func (sl *slot) bewareQueued(ctx context.Context, r *record) (release func(), err error) {
	if sl.caution == nil || !sl.caution.unmarked && !sl.fears(r.Position) {
		return func() {}, nil
	}
	return sl.beware(ctx, r.Source.String(), uint64(r.Version), r.Position, func(ctx context.Context, a *attempt) error {
		_, err := a.takeAll(ctx, []record{*r})
		return err
	})
}

// bewareParked is [slot.beware] for the first of the parked events of a source.
func (sl *slot) bewareParked(ctx context.Context, source actor.Address, p *parked, waiting []parkedEvent) (release func(), err error) {
	if sl.caution == nil || len(waiting) == 0 || p.Ask == askSkip {
		return func() {}, nil
	}
	return sl.beware(ctx, p.Source, waiting[0].Version, waiting[0].Position, func(ctx context.Context, a *attempt) error {
		_, err := a.again(ctx, source, &waiting[0])
		return err
	})
}

// beware is called before the handlers of an event run, when there may be something to
// fear. It waits for the slot's turn and names the event, or condemns it if it has been
// named twice by owners that died. release ends the turn.
func (sl *slot) beware(
	ctx context.Context, source string, version, position uint64, handle func(context.Context, *attempt) error,
) (release func(), err error) {
	c := sl.caution
	if c.unmarked {
		sl.caution = nil
		return func() {}, sl.writeMark(ctx, func(cp *checkpoint) { cp.Epoch = max(sl.claim.Epoch, 2) - 1 })
	}
	if err := sl.acquit(ctx, &c.known); err != nil {
		return nil, err
	}
	if c.known.Deaths+c.known.Spared == 0 && sl.formerLives() {
		sl.caution = nil
		return func() {}, nil
	}
	s := suspect{Source: source, Version: version, Epoch: sl.claim.Epoch, By: sl.claim.By}
	if c.known.Source == source && c.known.Version == version {
		s.Deaths, s.Spared, s.Blamed = c.known.Deaths, c.known.Spared, c.known.Blamed
	}
	release, err = sl.session.engine.turn(ctx, s.Deaths+s.Spared > 0)
	if err != nil {
		return nil, err
	}
	if s.Deaths >= deathsCondemns || s.Spared >= sparedCondemns {
		sl.failing[position] = &killedError{s.Deaths + s.Spared}
		return release, nil
	}
	if !c.told {
		c.told = true
		sl.session.engine.cfg.Logger.WarnContext(ctx, "processes died with this partition and a projection made no progress: its events are handled one at a time, and named first",
			"projection", sl.session.projection.name, "partition", uint32(sl.id), "epoch", sl.claim.Epoch)
	}
	if err := sl.writeMark(ctx, func(cp *checkpoint) { cp.Suspect = s }); err != nil {
		release()
		return nil, err
	}
	if _, failing := sl.failing[position]; failing || s.Deaths == 0 {
		return release, nil
	}
	s.Handled = sl.rehearse(ctx, handle)
	err = context.Cause(ctx)
	if err == nil && s.Handled {
		err = sl.writeMark(ctx, func(cp *checkpoint) { cp.Suspect = s })
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// rehearse runs the handlers of an event in a transaction that it gives up, and reports
// whether they have returned.
func (sl *slot) rehearse(ctx context.Context, handle func(context.Context, *attempt) error) bool {
	ctx, cancel := context.WithTimeout(ctx, sl.session.engine.cfg.BatchTimeout)
	defer cancel()
	a := sl.attempt()
	defer a.tx.txn.Abort(ctx)
	return handle(ctx, a) == nil
}

// writeMark changes the checkpoint in what it says of deaths.
func (sl *slot) writeMark(ctx context.Context, change func(*checkpoint)) error {
	ctx, cancel := context.WithTimeout(ctx, sl.session.engine.cfg.BatchTimeout)
	defer cancel()
	a := sl.attempt()
	defer a.tx.txn.Abort(ctx)
	change(&a.next)
	return a.finish(ctx)
}

// gotOn notes in a transaction that the slot has got on under its claim.
func (a *attempt) gotOn() {
	if a.slot.claim.Epoch > 0 {
		a.next.Epoch = a.slot.claim.Epoch
	}
	a.next.Suspect = suspect{}
}

// relax is called when an event was done with, whatever became of it: should somebody
// have it tried again, it is no suspect from before.
func (sl *slot) relax(source string, version uint64, events int) {
	c := sl.caution
	if c == nil {
		return
	}
	c.left -= events
	if c.known.Source == source && c.known.Version == version {
		c.known = suspect{}
	}
}

// claims returns how this node came to own its partitions; empty: nobody knows.
func (e *Engine) claims() map[actor.Partition]Claim {
	if e.cfg.Claims == nil {
		return nil
	}
	return e.cfg.Claims()
}

// formerLives reports whether the owner before is known to live by now, so that nobody died
// with the partition.
func (sl *slot) formerLives() bool {
	now, known := sl.session.engine.claims()[actor.Partition(sl.id)]
	return known && now.Epoch == sl.claim.Epoch && !now.Orphan
}

// acquit takes off the deaths under an event's name that were none.
func (sl *slot) acquit(ctx context.Context, s *suspect) error {
	acquit := sl.session.engine.cfg.Acquit
	if acquit == nil || len(s.Blamed) == 0 {
		return nil
	}
	unknown := s.Deaths - len(s.Blamed) // counted by a build that did not say whose
	lived, err := acquit(ctx, actor.Partition(sl.id), s.Blamed, deathsCondemns-unknown)
	s.Deaths -= len(lived)
	s.Blamed = slices.DeleteFunc(slices.Clone(s.Blamed), func(d Death) bool { return slices.Contains(lived, d) })
	return err
}

// turn waits for the turn of an event.
func (e *Engine) turn(ctx context.Context, alone bool) (release func(), err error) {
	if e.cfg.Turn != nil {
		return e.cfg.Turn(ctx, alone)
	}
	return e.turns.Take(ctx, alone)
}
