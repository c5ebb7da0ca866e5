package actor

import (
	"crypto/sha256"
	"encoding/hex"
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

// checkState reports why a state of type t cannot be kept in snapshots: encoding it as
// JSON and back loses something. A state is encoded through a pointer to it.
func checkState(t reflect.Type) error {
	return (&inspector{encode: true, decode: true, concrete: true}).check(t, true)
}
