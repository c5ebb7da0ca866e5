package stage

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/load"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
	"github.com/ganglion-go/ganglion/testharness"
)

// tampering is what somebody does to the third of five commits of an aggregate, each with one
// command, behind the back of the system.
type tampering int

const (
	nothing tampering = iota
	removed
	lastRemoved
	allRemoved
	twoRemoved
	doubledLater
	answerChanged
	damagedRecord
)

// TestCheck_Tampered: whatever is done to the record of MongoDB and of JetStream, a check says
// what is lost, doubled and changed, and where the record is broken, and never that it could
// not be carried out.
func TestCheck_Tampered(t *testing.T) {
	t.Parallel()
	for name, setup := range map[string]func(*testing.T) tamperedStore{"mongo": tamperedMongo, "jetstream": tamperedJetStream} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			tests := map[tampering]struct {
				want found
				says string
			}{
				nothing:       {found{stored: 5}, ""},
				removed:       {found{stored: 4, lost: 1, broken: 1}, "c3: acknowledged, and not in the store"},
				lastRemoved:   {found{stored: 4, lost: 1}, "c5: acknowledged, and not in the store"},
				allRemoved:    {found{lost: 5}, "acknowledged, and not in the store"},
				twoRemoved:    {found{stored: 3, lost: 2, broken: 1}, "is broken behind version 1"},
				doubledLater:  {found{stored: 5, doubled: 1}, "c3: stored twice"},
				answerChanged: {found{stored: 5, changed: 1}, "c3: stored with another answer"},
				damagedRecord: {found{stored: 4, unreadable: 1, broken: 1}, "c3: acknowledged, and where it is stored the record cannot be read"},
			}
			for what := range tests {
				s.fill(t, tx(int(what)), what)
			}
			whole, hurt := s.stores()
			before, after := feedOf(t, whole), feedOf(t, hurt)
			for what, test := range tests {
				checkTampered(t, hurt, what, before, test.want, test.says)
				if what != damagedRecord { // a store may find the outcome in what is left of it
					checkTampered(t, hurt, what, after, test.want, "")
				}
				if what != damagedRecord && what != doubledLater { // it takes the feed to see these
					checkTampered(t, hurt, what, nil, test.want, "")
				}
			}
		})
	}
}

// checkTampered checks twice what was done to a store, with evidence that has seen a feed.
func checkTampered(t *testing.T, s store.Store, what tampering, feed []store.FeedItem, want found, says string) {
	t.Helper()
	v := fed(tx(int(what)), feed)
	v.patience = time.Millisecond
	want.acknowledged = 5
	for _, all := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		f, err := v.check(ctx, s, all)
		cancel()
		f.reread = 0
		if feed == nil {
			f.broken = want.broken // a search need not pass there
		}
		said := strings.Join(f.examples, "; ")
		if f.examples = nil; err != nil || fmt.Sprint(f) != fmt.Sprint(want) || f.right() != (what == nothing) {
			t.Errorf("%d: found %+v, %v; want %+v", what, f, err, want)
		}
		if (said == "") != (what == nothing) || !strings.Contains(said, says) {
			t.Errorf("%d: it says %q, want %q", what, said, says)
		}
	}
}

func feedOf(t *testing.T, s store.Store) (all []store.FeedItem) {
	t.Helper()
	for item, err := range store.FollowUntilQuiet(t.Context(), s, 2*time.Second, nil) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, item)
	}
	return all
}

// fed returns the evidence of five acknowledged commands that has seen a feed.
func fed(to actor.Address, feed []store.FeedItem) *evidence {
	v := newEvidence()
	for i := range 5 {
		key := actor.CommandID(fmt.Sprint("c", i+1))
		v.begins(to, key, true)
		v.ended(load.Ended{To: to, Key: key, Reply: []byte(`{ "n": 1.0, "at": "here" }`), Began: time.Now()}, true)
	}
	for _, item := range feed {
		switch {
		case item.Commit.Aggregate != store.Aggregate(to.String()):
		case item.Unreadable != nil:
			v.takeUnreadable(&item.Commit, item.Unreadable)
		default:
			v.take(&item.Commit)
		}
	}
	return v
}

// tamperedStore stores five commits of an aggregate and tampers with them. It has the store
// as it was before, and as it is.
type tamperedStore interface {
	fill(t *testing.T, to actor.Address, what tampering)
	stores() (whole, hurt store.Store)
}

func fifth(to actor.Address, n, id int) store.Commit {
	return store.Commit{
		Aggregate: store.Aggregate(to.String()), First: store.Version(n),
		Outcomes: []store.Outcome{{CommandID: fmt.Sprint("c", id), Events: 1, Reply: []byte(`{"at":"here","n":1}`)}},
		Events:   []store.Event{{Name: "e", Data: []byte("{}")}},
	}
}

func appendOne(t *testing.T, s store.Store, c store.Commit) {
	t.Helper()
	if err := s.Append(t.Context(), []store.Commit{c})[0]; err != nil {
		t.Fatal(err)
	}
}

// mongoPair is two databases, one as it was and one as it is.
type mongoPair struct {
	whole, hurt *mongostore.Store
	commits     *driver.Collection
}

func tamperedMongo(t *testing.T) tamperedStore {
	t.Helper()
	uri := testharness.SharedMongo(t, 1).URI()
	client, err := driver.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) })
	open := func(database string) *mongostore.Store {
		s, err := mongostore.Open(t.Context(), uri, mongostore.Config{Database: database})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close(context.WithoutCancel(t.Context())) })
		return s
	}
	whole, hurt := testharness.DatabaseName(t), testharness.DatabaseName(t)
	return &mongoPair{open(whole), open(hurt), client.Database(hurt).Collection("commits")}
}

func (p *mongoPair) fill(t *testing.T, to actor.Address, what tampering) {
	t.Helper()
	for n := 1; n <= 5; n++ {
		appendOne(t, p.whole, fifth(to, n, n))
		appendOne(t, p.hurt, fifth(to, n, n))
	}
	switch what {
	case nothing:
	case removed:
		p.remove(t, to, 3)
	case lastRemoved:
		p.remove(t, to, 5)
	case allRemoved:
		p.remove(t, to, 1, 2, 3, 4, 5)
	case twoRemoved:
		p.remove(t, to, 2, 3)
	case doubledLater:
		appendOne(t, p.hurt, fifth(to, 6, 3))
		appendOne(t, p.whole, fifth(to, 6, 3))
	case answerChanged:
		p.change(t, to, bson.D{{Key: "cmd.0.r.at", Value: "elsewhere"}})
	case damagedRecord:
		p.change(t, to, bson.D{{Key: "ev", Value: "damaged"}})
	}
}

func (p *mongoPair) stores() (whole, hurt store.Store) { return p.whole, p.hurt }

func (p *mongoPair) remove(t *testing.T, to actor.Address, versions ...int) {
	t.Helper()
	for _, v := range versions {
		if done, err := p.commits.DeleteOne(t.Context(), p.id(to, v)); err != nil || done.DeletedCount != 1 {
			t.Fatalf("%+v, %v", done, err)
		}
	}
}

func (p *mongoPair) change(t *testing.T, to actor.Address, set bson.D) {
	t.Helper()
	if done, err := p.commits.UpdateOne(t.Context(), p.id(to, 3), bson.D{{Key: "$set", Value: set}}); err != nil || done.ModifiedCount != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
}

func (*mongoPair) id(to actor.Address, version int) bson.D {
	return bson.D{{Key: "_id", Value: bson.D{{Key: "a", Value: to.String()}, {Key: "v", Value: int64(version)}}}}
}

// streamPair is a store, and another one that has its messages, tampered with: streams of
// commits let nobody delete.
type streamPair struct {
	whole, hurt *jetstream.Store
	nc          *nats.Conn

	mu   sync.Mutex
	seen map[string]*nats.Msg // by aggregate and versions
}

func tamperedJetStream(t *testing.T) tamperedStore {
	t.Helper()
	server := testharness.NATS(t)
	open := func(namespace string) *jetstream.Store {
		s, err := jetstream.Open(t.Context(), server.Connect(t), jetstream.Config{Namespace: namespace})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	p := &streamPair{whole: open("whole"), hurt: open("hurt"), nc: server.Connect(t), seen: map[string]*nats.Msg{}}
	if _, err := p.nc.Subscribe("whole.>", func(m *nats.Msg) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.seen[m.Subject+" "+m.Header.Get("Ganglion-Versions")] = m
	}); err != nil {
		t.Fatal(err)
	}
	if err := p.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *streamPair) fill(t *testing.T, to actor.Address, what tampering) {
	t.Helper()
	most := 5
	if what == doubledLater {
		most = 6
	}
	for n := 1; n <= most; n++ {
		id := n
		if n == 6 {
			id = 3
		}
		appendOne(t, p.whole, fifth(to, n, id))
		data := p.message(t, to, n)
		gone := map[tampering]bool{removed: n == 3, lastRemoved: n == 5, allRemoved: true, twoRemoved: n == 2 || n == 3}
		if gone[what] {
			continue
		}
		if n == 3 && what == answerChanged {
			data.Data = bytes.Replace(data.Data, []byte("here"), []byte("elsewhere"), 1)
		}
		if n == 3 && what == damagedRecord {
			data.Data = []byte("damaged")
		}
		if _, err := p.nc.RequestMsgWithContext(t.Context(), data); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *streamPair) stores() (whole, hurt store.Store) { return p.whole, p.hurt }

// message returns a commit as it is published in the other store.
func (p *streamPair) message(t *testing.T, to actor.Address, n int) (m *nats.Msg) {
	t.Helper()
	testharness.Eventually(t, 10*time.Second, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for key, seen := range p.seen {
			if strings.HasSuffix(key, fmt.Sprintf(".%s %d-%d", to.ID, n, n)) {
				m = &nats.Msg{Subject: "hurt" + strings.TrimPrefix(seen.Subject, "whole"), Header: nats.Header{"Ganglion-Versions": seen.Header["Ganglion-Versions"]}, Data: seen.Data}
			}
		}
		return m != nil
	})
	return m
}
