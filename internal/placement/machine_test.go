package placement_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/store"
)

const ttl = 6 * time.Second // renewals, looks and margin are 1 s

// script drives one machine, "me", by its own clock.
type script struct {
	t   *testing.T
	m   *placement.Machine
	cfg placement.Config
	now time.Duration
}

func newScript(t *testing.T, partitions int, alone bool) *script {
	t.Helper()
	s := &script{t: t, cfg: placement.Defaults(ttl, partitions)}
	s.m = placement.New(s.cfg, self(), alone)
	s.m.Renewed(0, 0, self())
	return s
}

func self() store.Session { return store.Session{Name: "me", Incarnation: "me-1", Beat: 1} }

func peer(name string, beat uint64) store.Session {
	return store.Session{Name: name, Incarnation: name + "-1", Beat: beat}
}

// at goes on to a time, renews the lease, and reads the store.
func (s *script) at(now time.Duration, claims []store.Claim, others ...store.Session) placement.Plan {
	s.t.Helper()
	s.now = now
	s.m.Renewed(now, now, store.Session{Draining: s.m.Draining(), Lacks: s.m.Lacks(), Cut: s.m.CutOff()})
	return s.look(claims, others...)
}

func (s *script) look(claims []store.Claim, others ...store.Session) placement.Plan {
	s.m.Looked(s.now, placement.Look{Began: s.now, Claims: claims, Sessions: append(others, self())})
	return s.m.Plan(s.now)
}

func dead(s store.Session) store.Session {
	s.Dead = true
	return s
}

func draining(s store.Session) store.Session {
	s.Draining = true
	return s
}

// claimed returns claims of one session for all partitions.
func claimed(partitions int, owner, session string) []store.Claim {
	claims := make([]store.Claim, partitions)
	for p := range claims {
		claims[p] = store.Claim{Partition: store.Partition(p), Owner: owner, Session: session, Epoch: 3}
	}
	return claims
}

func sessionNames(sessions []store.Session) []string {
	var names []string
	for _, s := range sessions {
		names = append(names, s.Name)
	}
	return names
}

func partitionsOf(claims []store.Claim) []store.Partition {
	var ps []store.Partition
	for _, c := range claims {
		ps = append(ps, c.Partition)
	}
	return ps
}

// belonging returns the partitions that belong to a member.
func belonging(name string, members []string, partitions int) []store.Partition {
	var ps []store.Partition
	for p := range store.Partition(partitions) {
		if placement.Highest(members, p) == name {
			ps = append(ps, p)
		}
	}
	return ps
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestMachine_DeclaresTheSilent(t *testing.T) {
	t.Parallel()
	s := newScript(t, 4, true)
	const after = 7 * time.Second
	for _, step := range []struct {
		what   string
		now    time.Duration
		others []store.Session
		want   []string
	}{
		{"first sight", 0, []store.Session{peer("a", 7), peer("b", 1)}, nil},
		{"b moves", 4 * time.Second, []store.Session{peer("a", 7), peer("b", 2)}, nil},
		{"just before", after - 1, []store.Session{peer("a", 7), peer("b", 2)}, nil},
		{"a is silent, and this node itself never is", after, []store.Session{peer("a", 7), peer("b", 2)}, []string{"a"}},
		{"still, if declaring it failed", after + 1, []store.Session{peer("a", 7), peer("b", 2)}, []string{"a"}},
		{"a moved: its count starts again", after + 2, []store.Session{peer("a", 8), peer("b", 2)}, nil},
		{"only b", 11 * time.Second, []store.Session{peer("a", 8), peer("b", 2)}, []string{"b"}},
		{"one that vanished counts anew", 12 * time.Second, []store.Session{peer("a", 8)}, nil},
		{"when it is back", 13 * time.Second, []store.Session{peer("a", 8), peer("b", 2)}, nil},
		{"another incarnation counts anew", 14 * time.Second, []store.Session{{Name: "a", Incarnation: "a-2", Beat: 8}, peer("b", 2)}, nil},
		{"the dead are not declared again", 18 * time.Second, []store.Session{dead(peer("a", 8)), peer("b", 3)}, nil},
	} {
		same(t, fmt.Sprintf("%s at %v", step.what, step.now), sessionNames(s.at(step.now, nil, step.others...).Declare), step.want)
	}
}

// TestMachine_OwnLapse_DoesNotCount: only time in which the node could itself
// renew says something about others, however soon it looks when it can again.
func TestMachine_OwnLapse_DoesNotCount(t *testing.T) {
	t.Parallel()
	s := newScript(t, 4, true)
	s.at(0, nil, peer("a", 1))
	s.now = ttl
	if p := s.look(nil, peer("a", 1)); len(p.Declare)+len(p.Take) > 0 || s.m.Answers(ttl) {
		t.Errorf("lapsed, it plans %+v", p)
	}
	back := 60 * time.Second
	for _, c := range []struct {
		now  time.Duration
		want []string
	}{{back, nil}, {back + 5*time.Second, nil}, {back + 7*time.Second - 1, nil}, {back + 7*time.Second, []string{"a"}}} {
		same(t, fmt.Sprint("at ", c.now), sessionNames(s.at(c.now, nil, peer("a", 1)).Declare), c.want)
	}
}

// TestMachine_Renewal_CountsFromItsSending and not from its answer, and one that
// was sent before another does not shorten the lease.
func TestMachine_Renewal_CountsFromItsSending(t *testing.T) {
	t.Parallel()
	m := placement.New(placement.Defaults(ttl, 1), self(), true)
	if m.Answers(0) {
		t.Error("answers before its session is open")
	}
	m.Renewed(5*time.Second, 2*time.Second, self())
	m.Renewed(6*time.Second, time.Second, self())
	if !m.Answers(8*time.Second-1) || m.Answers(8*time.Second) || m.AnswersUntil() != 8*time.Second {
		t.Errorf("answers until %v", m.AnswersUntil())
	}
	m.Lost()
	m.Renewed(7*time.Second, 7*time.Second, self())
	if m.Answers(7 * time.Second) {
		t.Error("a renewal that comes late brings a lost session back")
	}
}

// TestMachine_TakesItsShare: what is free, of a session that is dead, ended or
// replaced, and its own that it does not serve; of that only what belongs to it.
func TestMachine_TakesItsShare(t *testing.T) {
	t.Parallel()
	const partitions = 192
	s := newScript(t, partitions, false)
	mine := belonging("me", []string{"a", "me"}, partitions)
	for name, owner := range map[string][2]string{
		"free": {"", ""}, "of a dead session": {"c", "c-1"}, "of one that ended": {"d", "d-1"}, "of one that was replaced": {"a", "a-0"},
	} {
		s = newScript(t, partitions, false)
		claims := claimed(partitions, owner[0], owner[1])
		theirs := belonging("a", []string{"a", "me"}, partitions)[0]
		claims[theirs].Owner, claims[theirs].Session = "a", "a-1" // somebody has something: the cluster is formed
		plan := s.at(0, claims, peer("a", 1), dead(peer("c", 9)), draining(peer("e", 1)))
		same(t, name, partitionsOf(plan.Take), mine[:min(len(mine), s.cfg.ClaimMax)])
		for _, c := range plan.Take {
			if c != claims[c.Partition] {
				t.Errorf("%s: partition %d is wanted as %+v, not as it is", name, c.Partition, c)
			}
		}
	}
	claims := claimed(partitions, "a", "a-1")
	if plan := s.at(time.Second, claims, peer("a", 2)); len(plan.Take) > 0 {
		t.Errorf("takes %v from a live session", partitionsOf(plan.Take))
	}
}

// TestMachine_OwnUnserved: it holds claims without serving them, as their taking
// was answered too late. Those that belong to it are taken anew, the others
// released.
func TestMachine_OwnUnserved(t *testing.T) {
	t.Parallel()
	const partitions = 16
	s := newScript(t, partitions, true)
	plan := s.at(0, claimed(partitions, "me", "me-1"), peer("a", 1))
	same(t, "taken", partitionsOf(plan.Take), belonging("me", []string{"a", "me"}, partitions))
	same(t, "released", partitionsOf(plan.Release), belonging("a", []string{"a", "me"}, partitions))
	for _, c := range plan.Take {
		s.m.Took(c.Partition)
	}
	if plan := s.look(claimed(partitions, "me", "me-1"), peer("a", 1)); len(plan.Take) > 0 {
		t.Errorf("takes %v, which it serves", partitionsOf(plan.Take))
	}
}

// TestMachine_TakesABoundedNumber upon one reading, and looks again soon.
func TestMachine_TakesABoundedNumber(t *testing.T) {
	t.Parallel()
	s := newScript(t, 160, true)
	var got []int
	for s.now = 0; ; {
		plan := s.look(nil)
		got = append(got, len(plan.Take))
		for _, c := range plan.Take {
			s.m.Took(c.Partition)
		}
		if len(plan.Take) == 0 {
			break
		}
		if again := s.m.Plan(s.now); len(again.Take)+len(plan.Take) > s.cfg.ClaimMax {
			t.Errorf("%d claims upon one reading", len(again.Take)+len(plan.Take))
		}
		s.now = plan.Next
	}
	same(t, "claims in each round", got, []int{64, 64, 32, 0})
	if s.now != 2*s.cfg.Pace+s.cfg.Look {
		t.Errorf("the last round was at %v", s.now)
	}
}

// TestMachine_Fresh_WaitsForOthers: a node that finds nobody with a claim waits a
// little, unless nobody can come; one that finds others at work does not.
func TestMachine_Fresh_WaitsForOthers(t *testing.T) {
	t.Parallel()
	s := newScript(t, 8, false)
	plan := s.at(0, nil)
	if len(plan.Take) > 0 || plan.Next != s.cfg.Settle {
		t.Errorf("at once: %+v", plan)
	}
	if plan := s.at(s.cfg.Settle, nil, peer("a", 1)); len(plan.Take) != len(belonging("me", []string{"a", "me"}, 8)) {
		t.Errorf("after a while: %+v", plan)
	}
	for name, plan := range map[string]placement.Plan{
		"alone":  newScript(t, 8, true).at(0, nil),
		"formed": newScript(t, 8, false).at(0, []store.Claim{{Partition: 0, Owner: "a", Session: "a-1", Epoch: 1}}, peer("a", 1)),
	} {
		if len(plan.Take) == 0 {
			t.Errorf("%s: %+v", name, plan)
		}
	}
}

// serves has the machine serve everything.
func (s *script) serves(partitions int) []store.Claim {
	s.t.Helper()
	for range partitions/s.cfg.ClaimMax + 1 {
		for _, c := range s.at(s.now, nil).Take {
			s.m.Took(c.Partition)
		}
	}
	return claimed(partitions, "me", "me-1")
}

// TestMachine_HandsOver to another node once that one is seen to renew, a bounded
// number at a time, and nothing while that one is silent.
func TestMachine_HandsOver(t *testing.T) {
	t.Parallel()
	const partitions = 128
	s := newScript(t, partitions, true)
	claims := s.serves(partitions)
	theirs := belonging("a", []string{"a", "me"}, partitions)
	if plan := s.at(1*time.Second, claims, peer("a", 1)); len(plan.HandOver) > 0 {
		t.Errorf("to one that has just opened its session: %v", plan.HandOver)
	}
	if plan := s.at(2*time.Second, claims, dead(peer("a", 2))); len(plan.HandOver) > 0 {
		t.Errorf("to a dead one: %v", plan.HandOver)
	}
	s.at(3*time.Second, claims, peer("a", 2))
	plan := s.at(4*time.Second, claims, peer("a", 3))
	same(t, "first", plan.HandOver, theirs[:s.cfg.LeaveMax])
	if plan := s.at(5*time.Second, claims, peer("a", 4)); len(plan.HandOver) > 0 {
		t.Errorf("more at once than allowed: %v", plan.HandOver)
	}
	s.m.Left(s.now, theirs[0])
	claims[theirs[0]] = store.Claim{Partition: theirs[0], Epoch: 3}
	if plan := s.look(claims, peer("a", 4)); len(plan.HandOver) > 0 {
		t.Errorf("before the first one is taken: %v", plan.HandOver)
	}
	claims[theirs[0]] = store.Claim{Partition: theirs[0], Owner: "a", Session: "a-1", Epoch: 4}
	same(t, "next", s.at(6*time.Second, claims, peer("a", 5)).HandOver, theirs[s.cfg.LeaveMax:s.cfg.LeaveMax+1])
	s.m.Left(s.now, theirs[1])
	claims[theirs[1]] = store.Claim{Partition: theirs[1], Epoch: 3}
	if plan := s.at(8*time.Second, claims, peer("a", 6)); len(plan.HandOver) > 0 {
		t.Errorf("while it is not taken: %v", plan.HandOver)
	}
	same(t, "for that it waits a while only", s.at(9*time.Second, claims, peer("a", 7)).HandOver, theirs[s.cfg.LeaveMax+1:s.cfg.LeaveMax+2])
	s.m.Left(s.now, theirs[2])
	if plan := s.at(13*time.Second, claims, peer("a", 7)); len(plan.HandOver) > 0 {
		t.Errorf("to one that is silent: %v", plan.HandOver)
	}
}

// TestMachine_Left_IsNotDecidedUponByAnOlderReading, which shows the claim as it
// was before.
func TestMachine_Left_IsNotDecidedUponByAnOlderReading(t *testing.T) {
	t.Parallel()
	s := newScript(t, 1, true)
	claims := s.serves(1)
	s.m.Left(s.now, 0)
	s.m.Looked(s.now+1, placement.Look{Began: s.now - 1, Claims: claims, Sessions: []store.Session{self()}})
	if plan := s.m.Plan(s.now + 1); len(plan.Take) > 0 {
		t.Errorf("%+v", plan)
	}
	s.m.Looked(s.now+3, placement.Look{Began: s.now + 2, Claims: claims, Sessions: []store.Session{self()}})
	if plan := s.m.Plan(s.now + 3); len(plan.Take) != 1 {
		t.Errorf("%+v", plan)
	}
}

// TestMachine_Cordon: nothing is taken any more; what it has goes to others once
// the store says that it drains, and stays while there are none. Leave gives it
// back all the same.
func TestMachine_Cordon(t *testing.T) {
	t.Parallel()
	const partitions = 5
	s := newScript(t, partitions, true)
	claims := s.serves(partitions)
	claims[4] = store.Claim{Partition: 4, Epoch: 9}
	s.m.Left(s.now, 4)
	s.at(1*time.Second, claims[:4], peer("a", 1))
	s.m.Left(s.now, 4) // if it was to be taken
	s.m.Cordon()
	s.now = 2 * time.Second
	if plan := s.look(claims, peer("a", 2)); len(plan.HandOver)+len(plan.Take) > 0 || !s.m.Draining() || s.m.Told() || !s.m.Peers() {
		t.Errorf("not yet told: %+v", plan)
	}
	if plan := s.at(3*time.Second, claims, peer("a", 3)); len(plan.HandOver) != 4 || len(plan.Take) > 0 || !s.m.Told() {
		t.Errorf("told: %+v", plan)
	}
	for p := range store.Partition(4) {
		s.m.Left(s.now, p)
	}
	s.at(4*time.Second, claimed(partitions, "", ""), peer("a", 4))
	if s.m.Idle() {
		t.Error("idle before everything is taken")
	}
	s.at(5*time.Second, claimed(partitions, "a", "a-1"), peer("a", 5))
	if !s.m.Idle() {
		t.Error("not idle after everything is taken")
	}
	s = newScript(t, partitions, true)
	claims = s.serves(partitions)
	s.m.Cordon()
	if plan := s.at(1*time.Second, claims, draining(peer("a", 2))); len(plan.HandOver) > 0 || s.m.Peers() {
		t.Errorf("nobody is there, and it hands over %v", plan.HandOver)
	}
	s.m.Leave()
	s.now = time.Hour // its lease has lapsed long ago
	if plan := s.m.Plan(s.now); len(plan.HandOver) != partitions {
		t.Errorf("it keeps something: %+v", plan)
	}
	for p := range store.Partition(partitions) {
		s.m.Left(s.now, p)
	}
	if !s.m.Idle() {
		t.Error("not idle")
	}
}

// TestMachine_Declared_IsTakenFromAtOnce, without another reading.
func TestMachine_Declared_IsTakenFromAtOnce(t *testing.T) {
	t.Parallel()
	s := newScript(t, 8, true)
	claims := claimed(8, "a", "a-1")
	s.at(0, claims, peer("a", 1))
	s.at(4*time.Second, claims, peer("a", 1))
	plan := s.at(7*time.Second, claims, peer("a", 1))
	if len(plan.Take) > 0 || len(plan.Declare) != 1 {
		t.Fatalf("%+v", plan)
	}
	s.m.Declared(s.now, plan.Declare[0])
	if plan := s.m.Plan(s.now); len(plan.Take) != 8 || len(plan.Declare) > 0 {
		t.Errorf("%+v", plan)
	}
}

// TestMachine_Next_IsWhenADeathIsDue, and not a look later.
func TestMachine_Next_IsWhenADeathIsDue(t *testing.T) {
	t.Parallel()
	s := newScript(t, 1, true)
	s.at(0, nil, peer("a", 1))
	s.at(5*time.Second, nil, peer("a", 1))
	if plan := s.at(6500*time.Millisecond, nil, peer("a", 1)); plan.Next != 7*time.Second {
		t.Errorf("next look at %v", plan.Next)
	}
}

// TestMachine_ForgetsTheDead after a while, unless claims name them.
func TestMachine_ForgetsTheDead(t *testing.T) {
	t.Parallel()
	s := newScript(t, 4, true)
	claims := []store.Claim{{Partition: 3, Owner: "b", Session: "b-1", Epoch: 1}}
	s.at(0, claims, dead(peer("a", 1)), dead(peer("b", 1)))
	for now := time.Duration(0); now < s.cfg.Forget; now += 3 * time.Second {
		if plan := s.at(now, claims, dead(peer("a", 1)), dead(peer("b", 1))); len(plan.Forget) > 0 {
			t.Fatalf("forgets %v after %v", sessionNames(plan.Forget), now)
		}
	}
	same(t, "forgotten", sessionNames(s.at(s.cfg.Forget, claims, dead(peer("a", 1)), dead(peer("b", 1))).Forget), []string{"a"})
}

// TestMachine_OwnSessionDead_DecidesNothing: the renewals will find out.
func TestMachine_OwnSessionDead_DecidesNothing(t *testing.T) {
	t.Parallel()
	s := newScript(t, 4, true)
	s.m.Looked(0, placement.Look{Sessions: []store.Session{dead(self()), peer("a", 1)}})
	if plan := s.m.Plan(0); len(plan.Take)+len(plan.Declare) > 0 {
		t.Errorf("%+v", plan)
	}
}
