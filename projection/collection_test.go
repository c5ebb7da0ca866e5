package projection_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/projection"
)

// line is a document of the view "lines": a deposit.
type line struct {
	Amount int64 `json:"amount"`
}

var (
	linesOf = projection.NewCollection[line]("lines") // by account and amount
	latest  = projection.NewCollection[string]("latest")
)

// lines shows deposits. An amount of 0 closes the account's.
func lines(more ...func(*projection.Definition)) *projection.Projection {
	return projection.Define("lines", func(d *projection.Definition) {
		d.Collections(linesOf, latest)
		projection.On(d, accounts, func(ctx context.Context, tx *projection.Tx, e projection.Event[deposited]) error {
			key := projection.Key(e.Source.ID, e.Data.Amount)
			if e.Data.Amount == 0 {
				last, found, err := latest.Get(ctx, tx, e.Source.ID)
				if err != nil || !found {
					return errors.Join(err, errOutOfOrder)
				}
				return errors.Join(linesOf.Delete(tx, last), latest.Delete(tx, e.Source.ID))
			}
			return errors.Join(
				linesOf.Update(ctx, tx, key, func(l *line) error { l.Amount += e.Data.Amount; return nil }),
				latest.Put(tx, e.Source.ID, key))
		})
		for _, f := range more {
			f(d)
		}
	})
}

func amounts(entries []projection.Entry[line]) (all []int64) {
	for _, e := range entries {
		all = append(all, e.Value.Amount)
	}
	return all
}

// Typed documents under keys of several parts: handlers write them, readers get them, by
// pages, forward and backward, and count them.
func TestCollection(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := lines()
	const odd = "a !\x00ü*.>"
	f.deposit("a", 3, -20, 100, -3, 20)
	f.deposit(odd, 7, 8)
	f.deposit("aa", 5, 9, 0)
	f.run(t, config(), p)
	v := f.view(p)
	f.settle(t, v)
	ctx := t.Context()
	under := projection.Range{Prefix: projection.KeyPrefix("a"), Limit: 2}
	var got []int64
	for pages := 1; ; pages++ {
		page, err := linesOf.Page(ctx, v, under)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, amounts(page.Entries)...)
		if under.After = page.Next; page.Next == "" {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if want := []int64{-20, -3, 3, 20, 100}; !slices.Equal(got, want) {
		t.Errorf("pages have %v, want %v", got, want)
	}
	last, err := linesOf.Page(ctx, v, projection.Range{Prefix: projection.KeyPrefix("a"), Reverse: true, Limit: 5})
	if err != nil || last.Next != "" || !slices.Equal(amounts(last.Entries), []int64{100, 20, 3, -3, -20}) {
		t.Errorf("backward: %v, %v", last, err)
	}
	var id string
	var amount int64
	if err := projection.ScanKey(last.Entries[0].Key, &id, &amount); err != nil || id != "a" || amount != 100 {
		t.Errorf("the key %q gives back %q, %d, %v", last.Entries[0].Key, id, amount, err)
	}
	for r, want := range map[projection.Range]struct {
		n    int
		more bool
	}{
		{}:                                   {8, false},
		{Limit: 7}:                           {7, true},
		{Limit: 8}:                           {8, false},
		{Prefix: projection.KeyPrefix(odd)}:  {2, false},
		{Prefix: projection.KeyPrefix("aa")}: {1, false},
		{Prefix: projection.KeyPrefix("a"), After: projection.Key("a", -3)}:                {3, false},
		{Prefix: projection.KeyPrefix("a"), After: projection.Key("a", -3), Reverse: true}: {1, false},
		{Prefix: projection.KeyPrefix("a"), After: projection.Key("a", 0), Limit: 2}:       {2, true},
		{Prefix: projection.KeyPrefix("none")}:                                             {0, false},
	} {
		if n, more, err := linesOf.Count(ctx, v, r); err != nil || n != want.n || more != want.more {
			t.Errorf("Count(%+v) is %d, %v, %v, want %+v", r, n, more, err, want)
		}
	}
	e, found, err := linesOf.Entry(ctx, v, projection.Key(odd, 8))
	if err != nil || !found || e.Value.Amount != 8 || e.Key != projection.Key(odd, 8) || e.Revision == "" {
		t.Errorf("got %+v, %v, %v", e, found, err)
	}
	if _, found, err := latest.Get(ctx, v, "aa"); found || err != nil {
		t.Errorf("a document that was deleted: %v, %v", found, err)
	}
}

// A collection that is not declared is an error for handlers and readers, with and without
// types, and so is one that has documents of another type. The error names those declared.
func TestCollection_NotDeclared(t *testing.T) {
	t.Parallel()
	f := setup(t)
	misspelt, other := projection.NewCollection[line]("liens"), projection.NewCollection[balance]("lines")
	inHandler := make(chan error, 20)
	p := lines(func(d *projection.Definition) {
		projection.On(d, accounts, func(ctx context.Context, tx *projection.Tx, e projection.Event[deposited]) error {
			_, _, err := misspelt.Get(ctx, tx, "a")
			_, _, untyped := projection.Get[line](ctx, tx, "liens", "a")
			_, _, wrong := other.Get(ctx, tx, "a")
			for _, err := range []error{
				err, untyped, wrong, misspelt.Put(tx, "a", line{}), other.Put(tx, "a", balance{}), tx.Put("liens", "a", 1),
				misspelt.Delete(tx, "a"), other.Delete(tx, "a"), tx.Delete("liens", "a"),
				misspelt.Update(ctx, tx, "a", func(*line) error { return nil }), other.Update(ctx, tx, "a", func(*balance) error { return nil }),
				projection.Update(ctx, tx, "liens", "a", func(*line) error { return nil }),
			} {
				inHandler <- err
			}
			return nil
		})
	})
	f.deposit("a", 1)
	f.run(t, config(), p)
	v := f.view(p)
	f.settle(t, v)
	close(inHandler)
	n := 0
	for err := range inHandler {
		n++
		checkCollectionError(t, err)
	}
	if n != 12 {
		t.Errorf("%d uses in the handler", n)
	}
	ctx := t.Context()
	_, _, get := misspelt.Get(ctx, v, "a")
	_, _, getUntyped := projection.Get[line](ctx, v, "liens", "a")
	_, _, getWrong := other.Get(ctx, v, "a")
	_, _, entry := misspelt.Entry(ctx, v, "a")
	_, _, entryUntyped := projection.GetEntry[line](ctx, v, "liens", "a")
	_, _, entryWrong := other.Entry(ctx, v, "a")
	_, page := misspelt.Page(ctx, v, projection.Range{})
	_, pageWrong := other.Page(ctx, v, projection.Range{})
	_, _, count := misspelt.Count(ctx, v, projection.Range{})
	_, _, countWrong := other.Count(ctx, v, projection.Range{})
	_, _, countUntyped := projection.Count(ctx, v, "liens", projection.Range{})
	_, place := v.Place(ctx, "liens")
	_, _, subscribe := projection.NewHub(v).Subscribe(projection.Interest{Collection: "liens"})
	list, listWrong, listUntyped := firstError(misspelt.List(ctx, v, projection.Range{})), firstError(other.List(ctx, v, projection.Range{})), firstError(projection.List[line](ctx, v, "liens", projection.Range{}))
	for _, err := range []error{get, getUntyped, getWrong, entry, entryUntyped, entryWrong, page, pageWrong, count, countWrong, countUntyped, place, subscribe, list, listWrong, listUntyped} {
		checkCollectionError(t, err)
	}
	none := balances(&hook{})
	if _, _, err := linesOf.Get(ctx, f.view(none), "a"); !contains(err, `projection balances has no collection "lines": its definition declares accounts`) {
		t.Errorf("of another view: %v", err)
	}
	if _, err := f.view(p).Place(ctx, "_applied"); !errors.Is(err, projection.ErrName) {
		t.Errorf("a collection of the engine's: %v", err)
	}
}

func firstError[T any](list func(func(projection.Entry[T], error) bool)) error {
	for _, err := range list {
		return err
	}
	return nil
}

func checkCollectionError(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*projection.CollectionError](err)
	if !ok || !errors.Is(err, projection.ErrCollection) || e.Projection != "lines" {
		t.Errorf("got %v", err)
		return
	}
	switch e.Collection {
	case "liens":
		if !slices.Equal(e.Declared, []string{"latest", "lines"}) || !strings.Contains(err.Error(), `"liens": its definition declares latest, lines`) {
			t.Errorf("got %v", err)
		}
	case "lines":
		if e.Holds != reflect.TypeFor[line]() || e.Asked != reflect.TypeFor[balance]() || !strings.Contains(err.Error(), "lines holds projection_test.line, not projection_test.balance") {
			t.Errorf("got %v", err)
		}
	default:
		t.Errorf("got %v", err)
	}
}

func TestCollections_OfAProjection(t *testing.T) {
	t.Parallel()
	all := lines().Collections()
	if len(all) != 2 || all[0].Name() != "latest" || all[1].Name() != "lines" || all[1].Type() != reflect.TypeFor[line]() {
		t.Errorf("got %v", all)
	}
	for what, define := range map[string]func(){
		"twice":           func() { lines(func(d *projection.Definition) { d.Collections(latest) }) },
		"invalid name":    func() { projection.NewCollection[int]("_a") },
		"is unexported":   func() { projection.NewCollection[lossy]("a") },
		"collection \"\"": func() { lines(func(d *projection.Definition) { d.Collections(projection.Collection[int]{}) }) },
	} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), what) {
					t.Errorf("%s: %v", what, v)
				}
			}()
			define()
		}()
	}
}

func TestReadPage_Bounds(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := lines()
	v := f.view(p)
	ctx := t.Context()
	if page, err := linesOf.Page(ctx, v, projection.Range{}); err != nil || page.Entries == nil || len(page.Entries) != 0 || page.Next != "" {
		t.Errorf("before the projection ran: %+v, %v", page, err)
	}
	if n, more, err := linesOf.Count(ctx, v, projection.Range{}); n != 0 || more || err != nil {
		t.Errorf("before the projection ran: %d, %v, %v", n, more, err)
	}
	for i := range projection.PageDefault + 1 {
		f.deposit("a", int64(i+1))
	}
	f.run(t, config(), p)
	f.settle(t, v)
	page, err := linesOf.Page(ctx, v, projection.Range{})
	if err != nil || len(page.Entries) != projection.PageDefault || page.Next != projection.Key("a", projection.PageDefault) {
		t.Errorf("%d entries, next %q, %v", len(page.Entries), page.Next, err)
	}
	page, err = linesOf.Page(ctx, v, projection.Range{Limit: projection.PageMax})
	if err != nil || len(page.Entries) != projection.PageDefault+1 || page.Next != "" {
		t.Errorf("%d entries, next %q, %v", len(page.Entries), page.Next, err)
	}
	long := strings.Repeat("x", projection.MaxKeyBytes+1)
	for _, r := range []projection.Range{{Limit: -1}, {Limit: projection.PageMax + 1}, {Prefix: "\xff"}, {After: "\xff"}, {Prefix: long}, {After: long}} {
		if _, err := linesOf.Page(ctx, v, r); !errors.Is(err, projection.ErrRange) {
			t.Errorf("a page of %d entries, prefix of %d bytes, after %d: %v", r.Limit, len(r.Prefix), len(r.After), err)
		}
		if r.Limit > 0 {
			continue
		}
		if _, _, err := linesOf.Count(ctx, v, r); !errors.Is(err, projection.ErrRange) {
			t.Errorf("a count of %+v: %v", r, err)
		}
		if err := firstError(linesOf.List(ctx, v, r)); !errors.Is(err, projection.ErrRange) {
			t.Errorf("a list of %+v: %v", r, err)
		}
	}
}

// Pages go on over a rebuild that replaces the view between two of them, or while one is
// read: every document is on one page.
func TestReadPage_WhileTheViewIsReplaced(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{})
	want := []string{"a", "b", "c", "d", "e"}
	for _, id := range want {
		f.deposit(id, 1)
	}
	f.run(t, config(), p)
	f.settle(t, f.view(p))
	rebuilds := 0
	gone := func() bool { // the generation that the reader knows is replaced, and removed
		at, err := f.view(p).Place(t.Context(), "accounts")
		if err != nil {
			t.Fatal(err)
		}
		rebuild(t, f, p)
		eventually(t, "the old generation is dropped", func() bool {
			for range f.storage.List(t.Context(), at, projection.Range{}) {
				return false
			}
			return true
		})
		return true
	}
	slow := &slowList{f.storage, func() {
		if rebuilds++; rebuilds == 2 {
			gone()
		}
	}}
	v := projection.NewView(slow, p)
	var got []string
	r := projection.Range{Limit: 2}
	for {
		page, err := projection.ReadPage[balance](t.Context(), v, "accounts", r)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			got = append(got, e.Key)
		}
		if r.After = page.Next; page.Next == "" {
			break
		}
		rebuild(t, f, p)
	}
	if diff := cmp.Diff(want, got); diff != "" || rebuilds != 4 {
		t.Errorf("%d lists (-want +got):\n%s", rebuilds, diff)
	}
}
