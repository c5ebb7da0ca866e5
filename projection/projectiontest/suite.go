package projectiontest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

// Open returns what opens handles on one new and empty storage. Handles of one storage
// are as those of several processes.
type Open func(t *testing.T) (handle func() projection.Storage)

// Run holds a storage to the contract.
func Run(t *testing.T, open Open) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Open){
		"Documents":    testDocuments,
		"Names":        testNames,
		"Checks":       testChecks,
		"Revisions":    testRevisions,
		"AllOrNothing": testAllOrNothing,
		"List":         testList,
		"Ranges":       testRanges,
		"Drop":         testDrop,
		"Codec":        testCodec,
		"Types":        testTypes,
		"Counter":      testCounter,
		"Large":        testLarge,
		"Watch":        testWatch,
		"TwoRunners":   testTwoRunners,
		"Rebuild":      testRebuild,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

func place(collection string) projection.Place {
	return projection.Place{Projection: "test", Generation: 1, Collection: collection}
}

// note is a small document.
type note struct {
	Text string `json:"text"`
}

func encode(t *testing.T, s projection.Storage, v any) []byte {
	t.Helper()
	data, err := s.Marshal(v)
	if err != nil {
		t.Fatalf("Marshal(%v): %v", v, err)
	}
	return data
}

func put(t *testing.T, s projection.Storage, at projection.Place, key, text string) projection.Write {
	t.Helper()
	return projection.Write{Place: at, Key: key, Data: encode(t, s, note{text})}
}

func checked(w projection.Write, r projection.Revision) projection.Write {
	w.Check, w.Expect = true, r
	return w
}

func remove(at projection.Place, key string) projection.Write {
	return projection.Write{Place: at, Key: key}
}

func commit(ctx context.Context, s projection.Storage, writes ...projection.Write) ([]projection.Revision, error) {
	txn := s.Begin()
	defer txn.Abort(ctx)
	return txn.Commit(ctx, writes)
}

func mustCommit(t *testing.T, s projection.Storage, writes ...projection.Write) []projection.Revision {
	t.Helper()
	revisions, err := commit(t.Context(), s, writes...)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	if len(revisions) != len(writes) {
		t.Fatalf("Commit returned %d revisions for %d writes", len(revisions), len(writes))
	}
	return revisions
}

func read(t *testing.T, s projection.Storage, at projection.Place, key string) (string, projection.Revision) {
	t.Helper()
	docs, err := s.Read(t.Context(), at, key)
	if err != nil || len(docs) != 1 || docs[0].Key != key {
		t.Fatalf("Read(%q) = %v, %v", key, docs, err)
	}
	if docs[0].Revision == "" {
		return "", ""
	}
	var n note
	if err := s.Unmarshal(docs[0].Data, &n); err != nil {
		t.Fatalf("Unmarshal: %v", err)
	}
	return n.Text, docs[0].Revision
}

func expect(t *testing.T, s projection.Storage, at projection.Place, key, want string) projection.Revision {
	t.Helper()
	got, revision := read(t, s, at, key)
	if got != want {
		t.Errorf("%s %q is %q, want %q", at.Collection, key, got, want)
	}
	return revision
}

func testDocuments(t *testing.T, open Open) {
	s := open(t)()
	at := place("notes")
	expect(t, s, at, "a", "")
	first := mustCommit(t, s, put(t, s, at, "a", "1"), put(t, s, at, "b", "2"))
	if r := expect(t, s, at, "a", "1"); r != first[0] {
		t.Errorf("revision %q was told as %q", r, first[0])
	}
	second := mustCommit(t, s, put(t, s, at, "a", "3"), remove(at, "b"), remove(at, "never"))
	if r := expect(t, s, at, "a", "3"); r != second[0] || r == first[0] {
		t.Errorf("revision %q after %q, told as %q", r, first[0], second[0])
	}
	expect(t, s, at, "b", "")
	docs, err := s.Read(t.Context(), at, "x", "a", "b", "a")
	if err != nil || len(docs) != 4 {
		t.Fatalf("Read: %v, %v", docs, err)
	}
	for i, there := range []bool{false, true, false, true} {
		if (docs[i].Revision != "") != there || docs[i].Key != []string{"x", "a", "b", "a"}[i] {
			t.Errorf("document %d: %+v", i, docs[i])
		}
	}
}

// oddKeys are keys that mean something to one storage or another.
func oddKeys() []string {
	return []string{
		" ", ".", "*", ">", "%", "a.b", "a b", "a/b", "a\x00b", "a\x00", "a", "$a", "_", "%41", "ä", "日本", "a\nb", "\x7f", "~",
		strings.Repeat("k", 512), strings.Repeat(".", 512), strings.Repeat("k", 513), "~" + strings.Repeat("k", 512), "~aw",
		strings.Repeat("k", projection.MaxKeyBytes), strings.Repeat("ü", projection.MaxKeyBytes/2), strings.Repeat("*", projection.MaxKeyBytes),
	}
}

func testNames(t *testing.T, open Open) {
	s := open(t)()
	places := []projection.Place{
		{Projection: "test", Generation: 1, Collection: "c"},
		{Projection: "test", Generation: 11, Collection: "c"},
		{Projection: "test", Generation: 1, Collection: "_c"},
		{Projection: "test2", Generation: 1, Collection: "c"},
		{Projection: "t", Generation: 1, Collection: "c"},
		{Collection: "c"},
	}
	for i, at := range places {
		writes := []projection.Write{}
		for j, key := range oddKeys() {
			writes = append(writes, put(t, s, at, key, fmt.Sprint(i, " ", j)))
		}
		mustCommit(t, s, writes...)
	}
	for i, at := range places {
		for j, key := range oddKeys() {
			expect(t, s, at, key, fmt.Sprint(i, " ", j))
		}
		want := oddKeys()
		slices.Sort(want)
		if diff := cmp.Diff(want, listed(t, s, at, projection.Range{})); diff != "" {
			t.Errorf("keys (-want +got):\n%s", diff)
		}
	}
}

func testChecks(t *testing.T, open Open) {
	s := open(t)()
	at := place("notes")
	conflict := func(what string, writes ...projection.Write) {
		t.Helper()
		if _, err := commit(t.Context(), s, writes...); !errors.Is(err, projection.ErrConflict) {
			t.Errorf("%s: %v, want a conflict", what, err)
		}
	}
	conflict("change of what is not there", checked(put(t, s, at, "a", "0"), mustCommit(t, s, put(t, s, at, "other", "1"))[0]))
	conflict("deletion of what is not there", checked(remove(at, "a"), mustCommit(t, s, put(t, s, at, "other", "2"))[0]))
	old := mustCommit(t, s, checked(put(t, s, at, "a", "1"), ""))[0]
	conflict("second creation", checked(put(t, s, at, "a", "2"), ""))
	conflict("deletion of what should not be there", checked(remove(at, "a"), ""))
	newer := mustCommit(t, s, checked(put(t, s, at, "a", "2"), old))[0]
	conflict("change of an old revision", checked(put(t, s, at, "a", "3"), old))
	conflict("deletion of an old revision", checked(remove(at, "a"), old))
	expect(t, s, at, "a", "2")
	mustCommit(t, s, checked(remove(at, "a"), newer))
	expect(t, s, at, "a", "")
	mustCommit(t, s, checked(remove(at, "a"), "")) // it is not there, as expected
	mustCommit(t, s, checked(put(t, s, at, "a", "4"), ""))
	expect(t, s, at, "a", "4")
}

func testRevisions(t *testing.T, open Open) {
	s := open(t)()
	at := place("notes")
	seen := map[projection.Revision]bool{}
	for range 5 {
		r := mustCommit(t, s, checked(put(t, s, at, "a", "same"), ""))[0]
		if seen[r] {
			t.Errorf("revision %q came back", r)
		}
		seen[r] = true
		again := mustCommit(t, s, checked(put(t, s, at, "a", "same"), r))[0]
		if seen[again] {
			t.Errorf("revision %q came back", again)
		}
		seen[again] = true
		mustCommit(t, s, checked(remove(at, "a"), again))
		for r := range seen {
			if _, err := commit(t.Context(), s, checked(put(t, s, at, "a", "late"), r)); !errors.Is(err, projection.ErrConflict) {
				t.Fatalf("a write that expects %q, which is gone: %v", r, err)
			}
		}
	}
}

func testAllOrNothing(t *testing.T, open Open) {
	s := open(t)()
	a, b := place("a"), place("b")
	r := mustCommit(t, s, put(t, s, b, "1", "older"))
	mustCommit(t, s, put(t, s, a, "1", "old"), put(t, s, b, "1", "old"), put(t, s, b, "2", "old"))
	bad := []projection.Write{
		checked(put(t, s, b, "1", "new"), r[0]), checked(remove(b, "1"), r[0]), checked(put(t, s, b, "1", "new"), ""),
	}
	for i, w := range bad {
		_, err := commit(t.Context(), s, put(t, s, a, "1", "new"), put(t, s, a, "3", "new"), remove(b, "2"), w)
		if !errors.Is(err, projection.ErrConflict) {
			t.Errorf("%d: %v, want a conflict", i, err)
		}
	}
	expect(t, s, a, "1", "old")
	expect(t, s, a, "3", "")
	expect(t, s, b, "1", "old")
	expect(t, s, b, "2", "old")
	txn := s.Begin()
	txn.Abort(t.Context())
	txn.Abort(t.Context())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := commit(ended, s, put(t, s, a, "4", "new"), put(t, s, b, "4", "new")); err == nil {
		t.Error("a commit with a context that has ended succeeded")
	}
}

func testDrop(t *testing.T, open Open) {
	handle := open(t)
	s := handle()
	write := func(p projection.Place) { mustCommit(t, s, put(t, s, p, "a", "1"), put(t, s, p, "b", "2")) }
	gone := []projection.Place{{Projection: "p", Generation: 1, Collection: "c"}, {Projection: "p", Generation: 1, Collection: "_d"}}
	kept := []projection.Place{
		{Projection: "p", Generation: 2, Collection: "c"},
		{Projection: "p", Generation: 12, Collection: "c"},
		{Projection: "pp", Generation: 1, Collection: "c"},
		{Collection: "_heads"},
	}
	for _, p := range append(slices.Clone(gone), kept...) {
		write(p)
	}
	for range 2 {
		if err := s.Drop(t.Context(), "p", 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range gone {
		expect(t, handle(), p, "a", "")
		if keys := listed(t, s, p, projection.Range{}); keys != nil {
			t.Errorf("%v still has %v", p, keys)
		}
	}
	for _, p := range kept {
		expect(t, s, p, "b", "2")
	}
	mustCommit(t, s, checked(put(t, s, gone[0], "a", "3"), ""))
	expect(t, s, gone[0], "a", "3")
}

// codecSample has what documents are made of.
type codecSample struct {
	Text   string           `json:"text"`
	Big    int64            `json:"big"`
	Small  int64            `json:"small"`
	Number uint32           `json:"number"`
	Part   float64          `json:"part"`
	Yes    bool             `json:"yes"`
	Time   time.Time        `json:"time"`
	Names  []string         `json:"names"`
	Counts map[string]int64 `json:"counts"`
	Inner  codecInner       `json:"inner"`
	List   []codecInner     `json:"list"`
	Maybe  *int64           `json:"maybe,omitempty"`
	Never  string           `json:"-"`
	Bytes  []byte           `json:"bytes"`
}

type codecInner struct {
	ID string `json:"id"`
	N  int    `json:"n,omitempty"`
}

func testCodec(t *testing.T, open Open) {
	s := open(t)()
	seven := int64(7)
	want := codecSample{
		Text: "ä\x00\"\\", Big: 1<<63 - 1, Small: -1 << 63, Number: 1<<32 - 1, Part: 0.1, Yes: true,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), Names: []string{"a", ""}, Counts: map[string]int64{"a.b": 1, "$x": 1<<53 + 1},
		Inner: codecInner{"i", 0}, List: []codecInner{{"j", 1}, {"k", 2}}, Maybe: &seven, Bytes: []byte{0, 255},
	}
	at := place("samples")
	mustCommit(t, s, projection.Write{Place: at, Key: "a", Data: encode(t, s, want)}, projection.Write{Place: at, Key: "n", Data: encode(t, s, 42)},
		projection.Write{Place: at, Key: "s", Data: encode(t, s, []string{"x"})}, projection.Write{Place: at, Key: "zero", Data: encode(t, s, codecSample{})})
	docs, err := s.Read(t.Context(), at, "a", "n", "s", "zero")
	if err != nil {
		t.Fatal(err)
	}
	var got, zero codecSample
	var n int
	var list []string
	if err := errors.Join(s.Unmarshal(docs[0].Data, &got), s.Unmarshal(docs[1].Data, &n), s.Unmarshal(docs[2].Data, &list), s.Unmarshal(docs[3].Data, &zero)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("struct (-want +got):\n%s", diff)
	}
	if n != 42 || !slices.Equal(list, []string{"x"}) || zero.Text != "" || zero.Maybe != nil || !zero.Time.IsZero() {
		t.Errorf("got %d, %v, %+v", n, list, zero)
	}
	if _, err := s.Marshal(make(chan int)); err == nil {
		t.Error("a channel was encoded")
	}
	testDepth(t, s)
}

// testDepth: what is stored can be read, and what is too deep for that is not stored.
func testDepth(t *testing.T, s projection.Storage) {
	t.Helper()
	for depth, fits := range map[int]bool{actor.MaxDepth: true, actor.MaxDepth + 1: false, 10_001: false} {
		var v any = "x"
		for i := range depth {
			if v = []any{v}; i%2 == 0 {
				v = map[string]any{"a": v.([]any)[0]}
			}
		}
		data, err := s.Marshal(v)
		if fits != (err == nil) || !fits && !errors.Is(err, projection.ErrTooDeep) {
			t.Errorf("%d levels: %v", depth, err)
		}
		if !fits {
			continue
		}
		mustCommit(t, s, projection.Write{Place: place("deep"), Key: "a", Data: data})
		docs, err := s.Read(t.Context(), place("deep"), "a")
		if err != nil {
			t.Fatal(err)
		}
		var got any
		if err := s.Unmarshal(docs[0].Data, &got); err != nil || !reflect.DeepEqual(v, got) { // cmp takes twice as long for each level
			t.Errorf("%d levels: %v, %v", depth, err, got)
		}
	}
}

// testCounter has several writers add to two documents, each of them by what it read.
// Whoever was overtaken must hear of it.
func testCounter(t *testing.T, open Open) {
	handle := open(t)
	const writers, each = 4, 15
	at, other := place("counters"), place("others")
	var running sync.WaitGroup
	for range writers {
		s := handle()
		running.Go(func() {
			for done := 0; done < each; {
				err := increment(t.Context(), s, at, other)
				switch {
				case err == nil:
					done++
				case errors.Is(err, projection.ErrConflict):
				default:
					t.Errorf("increment: %v", err)
					return
				}
			}
		})
	}
	running.Wait()
	s := handle()
	for _, p := range []projection.Place{at, other} {
		docs, err := s.Read(t.Context(), p, "n")
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := s.Unmarshal(docs[0].Data, &n); err != nil || n != writers*each {
			t.Errorf("%s: %d, want %d, %v", p.Collection, n, writers*each, err)
		}
	}
}

func increment(ctx context.Context, s projection.Storage, places ...projection.Place) error {
	writes := make([]projection.Write, len(places))
	for i, p := range places {
		docs, err := s.Read(ctx, p, "n")
		if err != nil {
			return err
		}
		n := 0
		if docs[0].Revision != "" {
			if err := s.Unmarshal(docs[0].Data, &n); err != nil {
				return err
			}
		}
		data, err := s.Marshal(n + 1)
		if err != nil {
			return err
		}
		writes[i] = projection.Write{Place: p, Key: "n", Data: data, Check: true, Expect: docs[0].Revision}
	}
	_, err := commit(ctx, s, writes...)
	return err
}

// testLarge: what is too large is refused as a whole, and what is not is written.
func testLarge(t *testing.T, open Open) {
	s := open(t)()
	at := place("notes")
	text := strings.Repeat("x", 2000)
	var writes []projection.Write
	for i := range 500 {
		writes = append(writes, put(t, s, at, fmt.Sprintf("k%03d", i), text))
	}
	mustCommit(t, s, writes...)
	expect(t, s, at, "k499", text)
	huge := put(t, s, at, "huge", strings.Repeat("x", 20<<20))
	_, err := commit(t.Context(), s, put(t, s, at, "small", "1"), huge)
	switch {
	case err == nil:
		expect(t, s, at, "small", "1")
	case errors.Is(err, projection.ErrTooLarge):
		expect(t, s, at, "small", "")
		expect(t, s, at, "huge", "")
	default:
		t.Errorf("a document of 20 MiB: %v", err)
	}
}

func testWatch(t *testing.T, open Open) {
	handle := open(t)
	s, other := handle(), handle()
	at := place("notes")
	mustCommit(t, s, put(t, s, at, "before", "1"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	unrelated := projection.Place{Projection: "test2", Generation: 1, Collection: "notes"}
	ready := func() {
		mustCommit(t, other, put(t, s, unrelated, "x", "1"))
		mustCommit(t, other, put(t, s, at, "a", "1"), put(t, s, at, "b", "1"))
		mustCommit(t, other, remove(at, "a"))
		mustCommit(t, other, put(t, s, projection.Place{Collection: "_heads"}, "test", "1"), put(t, s, projection.Place{Collection: "_heads"}, "test2", "1"))
		mustCommit(t, other, put(t, s, projection.Place{Projection: "test", Generation: 2, Collection: "notes"}, "end", "1"))
	}
	var got []string
	for c, err := range s.Watch(ctx, "test", ready) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(c.Place.Generation, c.Place.Collection, " ", c.Key))
		if c.Key == "end" {
			break
		}
	}
	// Of several changes of one document the last one counts.
	slices.Reverse(got)
	seen := map[string]bool{}
	got = slices.DeleteFunc(got, func(c string) bool {
		again := seen[c]
		seen[c] = true
		return again
	})
	slices.Reverse(got)
	want := []string{"1notes b", "1notes a", "0_heads test", "2notes end"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}
