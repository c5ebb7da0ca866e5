package projection_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/projection"
)

type chained struct {
	Name string   `json:"name"`
	Next *chained `json:"next,omitempty"`
}

func chain(n int) *chained {
	var c *chained
	for range n {
		c = &chained{Next: c}
	}
	return c
}

func nested(depth int) any {
	var v any = 1
	for range depth {
		v = []any{v}
	}
	return v
}

// TestTx_Put_RefusesWhatCannotBeRead: a document that would not be what was put, or that
// could never be read, parks its event with a reason that says so; what the event wrote
// before is taken back, and the events of others go on.
func TestTx_Put_RefusesWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	itself := map[string]any{}
	itself["it"] = itself
	documents := map[string]struct {
		value any
		want  string // empty: it is stored
	}{
		"plain":          {map[string]any{"a": []any{1, "x", nil, true, 1.5, time.Unix(0, 0).UTC(), map[string]any{}}}, ""},
		"deep enough":    {nested(100), ""},
		"too deep":       {nested(101), "nested too deeply"},
		"far too deep":   {map[string]any{"a": nested(20_000)}, "nested too deeply"},
		"without end":    {itself, "nested too deeply"},
		"a chain":        {chain(100), ""},
		"a long chain":   {chain(101), "nested too deeply"},
		"a very long":    {chain(1_000_000), "nested too deeply"},
		"hidden":         {map[string]any{"a": []any{lossy{Sum: 1}}}, "field of projection_test.lossy is unexported"},
		"an error":       {map[string]any{"a": errors.New("x")}, "is unexported"},
		"a function":     {map[string]any{"a": func() {}}, "no form for func()"},
		"a channel":      {[]any{make(chan int)}, "no form for chan int"},
		"a complex":      {map[string]any{"a": 1i}, "no form for complex128"},
		"not a number":   {map[string]any{"a": math.NaN()}, "unsupported value: NaN"},
		"beyond numbers": {struct{ F float64 }{math.Inf(1)}, "unsupported value: +Inf"},
		"keys":           {map[string]any{"a": map[[2]int]string{}}, "no form for key [2]int"},
	}
	f := setup(t)
	p := projection.Define("documents", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[int]("before"), projection.NewCollection[any]("after"))
		projection.On(d, accounts, func(ctx context.Context, tx *projection.Tx, e projection.Event[deposited]) error {
			if err := tx.Put("before", e.Source.ID, 1); err != nil {
				return err
			}
			return tx.Put("after", e.Source.ID, documents[e.Source.ID].value)
		})
	})
	for id := range documents {
		f.deposit(id, 1)
	}
	f.run(t, config(), p)
	f.takenIn(t, p)
	reasons := map[string]string{}
	all, err := f.control(p).ParkedList(t.Context(), p.Name(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range all {
		reasons[each.Source.ID] = each.Reason
	}
	v := f.view(p)
	for id, each := range documents {
		if reason, parked := reasons[id]; parked != (each.want != "") || !strings.Contains(reason, each.want) {
			t.Errorf("%s: parked %v: %q; want %q", id, parked, reason, each.want)
		}
		_, before, err := projection.Get[any](t.Context(), v, "before", id)
		_, after, afterErr := projection.Get[any](t.Context(), v, "after", id)
		if err != nil || afterErr != nil || before != after || after != (each.want == "") {
			t.Errorf("%s: stored %v and %v, %v, %v", id, before, after, err, afterErr)
		}
	}
}
