package actor

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
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
// anything: it has unexported fields, at any depth, fields that share a JSON
// name, or types that JSON cannot hold, and no methods of its own for that.
func hidesState(t reflect.Type) bool { return hides(t, map[reflect.Type]bool{}) }

func hides(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] || encodesItself(t) {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Struct:
		return sharesNames(t) || hidesField(t, seen)
	case reflect.Map:
		return !isKey(t.Key()) || hides(t.Elem(), seen)
	case reflect.Array, reflect.Pointer, reflect.Slice:
		return hides(t.Elem(), seen)
	case reflect.Func, reflect.Chan, reflect.Interface, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		return true
	default:
		return false
	}
}

func hidesField(t reflect.Type, seen map[reflect.Type]bool) bool {
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
}

// sharesNames reports whether two fields of a struct, those of embedded structs
// included, have one name in JSON. encoding/json then leaves out one of them, or both.
func sharesNames(t reflect.Type) bool {
	return repeatsName(t, map[string]bool{}, map[reflect.Type]bool{})
}

func repeatsName(t reflect.Type, names map[string]bool, within map[reflect.Type]bool) bool {
	if within[t] {
		return true
	}
	within[t] = true
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		embedded := f.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		switch {
		case f.Type.Size() == 0:
			continue
		case f.Anonymous && name == "" && embedded.Kind() == reflect.Struct && !encodesItself(embedded):
			if repeatsName(embedded, names, within) {
				return true
			}
			continue
		case name == "":
			name = f.Name
		}
		if names[name] {
			return true
		}
		names[name] = true
	}
	return false
}

func isKey(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return true
	default:
		return encodesAsText(t)
	}
}

func encodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Marshaler]()) && p.Implements(reflect.TypeFor[json.Unmarshaler]()) ||
		encodesAsText(t)
}

func encodesAsText(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) &&
		reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}
