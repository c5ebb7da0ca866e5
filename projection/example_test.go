package projection_test

import (
	"context"
	"fmt"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/memory"
	"github.com/ganglion-go/ganglion/projection/projectiontest"
)

type shelf struct{}

type bookAdded struct {
	Title string `json:"title"`
}

func (*shelf) bookAdded(bookAdded) {}

type shelfView struct {
	Books []string `json:"books"`
}

// Keys of several parts are in their order, whatever they contain.
func ExampleKey() {
	for _, cents := range []int{-5, 7, 40, 1200} {
		fmt.Println(projection.Key("shelf 7", cents, "ISBN 1"))
	}
	fmt.Printf("%q\n", projection.KeyPrefix("shelf 7")) // of a Range

	var shelf, isbn string
	var cents int
	err := projection.ScanKey("shelf!207 !d1200 ISBN!201", &shelf, &cents, &isbn)
	fmt.Println(shelf, cents, isbn, err)
	// Output:
	// shelf!207 !Z4 ISBN!201
	// shelf!207 !a7 ISBN!201
	// shelf!207 !b40 ISBN!201
	// shelf!207 !d1200 ISBN!201
	// "shelf!207 "
	// shelf 7 1200 ISBN 1 <nil>
}

// A read model, run over an event stream in memory as tests do. A node runs it when it
// is among node.Config.Projections.
func Example() {
	shelves := actor.Define("shelf", func(d *actor.Definition[shelf]) { actor.Apply(d, (*shelf).bookAdded) })
	listed := projection.NewCollection[shelfView]("shelves")
	catalogue := projection.Define("catalogue", func(d *projection.Definition) {
		d.Collections(listed)
		projection.On(d, shelves, func(ctx context.Context, tx *projection.Tx, e projection.Event[bookAdded]) error {
			return listed.Update(ctx, tx, e.Source.ID, func(v *shelfView) error {
				v.Books = append(v.Books, e.Data.Title)
				return nil
			})
		})
	})

	storage, stream := memory.New(), projectiontest.NewStream(8)
	engine, err := projection.New(projection.Config{}, storage, stream, 8, catalogue)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()

	stream.Append(shelves.ID("s-1"), shelves, bookAdded{"Dune"}, bookAdded{"Emma"})
	view := projection.NewView(storage, catalogue)
	if err := view.Wait(ctx, projection.Version(shelves.ID("s-1"), 2)); err != nil { // read your own write
		fmt.Println(err)
	}
	v, found, err := listed.Get(ctx, view, "s-1")
	fmt.Println(v.Books, found, err)
	cancel()
	<-ended
	// Output: [Dune Emma] true <nil>
}
