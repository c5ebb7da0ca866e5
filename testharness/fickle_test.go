package testharness_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
)

// fickle is an outbox some of whose calls fail, before or after they took effect, or
// take effect in part or late: what a relay that dies, is paused, or is cut off leaves.
type fickle struct {
	runtime.Outbox
	random *rand.Rand
	parts  atomic.Int64

	mu    sync.Mutex // late only grows under it, and not once share is 0
	share float64
	late  sync.WaitGroup
}

var errFickle = errors.New("injected fault")

// draw returns a fault, 0 for none, in a share of the calls.
func (f *fickle) draw(of float64) (fault int, part float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.random.Float64() >= f.share*of {
		return 0, 0
	}
	return 1 + f.random.IntN(4), f.random.Float64()
}

func (f *fickle) AppendEvents(ctx context.Context, stream string, after uint64, events []actor.EventRecord, marks []string) error {
	fault, part := f.draw(1)
	n := int(part * float64(len(events)))
	switch fault {
	case 1:
		return errFickle
	case 2:
		return errors.Join(f.Outbox.AppendEvents(ctx, stream, after, events, marks), errFickle)
	case 3: // dies in the middle, also of a commit
		f.parts.Add(1)
		return errors.Join(f.Outbox.AppendEvents(ctx, stream, after, events[:n], marks[:n]), errFickle)
	case 4: // is paused, while the next one goes on
		f.beside(func() {
			<-time.After(time.Duration(part * float64(300*time.Millisecond)))
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			_ = f.Outbox.AppendEvents(ctx, stream, after, events, marks)
		})
		return errFickle
	}
	return f.Outbox.AppendEvents(ctx, stream, after, events, marks)
}

func (f *fickle) Send(ctx context.Context, m actor.Message) error {
	switch fault, _ := f.draw(0.1); fault {
	case 1, 4:
		return errFickle
	case 2, 3:
		return errors.Join(f.Outbox.Send(ctx, m), errFickle)
	}
	return f.Outbox.Send(ctx, m)
}

// beside does something later. Once the faults are over it is as if that were lost.
func (f *fickle) beside(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.share > 0 {
		f.late.Go(do)
	}
}

// end ends the faults, and waits for what comes late.
func (f *fickle) end() {
	f.mu.Lock()
	f.share = 0
	f.mu.Unlock()
	f.late.Wait()
}
