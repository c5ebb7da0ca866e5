package mongo_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/mongo"
)

// What the engine keeps of a generation is in one collection of the database, and apart
// for whoever reads, lists and watches it.
func TestStorage_EngineCollectionsAreApart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s := open(t, mongo.Config{})()
	collections := []string{"_a", "_aa", "_b", "a"}
	var writes []projection.Write
	for _, c := range collections {
		for _, key := range []string{"/", "0", "k", "k2", "l"} {
			data, err := s.Marshal(c + key)
			if err != nil {
				t.Fatal(err)
			}
			writes = append(writes, projection.Write{Place: projection.Place{Projection: "p", Generation: 3, Collection: c}, Key: key, Data: data})
		}
	}
	changes := make(chan projection.Change, 2*len(writes))
	ready := make(chan struct{})
	go func() {
		defer close(changes)
		for c, err := range s.Watch(ctx, "p", func() { close(ready) }) {
			if err != nil {
				return
			}
			changes <- c
		}
	}()
	<-ready
	tx := s.Begin()
	if _, err := tx.Commit(ctx, writes); err != nil {
		t.Fatal(err)
	}
	for _, w := range writes {
		docs, err := s.Read(ctx, w.Place, w.Key)
		if err != nil || docs[0].Key != w.Key || string(docs[0].Data) != string(w.Data) {
			t.Errorf("%s %q: %v, %v", w.Place.Collection, w.Key, docs, err)
		}
	}
	for _, c := range collections {
		at := projection.Place{Projection: "p", Generation: 3, Collection: c}
		for r, want := range map[projection.Range][]string{
			{}:                                 {"/", "0", "k", "k2", "l"},
			{Prefix: "k"}:                      {"k", "k2"},
			{After: "0", Limit: 2}:             {"k", "k2"},
			{Prefix: "k", After: "k"}:          {"k2"},
			{After: "l"}:                       nil,
			{Prefix: "m"}:                      nil,
			{After: "k", Prefix: "", Limit: 9}: {"k2", "l"},
		} {
			var got []string
			for doc, err := range s.List(ctx, at, r) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, doc.Key)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s %+v: %q, want %q", c, r, got, want)
			}
		}
	}
	told := map[projection.Change]bool{}
	for len(told) < len(writes) {
		select {
		case c := <-changes:
			told[c] = true
		case <-ctx.Done():
			t.Fatalf("told of %d changes of %d", len(told), len(writes))
		}
	}
	for _, w := range writes {
		if !told[projection.Change{Place: w.Place, Key: w.Key}] {
			t.Errorf("not told of %s %q", w.Place.Collection, w.Key)
		}
	}
	names, err := s.Database().ListCollectionNames(ctx, bson.D{})
	slices.Sort(names)
	if want := []string{"view.p.3._engine", "view.p.3.a"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("collections %q, %v, want %q", names, err, want)
	}
	if err := s.Drop(ctx, "p", 3); err != nil {
		t.Fatal(err)
	}
	if names, err = s.Database().ListCollectionNames(ctx, bson.D{}); err != nil || len(names) != 0 {
		t.Errorf("after Drop there are %q, %v", names, err)
	}
}
