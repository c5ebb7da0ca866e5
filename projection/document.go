package projection

import (
	"encoding"
	"encoding/json"
	"reflect"

	"github.com/ganglion-go/ganglion/actor"
)

// documentType is what is known of a type whose values are put.
type documentType struct {
	err  error // what of it does not survive
	open bool  // its values may hold others, of whatever type or depth
}

// documentTypes is what was found out of types. It belongs to one goroutine.
type documentTypes map[reflect.Type]documentType

// check reports as a [*actor.TypeError] what of a value does not survive, see
// [actor.CheckJSON]: of its type, and of the types that interfaces in it hold. It wraps
// [ErrTooDeep] before anything walks down a value that has no end.
func (d documentTypes) check(value any) error {
	t := reflect.TypeOf(value)
	if t == nil {
		return nil
	}
	if t.Kind() != reflect.Pointer {
		t = reflect.PointerTo(t)
	}
	known := d.of(t)
	if known.err != nil || !known.open {
		return known.err
	}
	return d.walk(reflect.ValueOf(value), 0, 0)
}

// checkType reports as a [*actor.TypeError] what is lost of all values of a type.
func checkType(t reflect.Type) error {
	if t.Kind() != reflect.Pointer {
		t = reflect.PointerTo(t)
	}
	return actor.CheckJSON(t)
}

func (d documentTypes) of(t reflect.Type) documentType {
	known, ok := d[t]
	if !ok {
		known = documentType{err: actor.CheckJSON(t), open: isOpen(t, map[reflect.Type]bool{})}
		d[t] = known
	}
	return known
}

// isOpen reports whether values of a type may hold others of whatever type or depth: it
// has an interface in it, or itself. above are the types that it is part of.
func isOpen(t reflect.Type, above map[reflect.Type]bool) bool {
	if t.Kind() == reflect.Interface || above[t] {
		return true
	}
	if hasOwnForm(t) {
		return false
	}
	above[t] = true
	defer delete(above, t)
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return isOpen(t.Elem(), above)
	case reflect.Struct:
		for field := range t.Fields() {
			if isOpen(field.Type, above) {
				return true
			}
		}
	default: // a plain value
	}
	return false
}

// hasOwnForm reports whether a type has methods that write its values.
func hasOwnForm(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Marshaler]()) || p.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

// hopsMax bounds the pointers and interfaces on the way to a value.
const hopsMax = 10 * actor.MaxDepth

// walk checks what an open value holds, at a depth of objects and arrays.
func (d documentTypes) walk(v reflect.Value, depth, hops int) error {
	if depth > actor.MaxDepth || hops > hopsMax {
		return ErrTooDeep
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return nil
		}
		held := d.of(v.Elem().Type())
		if held.err != nil || !held.open {
			return held.err
		}
		return d.walk(v.Elem(), depth, hops+1)
	case reflect.Pointer:
		if v.IsNil() || hasOwnForm(v.Type().Elem()) {
			return nil
		}
		return d.walk(v.Elem(), depth, hops+1)
	case reflect.Struct:
		return d.walkFields(v, depth+1, hops+1)
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			if err := d.walk(entries.Value(), depth+1, hops+1); err != nil {
				return err
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := d.walk(v.Index(i), depth+1, hops+1); err != nil {
				return err
			}
		}
	default: // a plain value
	}
	return nil
}

func (d documentTypes) walkFields(v reflect.Value, depth, hops int) error {
	if hasOwnForm(v.Type()) {
		return nil
	}
	for i := range v.NumField() {
		if !d.of(v.Type().Field(i).Type).open {
			continue
		}
		if err := d.walk(v.Field(i), depth, hops); err != nil {
			return err
		}
	}
	return nil
}
