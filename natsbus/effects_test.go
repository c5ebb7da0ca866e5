package natsbus_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
)

// note returns the note of an effect of an aggregate.
func note(t *testing.T, id, place string, attempt int, at time.Time) (actor.Message, actor.EffectID) {
	t.Helper()
	of := actor.EffectID{
		Address: actor.Address{Kind: "account", ID: id}, Timer: "ganglion.effect.mail." + place,
		Command: actor.InternalID(time.UnixMilli(1), id, place), Metadata: actor.Metadata{User: "ü"},
	}
	task := actor.EffectTask{Effect: "mail", Input: []byte(`{"to":"ü"}`), Attempt: attempt}
	return task.Message(of, at), of
}

// TestBus_ReplaceTimer has notes of effects replace each other by their order, whoever
// writes them, and come due.
func TestBus_ReplaceTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t, natsbus.Config{Partitions: 4})
		owner := &firings{}
		serveAll(t, f.bus, owner)
		forward(t, f.bus)
		at := time.Now().Add(time.Minute)
		first, id := note(t, "ä *.", "01", 1, at)
		second, _ := note(t, "ä *.", "01", 2, at)
		other, _ := note(t, "ä *.", "01", 3, at)
		for i, step := range []struct {
			m        actor.Message
			order    int64
			replaced bool
		}{
			{first, 10, true},
			{second, 11, true},
			{second, 11, true}, // once more, as its answer was lost
			{other, 11, false}, // another node was faster
			{first, 10, false}, // a relay, or a node, of the past
			{other, 12, true},
		} {
			replaced, err := f.bus.ReplaceTimer(t.Context(), step.m, id.Timer, step.order)
			if err != nil || replaced != step.replaced {
				t.Errorf("step %d: replaced %v, %v", i, replaced, err)
			}
		}
		if err := f.bus.SetTimer(t.Context(), first, id.Timer, 12); err != nil { // the relay is late
			t.Fatal(err)
		}
		far, _ := note(t, "b", "01", 0, at.Add(time.Hour))
		if _, err := f.bus.ReplaceTimer(t.Context(), far, far.Timer, 1); err != nil {
			t.Fatal(err)
		}
		if err := f.bus.SetTimer(t.Context(), timerMessage("b", at.Add(time.Hour), 1), "ring", 1); err != nil {
			t.Fatal(err)
		}
		var seen []actor.Message
		complete, err := f.bus.EffectNotes(t.Context(), actor.Address{}, 100, func(m actor.Message, order int64) {
			seen = append(seen, m)
			if m.Target.ID == "b" && order != 1 {
				t.Errorf("order %d", order)
			}
		})
		if err != nil || !complete || len(seen) != 2 || !bytes.Equal(seen[0].Data, other.Data) || !seen[0].Time.Equal(other.Time) || seen[0].ID != other.ID {
			t.Errorf("notes: %+v, %v, %v", seen, complete, err)
		}
		if task, got, err := actor.ReadEffectTask(&seen[0]); err != nil || task.Attempt != 3 || got != id {
			t.Errorf("note %+v of %+v: %v", task, got, err)
		}
		seen = nil
		if _, err := f.bus.EffectNotes(t.Context(), far.Target, 100, func(m actor.Message, _ int64) { seen = append(seen, m) }); err != nil || len(seen) != 1 {
			t.Errorf("notes of one aggregate: %+v, %v", seen, err)
		}
		if complete, err := f.bus.EffectNotes(t.Context(), actor.Address{}, 1, func(actor.Message, int64) {}); complete || err != nil {
			t.Errorf("a look at one of three: complete %v, %v", complete, err)
		}
		<-time.After(2 * time.Minute)
		if all := owner.list(); len(all) != 1 || !bytes.Equal(all[0].message.Data, other.Data) || all[0].message.Timer != id.Timer {
			t.Errorf("came due: %+v", all)
		}
		if replaced, err := f.bus.ReplaceTimer(t.Context(), first, id.Timer, 3); err != nil || !replaced { // nothing is set any more
			t.Errorf("after it has fired: %v, %v", replaced, err)
		}
		if err := f.bus.CancelTimer(t.Context(), id.Address, id.Timer, 3); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBus_EffectNotes_GoMeanwhile: a look at notes does not wait for those that are over by
// the time it gets to them.
func TestBus_EffectNotes_GoMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t, natsbus.Config{Partitions: 4})
		const notes, gone = 300, 40
		var all []actor.EffectID
		for i := range notes {
			m, id := note(t, "a", fmt.Sprintf("%014x%02x", i, 0), 1, time.Now().Add(time.Hour))
			if _, err := f.bus.ReplaceTimer(t.Context(), m, id.Timer, 1); err != nil {
				t.Fatal(err)
			}
			all = append(all, id)
		}
		began, seen := time.Now(), 0
		complete, err := f.bus.EffectNotes(t.Context(), actor.Address{}, 1000, func(actor.Message, int64) {
			if seen++; seen > 1 {
				return
			}
			for _, id := range all[notes-gone:] {
				if err := f.bus.CancelTimer(t.Context(), id.Address, id.Timer, 1); err != nil {
					t.Error(err)
				}
			}
		})
		if err != nil || !complete || seen != notes-gone {
			t.Errorf("%d notes were seen, complete %v, %v", seen, complete, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the look took %v", took)
		}
	})
}
