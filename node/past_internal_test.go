package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

type tally struct {
	N      int    `json:"n"`
	Secret string `json:"secret"`
}

type tallied struct {
	By int `json:"by"`
}

type talliedOld struct {
	Twice int `json:"twice"`
}

func (c *tally) counted(e tallied) { c.N += e.By }

// tallies shows less than there is, and has an event of an earlier form.
func tallies() *actor.Aggregate[tally] {
	return actor.Define("counter", func(d *actor.Definition[tally]) {
		actor.Apply(d, (*tally).counted, actor.From("tallied.v0", func(o talliedOld) tallied { return tallied{By: 2 * o.Twice} }))
		actor.View(d, func(c *tally) any { return map[string]int{"n": c.N} })
	})
}

const pastEpoch = 1_767_225_600_000_000 // 2026, in microseconds

// pastOf has a counter that has counted to n, one with each commit, a second apart.
func pastOf(t *testing.T, n int) (*history, *countingStore, actor.Address) {
	t.Helper()
	s := &countingStore{Store: memory.New()}
	b := tallies().Behavior()
	h := &history{store: s, behaviors: map[actor.Kind]*actor.Behavior{"counter": b}, replays: make(chan struct{}, 1)}
	addr := actor.Address{Kind: "counter", ID: "c"}
	for i := range n {
		v := store.Version(i + 1) //nolint:gosec // small
		event := store.Event{Name: "tallied.v1", Data: []byte(`{"by":1}`)}
		if i == 1 {
			event = store.Event{Name: actor.EventOutcome, Data: []byte(`{}`)}
		}
		if i == 2 {
			event = store.Event{Name: "tallied.v0", Data: []byte(`{"twice":1}`)}
		}
		c := store.Commit{
			Aggregate: store.Aggregate(addr.String()), First: v, Time: pastEpoch + int64(i)*1e6,
			Outcomes: []store.Outcome{{CommandID: fmt.Sprint("c", i), Events: 1}}, Events: []store.Event{event},
		}
		if err := s.Append(t.Context(), []store.Commit{c})[0]; err != nil {
			t.Fatal(err)
		}
	}
	return h, s, addr
}

func atSecond(s float64) gateway.Moment {
	return gateway.Moment{Version: gateway.AnyVersion, Time: time.UnixMicro(pastEpoch + int64(s*1e6))}
}

// TestHistory_At: the state of then, with old events brought up to date, and as the
// definition shows it.
func TestHistory_At(t *testing.T) {
	t.Parallel()
	h, _, addr := pastOf(t, 10)
	for _, c := range []struct {
		at   gateway.Moment
		v    actor.Version
		want string
	}{
		{gateway.Moment{}, 0, ""},
		{gateway.Moment{Version: 1}, 1, `{"n":1}`},
		{gateway.Moment{Version: 2}, 1, `{"n":1}`}, // a refusal, which nobody is shown
		{gateway.Moment{Version: 3}, 3, `{"n":3}`},
		{gateway.Moment{Version: 10}, 10, `{"n":10}`},
		{atSecond(-0.000001), 0, ""},
		{atSecond(0), 1, `{"n":1}`},
		{atSecond(1.9), 1, `{"n":1}`},
		{atSecond(2), 3, `{"n":3}`},
		{atSecond(8.999), 9, `{"n":9}`},
		{atSecond(9), 10, `{"n":10}`},
		{gateway.Moment{Version: 5, Time: atSecond(2).Time}, 3, `{"n":3}`},
		{gateway.Moment{Version: 3, Time: atSecond(7).Time}, 3, `{"n":3}`},
		{gateway.Latest(), 10, `{"n":10}`},
	} {
		got, err := h.At(t.Context(), addr, c.at)
		if err != nil || got.Version != c.v || string(got.State) != c.want {
			t.Errorf("%+v: version %d, %s, %v; want version %d, %s", c.at, got.Version, got.State, err, c.v, c.want)
		}
	}
	_, err := h.At(t.Context(), addr, gateway.Moment{Version: 11})
	if beyond, ok := errors.AsType[*gateway.NoVersionError](err); !ok || beyond.Version != 11 {
		t.Errorf("behind the end: %v", err)
	}
	none := actor.Address{Kind: "counter", ID: "none"}
	if got, err := h.At(t.Context(), none, gateway.Latest()); err != nil || got.Version != 0 {
		t.Errorf("of nothing: %+v, %v", got, err)
	}
	if _, err := h.At(t.Context(), none, gateway.Moment{Version: 1}); err == nil {
		t.Error("version 1 of nothing")
	}
}

// TestHistory_At_Bound: 10,000 events behind the snapshot are replayed, and no more; what
// is too far away by its version is not even begun.
func TestHistory_At_Bound(t *testing.T) {
	t.Parallel()
	h, s, addr := pastOf(t, replayMax+20)
	tooLong := func(m gateway.Moment) {
		t.Helper()
		_, err := h.At(t.Context(), addr, m)
		if e, ok := errors.AsType[*gateway.ReplayError](err); !ok || e.Max != replayMax {
			t.Errorf("%+v: %v", m, err)
		}
	}
	shows := func(m gateway.Moment, n int) {
		t.Helper()
		got, err := h.At(t.Context(), addr, m)
		if err != nil || string(got.State) != fmt.Sprintf(`{"n":%d}`, n) {
			t.Errorf("%+v: %s, %v; want %d", m, got.State, err, n)
		}
	}
	shows(gateway.Moment{Version: replayMax}, replayMax)
	shows(atSecond(replayMax-1), replayMax)
	s.commits = 0
	tooLong(gateway.Moment{Version: replayMax + 1})
	if s.commits > 0 {
		t.Errorf("%d commits were read for nothing", s.commits)
	}
	tooLong(atSecond(replayMax))
	tooLong(gateway.Latest())

	instance := tallies().Behavior().New(addr)
	for range 15 {
		if err := instance.Replay(actor.Event{Name: "tallied.v1", Data: []byte(`{"by":1}`)}); err != nil {
			t.Fatal(err)
		}
	}
	saveSnapshot(t, s, addr, instance)
	shows(gateway.Moment{Version: replayMax + 15}, replayMax+15)
	shows(atSecond(replayMax+14), replayMax+15)
	shows(gateway.Moment{Version: 14}, 14) // before the snapshot
	shows(atSecond(13), 14)
	tooLong(gateway.Moment{Version: replayMax + 16})
}

// TestHistory_At_Overloaded: a caller whose turn does not come is told so.
func TestHistory_At_Overloaded(t *testing.T) {
	t.Parallel()
	h, _, addr := pastOf(t, 1)
	h.replays <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.At(ctx, addr, gateway.Latest())
	if e, ok := errors.AsType[*actor.Error](err); !ok || e.Code != actor.CodeOverloaded {
		t.Errorf("got %v", err)
	}
}

func TestHistory_At_UnknownEvent(t *testing.T) {
	t.Parallel()
	h, s, addr := pastOf(t, 3)
	c := store.Commit{Aggregate: store.Aggregate(addr.String()), First: 4, Time: pastEpoch + 9e6, Events: []store.Event{{Name: "nobody.v9", Data: []byte(`{}`)}}}
	if err := s.Append(t.Context(), []store.Commit{c})[0]; err != nil {
		t.Fatal(err)
	}
	_, err := h.At(t.Context(), addr, gateway.Moment{Version: 4})
	if e, ok := errors.AsType[*actor.Error](err); !ok || e.Code != actor.CodeUnloadable {
		t.Errorf("got %v", err)
	}
	if got, err := h.At(t.Context(), addr, gateway.Moment{Version: 3}); err != nil || got.Version != 3 {
		t.Errorf("before it: %+v, %v", got, err)
	}
}

// TestHistory_Aggregates: who exists, and in which order.
func TestHistory_Aggregates(t *testing.T) {
	t.Parallel()
	s := memory.New()
	h := &history{store: s}
	for a, name := range map[store.Aggregate]string{
		"counter/b": "tallied.v1", "counter/a/x": "tallied.v1", "counter/a": "tallied.v1", "counter/refused": actor.EventRefused,
		"counter/outcome": actor.EventOutcome, "counters/z": "tallied.v1", "counter/sent": actor.EventEffects,
	} {
		c := store.Commit{Aggregate: a, First: 1, Events: []store.Event{{Name: name, Data: []byte(`{}`)}}}
		if err := s.Append(t.Context(), []store.Commit{c})[0]; err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          []string
	}{
		{"", "", 10, []string{"a", "a/x", "b", "sent"}},
		{"a", "", 10, []string{"a", "a/x"}},
		{"", "a", 2, []string{"a/x", "b"}},
		{"a", "b", 10, []string{}},
	} {
		got, err := h.Aggregates(t.Context(), "counter", c.prefix, c.after, c.limit)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("prefix %q after %q: %q, %v; want %q", c.prefix, c.after, got, err, c.want)
		}
	}
}

// TestDescribeEvents: each event with its command, and the last of a command with what that
// asked for.
func TestDescribeEvents(t *testing.T) {
	t.Parallel()
	due := time.UnixMicro(pastEpoch).UTC()
	by := func(id string) store.Metadata { return store.Metadata{Causation: id, User: "ann"} }
	c := store.Commit{
		Aggregate: "counter/c", First: 5, Time: pastEpoch,
		Events: []store.Event{{Name: "a.v1", Data: []byte(`{}`)}, {Name: "b.v1", Data: []byte(`{}`)}, {Name: "c.v1", Data: []byte(`{}`)}},
		Outcomes: []store.Outcome{
			{CommandID: "refused", Name: "No"},
			{CommandID: "one", Name: "Start", Events: 2, Metadata: store.Metadata{User: "ann", Correlation: "talk", Causation: "before"}},
			{CommandID: "two", Name: "Stop", Events: 1},
		},
		Out: []store.Outgoing{
			{ID: "x1", To: "ledger/l", Name: "Post", Data: []byte(`{"secret":1}`), Metadata: by("one"), OnRefusal: "NotPosted", OnRefusalData: []byte(`{"secret":2}`)},
			{ID: "x2", To: "counter/c", Name: "Remind", Timer: "reminder", At: pastEpoch, Metadata: by("one")},
			{To: "counter/c", Timer: "old"},                           // of a build that did not say whose it is
			{To: "counter/c", Timer: "reminder", Metadata: by("two")}, // of one that does
			{To: "counter/c", Timer: "last"},
			asked(t, by("two")),
		},
	}
	want := []gateway.Event{
		{Version: 5, Type: "a.v1", Data: json.RawMessage(`{}`), CommandID: "one", Command: "Start", User: "ann", CorrelationID: "talk", CausationID: "before", Time: due},
		{Version: 6, Type: "b.v1", Data: json.RawMessage(`{}`), CommandID: "one", Command: "Start", User: "ann", CorrelationID: "talk", CausationID: "before", Time: due, Outgoing: []gateway.Outgoing{
			{Action: "send", To: "ledger/l", Command: "Post", CommandID: "x1", OnRefusal: "NotPosted"},
			{Action: "set_timer", Command: "Remind", CommandID: "x2", Timer: "reminder", At: &due},
		}},
		{Version: 7, Type: "c.v1", Data: json.RawMessage(`{}`), CommandID: "two", Command: "Stop", Time: due, Outgoing: []gateway.Outgoing{
			{Action: "cancel_timer", Timer: "old"},
			{Action: "cancel_timer", Timer: "reminder"},
			{Action: "cancel_timer", Timer: "last"},
			{Action: "perform", Effect: "charge.card", Key: "x3", CommandID: "ganglion.x3", OnResult: "Charged", OnGivenUp: "NotCharged"},
		}},
	}
	if diff := cmp.Diff(want, describeEvents(&c)); diff != "" {
		t.Error(diff)
	}
	c.Out = []store.Outgoing{{To: "counter/c", Timer: "alone"}}
	if got := describeEvents(&c)[2].Outgoing; len(got) != 1 || got[0].Timer != "alone" {
		t.Errorf("got %+v", got)
	}
	c.Out = []store.Outgoing{{ID: "ganglion.x4", To: "counter/c", Name: actor.PerformCommand, Timer: "ganglion.effect.charge.00000000000000", Data: []byte(`no JSON`)}}
	if got := describeEvents(&c)[2].Outgoing; len(got) != 1 || got[0].Effect != "charge" || got[0].OnResult != "" {
		t.Errorf("what cannot be read is shown as %+v", got)
	}
}

// asked is an effect as a commit holds it.
func asked(t *testing.T, by store.Metadata) store.Outgoing {
	t.Helper()
	task, err := json.Marshal(actor.EffectTask{
		Effect: "charge.card", Input: []byte(`{"secret":3}`),
		OnResult: &actor.EffectReply{Name: "Charged", Data: []byte(`{"secret":4}`)}, OnGivenUp: &actor.EffectReply{Name: "NotCharged", Data: []byte(`{}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return store.Outgoing{
		ID: "ganglion.x3", To: "counter/c", Name: actor.PerformCommand, Timer: "ganglion.effect.charge.card.0000000000000700", At: pastEpoch, Data: task, Metadata: by,
	}
}

func saveSnapshot(t *testing.T, s store.Snapshots, addr actor.Address, instance *actor.Instance) {
	t.Helper()
	state, err := instance.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := json.Marshal(map[string]any{"entries": []string{}, "instance": instance.RuntimeState()})
	if err != nil {
		t.Fatal(err)
	}
	err = s.SaveSnapshot(t.Context(), store.Snapshot{
		Aggregate: store.Aggregate(addr.String()), Version: store.Version(instance.Version()), Schema: tallies().Behavior().Schema(),
		Time: pastEpoch + int64(instance.Version()-1)*1e6, State: state, Ring: ring, //nolint:gosec // small
	})
	if err != nil {
		t.Fatal(err)
	}
}
