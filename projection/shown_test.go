package projection_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/memory"
	"github.com/ganglion-go/ganglion/projection/projectiontest"
)

var (
	shownOne = projection.NewCollection[int]("one")
	shownTwo = projection.NewCollection[string]("two")
)

func shownProjection(name string, internal func(*projection.Definition)) *projection.Projection {
	return projection.Define(name, func(d *projection.Definition) {
		d.Collections(shownTwo, shownOne)
		internal(d)
		projection.On(d, accounts, func(context.Context, *projection.Tx, projection.Event[deposited]) error { return nil })
	})
}

func shownNames(p *projection.Projection) []string {
	names := []string{}
	for _, c := range p.Shown() {
		names = append(names, c.Name())
	}
	return names
}

// TestFindView: a process without the definition is told by the storage what may be read,
// and of each start of a build that says something else.
func TestFindView(t *testing.T) {
	t.Parallel()
	s := memory.New()
	register := func(p *projection.Projection) {
		t.Helper()
		e, err := projection.New(projection.Config{}, s, projectiontest.NewStream(1), 1, p)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Register(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		internal func(*projection.Definition)
		want     []string
	}{
		{func(*projection.Definition) {}, []string{"one", "two"}},
		{func(d *projection.Definition) { d.Internal(shownTwo) }, []string{"one"}},
		{func(d *projection.Definition) { d.Internal() }, []string{}},
		{func(d *projection.Definition) { d.Internal(shownOne, shownTwo) }, []string{}},
		{func(d *projection.Definition) { d.Internal(shownOne) }, []string{"two"}},
	} {
		p := shownProjection("p", c.internal)
		if got := shownNames(p); !slices.Equal(got, c.want) {
			t.Errorf("shown are %q, want %q", got, c.want)
		}
		register(p)
		v, err := projection.FindView(t.Context(), s, "p")
		if len(c.want) == 0 {
			if !errors.Is(err, projection.ErrNotFound) {
				t.Errorf("an internal view: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := shownNames(v.Projection()); !slices.Equal(got, c.want) {
			t.Errorf("found are %q, want %q", got, c.want)
		}
		if _, _, err := projection.Get[int](t.Context(), v, "none", "k"); !errors.Is(err, projection.ErrCollection) {
			t.Errorf("another collection: %v", err)
		}
	}
	for _, name := range []string{"", "none", "_heads", "p/q", "p\x00"} {
		if _, err := projection.FindView(t.Context(), s, name); !errors.Is(err, projection.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
