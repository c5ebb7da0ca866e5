package mongo_test

import (
	"context"
	"slices"
	"strings"
	"sync"
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

// guest is a document of the view with indexes.
type guest struct {
	Room  string `json:"room"`
	Since int    `json:"since"`
}

func visitors(rooms *actor.Aggregate[room], fields ...string) *projection.Projection {
	guests := projection.NewCollection[guest]("guests")
	return projection.Define("visitors", func(d *projection.Definition) {
		d.Collections(guests)
		d.Index(guests, fields...)
		projection.On(d, rooms, func(_ context.Context, tx *projection.Tx, e projection.Event[entered]) error {
			return guests.Put(tx, e.Data.Who, guest{Room: e.Source.ID, Since: int(e.Version)})
		})
	})
}

// keysOf returns the fields of the indexes of a view's live generation, each as text.
func keysOf(ctx context.Context, t *testing.T, v *projection.View) []string {
	t.Helper()
	c, err := mongo.Collection(ctx, v, "guests")
	if err != nil {
		t.Fatal(err)
	}
	specs, err := c.Indexes().ListSpecifications(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range specs {
		all = append(all, s.KeysDocument.String())
	}
	return all
}

// TestIndexes: they are there when a projection is registered, in the generation that a
// rebuild makes, and when a later build declares more of them; one that cannot be made is
// an error that names it.
func TestIndexes(t *testing.T) {
	t.Parallel()
	rooms := actor.Define("room", func(d *actor.Definition[room]) { actor.Apply(d, (*room).entered) })
	s := open(t, mongo.Config{})()
	stream := projectiontest.NewStream(2)
	stream.Append(rooms.ID("r1"), rooms, entered{"ann"}, entered{"bob"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg := projection.Config{Tick: 20 * time.Millisecond, Keep: time.Minute}
	p := visitors(rooms, "room", "-since")
	e, err := projection.New(cfg, s, stream, 2, p)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Register(ctx); err != nil {
		t.Fatal(err)
	}
	v := projection.NewView(s, p)
	byRoom := func() bool {
		return slices.ContainsFunc(keysOf(ctx, t, v), func(keys string) bool {
			return strings.Contains(keys, `"d.room"`) && strings.Contains(keys, `"d.since"`) && strings.Contains(keys, "-1")
		})
	}
	if !byRoom() {
		t.Errorf("no index when it is registered: %v", keysOf(ctx, t, v))
	}
	var running sync.WaitGroup
	run, stop := context.WithCancel(ctx)
	running.Go(func() { _ = e.Run(run) })
	defer func() { stop(); running.Wait() }()
	if err := v.Wait(ctx, projection.Version(rooms.ID("r1"), 2)); err != nil {
		t.Fatal(err)
	}
	control := projection.NewControl(s, stream, p)
	if err := control.Rebuild(ctx, p.Name()); err != nil {
		t.Fatal(err)
	}
	for { // until the new generation is read
		at, err := v.Place(ctx, "guests")
		if err != nil {
			t.Fatal(err)
		}
		if at.Generation == 2 {
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	if !byRoom() {
		t.Errorf("no index after a rebuild: %v", keysOf(ctx, t, v))
	}

	more, err := projection.New(cfg, s, stream, 2, visitors(rooms, "since"))
	if err != nil {
		t.Fatal(err)
	}
	if err := more.Register(ctx); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(keysOf(ctx, t, v), func(keys string) bool { return strings.HasPrefix(keys, `{"d.since"`) }) {
		t.Errorf("a later build has not added its own: %v", keysOf(ctx, t, v))
	}

	c, err := mongo.Collection(ctx, v, "guests")
	if err != nil {
		t.Fatal(err)
	}
	other := driver.IndexModel{Keys: bson.D{{Key: "d.other", Value: 1}}, Options: options.Index().SetName("d.room_1")}
	if _, err := c.Indexes().CreateOne(ctx, other); err != nil {
		t.Fatal(err)
	}
	clash, err := projection.New(cfg, s, stream, 2, visitors(rooms, "room"))
	if err != nil {
		t.Fatal(err)
	}
	if err := clash.Register(ctx); err == nil || !strings.Contains(err.Error(), "indexes of projection visitors, collection guests") || !strings.Contains(err.Error(), "d.room_1") {
		t.Errorf("an index whose name is taken: %v", err)
	}
}
