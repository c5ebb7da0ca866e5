package wire

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/ganglion-go/ganglion/actor"
)

var errTrailing = errors.New("more than one JSON value")

// decodeRejection reads a rejection. A number among its details is a float64, as
// encoding/json has it, or a json.Number if a float64 would be written in another way: an
// integer above 2^53 keeps its digits.
func decodeRejection(data []byte, r *actor.Rejection) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(r); err != nil {
		return err
	}
	if d.More() {
		return errTrailing
	}
	for key, value := range r.Details {
		r.Details[key] = plainNumbers(value)
	}
	return nil
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return v
		}
		if text, err := json.Marshal(f); err != nil || string(text) != v.String() {
			return v
		}
		return f
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = plainNumbers(v[key])
		}
	}
	return v
}
