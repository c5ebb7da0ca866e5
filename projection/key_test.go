package projection_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ganglion-go/ganglion/projection"
)

// oddTexts mean something to keys or to a storage, in the order of their bytes.
func oddTexts() []string {
	texts := []string{
		"", "\x00", "\x00\x00", "\x01", "\t", "\n", " ", "  ", " a", "!", "!!", "!00", "!a7", "!v", "\"", "$", "$a", "%", "%20", "*", ".", "..",
		"/", "0", "00", "10", "9", ">", "A", "a", "a\x00", "a\x00b", "a ", "a b", "a!", "a!20", "a.b", "a/b", "aa", "ab", "b", "~", "\x7f",
		"\u0080", "é", "日本", "\uD7FF", "\uE000", "\uFFFD", "\U0010FFFF", strings.Repeat("k", 256),
	}
	slices.Sort(texts)
	return texts
}

func numbers() []any {
	all := []any{
		math.MinInt64, math.MinInt64 + 1, -1 << 53, -1000, -999, -101, -100, -99, -42, -11, -10, -9, -2, -1,
		0, 1, 2, 9, 10, 11, 42, 99, 100, 101, 999, 1000, 1 << 53, math.MaxInt64 - 1, math.MaxInt64,
	}
	return append(all, uint64(math.MaxInt64)+1, uint64(math.MaxUint64)-1, uint64(math.MaxUint64))
}

func moments() []any {
	at := func(year int, nanos int) time.Time { return time.Date(year, 3, 1, 12, 0, 0, nanos, time.UTC) }
	return []any{
		at(-200_000_000, 0), at(-10_000, 5), at(-1, 0), at(-1, 1), at(0, 0),
		time.Time{},
		at(1, 999_999_999), at(999, 0), at(1969, 0), time.Unix(0, 0).UTC(),
		at(2026, 0), at(2026, 1), at(2026, 999_999_999), at(9999, 0), at(10_000, 0), at(10_000, 1), at(123_456, 0), at(200_000_000, 0),
	}
}

// increasing checks that keys are in order, and that each gives its parts back.
func increasing(t *testing.T, lists ...[]any) {
	t.Helper()
	last := ""
	for _, parts := range lists {
		key := projection.Key(parts...)
		if key <= last {
			t.Errorf("%q of %v is not behind %q", key, parts, last)
		}
		if !utf8.ValidString(key) {
			t.Errorf("%q is not UTF-8", key)
		}
		got, err := projection.KeyParts(key)
		if err != nil || !slices.EqualFunc(got, parts, samePart) {
			t.Errorf("%q gives back %v, %v, want %v", key, got, err, parts)
		}
		last = key
	}
}

func samePart(got, want any) bool {
	switch w := want.(type) {
	case time.Time:
		g, ok := got.(time.Time)
		return ok && g.Equal(w)
	case int:
		want = int64(w)
	}
	return got == want
}

func alone(parts []any) [][]any {
	lists := make([][]any, len(parts))
	for i, p := range parts {
		lists[i] = []any{p}
	}
	return lists
}

// Keys are in the order of their parts, one part after another, and a key comes before
// those that continue it.
func TestKey_Order(t *testing.T) {
	t.Parallel()
	increasing(t, alone(numbers())...)
	increasing(t, alone(moments())...)
	var one, two [][]any
	for _, text := range oddTexts() {
		one = append(one, []any{text})
		two = append(two, []any{text})
		for _, n := range numbers() {
			two = append(two, []any{text, n})
		}
	}
	increasing(t, one...)
	increasing(t, two...)
	two = nil
	for _, a := range oddTexts() {
		for _, b := range oddTexts() {
			two = append(two, []any{a, b})
		}
	}
	increasing(t, two...)
}

// No two lists of parts have the same key, and a prefix selects those that it should.
func TestKey_Apart(t *testing.T) {
	t.Parallel()
	parts := []any{"", " ", "!", "a", "a b", "1", "!b10", 1, 10, -1, uint64(math.MaxUint64), time.Unix(0, 0).UTC(), "\xff", "\xc3", "\xa9", "é", "\xc3é", "!v1970-01-01T00:00:00.000000000Z"}
	lists := alone(parts)
	for _, a := range parts {
		for _, b := range parts {
			lists = append(lists, []any{a, b}, []any{a, b, ""}, []any{a, "", b}, []any{"", a, b})
		}
	}
	keys := map[string]string{}
	for _, list := range lists {
		name, key := fmt.Sprintf("%T%#v", list, list), projection.Key(list...)
		if was, ok := keys[key]; ok && was != name {
			t.Errorf("%q is the key of %s and of %s", key, was, name)
		}
		keys[key] = name
		for _, under := range lists {
			continues := len(list) > len(under) && reflect.DeepEqual(list[:len(under)], under)
			if strings.HasPrefix(key, projection.KeyPrefix(under...)) != continues {
				t.Errorf("%q begins with %q: %v", key, projection.KeyPrefix(under...), !continues)
			}
		}
	}
	if p := projection.KeyPrefix(); p != "" {
		t.Errorf("the prefix of all keys is %q", p)
	}
}

type (
	roomName string
	floor    int8
	serial   uint16
)

// What is a text, a number or a moment is one, whatever its type; a plain text is its own key.
func TestKey_Types(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("", 3600)
	for want, parts := range map[string][]any{
		"p-7":                              {"p-7"},
		"blue !a7 !Z6 !e65535":             {roomName("blue"), int64(7), floor(-3), serial(65535)},
		"blue !b10":                        {[]byte("blue"), uint8(10)},
		"!v2026-01-02T03:04:05.000000006Z": {time.Date(2026, 1, 2, 4, 4, 5, 6, berlin)},
		"!j1000000000":                     {time.Second},
		"John!20Smith !! a!00":             {"John Smith", "", "a\x00"},
		"!FF":                              {"\xff"},
	} {
		if got := projection.Key(parts...); got != want {
			t.Errorf("Key(%#v) is %q, want %q", parts, got, want)
		}
	}
	for _, bad := range [][]any{{}, {1.5}, {nil}, {true}, {"a", struct{}{}}, {[]string{"a"}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Key(%v) did not panic", bad)
				}
			}()
			projection.Key(bad...)
		}()
	}
}

func TestScanKey(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	key := projection.Key("a b", -3, now, 7, "raw", uint64(math.MaxUint64))
	var (
		name roomName
		at   floor
		when time.Time
		no   serial
		raw  []byte
		big  any
	)
	if err := projection.ScanKey(key, &name, &at, &when, &no, &raw, &big); err != nil {
		t.Fatal(err)
	}
	if name != "a b" || at != -3 || !when.Equal(now) || no != 7 || !bytes.Equal(raw, []byte("raw")) || big != uint64(math.MaxUint64) {
		t.Errorf("got %q, %d, %v, %d, %s, %v", name, at, when, no, raw, big)
	}
	var small int8
	var text string
	for key, into := range map[string][]any{
		projection.Key(128):                {&small},
		projection.Key(-1):                 {&no},
		projection.Key("a"):                {&small},
		projection.Key(1):                  {&text},
		projection.Key("a", "b"):           {&text},
		projection.Key(now):                {&raw},
		"":                                 {&text},
		"a  b":                             {&text, &text, &text},
		" a":                               {&text, &text},
		"!":                                {&text},
		"!a":                               {&big},
		"!a07":                             {&big},
		"!b7":                              {&big},
		"!Z9":                              {&big}, // minus zero
		"!t99999999999999999999":           {&big},
		"!2":                               {&text},
		"!zz":                              {&text},
		"!41":                              {&text}, // A, which stands for itself
		"!c3!a9":                           {&text},
		"!C3!A9":                           {&text}, // together they are UTF-8
		"a\x01":                            {&text},
		"!v2026-01-02T03:04:05Z":           {&when},
		"!v2026-01-02T03:04:05.0000000060": {&when},
		"!w!a7.000000000":                  {&when},
		"!w!k16725268800.5":                {&when},
		"!w":                               {&when},
		"\xff":                             {&text},
	} {
		if err := projection.ScanKey(key, into...); !errors.Is(err, projection.ErrKey) {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, into := range []any{nil, "a", (*string)(nil), &struct{}{}, new(float64)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a part was put into %T", into)
				}
			}()
			_ = projection.ScanKey("a", into)
		}()
	}
}

func FuzzKey(f *testing.F) {
	for _, text := range oddTexts() {
		f.Add(text, int64(len(text)), text, int64(-1), uint32(5))
	}
	f.Fuzz(func(t *testing.T, a string, n int64, b string, seconds int64, nanos uint32) {
		when := time.Unix(seconds%1e15, int64(nanos%1e9)).UTC()
		key := projection.Key(a, n, b, when)
		var gotA, gotB string
		var gotN int64
		var gotWhen time.Time
		if err := projection.ScanKey(key, &gotA, &gotN, &gotB, &gotWhen); err != nil || gotA != a || gotN != n || gotB != b || !gotWhen.Equal(when) {
			t.Fatalf("%q of %q, %d, %q, %v gives back %q, %d, %q, %v: %v", key, a, n, b, when, gotA, gotN, gotB, gotWhen, err)
		}
		if utf8.ValidString(a) && utf8.ValidString(b) && strings.Compare(projection.Key(a), projection.Key(b)) != strings.Compare(a, b) {
			t.Fatalf("%q and %q are out of order", a, b)
		}
		if parts, err := projection.KeyParts(a); err == nil && projection.Key(parts...) != a {
			t.Fatalf("%q has the parts %q of another key", a, parts)
		}
	})
}
