package actor

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// faithful reports whether each value of a type is, bit for bit, what encoding/json makes of it
// when it writes and reads it, if that has written no [replaced]: booleans, numbers and
// strings, and structs and arrays of these, whose fields have different names and no option
// that leaves one out. Such a value need not be decoded to be known. Pointers, slices and
// maps share memory with whoever made the value, and are not faithful.
func faithful(t reflect.Type) bool {
	if ownJSON(t) {
		return false
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	case reflect.Array:
		return faithful(t.Elem())
	case reflect.Struct:
		names := map[string]bool{}
		for f := range t.Fields() {
			name, ok := faithfulField(&f)
			if !ok || names[name] {
				return false
			}
			names[name] = true
		}
		return true
	default:
		return false
	}
}

// faithfulField returns the name of a field in JSON. One that is empty may be left out if it
// comes back as it was, which -0 would not.
func faithfulField(f *reflect.StructField) (name string, _ bool) {
	if !f.IsExported() || f.Anonymous || !faithful(f.Type) {
		return "", false
	}
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" {
		name = f.Name
	}
	if strings.IndexFunc(name, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) >= 0 {
		return "", false
	}
	switch options {
	case "":
		return name, true
	case "omitempty":
		return name, f.Type.Kind() != reflect.Float32 && f.Type.Kind() != reflect.Float64
	default:
		return "", false
	}
}

// ownJSON reports whether encoding/json treats a type otherwise than its kind.
func ownJSON(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return t == reflect.TypeFor[json.Number]() || slices.ContainsFunc([]reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](),
		reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	}, p.Implements)
}

// replaced reports whether encoding/json may have written U+FFFD in the place of bytes of a
// string that are no UTF-8: as an escape, which it makes of no other text. A string that has
// these letters in it is taken for one.
func replaced(data []byte) bool { return bytes.Contains(data, []byte(`\ufffd`)) }
