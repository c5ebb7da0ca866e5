package runtime

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

func TestObserver_Silent(t *testing.T) {
	t.Parallel()
	const after = 10 * time.Second
	at := func(name string, beat uint64) store.Session {
		return store.Session{Name: name, Incarnation: name + "-1", Beat: beat}
	}
	o := &observer{}
	steps := []struct {
		what     string
		now      time.Duration
		sessions []store.Session
		want     []string
	}{
		{"first sight", 0, []store.Session{at("a", 7), at("b", 1), at("me", 1)}, nil},
		{"b moves", 5 * time.Second, []store.Session{at("a", 7), at("b", 2), at("me", 1)}, nil},
		{"just before", after - 1, []store.Session{at("a", 7), at("b", 2), at("me", 1)}, nil},
		{"a is silent, and the reader itself never is", after, []store.Session{at("a", 7), at("b", 2), at("me", 1)}, []string{"a"}},
		{"still, if declaring it failed", after + 1, []store.Session{at("a", 7), at("b", 2)}, []string{"a"}},
		{"a moved: its count starts again", after + 2, []store.Session{at("a", 8), at("b", 2)}, nil},
		{"both", 2*after + 2, []store.Session{at("a", 8), at("b", 2)}, []string{"a", "b"}},
		{"one that vanished and came back counts anew", 2*after + 3, []store.Session{at("a", 8)}, []string{"a"}},
		{"", 2*after + 4, []store.Session{at("a", 8), at("b", 2)}, []string{"a"}},
		{"the dead are not declared dead again", 4 * after, []store.Session{{Name: "a", Incarnation: "a-1", Beat: 8, Dead: true}}, nil},
	}
	for _, s := range steps {
		var got []string
		for _, d := range o.silent(s.sessions, sight{self: "me", now: s.now}, after) {
			got = append(got, d.Name)
		}
		if diff := cmp.Diff(s.want, got); diff != "" {
			t.Errorf("%s at %v (-want +got):\n%s", s.what, s.now, diff)
		}
	}
}

// TestObserver_OwnLeaseLapsed_DoesNotCount: only time in which the reader could
// itself renew says something about others.
func TestObserver_OwnLeaseLapsed_DoesNotCount(t *testing.T) {
	t.Parallel()
	const after = 10 * time.Second
	o := &observer{}
	b := []store.Session{{Name: "b", Incarnation: "b-1", Beat: 2}}
	o.silent(b, sight{self: "me"}, after)
	for _, c := range []struct {
		now, unbroken time.Duration
		dead          int
	}{{after, 1, 0}, {after + 1, 1, 1}, {9 * after, 8*after + 1, 0}, {9*after + 1, 8*after + 1, 1}} {
		if got := o.silent(b, sight{self: "me", now: c.now, unbroken: c.unbroken}, after); len(got) != c.dead {
			t.Errorf("at %v, own lease since %v: %v", c.now, c.unbroken, got)
		}
	}
}

func TestLease_Unbroken(t *testing.T) {
	t.Parallel()
	clock := &stoppedClock{}
	l := newLease(clock, 3*time.Second)
	for _, c := range []struct {
		now, sent, unbroken time.Duration
	}{{5, 1, 5}, {2 * time.Second, 2*time.Second - 1, 5}, {5*time.Second - 2, 4 * time.Second, 5}, {7 * time.Second, 6 * time.Second, 7 * time.Second}} {
		clock.elapsed = c.now
		l.renewed(c.sent)
		if since, ok := l.unbroken(); !ok || since != c.unbroken {
			t.Errorf("at %v: unbroken since %v, %v; want %v", c.now, since, ok, c.unbroken)
		}
	}
	clock.elapsed = 9 * time.Second
	if _, ok := l.unbroken(); ok || l.valid() {
		t.Error("valid after it has lapsed")
	}
}

func TestObserver_NewIncarnation_CountsAnew(t *testing.T) {
	t.Parallel()
	o := &observer{}
	o.silent([]store.Session{{Name: "a", Incarnation: "1", Beat: 5}}, sight{self: "me"}, time.Second)
	if got := o.silent([]store.Session{{Name: "a", Incarnation: "2", Beat: 5}}, sight{self: "me", now: time.Hour}, time.Second); len(got) != 0 {
		t.Errorf("same beat of another incarnation: %v", got)
	}
}

func TestTakeable(t *testing.T) {
	t.Parallel()
	claim := func(p store.Partition, session string) store.Claim {
		return store.Claim{Partition: p, Session: session, Epoch: 4}
	}
	sessions := []store.Session{
		{Name: "me", Incarnation: "me-1"},
		{Name: "alive", Incarnation: "alive-2"},
		{Name: "dead", Incarnation: "dead-1", Dead: true},
	}
	claims := []store.Claim{
		claim(0, ""), claim(1, "alive-2"), claim(2, "alive-1"), claim(3, "dead-1"),
		claim(4, "ended-1"), claim(5, "me-1"), claim(6, "me-1"),
	}
	serves := func(p actor.Partition) bool { return p == 6 }
	var got []store.Partition
	for _, c := range takeable(8, claims, sessions, "me-1", serves) {
		if c.Partition < 7 && c != claims[c.Partition] {
			t.Errorf("partition %d is wanted as %+v, not as it is", c.Partition, c)
		}
		got = append(got, c.Partition)
	}
	// Free, of a replaced incarnation, of a dead and of an ended session, its own
	// that it does not serve, and the one that was never claimed.
	if diff := cmp.Diff([]store.Partition{0, 2, 3, 4, 5, 7}, got); diff != "" {
		t.Errorf("takeable (-want +got):\n%s", diff)
	}
}
