package mongod_test

import (
	"context"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/mongod"
	"github.com/ganglion-go/ganglion/testharness/netproxy"
)

// A client is cut off while the members, and another client, still see each other.
func TestReplicaSet_ClientCutOff(t *testing.T) {
	t.Parallel()
	rs := testharness.SharedMongo(t, 3)
	dialer := netproxy.NewDialer()
	t.Cleanup(func() { _ = dialer.Close() })
	name := testharness.DatabaseName(t)
	cutOff := collection(t, rs.URI(), func(o *options.ClientOptions) { o.SetDialer(dialer) })
	cutOff = cutOff.Database().Client().Database(name).Collection("c")
	other := collection(t, rs.URI()).Database().Client().Database(name).Collection("c")
	insert(t, cutOff, "before")
	leader := primary(t, rs)

	dialer.Cut()
	expectNoInsert(t, cutOff)
	insert(t, other, "during")
	if got := primary(t, rs); got != leader {
		t.Errorf("the cut of a client moved the primary from %d to %d", leader.Index(), got.Index())
	}
	dialer.Heal()

	insert(t, cutOff, "after")
}

// A one-member set behind a proxy that stands apart from it.
func TestReplicaSet_DirectConnectionThroughProxy(t *testing.T) {
	t.Parallel()
	rs := testharness.SharedMongo(t, 1)
	proxy, err := netproxy.New(rs.Members()[0].Addr())
	must(t, err)
	t.Cleanup(func() { _ = proxy.Close() })
	coll := collection(t, "mongodb://"+proxy.Addr()+"/?directConnection=true")
	coll = coll.Database().Client().Database(testharness.DatabaseName(t)).Collection("c")
	insert(t, coll, "before")
	proxy.Cut()
	expectNoInsert(t, coll)
	proxy.Heal()
	insert(t, coll, "after")
}

// The primary is cut off from everybody, so the others elect another one.
func TestReplicaSet_Proxied_MemberCutOff(t *testing.T) {
	t.Parallel()
	rs := testharness.MongoWith(t, mongod.Config{Members: 3, Proxied: true})
	coll := collection(t, rs.URI())
	insert(t, coll, "before")
	old := primary(t, rs)

	old.Proxy().Cut()
	next := primaryOtherThan(t, rs, old)
	insert(t, coll, "during")
	old.Proxy().Heal()

	must(t, rs.AwaitReplication(withPatience(t)))
	if next.Addr() != next.Proxy().Addr() || old.Proxy().Target() == old.Addr() {
		t.Error("members are not known under the addresses of their proxies")
	}
}

func expectNoInsert(t *testing.T, coll *mongo.Collection) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := coll.InsertOne(ctx, bson.D{}); err == nil {
		t.Error("an insert was acknowledged across a cut")
	}
}
