package projection

import (
	"encoding/json"
	"reflect"

	"github.com/ganglion-go/ganglion/actor"
)

// Encode returns a document as JSON. It is what every [Storage] keeps, whatever form it
// makes of it. Methods with a pointer receiver are called also for a value. The error
// wraps [ErrTooDeep], or says that the value cannot be encoded.
func Encode(v any) ([]byte, error) {
	data, err := json.Marshal(addressable(v))
	if err == nil && actor.TooDeep(data) {
		return nil, ErrTooDeep
	}
	return data, err
}

// Decode reads a document of [Encode].
func Decode(data []byte, v any) error { return json.Unmarshal(data, v) }

// addressable returns a pointer to a value, or what is a pointer.
func addressable(v any) any {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() == reflect.Pointer {
		return v
	}
	p := reflect.New(t)
	p.Elem().Set(reflect.ValueOf(v))
	return p.Interface()
}
