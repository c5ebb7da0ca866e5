package projectiontest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/projection"
)

// listed returns the keys of a range, which must be as many as are counted.
func listed(t *testing.T, s projection.Storage, at projection.Place, r projection.Range) []string {
	t.Helper()
	var keys []string
	for doc, err := range s.List(t.Context(), at, r) {
		if err != nil {
			t.Fatalf("List(%+v): %v", r, err)
		}
		if doc.Revision == "" || doc.Data == nil {
			t.Errorf("List(%+v): %+v", r, doc)
		}
		keys = append(keys, doc.Key)
	}
	if n, err := s.Count(t.Context(), at, r); err != nil || n != len(keys) {
		t.Errorf("Count(%+v) is %d, %v; %d documents are listed", r, n, err, len(keys))
	}
	return keys
}

func testList(t *testing.T, open Open) {
	s := open(t)()
	at := place("notes")
	if keys := listed(t, s, at, projection.Range{Reverse: true}); keys != nil {
		t.Errorf("a collection without documents has %q", keys)
	}
	var want []string
	for i := range 600 {
		want = append(want, fmt.Sprintf("k%03d", i))
	}
	for some := range slices.Chunk(want, 200) {
		var writes []projection.Write
		for _, key := range some {
			writes = append(writes, put(t, s, at, key, key))
		}
		mustCommit(t, s, writes...)
	}
	mustCommit(t, s, remove(at, "k005"), put(t, s, place("others"), "k0050", "x"))
	want = slices.Delete(want, 5, 6)
	backward := slices.Clone(want)
	slices.Reverse(backward)
	for _, c := range []struct {
		r    projection.Range
		want []string
	}{
		{projection.Range{}, want},
		{projection.Range{Limit: 3}, want[:3]},
		{projection.Range{After: "k002", Limit: 3}, []string{"k003", "k004", "k006"}},
		{projection.Range{After: "k0", Limit: 2}, []string{"k000", "k001"}},
		{projection.Range{Prefix: "k00"}, []string{"k000", "k001", "k002", "k003", "k004", "k006", "k007", "k008", "k009"}},
		{projection.Range{Prefix: "k00", After: "k007"}, []string{"k008", "k009"}},
		{projection.Range{Prefix: "k00", After: "a"}, []string{"k000", "k001", "k002", "k003", "k004", "k006", "k007", "k008", "k009"}},
		{projection.Range{Prefix: "k00", After: "z"}, nil},
		{projection.Range{Prefix: "x"}, nil},
		{projection.Range{After: "k599"}, nil},
		{projection.Range{Reverse: true}, backward},
		{projection.Range{Reverse: true, After: "k008", Limit: 3}, []string{"k007", "k006", "k004"}},
		{projection.Range{Reverse: true, After: "k005", Limit: 1}, []string{"k004"}}, // which is deleted
		{projection.Range{Reverse: true, After: "k000"}, nil},
		{projection.Range{Reverse: true, Prefix: "k59", Limit: 2}, []string{"k599", "k598"}},
		{projection.Range{Reverse: true, Prefix: "k00", After: "z", Limit: 2}, []string{"k009", "k008"}},
		{projection.Range{Reverse: true, Prefix: "k00", After: "a"}, nil},
	} {
		if diff := cmp.Diff(c.want, listed(t, s, at, c.r)); diff != "" {
			t.Errorf("List(%+v) (-want +got):\n%s", c.r, diff)
		}
	}
	for range s.List(t.Context(), at, projection.Range{}) {
		break // early ends leave nothing behind
	}
}

// rangeKeys are odd keys, and keys of parts, the last of which are at the ends of what
// comes directly before and after others.
func rangeKeys() []string {
	keys := oddKeys()
	for _, text := range []string{"", "a", "a b", "a\x00", "b.c", "*", ">", "$x", "\xff", "\U0010FFFF", "x\uD7FF", "x\uE000"} {
		keys = append(keys, projection.Key(text, 7), projection.Key(text, -7), projection.Key("under", text), projection.Key("under", text, text))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// testRanges: every range selects what it says, whatever keys, prefix and beginning have
// in them.
func testRanges(t *testing.T, open Open) {
	s := open(t)()
	at := place("ranges")
	keys := rangeKeys()
	var writes []projection.Write
	for _, key := range keys {
		writes = append(writes, put(t, s, at, key, key), put(t, s, place("rangesx"), key, key))
	}
	mustCommit(t, s, writes...)
	deleted := projection.Key("a b", 7)
	mustCommit(t, s, remove(at, deleted))
	keys = slices.DeleteFunc(keys, func(key string) bool { return key == deleted })
	tried := 0
	for _, prefix := range []string{"", "a", projection.KeyPrefix("a"), projection.KeyPrefix("under"), projection.KeyPrefix("under", "\U0010FFFF"), "\U0010FFFF", "x\uD7FF", "x", "ü", "*", "$", "%", "no"} {
		for _, after := range []string{"", keys[0], deleted, projection.KeyPrefix("under"), projection.Key("under", "\xff"), "\U0010FFFF", keys[len(keys)-1]} {
			for _, reverse := range []bool{false, true} {
				tried++
				r := projection.Range{Prefix: prefix, After: after, Reverse: reverse, Limit: tried % 3 * 4}
				if diff := cmp.Diff(selected(keys, r), listed(t, s, at, r)); diff != "" {
					t.Errorf("%#v (-want +got):\n%s", r, diff)
				}
			}
		}
	}
}

// selected is what a range selects of sorted keys.
func selected(keys []string, r projection.Range) (some []string) {
	for _, key := range keys {
		behind := r.After == "" || key > r.After
		if r.Reverse {
			behind = r.After == "" || key < r.After
		}
		if behind && strings.HasPrefix(key, r.Prefix) {
			some = append(some, key)
		}
	}
	if r.Reverse {
		slices.Reverse(some)
	}
	if r.Limit > 0 && len(some) > r.Limit {
		some = some[:r.Limit]
	}
	return some
}
