package storetest

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ganglion-go/ganglion/store"
)

// sameRecords compares records as the contract does: JSON fields by their
// values, everything else exactly, and no difference between nil and empty.
func sameRecords() cmp.Options {
	isJSON := func(p cmp.Path) bool {
		switch p.Last().String() {
		case ".Data", ".OnRefusalData", ".Reply", ".Rejection", ".State":
			return true
		}
		return false
	}
	return cmp.Options{
		cmp.FilterPath(isJSON, cmp.Comparer(EqualJSON)),
		cmp.FilterPath(func(p cmp.Path) bool { return !isJSON(p) }, cmpopts.EquateEmpty()),
		cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
	}
}

func diffCommits(t *testing.T, got, want []store.Commit) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d commits, want %d", len(got), len(want))
	}
	for i := range want {
		diffRecord(t, got[i], want[i])
	}
}

func diffRecord[T any](t *testing.T, got, want T) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	if diff := cmp.Diff(want, got, sameRecords()); diff != "" {
		t.Fatalf("record differs (-want +got):\n%s", clip(diff))
	}
}

func clip(s string) string {
	const most = 4000
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// EqualJSON reports whether two texts hold the same JSON value: objects in any
// order of their keys, strings by their characters, and numbers exactly. An
// integer must stay written as an integer, since a reader decodes it into one.
// No text is only equal to no text.
func EqualJSON(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	va, errA := decodeJSON(a)
	vb, errB := decodeJSON(b)
	return errA == nil && errB == nil && equalValue(va, vb)
}

// equalValue compares what [decodeJSON] returns. cmp.Equal takes exponential
// time in the depth of nested lists.
func equalValue(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		return ok && equalNumber(a, b)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalValue)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equalValue)
	default:
		return a == b
	}
}

func decodeJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

func equalNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	if isInteger(a) || isInteger(b) || strings.HasPrefix(a.String(), "-") != strings.HasPrefix(b.String(), "-") {
		return false
	}
	x, okX := new(big.Rat).SetString(a.String())
	y, okY := new(big.Rat).SetString(b.String())
	return okX && okY && x.Cmp(y) == 0
}

func isInteger(n json.Number) bool { return !strings.ContainsAny(n.String(), ".eE") }
