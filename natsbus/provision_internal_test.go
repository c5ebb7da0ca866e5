package natsbus

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// leader answers after a while, and has no answer for requests that come before it was
// elected.
type leader struct {
	jetstream.JetStream
	elected time.Time
	takes   time.Duration
	err     error
}

func (l *leader) Stream(ctx context.Context, _ string) (jetstream.Stream, error) {
	answer := time.After(l.takes)
	if time.Now().Before(l.elected) {
		answer = nil
	}
	select {
	case <-answer:
		return nil, l.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// TestFindStream_AsksAgain: a request that was lost with the leader of a stream costs about
// as long as there was none, not the caller's time; a slow one is waited for all the same.
func TestFindStream_AsksAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		elected, takes time.Duration
		deadline       time.Duration // 0: none
		err, want      error
		after          time.Duration
	}{
		"answered":                {takes: time.Millisecond, deadline: 10 * time.Second, after: time.Millisecond},
		"not there":               {takes: time.Millisecond, deadline: 10 * time.Second, err: jetstream.ErrStreamNotFound, want: ErrNotProvisioned, after: time.Millisecond},
		"another error":           {takes: time.Millisecond, deadline: 10 * time.Second, err: jetstream.ErrJetStreamNotEnabled, want: jetstream.ErrJetStreamNotEnabled, after: time.Millisecond},
		"lost with the leader":    {elected: 300 * time.Millisecond, takes: time.Millisecond, deadline: 10 * time.Second, after: 501 * time.Millisecond},
		"a longer election":       {elected: 3 * time.Second, takes: time.Millisecond, deadline: 10 * time.Second, after: 3501 * time.Millisecond},
		"slow":                    {takes: 3 * time.Second, deadline: 10 * time.Second, after: 6500 * time.Millisecond},
		"no leader comes":         {elected: time.Hour, deadline: 10 * time.Second, want: context.DeadlineExceeded, after: 10 * time.Second},
		"nor, without a deadline": {elected: time.Hour, want: context.DeadlineExceeded, after: lookTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				ctx := t.Context()
				if test.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.deadline)
					defer cancel()
				}
				_, err := findStream(ctx, &leader{elected: began.Add(test.elected), takes: test.takes, err: test.err}, "COMMANDS")
				if !errors.Is(err, test.want) || time.Since(began) != test.after {
					t.Errorf("%v after %v, want %v after %v", err, time.Since(began), test.want, test.after)
				}
			})
		})
	}
}
