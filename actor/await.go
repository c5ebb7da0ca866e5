package actor

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Shown is what a read of an aggregate's state shows, see [State].
type Shown[V any] struct {
	State   V
	Version Version
	Ended   bool // it is a saga, and has ended
}

// Await waits until the state of an aggregate is as until says, and returns what was read
// then. The aggregate need not exist yet: who has started a process waits for the saga that
// its events will start. ctx bounds the wait; without a deadline it has no other end.
//
// The owner holds each read back until the aggregate has changed, for some seconds at most,
// so waiting costs it next to nothing, and the answer comes as soon as the change is
// durable. States between two reads are passed over: until should ask for what stays true.
// A wait goes on over hand-overs, deaths of owners and lost connections, from any node and
// from clients outside. It takes one of the client's calls in flight.
//
// The error wraps [ErrEnded] when a saga ends without having been as until says, and what
// it showed is returned; the cause of ctx when that ends first, together with
// [ErrDoesNotExist] where nothing exists yet, or with what has kept the reads from being
// answered; or it is another [*Error] that no time mends.
func Await[V any](ctx context.Context, client Client, of Address, until func(Shown[V]) bool, opts ...CallOption) (Shown[V], error) {
	var last Shown[V]
	var failed error // of the last read that was answered, or of all if none was
	answered := false
	m := stateOf(of, opts)
	for pause := awaitPause; ; pause = min(2*pause, awaitPauseMax) {
		s, err := read[V](ctx, client, m)
		switch {
		case err == nil && until(s):
			return s, nil
		case err == nil && s.Ended:
			return s, &Error{Code: CodeEnded, Detail: of.String() + " has ended, and was not as it was waited for"}
		case err == nil || errors.Is(err, ErrDoesNotExist):
			if s.Version != m.Wait.Beyond {
				pause = awaitPause
			}
			last, failed, answered = s, err, true
			m.Wait = Wait{Beyond: s.Version, For: awaitHold}
		case !mends(err):
			return s, err
		case !answered:
			failed = err
		}
		if !rest(ctx, pause) {
			err := fmt.Errorf("wait for %s, at version %d: %w", of, last.Version, context.Cause(ctx))
			if failed != nil {
				err = fmt.Errorf("%w: %w", err, failed)
			}
			return last, err
		}
	}
}

// AwaitEnd waits until a saga has ended, and returns the state and version with which it
// has, see [Await]. For an aggregate that is no saga it waits until ctx ends.
func AwaitEnd[V any](ctx context.Context, client Client, saga Address, opts ...CallOption) (V, Version, error) {
	s, err := Await(ctx, client, saga, func(s Shown[V]) bool { return s.Ended }, opts...)
	return s.State, s.Version, err
}

const (
	awaitHold     = 5 * time.Second       // of one read, at most
	awaitPause    = 10 * time.Millisecond // between two reads, the first time
	awaitPauseMax = 250 * time.Millisecond
)

// mends reports whether another try of a read may succeed.
func mends(err error) bool {
	return errors.Is(err, ErrNoOwner) || errors.Is(err, ErrOverloaded) || errors.Is(err, ErrExpired) || errors.Is(err, ErrUnknownOutcome)
}

// rest pauses. It returns false when ctx has ended.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
