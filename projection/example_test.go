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

// A read model, run over an event stream in memory as tests do. A node runs it when it
// is among node.Config.Projections.
func Example() {
	shelves := actor.Define("shelf", func(d *actor.Definition[shelf]) { actor.Apply(d, (*shelf).bookAdded) })
	catalogue := projection.Define("catalogue", func(d *projection.Definition) {
		projection.On(d, shelves, func(ctx context.Context, tx *projection.Tx, e projection.Event[bookAdded]) error {
			return projection.Update(ctx, tx, "shelves", e.Source.ID, func(v *shelfView) error {
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
	v, found, err := projection.Get[shelfView](ctx, view, "shelves", "s-1")
	fmt.Println(v.Books, found, err)
	cancel()
	<-ended
	// Output: [Dune Emma] true <nil>
}
