package mongo_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/mongo"
	"github.com/ganglion-go/ganglion/projection/projectiontest"
)

type room struct{}

type entered struct {
	Who string `json:"who"`
}

func (*room) entered(entered) {}

// A handler writes with the driver in the transaction of its batch: once for each
// event, nothing for one that failed, and all of it together with the documents.
func TestSession(t *testing.T) {
	t.Parallel()
	rooms := actor.Define("room", func(d *actor.Definition[room]) { actor.Apply(d, (*room).entered) })
	var fixed atomic.Bool
	p := projection.Define("rooms", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[any]("people"))
		projection.On(d, rooms, func(ctx context.Context, tx *projection.Tx, e projection.Event[entered]) error {
			inside, db, err := mongo.Session(ctx, tx)
			if err != nil {
				return err
			}
			if _, err := db.Collection("visits").InsertOne(inside, bson.D{{Key: "who", Value: e.Data.Who}}); err != nil {
				return err
			}
			_, err = db.Collection("counts").UpdateOne(inside, bson.D{{Key: "_id", Value: "all"}},
				bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}}, options.UpdateOne().SetUpsert(true))
			if err != nil {
				return err
			}
			if e.Data.Who == "ghost" && !fixed.Load() {
				return errors.New("who is there")
			}
			return tx.Put("people", e.Data.Who, bson.D{{Key: "room", Value: e.Source.ID}})
		})
	})
	var prepared atomic.Int64
	handle := open(t, mongo.Config{Prepare: func(ctx context.Context, at projection.Place, c *driver.Collection) error {
		if at.Collection != "people" {
			t.Errorf("prepare %v", at)
		}
		prepared.Add(1)
		_, err := c.Indexes().CreateOne(ctx, driver.IndexModel{Keys: bson.D{{Key: "d.room", Value: 1}}})
		return err
	}})
	s := handle()
	db := s.Database()
	for _, name := range []string{"visits", "counts"} {
		if err := db.CreateCollection(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	stream := projectiontest.NewStream(2)
	for _, who := range []string{"ann", "bob", "cid"} {
		stream.Append(rooms.ID("r1"), rooms, entered{who})
	}
	stream.Append(rooms.ID("r2"), rooms, entered{"ghost"}, entered{"dan"})
	cfg := projection.Config{Tick: 20 * time.Millisecond, Backoff: time.Millisecond, BackoffMax: 10 * time.Millisecond, Attempts: 3}
	e, err := projection.New(cfg, s, stream, 2, p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	defer func() { cancel(); running.Wait() }()
	v := projection.NewView(s, p)
	if err := v.Wait(ctx, projection.Version(rooms.ID("r1"), 3)); err != nil {
		t.Fatal(err)
	}
	if err := v.Wait(ctx, projection.Version(rooms.ID("r2"), 2)); !errors.Is(err, projection.ErrParked) {
		t.Fatalf("wait for an event that failed: %v", err)
	}
	expectCounts(ctx, t, v, db, 3)
	fixed.Store(true)
	c := projection.NewControl(s, stream, p)
	for {
		_ = c.Retry(ctx, "rooms", rooms.ID("r2")) // it may retry by itself
		status, err := c.Show(ctx, "rooms")
		if err != nil {
			t.Fatal(err)
		}
		if status.Parked == 0 {
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	expectCounts(ctx, t, v, db, 5)
	people, err := mongo.Collection(ctx, v, "people")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := people.CountDocuments(ctx, bson.D{{Key: "d.room", Value: "r1"}}); err != nil || n != 3 {
		t.Errorf("%d people in r1, %v", n, err)
	}
	if prepared.Load() == 0 {
		t.Error("Prepare was not called")
	}
}

func expectCounts(ctx context.Context, t *testing.T, v *projection.View, db *driver.Database, want int64) {
	t.Helper()
	visits, err := db.Collection("visits").CountDocuments(ctx, bson.D{})
	if err != nil || visits != want {
		t.Errorf("%d visits, want %d, %v", visits, want, err)
	}
	var counts struct {
		N int64 `bson:"n"`
	}
	if err := db.Collection("counts").FindOne(ctx, bson.D{}).Decode(&counts); err != nil || counts.N != want {
		t.Errorf("count %d, want %d, %v", counts.N, want, err)
	}
	n := int64(0)
	for _, err := range projection.List[map[string]any](ctx, v, "people", projection.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != want {
		t.Errorf("%d people, want %d", n, want)
	}
}
