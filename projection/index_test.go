package projection_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/projection"
)

// indexed is a document with fields of each sort.
type indexed struct {
	indexedBase
	Room  string `json:"room"`
	Night int    `json:"night,omitempty"`
	Plain bool
	Guest *struct {
		Name string `json:"name"`
	} `json:"guest"`
	Tags  []struct{ Text string } `json:"tags"`
	Extra map[string]int          `json:"extra"`
	Any   any                     `json:"any"`
	At    time.Time               `json:"at"`
	Raw   json.RawMessage         `json:"raw"`
}

type indexedBase struct {
	Base string `json:"base"`
}

// TestDefinition_Index: which fields can be indexed, and what is refused when it is declared.
func TestDefinition_Index(t *testing.T) {
	t.Parallel()
	nights := projection.NewCollection[indexed]("nights")
	declare := func(of projection.Declared, fields ...string) (panicked string) {
		defer func() {
			if v := recover(); v != nil {
				panicked = fmt.Sprint(v)
			}
		}()
		projection.Define("hotel", func(d *projection.Definition) {
			d.Collections(nights)
			d.Index(of, fields...)
			d.Index(of, fields...) // twice is once
			projection.On(d, accounts, func(context.Context, *projection.Tx, projection.Event[deposited]) error { return nil })
		})
		return ""
	}
	for _, field := range []string{"room", "-night", "Plain", "guest.name", "tags.Text", "extra.x.y", "any", "any.thing", "at", "raw.x", "base"} {
		if why := declare(nights, field); why != "" {
			t.Errorf("%q: %s", field, why)
		}
	}
	if why := declare(nights, "room", "-night", "guest.name"); why != "" {
		t.Errorf("three fields: %s", why)
	}
	many := make([]string, 33)
	for i := range many {
		many[i] = fmt.Sprintf("extra.%d", i)
	}
	for _, c := range []struct {
		of     projection.Declared
		fields []string
		want   string
	}{
		{nights, nil, "0 fields"},
		{nights, many, "33 fields"},
		{nights, []string{""}, "invalid field"},
		{nights, []string{"-"}, "invalid field"},
		{nights, []string{"any."}, "invalid field"},
		{nights, []string{"any.$x"}, "invalid field"},
		{nights, []string{"any.\x00"}, "invalid field"},
		{nights, []string{"any.\xff"}, "invalid field"},
		{nights, []string{"Room"}, "no field"},
		{nights, []string{"rooms"}, "no field"},
		{nights, []string{"room.x"}, "no field"},
		{nights, []string{"room", "-room"}, "twice"},
		{projection.NewCollection[indexed]("night"), []string{"room"}, "night"},
		{projection.NewCollection[int]("nights"), []string{"room"}, "int"},
	} {
		if why := declare(c.of, c.fields...); !strings.Contains(why, c.want) {
			t.Errorf("%q of %v: %q, want one of %q", c.fields, c.of, why, c.want)
		}
	}
}
