package runtime

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/store"
)

// aside is a message that this build cannot execute: it does not know the kind of
// its aggregate, or an event of its history. Another member may. Then the partition
// is handed over to it, and the message is neither answered nor finished here:
//
//	                 an owner of the old build        a member of the new build
//	                 meets kind B in partition 7
//	                 renews: "lacks B in 7"
//	                 goes on with what it knows
//	                 drains 7, releases it            claims 7
//	durable command  stays above the watermark        reads it, executes it
//	direct message   is not answered                  says that it serves 7: the
//	                                                  caller sends it again
//
// That nobody knows a kind is said only upon a reading of the sessions that began
// after the message had come: a member whose session is older than the message is
// in it. So a command is refused for its kind only if nobody who was there when it
// was met lists that kind, and an address that was mistyped moves nothing.
type aside struct {
	delivery *delivery
	since    time.Duration // it was set aside
	cause    error         // why its aggregate cannot be loaded; nil: its kind is unknown
}

// need returns what the message needs a member to know: a kind, or if empty an event.
func (w *aside) need() string {
	if w.cause != nil {
		return ""
	}
	return string(w.delivery.Message.Target.Kind)
}

// setAside takes a message out of the flow. A drain does not wait for it, and the
// watermark does not pass it.
func (p *partition) setAside(w aside) {
	p.lack(store.Partition(p.id), w.need(), w.cause)
	w.since = p.cfg.Clock.Elapsed()
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return
	}
	direct := w.delivery.Sequence == 0
	if direct && p.asideDirect >= p.cfg.MailboxMax {
		p.mu.Unlock()
		p.conclude(answer{delivery: w.delivery, outcome: actor.Failure(actor.CodeOverloaded, "too many messages wait for a node that knows more")})
		return
	}
	if direct {
		p.asideDirect++
	}
	p.aside = append(p.aside, w)
	p.unfinished--
	w.delivery.endLocked()
	if !p.judging {
		p.judging = true
		p.running.Go(p.judge)
	}
	p.mu.Unlock()
	p.signal()
}

// judge refuses what was set aside once a reading shows that nobody knows more, and
// ends when nothing is left or the partition is.
func (p *partition) judge() {
	var judged time.Duration // all set aside up to then have been judged once
	for {
		p.mu.Lock()
		if len(p.aside) == 0 {
			p.judging = false
			p.mu.Unlock()
			return
		}
		fresh := slices.ContainsFunc(p.aside, func(w aside) bool { return w.since > judged })
		p.mu.Unlock()
		now := p.cfg.Clock.Elapsed()
		if p.placer.awaitLook(p.ctx, now, fresh) != nil {
			return
		}
		judged = now
		for _, w := range p.hopeless(now) {
			p.refuse(w)
		}
	}
}

// hopeless takes those out that were set aside before a time and that no member can
// execute, as far as is known. They count as unfinished again.
func (p *partition) hopeless(before time.Duration) []aside {
	hope := map[string]bool{}
	p.mu.Lock()
	waiting := slices.Clone(p.aside)
	p.mu.Unlock()
	for _, w := range waiting {
		if _, ok := hope[w.need()]; !ok {
			hope[w.need()] = p.lack(store.Partition(p.id), w.need(), w.cause)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []aside
	p.aside = slices.DeleteFunc(p.aside, func(w aside) bool {
		hope, asked := hope[w.need()]
		if !asked || hope || w.since > before || p.stopped {
			return false
		}
		out = append(out, w)
		p.unfinished++
		if w.delivery.Sequence == 0 {
			p.asideDirect--
		}
		return true
	})
	return out
}

// refuse answers a message that no member can execute.
func (p *partition) refuse(w aside) {
	if w.cause == nil {
		ans := answer{delivery: w.delivery, outcome: unknownKind(&w.delivery.Message)}
		// There is no history in which a refusal could be written down, for who waits
		// for that.
		if (w.delivery.promised() || w.delivery.Sequence > 0 && w.delivery.Message.OnRefusal != nil) && !p.parkUnserved(w.delivery, &ans.outcome) {
			return
		}
		if kind := w.delivery.Message.Target.Kind; p.placer.known(string(kind)) {
			ans.outcome = actor.Failure(actor.CodeNoOwner, "no node that has aggregates of kind "+string(kind)+" can have their partition at present")
		}
		if w.delivery.Sequence > 0 {
			p.concludeWhenSaved(ans)
		} else {
			p.conclude(ans)
		}
		return
	}
	if o, ok := p.unloadable(w.delivery, w.cause); ok {
		p.conclude(answer{delivery: w.delivery, outcome: o})
	}
}

// ofBuild reports whether a message was refused for what this build has no handler
// for, whatever the state. The next owner may be of a build that has one:
//
//	an owner of the old build            one of the new build
//	refuses command 7 on the durable
//	lane, and waits for command 6, so
//	that the watermark is 5; ends
//	                                     reads 6 and 7, and executes both
//
// So the caller is told only when nobody can read the command again.
func ofBuild(c actor.Code) bool {
	return c == actor.CodeUnknownCommand || c == actor.CodeMalformed || c == actor.CodeUnknownKind
}

func unknownKind(m *actor.Message) actor.Outcome {
	return actor.Failure(actor.CodeUnknownKind, "no node has aggregates of kind "+string(m.Target.Kind))
}

// lack notes that the node has met something that its build does not know, and
// reports whether another member may know it. If so, the next renewal, which is
// soon, tells all.
func (in *incarnation) lack(p store.Partition, kind string, cause error) (another bool) {
	news := false
	in.placer.tell(func(m *placement.Machine, _ time.Duration) {
		before := len(m.Lacks())
		another = m.Lack(p, kind)
		news = len(m.Lacks()) > before
	})
	if news {
		in.cfg.Logger.Warn("a partition goes to a node that knows more than this build", "partition", uint32(p), "kind", kind, "cause", cause)
		in.askRenewal()
	}
	return another
}

// Knows reports whether the node or another live one has aggregates of a kind. That
// none has is said upon a reading of the store that began after the call; it waits
// for one until ctx ends.
func (n *Node) Knows(ctx context.Context, kind actor.Kind) (bool, error) {
	if n.behaviors[kind] != nil {
		return true, nil
	}
	in := n.incarnation()
	if in == nil {
		return false, ErrClosed
	}
	if in.placer.known(string(kind)) {
		return true, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(in.ctx, func() { cancel(context.Cause(in.ctx)) })()
	if err := in.placer.awaitLook(ctx, in.cfg.Clock.Elapsed(), true); err != nil {
		return false, fmt.Errorf("read sessions: %w", err)
	}
	return in.placer.known(string(kind)), nil
}
