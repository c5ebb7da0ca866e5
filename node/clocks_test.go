package node_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// wrongClock is a clock that people set: its wall time jumps, and the time that passes
// does not.
type wrongClock struct {
	begin time.Time
	by    atomic.Int64
}

func newWrongClock(by time.Duration) *wrongClock {
	c := &wrongClock{begin: time.Now()}
	c.set(by)
	return c
}

func (c *wrongClock) set(by time.Duration)   { c.by.Store(int64(by)) }
func (c *wrongClock) Elapsed() time.Duration { return time.Since(c.begin) }
func (c *wrongClock) Now() time.Time         { return time.Now().Round(0).Add(time.Duration(c.by.Load())) }

// bell is an aggregate with a timer.
type bell struct{ Rung int }

type (
	setBell struct {
		actor.Replies[time.Time]
		In time.Duration `json:"in"`
	}
	ring  struct{ actor.Replies[actor.None] }
	wound struct{}
	rang  struct{}
)

func (setBell) WireName() string { return "SetBell" }
func (ring) WireName() string    { return "Ring" }

// bells returns the definition. SetBell replies the handler's Now.
func bells() *actor.Aggregate[bell] {
	return actor.Define("bell", func(d *actor.Definition[bell]) {
		actor.On(d, func(_ *bell, ctx *actor.Context, c setBell) (time.Time, error) {
			ctx.Raise(wound{})
			ctx.After(c.In, ring{})
			return ctx.Now(), nil
		})
		actor.On(d, func(_ *bell, ctx *actor.Context, _ ring) (actor.None, error) {
			ctx.Raise(rang{})
			return actor.None{}, nil
		})
		actor.Apply(d, func(*bell, wound) {})
		actor.Apply(d, func(b *bell, _ rang) { b.Rung++ })
	})
}

// belfry is two nodes that share the partitions of one cluster: wrong has a clock that
// the test sets, right has the system's.
type belfry struct {
	t            *testing.T
	clock        *wrongClock
	wrong, right *nodes.Local
	log          *lockedLog
	next         int
}

const belfryPartitions = 8

func newBelfry(t *testing.T, by time.Duration, mongo bool) *belfry {
	t.Helper()
	w := &belfry{t: t, clock: newWrongClock(by), log: &lockedLog{}}
	cfg := node.Config{NATSURL: testharness.NATS(t, testharness.WithListener()).URL(), Partitions: belfryPartitions, Lease: time.Second}
	if mongo {
		cfg.MongoURI, cfg.MongoDatabase = testharness.SharedMongo(t, 1).URI(), testharness.DatabaseName(t)
	}
	cfg.Name, cfg.Limits = "wrong", runtime.Config{Clock: w.clock}
	w.wrong = nodes.Start(t, cfg, bells())
	cfg.Name, cfg.Limits, cfg.Logger = "right", runtime.Config{}, slog.New(slog.NewTextHandler(w.log, nil))
	w.right = nodes.Start(t, cfg, bells())
	testharness.Eventually(t, 30*time.Second, func() bool {
		served := w.owners()
		return len(served) == belfryPartitions && served.has("wrong") && served.has("right")
	})
	return w
}

// owners are the names of the partitions' owners.
type owners map[actor.Partition]string

func (o owners) has(name string) bool {
	for _, by := range o {
		if by == name {
			return true
		}
	}
	return false
}

func (w *belfry) owners() owners {
	w.t.Helper()
	a := caller{w.t, w.right.URL()}.do("GET", "/v1/cluster", "")
	var v gateway.ClusterView
	if err := json.Unmarshal(a.body, &v); err != nil {
		w.t.Fatalf("%s: %v", a.body, err)
	}
	all := owners{}
	for _, p := range v.Partitions {
		if p.Owner != "" {
			all[p.Partition] = p.Owner
		}
	}
	return all
}

// bells returns new aggregates, so many of each node's, the right one's first.
func (w *belfry) bells(each int) (ids []string) {
	w.t.Helper()
	all := w.owners()
	for _, name := range []string{"right", "wrong"} {
		for found := 0; found < each; w.next++ {
			id := fmt.Sprintf("b-%d", w.next)
			if all[actor.Partitions(belfryPartitions).Of(actor.Address{Kind: "bell", ID: id})] == name {
				ids = append(ids, id)
				found++
			}
		}
	}
	return ids
}

// mustAnswer sends commands and reads of new aggregates of both nodes through both, on
// both lanes: all are answered.
func (w *belfry) mustAnswer(when string) {
	w.t.Helper()
	for _, id := range w.bells(3) {
		for _, through := range []*nodes.Local{w.wrong, w.right} {
			c := caller{w.t, through.URL()}
			for _, lane := range []string{"durable", "direct"} {
				c.expect(when+", command to "+id, c.post("/v1/bell/"+id+"/SetBell?lane="+lane, `{"in":3600000000000}`), 200, "")
			}
			c.expect(when+", read of "+id, c.do("GET", "/v1/bell/"+id, ""), 200, "")
		}
	}
}

// mustRing sets timers of the right node's aggregates through the other one: they fire
// when the owner's clock says so.
func (w *belfry) mustRing() {
	w.t.Helper()
	const in = 2 * time.Second
	ids := w.bells(2)[:2]
	begin := time.Now()
	for _, id := range ids {
		a := caller{w.t, w.wrong.URL()}.post("/v1/bell/"+id+"/SetBell", fmt.Sprintf(`{"in":%d}`, in))
		caller{w.t, ""}.expect("wind up "+id, a, 200, "")
		var answered struct{ Reply time.Time }
		if err := json.Unmarshal(a.body, &answered); err != nil || answered.Reply.Before(begin.Add(-time.Second)) || answered.Reply.After(time.Now().Add(time.Second)) {
			w.t.Errorf("the handler's clock says %v at %v: %v", answered.Reply, begin, err)
		}
	}
	c := caller{w.t, w.right.URL()}
	for _, id := range ids {
		testharness.Eventually(w.t, 30*time.Second, func() bool {
			return string(c.do("GET", "/v1/bell/"+id, "").body) == `{"version":2,"state":{"Rung":1}}`
		})
	}
	if took := time.Since(begin); took < in {
		w.t.Errorf("rang after %v, set to %v", took, in)
	}
}

// mustShow waits until the right node says by how much the clock of the other one is ahead: in
// the view of the cluster, a metric and its log.
func (w *belfry) mustShow(name string, by time.Duration) {
	w.t.Helper()
	api, admin := caller{w.t, w.right.URL()}, caller{w.t, w.right.AdminURL()}
	testharness.Eventually(w.t, 30*time.Second, func() bool {
		var v gateway.ClusterView
		if err := json.Unmarshal(api.do("GET", "/v1/cluster", "").body, &v); err != nil {
			w.t.Fatal(err)
		}
		for _, m := range v.Members {
			ahead := time.Duration(m.ClockAhead * float64(time.Second))
			if (m.Name == name) != ((ahead - by).Abs() < 20*time.Second) {
				return false
			}
		}
		return strings.Contains(w.log.text(), `level=WARN msg="clocks of nodes differ`) &&
			skewShown.Match(admin.do("GET", "/metrics", "").body)
	})
}

// skewShown matches an hour, give or take what cannot be known.
var skewShown = regexp.MustCompile(`(?m)^ganglion_clock_skew_seconds 3[56]\d\d`)

func onBothStores(t *testing.T, test func(t *testing.T, mongo bool)) {
	t.Helper()
	for name, mongo := range map[string]bool{"jetstream": false, "mongo": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, mongo)
		})
	}
}

// TestNode_WrongClock_Gateway: what a gateway with a wrong clock passes on to an owner
// with a right one is answered, and timed by the owner's.
func TestNode_WrongClock_Gateway(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, mongo bool) {
		for name, by := range map[string]time.Duration{"an hour slow": -time.Hour, "an hour fast": time.Hour} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newBelfry(t, by, mongo)
				w.mustAnswer(name)
				w.mustRing()
				w.mustShow("wrong", by)
			})
		}
	})
}

// TestNode_WrongClock_Step: neither session nor answers are lost when the clock of a
// running node is set, forwards or back.
func TestNode_WrongClock_Step(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, mongo bool) {
		w := newBelfry(t, 0, mongo)
		before := w.owners()
		w.mustAnswer("before")
		for _, by := range []time.Duration{time.Hour, 0, -time.Hour, 0} {
			w.clock.set(by)
			w.mustAnswer(fmt.Sprintf("set by %v", by))
			if got := w.wrong.Status(); len(got.Partitions) == 0 {
				t.Errorf("set by %v: the node serves nothing: %+v", by, got)
			}
		}
		w.mustRing()
		w.clock.set(-time.Hour)
		w.mustShow("wrong", -time.Hour)
		if after := w.owners(); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("owners were %v, and are %v", before, after)
		}
	})
}
