package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// A chest, a till, which callers pay into, and only the application's own code grants. A vault is the
// application's own as a whole.
type (
	chest struct{ Cents int64 }
	pay   struct{ actor.Replies[int64] }
	grant struct{ actor.Replies[int64] }
	arm   struct{ actor.Replies[actor.None] }
	look  struct{ actor.Replies[int64] }
	paid  struct{ Cents int64 }
)

func chests(kind actor.Kind, options ...func(*actor.Definition[chest])) *actor.Aggregate[chest] {
	return actor.Define(kind, func(d *actor.Definition[chest]) {
		actor.On(d, func(s *chest, ctx *actor.Context, _ pay) (int64, error) {
			ctx.Raise(paid{Cents: 1})
			return s.Cents, nil
		})
		actor.On(d, func(s *chest, ctx *actor.Context, _ grant) (int64, error) {
			ctx.Raise(paid{Cents: 1000})
			return s.Cents, nil
		}, actor.Internal())
		actor.On(d, func(_ *chest, ctx *actor.Context, _ arm) (actor.None, error) {
			ctx.After(time.Hour, grant{}, actor.TimerName("remind"))
			return actor.None{}, nil
		})
		actor.Query(d, func(s *chest, _ *actor.QueryContext, _ look) (int64, error) { return s.Cents, nil })
		actor.Apply(d, func(s *chest, e paid) { s.Cents += e.Cents })
		for _, o := range options {
			o(d)
		}
	})
}

// free are users of the documented accounts whom nothing but the account holds.
const free = `{ user: free-%s, password: FREE }`

// documentedRights returns the servers' configuration of docs/deploy.md, with a user in the
// accounts of a client and of the reader whom permissions do not bind.
func documentedRights(t *testing.T) *server.Options {
	t.Helper()
	text, err := os.ReadFile("../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "<!-- NATS rights:")
	_, rest, _ = strings.Cut(rest, "```\n")
	config, _, end := strings.Cut(rest, "```\n")
	for _, user := range []string{"shop", "billing"} {
		before := "{ user: " + user + ","
		if !strings.Contains(config, before) {
			t.Fatalf("docs/deploy.md has no user %s", user)
		}
		config = strings.Replace(config, before, fmt.Sprintf(free, user)+"\n      "+before, 1)
	}
	if !ok || !end {
		t.Fatal("docs/deploy.md has no configuration of rights on NATS")
	}
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	parsed, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// rights is a server with the documented configuration, a node, and what is seen of both.
type rights struct {
	t      *testing.T
	ctx    context.Context //nolint:containedctx // of the test
	url    string
	node   *nodes.Local
	tills  *actor.Aggregate[chest]
	vaults *actor.Aggregate[chest]
	js     jetstream.JetStream // with the rights of a node

	partitions actor.Partitions
	forgers    map[string]*forger

	mu   sync.Mutex
	seen map[string]int // messages in the nodes' account, by subject
}

// forger is a connection of somebody who tries what they may not.
type forger struct {
	nc      *nats.Conn
	refused *refusals
	may     []string // subjects to publish to
	bound   bool     // by permissions
}

// refusals gathers what the server refuses a connection.
type refusals struct {
	mu  sync.Mutex
	all []string
}

func (r *refusals) count(subject string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.all {
		if strings.Contains(s, `"`+subject+`"`) {
			n++
		}
	}
	return n
}

func newRights(t *testing.T) *rights {
	t.Helper()
	parsed := documentedRights(t)
	s := testharness.NATS(t, testharness.WithListener(), testharness.WithServerOptions(func(o *server.Options) {
		o.Accounts, o.Users = parsed.Accounts, parsed.Users
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	r := &rights{t: t, ctx: ctx, url: s.URL(), partitions: actor.DefaultPartitions, seen: map[string]int{}, tills: chests("till"), vaults: chests("vault", (*actor.Definition[chest]).Internal)}
	url := strings.Replace(s.URL(), "nats://", "nats://node:NODE_PASSWORD@", 1)
	r.node = nodes.Start(t, node.Config{NATSURL: url}, r.tills, r.vaults)
	nc, _ := r.connect("node", "NODE_PASSWORD")
	if _, err := nc.Subscribe("ganglion.>", func(msg *nats.Msg) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen[msg.Subject]++
	}); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	r.forgers = map[string]*forger{}
	for user, may := range map[string][]string{
		"shop":    {"ganglion.cmd.till.forger", "ganglion.ask.0.till.forger"},
		"billing": {"nodes.API.CONSUMER.MSG.NEXT.ganglion_EVENTS.billing"},
	} {
		bound, unbound := &forger{bound: true, may: may}, &forger{}
		bound.nc, bound.refused = r.connect(user, strings.ToUpper(user)+"_PASSWORD")
		unbound.nc, unbound.refused = r.connect("free-"+user, "FREE")
		r.forgers[user], r.forgers["free-"+user] = bound, unbound
	}
	return r
}

func (r *rights) connect(user, password string) (*nats.Conn, *refusals) {
	r.t.Helper()
	refused := &refusals{}
	nc, err := nats.Connect(r.url, nats.UserInfo(user, password), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		refused.mu.Lock()
		defer refused.mu.Unlock()
		refused.all = append(refused.all, err.Error())
	}))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	return nc, refused
}

func (r *rights) client(user string) *natsbus.Client {
	r.t.Helper()
	nc, refused := r.connect(user, strings.ToUpper(user)+"_PASSWORD")
	c, err := natsbus.NewClient(r.ctx, nc, natsbus.ClientConfig{Inbox: user, Partitions: r.partitions})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		c.Close()
		refused.mu.Lock()
		defer refused.mu.Unlock()
		for _, e := range refused.all {
			r.t.Errorf("%s: %s", user, e)
		}
	})
	return c
}

// saw returns how many messages of a subject, and of those that name the victim, the nodes'
// account has had.
func (r *rights) saw(at string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for subject, times := range r.seen {
		if subject == at || strings.Contains(subject, "victim") {
			n += times
		}
	}
	return n
}

// stored returns the number of messages in a stream, and the sequence of the last one.
func (r *rights) stored(stream string) (messages, last uint64) {
	r.t.Helper()
	s, err := r.js.Stream(r.ctx, stream)
	if err != nil {
		r.t.Fatal(err)
	}
	state := s.CachedInfo().State
	return state.Msgs, state.LastSeq
}

func (r *rights) streams() (names []string) {
	r.t.Helper()
	all := r.js.StreamNames(r.ctx)
	for name := range all.Name() {
		names = append(names, name)
	}
	if all.Err() != nil {
		r.t.Fatal(all.Err())
	}
	slices.Sort(names)
	return names
}

// TestNATSRights: with the accounts and permissions of docs/deploy.md a node serves, a client
// sends commands, and a reader reads events; and no way around it leads anywhere, be it that
// the server refuses it, or that it ends within an account.
func TestNATSRights(t *testing.T) {
	t.Parallel()
	r := newRights(t)
	shop, crm := r.client("shop"), r.client("crm")
	own := actor.WithMetadata(actor.Metadata{User: "ann"})
	if _, err := actor.Ask(r.ctx, r.node.Client(), r.tills.ID("victim"), arm{}); err != nil {
		t.Fatal(err)
	}
	if cents, err := actor.Ask(r.ctx, r.node.Client(), r.tills.ID("victim"), grant{}, own); err != nil || cents != 1000 {
		t.Fatalf("the application's own code: %d, %v", cents, err)
	}
	r.clientsWork(shop, crm)
	r.internalIsRefused(shop)
	reader := r.readerReads()
	timers, _ := r.stored("ganglion_DEADLINES")
	streams := r.streams()
	r.pass()
	before := r.saw("ganglion.due")
	for _, w := range waysAround() {
		r.tried(w)
	}
	if n := r.saw("ganglion.due"); n != before { // also of what took its time
		t.Errorf("%d messages got through", n-before)
	}
	r.nothingIsStolen(crm)
	r.headersDoNothing()
	if left, _ := r.stored("ganglion_DEADLINES"); left != timers || timers == 0 {
		t.Errorf("%d timers, before the attempts %d", left, timers)
	}
	if now := r.streams(); !slices.Equal(now, streams) {
		t.Errorf("streams %v, before the attempts %v", now, streams)
	}
	if parked, _ := r.stored("ganglion_PARKED"); parked > 0 {
		t.Errorf("%d messages are parked", parked)
	}
	r.clientsWork(shop, crm)
	if _, err := reader.Info(r.ctx); err != nil {
		t.Errorf("the reader's consumer: %v", err)
	}
}

// clientsWork has both pay by both lanes, and look.
func (r *rights) clientsWork(all ...*natsbus.Client) {
	r.t.Helper()
	for i, c := range all {
		to := r.tills.ID(fmt.Sprint("client-", i))
		before, err := actor.Read(r.ctx, c, to, look{})
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := actor.Ask(r.ctx, c, to, pay{}, actor.WithMetadata(actor.Metadata{User: "root"})); err != nil {
			r.t.Errorf("durable lane: %v", err)
		}
		if _, err := actor.Ask(r.ctx, c, to, pay{}, actor.Direct(), actor.WithMetadata(actor.Metadata{User: "root"})); err != nil {
			r.t.Errorf("direct lane: %v", err)
		}
		if cents, err := actor.Read(r.ctx, c, to, look{}); err != nil || cents != before+2 {
			r.t.Errorf("paid %d to %d, %v", before, cents, err)
		}
		state := c.Deliver(r.ctx, actor.Message{Type: actor.TypeState, Target: to})
		if state.Code != actor.CodeOK {
			r.t.Errorf("state: %+v", state)
		}
	}
}

func (r *rights) internalIsRefused(c *natsbus.Client) {
	r.t.Helper()
	for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
		o := c.Deliver(r.ctx, actor.Message{Target: r.tills.ID("victim"), Name: "grant", Lane: lane})
		if o.Code != actor.CodeUnknownCommand {
			r.t.Errorf("lane %d: %+v", lane, o)
		}
		o = c.Deliver(r.ctx, actor.Message{Target: r.vaults.ID("victim"), Name: "pay", Lane: lane})
		if o.Code != actor.CodeUnknownKind {
			r.t.Errorf("lane %d: %+v", lane, o)
		}
	}
	if o := c.Deliver(r.ctx, actor.Message{Type: actor.TypeState, Target: r.vaults.ID("victim")}); o.Code != actor.CodeUnknownKind {
		r.t.Errorf("state of an internal kind: %+v", o)
	}
	web := caller{r.t, r.node.URL()}
	web.expect("internal command", web.post("/v1/till/victim/grant", `{}`), 404, string(actor.CodeUnknownCommand))
	web.expect("internal kind", web.post("/v1/vault/victim/pay", `{}`), 404, string(actor.CodeUnknownKind))
	if err := c.Enqueue(r.ctx, actor.Message{Target: r.tills.ID("victim"), Name: "grant"}); err != nil {
		r.t.Error(err)
	}
	if cents, err := actor.Read(r.ctx, c, r.tills.ID("victim"), look{}); err != nil || cents != 1000 {
		r.t.Errorf("%d cents, %v", cents, err)
	}
}

// readerReads reads all events with the rights of the reader: on whose behalf they are says
// the application's own code alone.
func (r *rights) readerReads() jetstream.Consumer {
	r.t.Helper()
	if _, err := r.js.CreateConsumer(r.ctx, "ganglion_EVENTS", jetstream.ConsumerConfig{Durable: "billing", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		r.t.Fatal(err)
	}
	nc, _ := r.connect("billing", "BILLING_PASSWORD")
	js, err := jetstream.NewWithAPIPrefix(nc, "nodes.API")
	if err != nil {
		r.t.Fatal(err)
	}
	consumer, err := js.Consumer(r.ctx, "ganglion_EVENTS", "billing")
	if err != nil {
		r.t.Fatal(err)
	}
	users := map[string]int{}
	for want := uint64(5); want > 0; {
		batch, err := consumer.Fetch(int(want), jetstream.FetchMaxWait(5*time.Second))
		if err != nil {
			r.t.Fatal(err)
		}
		for msg := range batch.Messages() {
			if msg.Headers().Get("ce-type") == "paid.v1" {
				want--
				users[msg.Headers().Get("Gn-User")]++
			}
			if err := msg.DoubleAck(r.ctx); err != nil {
				r.t.Fatal(err)
			}
		}
		if batch.Error() != nil || r.ctx.Err() != nil {
			r.t.Fatalf("%d events are missing: %v", want, batch.Error())
		}
	}
	if want := map[string]int{"ann": 1, "": 4}; !maps.Equal(users, want) {
		r.t.Errorf("events are on behalf of %v, want %v", users, want)
	}
	return consumer
}

// wayAround is one thing that a client or a reader tries.
type wayAround struct {
	name      string
	subject   string // published to; or subscribed to
	reply     string // whoever gets the message is to answer there
	subscribe bool
}

// waysAround are for the client and the reader alike.
func waysAround() (all []wayAround) {
	add := func(name, subject, reply string) {
		all = append(all, wayAround{name: name + ", " + subject + " " + reply, subject: subject, reply: reply})
	}
	for _, subject := range []string{
		"ganglion.run.till.victim", "ganglion.req.0.till.victim", "ganglion.cmd.0.till.victim", "ganglion.run.0.till.victim",
		"ganglion.timer.at.till.victim.remind", "ganglion.timer.cron.victim", "ganglion.due", "ganglion.relay.x.0.till.victim",
		"ganglion.evt.0.till.victim", "ganglion.agg.till.victim", "ganglion.lease.victim", "ganglion.snap.victim", "ganglion.park.victim",
		"ganglion.changed", "ganglion.owned.0", "ganglion.standing.victim", "ganglion.inbox.crm.victim.1.o1", "ganglion.inbox.victim.1.o1", "$KV.victim.x",
	} {
		add("publish", subject, "")
		add("an acknowledgement", "ganglion.cmd.till.forger", subject)
		add("an answer", "ganglion.ask.0.till.forger", subject)
		add("an event", "nodes.API.CONSUMER.MSG.NEXT.ganglion_EVENTS.billing", subject)
	}
	for _, request := range []string{
		"STREAM.PURGE.ganglion_COMMANDS", "STREAM.DELETE.ganglion_COMMANDS", "STREAM.UPDATE.ganglion_COMMANDS", "STREAM.CREATE.victim", "STREAM.NAMES", "STREAM.LIST",
		"STREAM.INFO.ganglion_STORE", "STREAM.INFO.ganglion_COMMANDS", "CONSUMER.MSG.NEXT.ganglion_EVENTS.billing", "STREAM.MSG.GET.ganglion_COMMANDS", "STREAM.MSG.DELETE.ganglion_COMMANDS", "STREAM.PURGE.ganglion_DEADLINES",
		"DIRECT.GET.ganglion_COMMANDS", "DIRECT.GET.ganglion_STORE", "DIRECT.GET.ganglion_COMMANDS.ganglion.run.0.till.victim", "STREAM.MSG.GET.ganglion_EVENTS",
		"CONSUMER.CREATE.ganglion_COMMANDS", "CONSUMER.CREATE.ganglion_EVENTS.victim", "CONSUMER.DURABLE.CREATE.ganglion_EVENTS.victim",
		"CONSUMER.DELETE.ganglion_EVENTS.billing", "CONSUMER.NAMES.ganglion_EVENTS", "CONSUMER.MSG.NEXT.ganglion_EVENTS.victim", "STREAM.SNAPSHOT.ganglion_STORE",
		"STREAM.PEER.REMOVE.ganglion_STORE", "STREAM.LEADER.STEPDOWN.ganglion_STORE", "INFO",
	} {
		add("JetStream", "$JS.API."+request, "")
	}
	for _, subject := range []string{
		">", "ganglion.>", "ganglion.ask.>", "ganglion.req.>", "ganglion.cmd.>", "ganglion.run.>", "ganglion.inbox.>", "ganglion.inbox.crm.>", "ganglion.inbox.*.*.*.*",
		"ganglion.changed", "ganglion.timer.>", "ganglion.agg.>", "_R_.>", "$JS.>", "$SYS.>",
	} {
		all = append(all, wayAround{name: "listen, " + subject, subject: subject, subscribe: true})
	}
	return all
}

// tried tries a way: the user with the documented permissions is refused what is not in
// them, and nothing gets out of the account of one who has all permissions in it.
func (r *rights) tried(w wayAround) {
	r.t.Helper()
	target := w.subject
	if w.reply != "" {
		target = w.reply
	}
	before := r.saw(target)
	for user, f := range r.forgers {
		refused := f.refused.count(w.subject)
		var err error
		if w.subscribe {
			var sub *nats.Subscription
			if sub, err = f.nc.SubscribeSync(w.subject); err == nil {
				defer func() { _ = sub.Unsubscribe() }()
			}
		} else {
			err = f.nc.PublishMsg(&nats.Msg{Subject: w.subject, Reply: w.reply, Data: []byte("{}"), Header: nats.Header{
				"Gn-Id": {"forged-" + user}, "Gn-Name": {"pay"}, "Gn-Time": {"1"},
			}})
		}
		if err == nil {
			err = f.nc.FlushWithContext(r.ctx)
		}
		if err != nil {
			r.t.Fatalf("%s: %v", w.name, err)
		}
		if f.bound && !slices.Contains(f.may, w.subject) {
			testharness.Eventually(r.t, 10*time.Second, func() bool { return f.refused.count(w.subject) > refused })
		}
	}
	r.pass()
	if n := r.saw(target); n != before {
		r.t.Errorf("%s: %d messages got through", w.name, n-before)
	}
}

// pass returns when the command stream has answered to what was published before, and what it
// has answered, wherever to, has been seen if it came into the nodes' account.
func (r *rights) pass() {
	r.t.Helper()
	if err := r.node.Client().Enqueue(r.ctx, actor.Message{Target: r.tills.ID("other"), Name: "pay"}); err != nil {
		r.t.Fatal(err)
	}
	const mark = "ganglion.standing.mark"
	count := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.seen[mark]
	}
	before := count()
	if err := r.js.Conn().Publish(mark, nil); err != nil {
		r.t.Fatal(err)
	}
	testharness.Eventually(r.t, 20*time.Second, func() bool { return count() > before })
}

// nothingIsStolen: whoever listens to everything in a client's account hears nothing of other
// clients, of nodes, and of what they are asked.
func (r *rights) nothingIsStolen(other *natsbus.Client) {
	r.t.Helper()
	nc, _ := r.connect("free-shop", "FREE")
	var mu sync.Mutex
	heard := map[string]int{}
	for _, subject := range []string{">", "ganglion.ask.>", "ganglion.req.>", "ganglion.cmd.>", "ganglion.inbox.crm.>", "ganglion.inbox.>"} {
		if _, err := nc.Subscribe(subject, func(msg *nats.Msg) {
			mu.Lock()
			defer mu.Unlock()
			heard[msg.Subject]++
		}); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := nc.FlushWithContext(r.ctx); err != nil {
		r.t.Fatal(err)
	}
	r.clientsWork(other)
	if err := nc.FlushWithContext(r.ctx); err != nil {
		r.t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for subject := range heard {
		if !strings.HasPrefix(subject, "ganglion.owned.") && !strings.HasPrefix(subject, "_INBOX.") {
			r.t.Errorf("heard of %s", subject)
		}
	}
}

// headersDoNothing: what JetStream does upon headers of a message is not done to the command
// stream, and no header makes a client a node.
func (r *rights) headersDoNothing() {
	r.t.Helper()
	nc, _ := r.connect("shop", "SHOP_PASSWORD")
	_, last := r.stored("ganglion_COMMANDS")
	for name, value := range map[string]string{
		"Nats-Rollup": "all", "Nats-Schedule": "@at 2026-01-01T00:00:00Z", "Nats-TTL": "1s", "Nats-Batch-Id": "b", "Nats-Incr": "1",
	} {
		msg := &nats.Msg{Subject: "ganglion.cmd.till.victim", Header: nats.Header{
			name: {value}, "Nats-Schedule-Target": {"ganglion.run.till.victim"}, "Nats-Batch-Sequence": {"1"}, "Nats-Batch-Commit": {"1"},
			"Gn-Id": {"forged"}, "Gn-Name": {"grant"}, "Gn-Time": {"1"}, "Gn-Outside": {"0"}, "Gn-User": {"root"},
		}, Data: []byte("{}")}
		reply, err := nc.RequestMsgWithContext(r.ctx, msg)
		if err != nil {
			r.t.Fatalf("%s: %v", name, err)
		}
		var ack struct {
			Error *struct{ Description string } `json:"error"`
		}
		if err := json.Unmarshal(reply.Data, &ack); err != nil || ack.Error == nil {
			r.t.Errorf("%s: the stream takes it: %s", name, reply.Data)
		}
	}
	if _, now := r.stored("ganglion_COMMANDS"); now < last {
		r.t.Errorf("the command stream ends at %d, before at %d", now, last)
	}
	if cents, err := actor.Read(r.ctx, r.node.Client(), r.tills.ID("victim"), look{}); err != nil || cents != 1000 {
		r.t.Errorf("%d cents, %v", cents, err)
	}
}

// TestNode_ExposeInternal: a node that is told so has it for all, and says so loudly.
func TestNode_ExposeInternal(t *testing.T) {
	t.Parallel()
	var log lockedLog
	n := nodes.Start(t, node.Config{ExposeInternal: true, Partitions: 4, Logger: slog.New(slog.NewTextHandler(&log, nil))},
		chests("till"), chests("vault", (*actor.Definition[chest]).Internal))
	web := caller{t, n.URL()}
	web.expect("internal command", web.post("/v1/till/a/grant", `{}`), 200, "")
	web.expect("internal kind", web.post("/v1/vault/a/pay", `{}`), 200, "")
	if !strings.Contains(log.text(), "--expose-internal") || !strings.Contains(log.text(), "level=WARN") {
		t.Errorf("nothing is said of it: %s", log.text())
	}
}
