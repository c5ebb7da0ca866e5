package node_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/mongod"
	"github.com/ganglion-go/ganglion/testharness/netproxy"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// underLoad runs faults while clients drive deposits, lets the node come to rest,
// and compares what callers were told with the histories.
func underLoad(t *testing.T, url string, faults func(rnd *rand.Rand)) *load {
	t.Helper()
	seed := testenv.Seed(t)
	l := newLoad(t, seed, func() string { return url })
	l.open(loadedAggregates)
	stop := inBackground(t.Context(), func(ctx context.Context) { l.run(ctx, 16, loadedAggregates) })
	wait(t, time.Second)
	faults(rand.New(rand.NewPCG(seed, 1<<32)))
	wait(t, 2*time.Second)
	stop()
	l.check(loadedAggregates)
	return l
}

// TestNode_MongoPrimaryLost steps the primary down, kills and pauses it under
// load. GANGLION_FAULTS sets how often.
func TestNode_MongoPrimaryLost(t *testing.T) {
	t.Parallel()
	rs := testharness.Mongo(t, 3)
	n := nodes.Start(t, node.Config{MongoURI: rs.URI()}, domain.Definitions()...)
	underLoad(t, n.URL(), func(rnd *rand.Rand) {
		first := rnd.IntN(3)
		for i := range testenv.Times(t, "GANGLION_FAULTS", 3) {
			losePrimary(t, rs, (first+i)%3)
			wait(t, time.Second)
		}
	})
}

func losePrimary(t *testing.T, rs *mongod.ReplicaSet, how int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	primary, err := rs.Primary(ctx)
	if err != nil {
		t.Fatal(err)
	}
	switch how {
	case 0:
		t.Log("primary stepped down")
		err = rs.StepDown(ctx)
	case 1:
		t.Log("primary killed")
		primary.Kill()
		wait(t, 3*time.Second)
		err = primary.Restart(ctx)
	default:
		t.Log("primary paused for 6 s")
		if err = primary.Pause(); err == nil {
			wait(t, 6*time.Second)
			err = primary.Resume()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestNode_StoreCutOff cuts the node off from its store for far longer than its
// lease. The store lives on, so that what was sent before the cut can arrive
// after it.
func TestNode_StoreCutOff(t *testing.T) {
	t.Parallel()
	rs := testharness.Mongo(t, 1)
	proxy, err := netproxy.New(rs.Members()[0].Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	n := nodes.Start(t, node.Config{MongoURI: "mongodb://" + proxy.Addr() + "/?directConnection=true"}, domain.Definitions()...)
	l := underLoad(t, n.URL(), func(*rand.Rand) {
		proxy.Cut()
		wait(t, time.Duration(testenv.Times(t, "GANGLION_CUT_SECONDS", 20))*time.Second)
		proxy.Heal()
		testharness.Eventually(t, 30*time.Second, func() bool { return n.Status().LeaseValid })
	})
	if l.pauseGap < 10*time.Second {
		t.Errorf("longest pause %v: the cut did not cut", l.pauseGap)
	}
}

// TestNode_MongoUnknownOutcomes lets the server fail inserts before and after
// they have taken effect.
func TestNode_MongoUnknownOutcomes(t *testing.T) {
	t.Parallel()
	rs := testharness.MongoWith(t, mongod.Config{Members: 1, Parameters: map[string]string{"enableTestCommands": "1"}})
	n := nodes.Start(t, node.Config{MongoURI: rs.URI()}, domain.Definitions()...)
	client, err := mongo.Connect(options.Client().ApplyURI(rs.URI()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) })
	failInserts := func(data ...bson.E) {
		t.Helper()
		err := client.Database("admin").RunCommand(t.Context(), bson.D{
			{Key: "configureFailPoint", Value: "failCommand"},
			{Key: "mode", Value: bson.D{{Key: "activationProbability", Value: 0.2}}},
			{Key: "data", Value: append(bson.D{{Key: "failCommands", Value: bson.A{"insert"}}}, data...)},
		}).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	underLoad(t, n.URL(), func(*rand.Rand) {
		t.Log("connections closed instead of an insert")
		failInserts(bson.E{Key: "closeConnection", Value: true})
		wait(t, 3*time.Second)
		t.Log("inserts carried out and then reported as not confirmed")
		failInserts(bson.E{Key: "writeConcernError", Value: bson.D{{Key: "code", Value: 64}, {Key: "errmsg", Value: "injected"}}})
		wait(t, 3*time.Second)
		t.Log("inserts refused with an error that tells nothing")
		failInserts(bson.E{Key: "errorCode", Value: 8000})
		wait(t, 3*time.Second)
		err := client.Database("admin").RunCommand(t.Context(), bson.D{
			{Key: "configureFailPoint", Value: "failCommand"}, {Key: "mode", Value: "off"},
		}).Err()
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestNode_NoOwner asks the gateway of one node for a partition whose owner,
// another one, has just died.
func TestNode_NoOwner(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t, testharness.WithListener())
	rs := testharness.SharedMongo(t, 1)
	cfg := node.Config{NATSURL: server.URL(), MongoURI: rs.URI(), MongoDatabase: testharness.DatabaseName(t)}
	cfg.Name = "owner"
	owner := nodes.Start(t, cfg, gauges(nil))
	aggregate := "/v1/gauge/" + aggregateOf("gauge", "owner", []string{"owner", "other"})
	raise := aggregate + "/Raise"
	caller{t, owner.URL()}.post(raise, `{"by":1}`)
	cfg.Name = "other"
	other := nodes.Start(t, cfg, gauges(nil))
	c := caller{t, other.URL()}
	c.expect("through the other", c.post(raise, `{"by":1}`), 200, "")
	_ = owner.Close()
	// A busy machine can lose the answer that nobody serves, which is then unknown.
	testharness.Eventually(t, 10*time.Second, func() bool {
		a := c.post(raise+"?lane=direct&timeout=500ms", `{"by":1}`)
		if a.status == 504 {
			return false
		}
		c.expect("nobody serves", a, 503, "no_owner")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		return true
	})
	testharness.Eventually(t, 30*time.Second, func() bool {
		return c.post(raise+"?lane=direct&timeout=1s", `{"by":1}`).status == 200
	})
	var got struct {
		Version int64
		State   gauge
	}
	if err := json.Unmarshal(c.do("GET", aggregate, "").body, &got); err != nil || got.Version < 3 || got.State.Level != got.Version {
		t.Errorf("state after the take-over: %+v, %v", got, err)
	}
}
