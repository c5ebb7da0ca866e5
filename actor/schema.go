package actor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
)

// fingerprint identifies the shape of a type: names, types and tags of all
// fields that can be reached from it.
func fingerprint(t reflect.Type) string {
	h := sha256.New()
	writeShape(h, t, map[reflect.Type]bool{})
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func writeShape(w io.Writer, t reflect.Type, seen map[reflect.Type]bool) {
	_, _ = fmt.Fprintf(w, "(%s %s", t.Kind(), t.Name())
	defer func() { _, _ = io.WriteString(w, ")") }()
	if seen[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			_, _ = fmt.Fprintf(w, " %s %q", f.Name, f.Tag)
			writeShape(w, f.Type, seen)
		}
	case reflect.Map:
		writeShape(w, t.Key(), seen)
		writeShape(w, t.Elem(), seen)
	case reflect.Array:
		_, _ = fmt.Fprintf(w, "%d", t.Len())
		writeShape(w, t.Elem(), seen)
	case reflect.Pointer, reflect.Slice, reflect.Chan:
		writeShape(w, t.Elem(), seen)
	default: // basic types have no parts; functions and interfaces are opaque
	}
}

// hidesState reports whether encoding a value of type t as JSON and back loses
// fields: it has unexported ones, at any depth, and no methods of its own for that.
func hidesState(t reflect.Type) bool { return hides(t, map[reflect.Type]bool{}) }

func hides(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] || encodesItself(t) {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			if f.Type.Size() == 0 {
				continue
			}
			embedded := f.Anonymous && f.Type.Kind() == reflect.Struct
			if !f.IsExported() && !embedded || f.Tag.Get("json") == "-" || hides(f.Type, seen) {
				return true
			}
		}
		return false
	case reflect.Map, reflect.Array, reflect.Pointer, reflect.Slice:
		return hides(t.Elem(), seen)
	case reflect.Func, reflect.Chan, reflect.Interface, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		return true
	default:
		return false
	}
}

func encodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Marshaler]()) && p.Implements(reflect.TypeFor[json.Unmarshaler]())
}
