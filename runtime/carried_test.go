package runtime_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

// leftInClaim is a refusal in the form in which builds up to 6bff7de left it in the
// claim of its partition.
func leftInClaim(id string, command actor.CommandID) string {
	_, timed := command.UnixMilli()
	rejection := base64.StdEncoding.EncodeToString([]byte(`{"code":"rejected","reason":"negative","message":"the sum would be negative","details":{"sum":5}}`))
	return fmt.Sprintf(`{"to":{"Kind":"counter","ID":%q},"outcome":{"CommandID":%q,"Keyed":%v,"Events":0,"Reply":null,"Rejection":%q,`+
		`"Metadata":{"Trace":"","Correlation":"","Causation":"","User":""}}}`, id, command, !timed, rejection)
}

// leaveInClaim does what such a build did: it told a refusal, and left it there.
func (s *setup) leaveInClaim(p store.Partition, carry string) {
	s.t.Helper()
	c := s.claim(p)
	c.Carry = carry
	c.Revision += 1000
	if err := s.store.SaveWatermarks(s.t.Context(), []store.Claim{c}); err != nil {
		s.t.Fatal(err)
	}
}

// carried returns what a claim carries, which is shown to none but its taker. No node
// runs.
func (s *setup) carried(p store.Partition) string {
	s.t.Helper()
	got, err := s.store.TakeClaims(s.t.Context(), store.Session{Name: "auditor", Incarnation: "auditor-1"}, []store.Claim{s.claim(p)})
	if err != nil || len(got) != 1 {
		s.t.Fatalf("%d claims taken: %v", len(got), err)
	}
	return got[0].Carry
}

// TestNode_Carried_IsRecorded: a claim of an earlier build carries refusals that it has
// told: of an aggregate with events, of one without, and one that a commit holds. Whoever
// takes it knows them for good, and leaves an empty claim.
func TestNode_Carried_IsRecorded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		ids := s.idsIn(1, 2)
		s.want(s.add(ids[0], 5), actor.CodeOK)
		known := s.message(ids[0], "add", add{N: -6})
		first := s.want(s.ask(known), actor.CodeRejected)
		s.close()
		refused := []actor.Message{s.message(ids[0], "add", add{N: -7}), s.message(ids[1], "add", add{N: -8})}
		refused[1].ID = "order-1"
		s.leaveInClaim(1, "["+leftInClaim(ids[0], known.ID)+","+leftInClaim(ids[0], refused[0].ID)+","+leftInClaim(ids[1], refused[1].ID)+",null]")

		for _, name := range []string{"n1", "n2"} {
			s.start(name)
			for i, m := range refused {
				if name == "n1" {
					s.want(s.ask(direct(s.message(m.Target.ID, "add", add{N: 1000}))), actor.CodeOK)
				}
				o := s.want(s.ask(direct(m)), actor.CodeRejected)
				if want := []actor.Version{2, 0}[i]; o.Version != want {
					t.Errorf("%s: refusal %d is told version %d, want %d", name, i, o.Version, want)
				}
				if n := len(s.outcomes(m.Target.ID, m.ID)); n != 1 {
					t.Errorf("%s: refusal %d is in %d commits", name, i, n)
				}
			}
			if diff := differ(first, s.ask(known)); diff != "" {
				t.Error(diff)
			}
			if n := len(s.outcomes(ids[0], known.ID)); n != 1 {
				t.Errorf("%s: what a commit held is in %d", name, n)
			}
			s.pause(time.Second)
			s.close()
			if carry := s.carried(1); carry != "" {
				t.Errorf("%s leaves %s in the claim", name, carry)
			}
		}
	})
}

// TestNode_Carried_OwnerDiesBetween: the outcomes are in commits, and the claim still
// carries them, as their new owner has died before it saved it.
func TestNode_Carried_OwnerDiesBetween(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		id := s.idsIn(1, 1)[0]
		s.close()
		m := s.message(id, "add", add{N: -7})
		s.leaveInClaim(1, "["+leftInClaim(id, m.ID)+"]")
		h.with(func(h *hooked) {
			h.watermarks = func(context.Context, []store.Claim) error { return store.ErrUnknown }
			h.release = func(context.Context, []store.Claim) error { return store.ErrUnknown }
		})
		s.start("n1")
		s.want(s.add(id, 1), actor.CodeOK)
		s.close()
		h.with(func(h *hooked) { h.watermarks, h.release = nil, nil })
		if s.carried(1) == "" {
			t.Fatal("nothing is carried: nothing is tested")
		}
		s.start("n2")
		s.want(s.ask(m), actor.CodeRejected)
		if n := len(s.outcomes(id, m.ID)); n != 1 {
			t.Errorf("it is in %d commits", n)
		}
		s.pause(time.Second)
		s.close()
		if carry := s.carried(1); carry != "" {
			t.Errorf("%s is left in the claim", carry)
		}
	})
}

// TestNode_Carried_StoreTakesNothing: the partition is not served before what its claim
// carries is recorded, and is then. What cannot be read keeps nothing from being served.
func TestNode_Carried_StoreTakesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, func(c *runtime.Config) { c.WriteTimeout = lease })
		id := s.idsIn(1, 1)[0]
		s.close()
		m := s.message(id, "add", add{N: -7})
		s.leaveInClaim(1, "["+leftInClaim(id, m.ID)+"]")
		s.leaveInClaim(2, "?")
		h.with(func(h *hooked) {
			h.append = func(_ context.Context, commits []store.Commit) []error {
				return failAll(len(commits), store.ErrUnknown)
			}
		})
		s.launch("n1")
		s.eventually("the others are served", func() bool { return len(s.node.Status().Partitions) == partitions-1 })
		s.pause(10 * lease)
		if got := s.node.Status().Partitions; len(got) != partitions-1 {
			t.Errorf("%d partitions are served", len(got))
		}
		h.letAppends()
		s.awaitServing()
		s.want(s.add(id, 1000), actor.CodeOK)
		s.want(s.ask(m), actor.CodeRejected)
	})
}

// slowLoads needs a while for each commit.
type slowLoads struct {
	store.Store
	each time.Duration
}

func (s *slowLoads) Load(ctx context.Context, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
	return func(yield func(store.Commit, error) bool) {
		for c, err := range s.Store.Load(ctx, a, after) {
			select {
			case <-ctx.Done():
				yield(store.Commit{}, store.ErrUnavailable)
				return
			case <-time.After(s.each):
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// TestNode_Carried_LongHistory: it takes longer to read than one write may take, and the
// partition is served all the same.
func TestNode_Carried_LongHistory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := &slowLoads{Store: memory.New()}
		s := newSetup(t, slow, func(c *runtime.Config) { c.WriteTimeout = lease })
		id := s.idsIn(1, 1)[0]
		for range 10 {
			s.want(s.add(id, 1), actor.CodeOK)
		}
		s.close()
		m := s.message(id, "add", add{N: -17})
		s.leaveInClaim(1, "["+leftInClaim(id, m.ID)+"]")
		slow.each = lease / 4
		s.launch("n1")
		s.eventually("all partitions are served", func() bool { return len(s.node.Status().Partitions) == partitions })
		s.want(s.ask(m), actor.CodeRejected)
		if n := len(s.outcomes(id, m.ID)); n != 1 {
			t.Errorf("it is in %d commits", n)
		}
	})
}
