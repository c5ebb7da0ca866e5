package dashboard

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/wI2L/jsondiff"
)

// change is one difference of two states.
type change struct {
	What    string // added, removed or changed
	Path    string // a JSON Pointer
	Was, Is string // JSON; empty: there was, or is, nothing
}

// changesShown bounds the differences of a page.
const changesShown = 500

// changesOf returns what has changed between two states, of which the empty one is that of an
// aggregate that does not exist, and how many changes are not among them.
func changesOf(before, after json.RawMessage) (all []change, more int, err error) {
	const whole = "(the whole state)"
	switch {
	case len(before) == 0 && len(after) == 0:
		return nil, 0, nil
	case len(before) == 0:
		return []change{{What: "added", Path: whole, Is: rawText(after)}}, 0, nil
	case len(after) == 0:
		return []change{{What: "removed", Path: whole, Was: rawText(before)}}, 0, nil
	}
	patch, err := jsondiff.CompareJSON(before, after, jsondiff.UnmarshalFunc(unmarshalExact))
	if err != nil {
		return nil, 0, fmt.Errorf("compare the states: %w", err)
	}
	for i := range patch {
		if len(all) == changesShown {
			return all, len(patch) - i, nil
		}
		p := &patch[i]
		c := change{Path: p.Path}
		switch p.Type {
		case jsondiff.OperationAdd:
			c.What, c.Is = "added", valueText(p.Value)
		case jsondiff.OperationRemove:
			c.What, c.Was = "removed", valueText(p.OldValue)
		default:
			c.What, c.Was, c.Is = "changed", valueText(p.OldValue), valueText(p.Value)
		}
		if c.Path == "" {
			c.Path = whole
		}
		all = append(all, c)
	}
	return all, 0, nil
}

// unmarshalExact keeps the digits of numbers.
func unmarshalExact(data []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	return d.Decode(v)
}

// valueText is a value of a state as JSON, in a line.
func valueText(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return rawText(data)
}

func rawText(data []byte) string { return cut(clean(readable(data)), 1000) }
