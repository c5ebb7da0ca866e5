package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/memory"
)

type shownDoc struct {
	N int `json:"n"`
}

var (
	shownDocs  = projection.NewCollection[shownDoc]("docs")
	hiddenDocs = projection.NewCollection[shownDoc]("secrets")
)

// tallyViews has a collection that is shown, and one that is not.
func tallyViews(name string, build ...func(*projection.Definition)) *projection.Projection {
	return projection.Define(name, func(d *projection.Definition) {
		d.Collections(shownDocs, hiddenDocs)
		d.Internal(hiddenDocs)
		for _, b := range build {
			b(d)
		}
		projection.On(d, tallies(), func(context.Context, *projection.Tx, projection.Event[tallied]) error { return nil })
	})
}

// noEvents is an event stream without any.
type noEvents struct{}

func (noEvents) Events(context.Context, actor.EventFilter, uint64) iter.Seq2[actor.EventRecord, error] {
	return func(func(actor.EventRecord, error) bool) {}
}

func (noEvents) EventsHead(context.Context) (string, uint64, error) { return "s", 0, nil }

// viewsOf has the views of a node that runs own, on a storage where others have
// registered theirs.
func viewsOf(t *testing.T, own []*projection.Projection, others ...*projection.Projection) (*views, *memory.Storage) {
	t.Helper()
	s := memory.New()
	engine, err := projection.New(projection.Config{}, s, noEvents{}, 1, append(others, own...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	return newViews(s, own), s
}

func putDocs(t *testing.T, s projection.Storage, at gateway.Collection, docs map[string]any) {
	t.Helper()
	var writes []projection.Write
	for key, value := range docs {
		data, err := s.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if value == nil {
			data = nil
		}
		writes = append(writes, projection.Write{Place: projection.Place{Projection: at.View, Generation: 1, Collection: at.Name}, Key: key, Data: data})
	}
	if _, err := s.Begin().Commit(t.Context(), writes); err != nil {
		t.Fatal(err)
	}
}

// TestViews_OwnAndForeign: what callers may read of a view that this node has a definition
// of, and of one that only others have.
func TestViews_OwnAndForeign(t *testing.T) {
	t.Parallel()
	closed := tallyViews("closed", func(d *projection.Definition) { d.Internal() })
	v, s := viewsOf(t, []*projection.Projection{tallyViews("own"), closed}, tallyViews("foreign"), tallyViews("sealed", func(d *projection.Definition) { d.Internal() }))
	for _, name := range []string{"own", "foreign", "closed", "sealed"} {
		for _, collection := range []string{"docs", "secrets"} {
			putDocs(t, s, gateway.Collection{View: name, Name: collection}, map[string]any{"a": shownDoc{1}, "b": json.RawMessage(`{"n":9007199254740993}`), "c": 3})
		}
	}
	for _, name := range []string{"own", "foreign"} {
		at := gateway.Collection{View: name, Name: "docs"}
		value, found, err := v.Document(t.Context(), at, "b")
		if err != nil || !found || string(value) != `{"n":9007199254740993}` {
			t.Errorf("%s: %s, %v, %v", name, value, found, err)
		}
		if _, found, err := v.Document(t.Context(), at, "none"); err != nil || found {
			t.Errorf("%s: %v, %v", name, found, err)
		}
		docs, more, err := v.Documents(t.Context(), at, gateway.ViewRange{Limit: 2, Reverse: true})
		want := []gateway.Document{{Key: "c", Value: json.RawMessage(`3`)}, {Key: "b", Value: json.RawMessage(`{"n":9007199254740993}`)}}
		if diff := cmp.Diff(want, docs); diff != "" || !more || err != nil {
			t.Errorf("%s: more %v, %v, %s", name, more, err, diff)
		}
		if docs, more, err := v.Documents(t.Context(), at, gateway.ViewRange{Limit: 3, Prefix: "a"}); err != nil || more || len(docs) != 1 {
			t.Errorf("%s: %v, more %v, %v", name, docs, more, err)
		}
	}
	for at, want := range map[gateway.Collection]error{
		{View: "own", Name: "secrets"}: gateway.ErrNoCollection, {View: "foreign", Name: "secrets"}: gateway.ErrNoCollection, {View: "own", Name: "misspelt"}: gateway.ErrNoCollection,
		{View: "own", Name: "_checkpoints"}: gateway.ErrNoCollection, {View: "foreign", Name: "_applied"}: gateway.ErrNoCollection, {View: "own", Name: ""}: gateway.ErrNoCollection,
		{View: "closed", Name: "docs"}: gateway.ErrNoView, {View: "sealed", Name: "docs"}: gateway.ErrNoView, {View: "none", Name: "docs"}: gateway.ErrNoView,
		{View: "_heads", Name: "docs"}: gateway.ErrNoView, {View: "", Name: "docs"}: gateway.ErrNoView, {View: "a.b\x00", Name: "docs"}: gateway.ErrNoView,
	} {
		if _, _, err := v.Document(t.Context(), at, "a"); !errors.Is(err, want) {
			t.Errorf("document of %+v: %v", at, err)
		}
		if _, _, err := v.Documents(t.Context(), at, gateway.ViewRange{Limit: 1}); !errors.Is(err, want) {
			t.Errorf("documents of %+v: %v", at, err)
		}
		if _, _, err := v.Watch(t.Context(), at, ""); !errors.Is(err, want) {
			t.Errorf("watch of %+v: %v", at, err)
		}
	}
	shown := v.Shown()
	if len(shown) != 1 || shown[0].Name != "own" || len(shown[0].Collections) != 1 || shown[0].Collections[0].Name != "docs" {
		t.Errorf("described: %+v", shown)
	}
}

// TestViews_Documents_Bytes: large documents make short pages, which go on.
func TestViews_Documents_Bytes(t *testing.T) {
	t.Parallel()
	v, s := viewsOf(t, []*projection.Projection{tallyViews("own")})
	at := gateway.Collection{View: "own", Name: "docs"}
	for i := range 4 {
		putDocs(t, s, at, map[string]any{fmt.Sprint("k", i): strings.Repeat("x", answerBytes/2+1)})
	}
	docs, more, err := v.Documents(t.Context(), at, gateway.ViewRange{Limit: 10})
	if err != nil || !more || len(docs) != 2 {
		t.Errorf("%d documents, more %v, %v", len(docs), more, err)
	}
	docs, more, err = v.Documents(t.Context(), at, gateway.ViewRange{Limit: 10, After: "k1"})
	if err != nil || more || len(docs) != 2 {
		t.Errorf("then %d documents, more %v, %v", len(docs), more, err)
	}
}

// TestViews_Wait: what a wait for a version comes to.
func TestViews_Wait(t *testing.T) {
	t.Parallel()
	v, s := viewsOf(t, []*projection.Projection{tallyViews("own")}, tallyViews("foreign"))
	for _, name := range []string{"own", "foreign"} {
		putDocs(t, s, gateway.Collection{View: name, Name: "_applied"}, map[string]any{"counter/a": map[string]any{"version": 3}})
		if err := v.Wait(t.Context(), name, actor.Address{Kind: "counter", ID: "a"}, 3); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if err := v.Wait(ctx, name, actor.Address{Kind: "counter", ID: "a"}, 4); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	if err := v.Wait(t.Context(), "own", actor.Address{Kind: "ledger", ID: "a"}, 1); !errors.Is(err, gateway.ErrNotFollowed) {
		t.Errorf("got %v", err)
	}
	if err := v.Wait(t.Context(), "none", actor.Address{Kind: "counter", ID: "a"}, 1); !errors.Is(err, gateway.ErrNoView) {
		t.Errorf("got %v", err)
	}
}

// TestViews_Watch: changes of one collection, of a view that this node does not run, from
// the moment on at which they are said to be seen; nothing is left behind.
func TestViews_Watch(t *testing.T) {
	t.Parallel()
	v, s := viewsOf(t, []*projection.Projection{tallyViews("own")}, tallyViews("foreign"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		v.hubs.run(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	for _, name := range []string{"own", "foreign"} {
		changes, stop, err := v.Watch(t.Context(), gateway.Collection{View: name, Name: "docs"}, "k")
		if err != nil {
			t.Fatal(err)
		}
		next := func() gateway.ViewChange {
			t.Helper()
			select {
			case c := <-changes:
				return c
			case <-time.After(40 * time.Second):
				t.Fatal("no change came")
				return gateway.ViewChange{}
			}
		}
		if c := next(); !c.Reset {
			t.Errorf("%s: first %+v", name, c)
		}
		putDocs(t, s, gateway.Collection{View: name, Name: "secrets"}, map[string]any{"k0": 1})
		putDocs(t, s, gateway.Collection{View: name, Name: "docs"}, map[string]any{"other": 1})
		putDocs(t, s, gateway.Collection{View: name, Name: "docs"}, map[string]any{"k1": 1})
		if c := next(); c.Key != "k1" || c.Reset {
			t.Errorf("%s: then %+v", name, c)
		}
		stop()
		stop()
	}
}
