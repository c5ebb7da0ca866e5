package lineage_test

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node/internal/lineage"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

type (
	account   struct{ Balance int64 }
	paid      struct{ To string }
	transfer  struct{ Done bool }
	welcome   struct{ actor.Replies[actor.None] }
	completed struct{}
)

func definitions() map[actor.Kind]*actor.Behavior {
	accounts := actor.Define("account", func(d *actor.Definition[account]) {
		actor.Apply(d, func(*account, paid) {})
	})
	transfers := actor.DefineSaga("transfer", func(d *actor.SagaDefinition[transfer]) {
		actor.StartsOn(d, accounts, func(*transfer, *actor.Context, paid) {}, func(e paid, _ actor.EventRecord) string { return "t-" + e.To })
		actor.Apply(d, func(*transfer, completed) {})
	})
	policy := actor.DefinePolicy("greeting", func(d *actor.PolicyDefinition) {
		actor.When(d, accounts, func(ctx *actor.PolicyContext, e paid) { ctx.Send(accounts.ID(e.To), welcome{}) })
	})
	return map[actor.Kind]*actor.Behavior{"account": accounts.Behavior(), "transfer": transfers.Behavior(), "greeting": policy.Behavior()}
}

// fixture is a reader of a store that counts what is read.
type fixture struct {
	t     *testing.T
	store *counting
	*lineage.Reader
	now time.Time
}

// counting counts commits that are read.
type counting struct {
	*memory.Store
	read, loads int
}

func (c *counting) Load(ctx context.Context, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
	return func(yield func(store.Commit, error) bool) {
		c.loads++
		for commit, err := range c.Store.Load(ctx, a, after) {
			c.read++
			if !yield(commit, err) {
				return
			}
		}
	}
}

func setup(t *testing.T) *fixture {
	s := &counting{Store: memory.New()}
	now := time.UnixMilli(1_800_000_000_000).UTC()
	return &fixture{t: t, store: s, now: now, Reader: &lineage.Reader{
		Commits: s, Parking: s, Behaviors: definitions(), Now: func() time.Time { return now },
	}}
}

// decided is a command in a history.
type decided struct {
	id, name, cause string
	events          []store.Event
	rejection       string
	out             []store.Outgoing
}

// append adds a commit of one command to a history.
func (f *fixture) append(a actor.Address, at time.Time, d decided) actor.Version {
	f.t.Helper()
	last, err := f.store.LastVersion(f.t.Context(), store.Aggregate(a.String()))
	if err != nil {
		f.t.Fatal(err)
	}
	events := d.events
	if len(events) == 0 {
		events = []store.Event{{Name: actor.EventOutcome, Data: []byte(`{}`)}}
	}
	o := store.Outcome{CommandID: d.id, Name: d.name, Events: len(events), Reply: []byte(`null`), Metadata: store.Metadata{Causation: d.cause, User: "ann"}}
	if d.rejection != "" {
		o.Reply, o.Rejection = nil, []byte(d.rejection)
	}
	c := store.Commit{Aggregate: store.Aggregate(a.String()), First: last + 1, Time: at.UnixMicro(), Outcomes: []store.Outcome{o}, Events: events, Out: d.out}
	if err := f.store.Append(f.t.Context(), []store.Commit{c})[0]; err != nil {
		f.t.Fatal(err)
	}
	return actor.Version(c.Last())
}

func (f *fixture) at(a actor.Address, v actor.Version) lineage.Command {
	f.t.Helper()
	c, found, err := f.At(f.t.Context(), a, v)
	if err != nil || !found {
		f.t.Fatalf("version %d of %s: found %v, %v", v, a, found, err)
	}
	return c
}

func (f *fixture) cause(c lineage.Command, suggested actor.Address) lineage.Origin {
	f.t.Helper()
	o, err := f.Cause(f.t.Context(), &c, suggested)
	if err != nil {
		f.t.Fatal(err)
	}
	return o
}

func address(text string) actor.Address {
	a, err := actor.ParseAddress(text)
	if err != nil {
		panic(err)
	}
	return a
}

// outID is the id of the nth thing that a decision sends.
func outID(at time.Time, sender actor.Address, command string, n int) string {
	return string(actor.InternalID(at, "out", sender.String(), command, fmt.Sprint(n)))
}

// TestReader_Tree follows what a command has sent, what a saga and a policy have made of its
// event, a timer that waits and one that was cancelled, and a refusal that comes back.
func TestReader_Tree(t *testing.T) {
	t.Parallel()
	f := setup(t)
	a, b := address("account/a"), address("account/b/ü %2F")
	sent, timer := outID(f.now, a, "c-1", 0), outID(f.now, a, "c-1", 1)
	v := f.append(a, f.now, decided{
		id: "c-1", name: "Pay", events: []store.Event{{Name: "paid.v1", Data: []byte(`{"To":"b"}`)}},
		out: []store.Outgoing{
			{ID: sent, To: store.Aggregate(b.String()), Name: "Receive", Metadata: store.Metadata{Causation: "c-1"}},
			{ID: timer, To: store.Aggregate(a.String()), Name: "Remind", Timer: "Remind", At: f.now.Add(time.Hour).UnixMicro(), Metadata: store.Metadata{Causation: "c-1"}},
			{To: store.Aggregate(a.String()), Timer: "Old", Metadata: store.Metadata{Causation: "c-1"}},
		},
	})
	refused := string(actor.InternalID(f.now, "refused", b.String(), sent))
	f.append(b, f.now.Add(time.Millisecond), decided{
		id: sent, name: "Receive", cause: "c-1", rejection: `{"code":"rejected","reason":"closed","message":"it is closed"}`,
		events: []store.Event{{Name: actor.EventRefused, Data: []byte(`{}`)}},
		out:    []store.Outgoing{{ID: refused, To: store.Aggregate(a.String()), Name: "Bounced", Metadata: store.Metadata{Causation: sent}}},
	})
	bounced := f.append(a, f.now.Add(2*time.Millisecond), decided{id: refused, name: "Bounced", cause: sent, events: []store.Event{{Name: "paid.v1", Data: []byte(`{}`)}}})
	reaction := actor.InternalID(f.now, "reaction", "transfer", a.String(), fmt.Sprint(v), "0")
	f.append(address("transfer/t-b"), f.now.Add(time.Millisecond), decided{id: string(reaction), name: "ganglion.on.account.paid.v1", cause: "c-1", events: []store.Event{{Name: "completed.v1", Data: []byte(`{}`)}}})

	root := f.at(a, v)
	tree := f.Tree(t.Context(), &root, 0, lineage.Bounds{Depth: 4, Breadth: 10, Nodes: 50})
	var got []string
	var walk func(depth int, n *lineage.Node)
	walk = func(depth int, n *lineage.Node) {
		for i := range n.Children {
			c := &n.Children[i]
			got = append(got, fmt.Sprintf("%d %s %s %s %s", depth, c.How, c.To, c.State, c.Command.Name))
			walk(depth+1, c)
		}
	}
	walk(1, &tree)
	want := []string{
		"1 send account/b/ü %2F decided Receive",
		"2 refusal account/a decided Bounced",
		"3 saga transfer/t- nowhere ", // the policy cannot address what the event names: a fault
		"1 timer account/a waits ",
		"1 cancel account/a nothing ",
		"1 policy account/b nowhere ",
		"1 saga transfer/t-b decided ganglion.on.account.paid.v1",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the tree is\n%q, want\n%q", got, want)
	}
	if c := tree.Children[0].Command; c.Refusal == nil || c.Refusal.Reason != "closed" {
		t.Errorf("the refusal is %+v", c.Refusal)
	}
	if faults := tree.Children[0].Children[0].Faults; len(faults) != 1 {
		t.Errorf("faults of an event that cannot be routed: %q", faults)
	}

	chain, err := f.Chain(t.Context(), new(f.at(a, bounced)), actor.Address{}, 10)
	if err != nil || len(chain) != 3 || chain[0].Origin.How != lineage.ByRefusal || chain[1].Origin.How != lineage.BySend || chain[2].Origin.How != lineage.ByCaller {
		t.Errorf("the chain is %+v, %v", chain, err)
	}
	reacted := f.cause(f.at(address("transfer/t-b"), 1), actor.Address{})
	if reacted.How != lineage.ByUnproven {
		t.Errorf("a source that nothing names was found: %+v", reacted)
	}
	reacted = f.cause(f.at(address("transfer/t-b"), 1), a)
	if reacted.How != lineage.BySaga || reacted.Sender != a || reacted.Event != v || reacted.Command.Name != "Pay" {
		t.Errorf("the event is %+v", reacted)
	}
	if wrong := f.cause(f.at(address("transfer/t-b"), 1), address("account/other")); wrong.How != lineage.ByUnproven {
		t.Errorf("an address that is not the source was believed: %+v", wrong)
	}
}

// TestReader_Bounds: a command in the middle of a long history is found by its time, with few
// reads, and one that is far behind its time is found by looking farther on.
func TestReader_Bounds(t *testing.T) {
	t.Parallel()
	f := setup(t)
	a := address("account/long")
	const versions = 20_000
	for v := range versions {
		f.append(a, f.now.Add(time.Duration(v)*time.Second), decided{id: fmt.Sprintf("c-%d", v+1), name: "Pay", events: []store.Event{{Name: "paid.v1", Data: []byte(`{"To":"b"}`)}}})
	}
	f.store.read, f.store.loads = 0, 0
	look, err := f.FindSince(t.Context(), a, "c-15000", f.now.Add(14_999*time.Second))
	if err != nil || !look.Found || look.Command.Version != 15_000 {
		t.Fatalf("looked up: %+v, %v", look, err)
	}
	if f.store.read > 200 || f.store.loads > 20 {
		t.Errorf("it took %d commits in %d reads", f.store.read, f.store.loads)
	}
	late, err := f.FindSince(t.Context(), a, "c-15000", f.now)
	if err != nil || late.Found || late.Complete || late.Reached == 0 {
		t.Fatalf("far behind its time: %+v, %v", late, err)
	}
	for reached := late.Reached; !late.Found; reached = late.Reached {
		if late, err = f.Beyond(t.Context(), a, "c-15000", reached, time.Time{}); err != nil || late.Complete {
			t.Fatalf("farther on: %+v, %v", late, err)
		}
	}
	if none, err := f.FindSince(t.Context(), a, "other", f.now.Add(19_990*time.Second)); err != nil || none.Found || !none.Complete {
		t.Errorf("one that is not there: %+v, %v", none, err)
	}
	if c := f.at(a, 7777); c.ID != "c-7777" || c.Metadata.User != "ann" {
		t.Errorf("version 7777 is %+v", c)
	}
	if _, found, err := f.At(t.Context(), a, versions+1); found || err != nil {
		t.Errorf("a version beyond the end: found %v, %v", found, err)
	}
}

// TestReader_Timer: what a timer's firing was caused by is found in its own history.
func TestReader_Timer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	a := address("account/a")
	id := outID(f.now, a, "c-1", 2)
	effect := outID(f.now, a, "c-1", 3)
	f.append(a, f.now, decided{id: "c-1", name: "Pay", out: []store.Outgoing{
		{ID: id, To: "account/a", Name: "Remind", Timer: "Remind", At: f.now.Add(time.Hour).UnixMicro(), Metadata: store.Metadata{Causation: "c-1"}},
		{ID: effect, To: "account/a", Name: actor.PerformCommand, Timer: "ganglion.effect.mail.0000000000000000", At: f.now.Add(time.Second).UnixMicro(), Data: []byte(`{}`), Metadata: store.Metadata{Causation: "c-1"}},
	}})
	mailed := f.append(a, f.now.Add(time.Minute), decided{id: effect, name: "Mailed", cause: "c-1"})
	fired := f.append(a, f.now.Add(time.Hour), decided{id: id, name: "Remind", cause: "c-1"})
	if o := f.cause(f.at(a, fired), actor.Address{}); o.How != lineage.ByTimer || o.Timer != "Remind" || o.Command.ID != "c-1" {
		t.Errorf("the timer's cause is %+v", o)
	}
	if o := f.cause(f.at(a, mailed), actor.Address{}); o.How != lineage.ByEffect || o.Effect != "mail" {
		t.Errorf("the effect's cause is %+v", o)
	}
	root := f.at(a, 1)
	tree := f.Tree(t.Context(), &root, 1, lineage.Bounds{Depth: 1, Breadth: 5, Nodes: 5})
	if len(tree.Children) != 1 || tree.Children[0].Effect != "mail" || tree.Children[0].Command.Name != "Mailed" {
		t.Errorf("from the second branch on: %+v", tree.Children)
	}
}

// TestReader_Hidden: of a kind that is not shown nothing is read, in neither direction.
func TestReader_Hidden(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Hidden = func(k actor.Kind) bool { return k == "transfer" }
	a := address("account/a")
	v := f.append(a, f.now, decided{id: "c-1", name: "Pay", events: []store.Event{{Name: "paid.v1", Data: []byte(`{"To":"b"}`)}}})
	reaction := string(actor.InternalID(f.now, "reaction", "transfer", a.String(), fmt.Sprint(v), "0"))
	saga := address("transfer/t-b")
	f.append(saga, f.now, decided{id: reaction, name: "ganglion.on.account.paid.v1", cause: "c-1"})
	back := outID(f.now, saga, reaction, 0)
	got := f.append(a, f.now, decided{id: back, name: "Settle", cause: reaction, events: []store.Event{{Name: "paid.v1", Data: []byte(`{"To":"t-b"}`)}}})
	root := f.at(a, v)
	tree := f.Tree(t.Context(), &root, 0, lineage.Bounds{Depth: 3, Breadth: 5, Nodes: 9})
	if c := tree.Children[1]; c.State != lineage.Concealed || c.Command.Name != "" {
		t.Errorf("the saga is %+v", c)
	}
	if o := f.cause(f.at(a, got), actor.Address{}); o.Sender != saga || o.Found {
		t.Errorf("the cause is %+v", o)
	}
}
