package placement_test

import (
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/store"
)

func TestTogether(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b []string
		want bool
	}{
		{[]string{"apple"}, []string{"berry"}, false},
		{[]string{"apple"}, []string{"berry", "apple"}, true},
		{[]string{"apple", "berry"}, []string{"berry", "apple"}, true},
		{[]string{"apple", "berry"}, []string{"berry", "cherry"}, false},
		{nil, []string{"berry"}, true},
		{nil, nil, true},
	} {
		for _, ab := range [][2][]string{{c.a, c.b}, {c.b, c.a}} {
			if got := placement.Together(ab[0], ab[1]); got != c.want {
				t.Errorf("%v and %v: %v", ab[0], ab[1], got)
			}
		}
	}
}

// TestMachine_Rival: of two that may not be together the younger one goes, and both agree
// which one that is.
func TestMachine_Rival(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	session := func(name string, opened time.Time, kinds ...string) store.Session {
		return store.Session{Name: name, Incarnation: name + "-1", Beat: 1, Opened: opened, Kinds: kinds}
	}
	for _, c := range []struct {
		what         string
		me, other    store.Session
		go1, go2     bool
		dead, leaves bool
	}{
		{"the other is older", session("a", noon.Add(1), "apple"), session("b", noon, "berry"), true, false, false, false},
		{"at the same time", session("a", noon, "apple"), session("b", noon, "berry"), false, true, false, false},
		{"included", session("a", noon.Add(1), "apple"), session("b", noon, "berry", "apple"), false, false, false, false},
		{"an earlier build", session("a", noon, "apple"), session("b", time.Time{}, "berry"), false, false, false, false},
		{"it is dead", session("a", noon.Add(1), "apple"), session("b", noon, "berry"), false, false, true, false},
		{"it leaves anyhow", session("a", noon.Add(1), "apple"), session("b", noon, "berry"), false, false, false, true},
	} {
		goes := func(self, other store.Session) bool {
			m := placement.New(placement.Defaults(ttl, 4), self, false)
			m.Renewed(0, 0, self)
			if c.leaves {
				m.Leave()
			}
			other.Dead = c.dead
			m.Looked(time.Second, placement.Look{Sessions: []store.Session{self, other}})
			rival, found := m.Rival()
			if found && rival.Name != other.Name {
				t.Errorf("%s: the rival is %q", c.what, rival.Name)
			}
			return found
		}
		if c.what == "an earlier build" {
			if goes(c.me, c.other) {
				t.Errorf("%s: it goes", c.what)
			}
			continue
		}
		if one, two := goes(c.me, c.other), goes(c.other, c.me); one != c.go1 || two != c.go2 {
			t.Errorf("%s: they go: %v, %v", c.what, one, two)
		}
	}
}
