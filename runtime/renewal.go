package runtime

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// renewalAttempt is the time after which a renewal that got no answer is sent again, and
// bounds other questions of that kind: a request that got lost leaves time for another one
// within the lease.
func (in *incarnation) renewalAttempt() time.Duration { return in.cfg.Lease / 2 }

// renewalGrace is for how long an attempt is waited for after the other one has found the
// session changed, by this one as a rule, whose answer is on its way.
func (in *incarnation) renewalGrace() time.Duration { return in.cfg.Lease / 6 }

// renewed is how one attempt ended.
type renewed struct {
	sent time.Duration
	err  error
}

// renewOnce renews the session, and extends the lease if that succeeded. An attempt that
// has no answer after half the lease may be lost, or slow, as on a disk that has much to
// do: a second one is sent then, and the answer to either counts, for a whole lease from
// the first on. Both write the same beat over the same one, so that one of them at most is
// made.
//
//	first   sent at 0 s                                  written, answered at 2 s
//	second           sent at 1.5 s                       refused: the beat has moved
//	                                                     the lease counts from 0 s
func (in *incarnation) renewOnce(ctx context.Context, session *store.Session) error {
	var attempts sync.WaitGroup
	defer attempts.Wait()
	ctx, cancel := context.WithTimeout(ctx, in.cfg.Lease)
	defer cancel()
	ended := make(chan renewed, 2)
	attempt := func() {
		r, s := renewed{sent: in.cfg.Clock.Elapsed()}, *session
		s.Time = in.cfg.Clock.Now()
		attempts.Go(func() {
			r.err = in.store.Renew(ctx, s)
			ended <- r
		})
	}
	attempt()
	again := time.NewTimer(in.renewalAttempt())
	defer again.Stop()
	var grace <-chan time.Time
	var err error
	for under := 1; under > 0; {
		select {
		case <-again.C:
			under++
			attempt()
		case <-grace:
			return err
		case r := <-ended:
			under--
			if r.err == nil {
				in.extend(r.sent, session)
				return nil
			}
			if err == nil || errors.Is(r.err, store.ErrLost) {
				err = r.err
			}
			if grace == nil && errors.Is(err, store.ErrLost) {
				grace = time.After(in.renewalGrace())
			}
			again.Stop() // an answer has come: what is wrong is not silence
		}
	}
	return err
}

// extend takes in a renewal that succeeded.
func (in *incarnation) extend(sent time.Duration, session *store.Session) {
	session.Beat++
	in.placer.renewed(sent, *session)
	in.gate.reopened()
	in.committer.resume()
}
