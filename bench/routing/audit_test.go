package main

import (
	"errors"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/examples/trader/unrouted"
	"github.com/ganglion-go/ganglion/testharness"
)

func TestPage_Check(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		commands, doubts int64
		held             held
		ok               bool
	}{
		"equal":                   {3, 0, held{Events: 3, Amount: 15, Last: 3}, true},
		"untouched":               {0, 0, held{}, true},
		"lost":                    {3, 0, held{Events: 2, Amount: 10, Last: 2}, false},
		"twice":                   {3, 0, held{Events: 4, Amount: 20, Last: 4}, false},
		"another sum":             {3, 0, held{Events: 3, Amount: 16, Last: 3}, false},
		"a gap":                   {3, 0, held{Events: 3, Amount: 15, Last: 4}, false},
		"unknown took effect":     {3, 1, held{Events: 4, Amount: 20, Last: 4}, true},
		"unknown did not":         {3, 1, held{Events: 3, Amount: 15, Last: 3}, true},
		"more than unknown":       {3, 1, held{Events: 5, Amount: 25, Last: 5}, false},
		"lost in spite of doubts": {3, 1, held{Events: 2, Amount: 10, Last: 2}, false},
	} {
		l := newLedger(1)
		for v := range c.commands {
			l.acknowledge(0, v+1, 5)
		}
		for range c.doubts {
			l.doubt(0)
		}
		err := l.pages[0].check(c.held)
		if c.ok != (err == nil) || err != nil && !errors.Is(err, errAudit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The same query reads both forms: one event a commit, and several.
func TestAudit_ReadsTheHistory(t *testing.T) {
	t.Parallel()
	client, err := mongo.Connect(options.Client().ApplyURI(testharness.SharedMongo(t, 1).URI()))
	if err != nil {
		t.Fatal(err)
	}
	db := client.Database(testharness.DatabaseName(t))
	commits := db.Collection(unrouted.Commits)
	add := func(aggregate int, first int64, amounts ...int64) {
		t.Helper()
		var events bson.A
		for _, n := range amounts {
			events = append(events, bson.D{{Key: "n", Value: "deposited.v1"}, {Key: "d", Value: bson.D{{Key: "amount", Value: n}}}})
		}
		id := bson.D{{Key: "a", Value: unrouted.Kind + "/" + accountID(aggregate)}, {Key: "v", Value: first}}
		if _, err := commits.InsertOne(t.Context(), bson.D{{Key: "_id", Value: id}, {Key: "ev", Value: events}}); err != nil {
			t.Fatal(err)
		}
	}
	l := newLedger(2)
	for v, amount := range []int64{3, 4, 5} {
		l.acknowledge(0, int64(v)+1, amount)
	}
	l.acknowledge(1, 1, 7)
	add(0, 1, 3)
	add(0, 2, 4, 5)
	if err := audit(t.Context(), db, l); !errors.Is(err, errAudit) {
		t.Errorf("a lost command: %v", err)
	}
	add(1, 1, 7)
	if err := audit(t.Context(), db, l); err != nil {
		t.Errorf("what was acknowledged: %v", err)
	}
	add(2, 1, 7)
	if err := audit(t.Context(), db, l); !errors.Is(err, errAudit) {
		t.Errorf("an aggregate that nobody changed: %v", err)
	}
}
