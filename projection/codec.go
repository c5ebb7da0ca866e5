package projection

import (
	"encoding/json"
	"reflect"

	"github.com/ganglion-go/ganglion/actor"
)

// Encode returns a document as JSON. It is what every [Storage] keeps, whatever form it
// makes of it. Methods with a pointer receiver are called also for a value.
func Encode(v any) ([]byte, error) { return json.Marshal(addressable(v)) }

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

// checkDocument reports as a [*actor.TypeError] what of a type does not survive, see
// [actor.CheckJSON].
func (c *cache) checkDocument(value any) error {
	t := reflect.TypeOf(value)
	if t == nil {
		return nil
	}
	err, known := c.types[t]
	if !known {
		p := t
		if t.Kind() != reflect.Pointer {
			p = reflect.PointerTo(t)
		}
		err = actor.CheckJSON(p)
		c.types[t] = err
	}
	return err
}
