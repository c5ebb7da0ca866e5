package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// notes is a runtime.EffectTimers in memory, with the relay that fills it: the timers of
// commits are set by their order, and what comes due is published.
type notes struct {
	s     *setup
	store store.Store

	mu   sync.Mutex
	all  map[string]*noted
	over bool
	away bool // nothing answers
}

type noted struct {
	message actor.Message
	order   int64
	timer   *time.Timer
}

// note begins to relay what is committed, until the test ends.
func (s *setup) notes(st store.Store) *notes {
	n := &notes{s: s, store: st, all: map[string]*noted{}}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.relay(ctx)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-done
		n.mu.Lock()
		defer n.mu.Unlock()
		n.over = true
		for _, is := range n.all {
			is.timer.Stop()
		}
	})
	return n
}

func (n *notes) relay(ctx context.Context) {
	for item, err := range n.store.Follow(ctx, "") {
		if err != nil {
			n.s.t.Errorf("follow: %v", err)
			return
		}
		n.commit(&item.Commit)
	}
}

// commit brings out what a commit sends. It may do so again.
func (n *notes) commit(c *store.Commit) {
	out, err := runtime.Outgoing(c)
	if err != nil {
		n.s.t.Error(err)
		return
	}
	for i := range out {
		switch o := &out[i]; {
		case o.Timer == "":
			n.s.bus.publish(o.Message(time.UnixMicro(c.Time)), nil)
		case o.Name == "":
			n.remove(o.To, o.Timer, c.Time)
		default:
			n.set(o.Message(time.UnixMicro(c.Time)), o.Timer, c.Time)
		}
	}
}

func (n *notes) set(m actor.Message, timer string, order int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := m.Target.String() + " " + timer
	is := n.all[key]
	switch {
	case is != nil && is.order >= order:
		return is.order == order && bytes.Equal(is.message.Data, m.Data)
	case is != nil:
		is.timer.Stop()
	}
	now := &noted{message: m, order: order}
	now.timer = time.AfterFunc(max(time.Until(m.Time), 0), func() { n.fire(key, now) })
	n.all[key] = now
	return true
}

func (n *notes) fire(key string, is *noted) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over || n.all[key] != is {
		return
	}
	delete(n.all, key)
	n.s.bus.publish(is.message, nil)
}

func (n *notes) remove(of actor.Address, timer string, order int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := of.String() + " " + timer
	if is := n.all[key]; is != nil && is.order <= order {
		is.timer.Stop()
		delete(n.all, key)
	}
}

func (n *notes) ReplaceTimer(ctx context.Context, m actor.Message, timer string, order int64) (bool, error) {
	if err := n.answers(ctx); err != nil {
		return false, err
	}
	if err := m.Validate(); err != nil {
		n.s.t.Error(err)
	}
	return n.set(m, timer, order), nil
}

func (n *notes) CancelTimer(ctx context.Context, of actor.Address, timer string, order int64) error {
	if err := n.answers(ctx); err != nil {
		return err
	}
	n.remove(of, timer, order)
	return nil
}

func (n *notes) Send(ctx context.Context, m actor.Message) error {
	if err := n.answers(ctx); err != nil {
		return err
	}
	if err := m.Validate(); err != nil {
		n.s.t.Error(err)
	}
	n.s.bus.publish(m, nil)
	return nil
}

// EffectNotes implements runtime.EffectNotes.
func (n *notes) EffectNotes(_ context.Context, of actor.Address, _ int, visit func(actor.Message, int64)) (bool, error) {
	n.mu.Lock()
	all := make([]noted, 0, len(n.all))
	for _, is := range n.all {
		if of == (actor.Address{}) || is.message.Target == of {
			all = append(all, *is)
		}
	}
	n.mu.Unlock()
	for _, is := range all {
		visit(is.message, is.order)
	}
	return true, nil
}

// link is how one node reaches the notes. A node that is killed says nothing more.
type link struct {
	*notes
	dead atomic.Bool
}

var errDead = errors.New("the process is dead")

func (l *link) ReplaceTimer(ctx context.Context, m actor.Message, timer string, order int64) (bool, error) {
	if l.dead.Load() {
		return false, errDead
	}
	return l.notes.ReplaceTimer(ctx, m, timer, order)
}

func (l *link) CancelTimer(ctx context.Context, of actor.Address, timer string, order int64) error {
	if l.dead.Load() {
		return errDead
	}
	return l.notes.CancelTimer(ctx, of, timer, order)
}

func (l *link) Send(ctx context.Context, m actor.Message) error {
	if l.dead.Load() {
		return errDead
	}
	return l.notes.Send(ctx, m)
}

// answers waits while messaging is away.
func (n *notes) answers(ctx context.Context) error {
	for {
		n.mu.Lock()
		away := n.away
		n.mu.Unlock()
		if !away {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (n *notes) setAway(away bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = away
}

// pending returns the tasks that are noted.
func (n *notes) pending(t *testing.T) []actor.EffectTask {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []actor.EffectTask
	for _, is := range n.all {
		task, _, err := actor.ReadEffectTask(&is.message)
		if err != nil {
			t.Error(err)
		}
		all = append(all, task)
	}
	return all
}

// take takes the only note out, as if it had come due.
func (n *notes) take(t *testing.T) actor.Message {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.all) != 1 {
		t.Fatalf("%d notes", len(n.all))
	}
	for key, is := range n.all {
		is.timer.Stop()
		delete(n.all, key)
		return is.message
	}
	return actor.Message{}
}

// only returns the only note.
func (n *notes) only(t *testing.T) actor.Message {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.all) != 1 {
		t.Fatalf("%d notes", len(n.all))
	}
	for _, is := range n.all {
		return is.message
	}
	return actor.Message{}
}
