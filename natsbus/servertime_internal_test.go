package natsbus

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// TestServerTime_Age: of two readings of the leader's clock, whatever that says.
func TestServerTime_Age(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]time.Duration{"right": 0, "an hour slow": -time.Hour, "an hour fast": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				leader := func() time.Time { return time.Now().Add(by) }
				s := newServerTime()
				if _, _, ok := s.age(leader().UnixNano()); ok {
					t.Error("known before anybody was asked")
				}
				stored := leader().UnixNano()
				sent := time.Now()
				<-time.After(100 * time.Millisecond) // the answer's way
				s.answered(sent, leader())
				<-time.After(400 * time.Millisecond)
				age, fresh, ok := s.age(stored)
				if age != 500*time.Millisecond || !fresh || !ok {
					t.Errorf("age %v, fresh %v, known %v", age, fresh, ok)
				}
				<-time.After(time.Second)
				if age, fresh, _ := s.age(stored); age != 1500*time.Millisecond || fresh {
					t.Errorf("later: age %v, fresh %v", age, fresh)
				}
				s.silent(time.Now())
				if _, fresh, ok := s.age(stored); !fresh || ok {
					t.Errorf("a leader that does not answer: fresh %v, known %v", fresh, ok)
				}
			})
		})
	}
}

// TestBus_Left: what is left of a command's time when it arrives, and what cannot be
// a time.
func TestBus_Left(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &Bus{time: newServerTime()}
		now := time.Now().Add(time.Hour) // the leader's
		b.time.answered(time.Now(), now)
		for patience, want := range map[string]time.Duration{
			"": 0, "5000000": 3 * time.Second, "2000000": -1, "1": -1, "9223372036854775807": 100*365*24*time.Hour - 2*time.Second,
		} {
			h := nats.Header{}
			if patience != "" {
				h[wire.HeaderPatience] = []string{patience}
			}
			got, err := b.left(t.Context(), origin{stored: now.Add(-2 * time.Second).UnixNano()}, h)
			if err != nil || got != want {
				t.Errorf("patience %q, stored 2 s ago: %v left, want %v: %v", patience, got, want, err)
			}
		}
		for _, patience := range []string{"0", "-1", "x", "1e3", "9223372036854775808", " 1"} {
			if _, err := b.left(t.Context(), origin{}, nats.Header{wire.HeaderPatience: {patience}}); !errors.Is(err, wire.ErrWire) {
				t.Errorf("patience %q: %v", patience, err)
			}
		}
	})
}
