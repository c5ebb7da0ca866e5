package actor

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
)

// Strict refuses commands and queries with fields that their type does not have
// ([CodeMalformed], 400 over HTTP), which by default are passed over: a misspelt name is
// then an error that names it. A field must be spelt as the type spells it, in upper and
// lower case, too, and may be there once. It holds at any depth, except in what decodes
// itself by an UnmarshalJSON, and in interfaces and maps, whose keys are free.
//
// It is for what callers send. What the runtime itself brings, as a saga, a policy or
// another aggregate has sent it, or a timer, may have more: it may come from a node of a
// newer build. Events and states are never read strictly.
//
// While a cluster is upgraded, an old node of a strict kind refuses what only new ones
// know: roll out a new field before callers send it.
func (d *Definition[S]) Strict() { d.behavior.strict = true }

// IsStrict reports whether the kind refuses unknown fields, see [Definition.Strict].
func (b *Behavior) IsStrict() bool { return b.strict }

// checkStrict reports the first field of a JSON object that a type does not have, or that
// is there twice. Data that is no JSON object it leaves to others.
func checkStrict(t reflect.Type, data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	s := strictness{decoder: d}
	s.value("", t)
	return s.fault
}

// strictness walks over JSON and the type that it is decoded into.
type strictness struct {
	decoder *json.Decoder
	fault   error
}

// token returns the next token; false: there was a fault, or the data has ended.
func (s *strictness) token() (json.Token, bool) {
	if s.fault != nil {
		return nil, false
	}
	token, err := s.decoder.Token()
	return token, err == nil // what is no JSON is found by the decoding
}

// value walks over one value, of a type if that is known.
func (s *strictness) value(path string, t reflect.Type) {
	token, ok := s.token()
	if !ok {
		return
	}
	switch token {
	case json.Delim('{'):
		s.object(path, plainType(t))
	case json.Delim('['):
		s.array(path, elementType(plainType(t)))
	}
}

func (s *strictness) object(path string, t reflect.Type) {
	fields, closed := fieldsOf(t)
	seen := map[string]bool{}
	for s.fault == nil && s.decoder.More() {
		token, ok := s.token()
		name, isName := token.(string)
		if !ok || !isName {
			return
		}
		at := path + name
		field, known := fields[name]
		switch {
		case closed && !known:
			s.fault = fmt.Errorf("unknown field %q%s", at, similar(fields, name))
			return
		case seen[name]:
			s.fault = fmt.Errorf("field %q is given twice", at)
			return
		}
		seen[name] = true
		if !closed {
			field = elementType(t)
		}
		s.value(at+".", field)
	}
	s.token() // the closing brace
}

func (s *strictness) array(path string, element reflect.Type) {
	for i := 0; s.fault == nil && s.decoder.More(); i++ {
		s.value(indexed(path, i), element)
	}
	s.token()
}

// indexed returns the path of an item: "items." becomes "items[2].".
func indexed(path string, i int) string {
	if n := len(path); n > 0 && path[n-1] == '.' {
		path = path[:n-1]
	}
	return path + "[" + strconv.Itoa(i) + "]."
}

// similar names the field that was meant, if only its case is another.
func similar(fields map[string]reflect.Type, name string) string {
	var same []string
	for known := range fields {
		if bytes.EqualFold([]byte(known), []byte(name)) {
			same = append(same, known)
		}
	}
	if len(same) == 0 {
		return ""
	}
	slices.Sort(same)
	return fmt.Sprintf(": it is %q", same[0])
}

// plainType returns a type without the pointers to it; nil for one that decodes itself,
// or may hold anything.
func plainType(t reflect.Type) reflect.Type {
	for t != nil {
		if p := reflect.PointerTo(t); p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
			return nil
		}
		switch t.Kind() {
		case reflect.Pointer:
			t = t.Elem()
		case reflect.Struct, reflect.Map, reflect.Slice, reflect.Array:
			return t
		default:
			return nil
		}
	}
	return nil
}

// elementType returns the type of the items of a map, slice or array; nil: there is none.
func elementType(t reflect.Type) reflect.Type {
	if t == nil || t.Kind() == reflect.Struct {
		return nil
	}
	return t.Elem()
}

// fieldsOf returns the fields that encoding/json takes for a struct; false: the type has
// no closed set of them.
func fieldsOf(t reflect.Type) (map[string]reflect.Type, bool) {
	if t == nil || t.Kind() != reflect.Struct {
		return nil, false
	}
	fields := map[string]reflect.Type{}
	addFields(fields, t, nil)
	return fields, true
}

// addFields adds those of a struct, and those of what is embedded in it. Two of one name
// there are none: [Define] has refused the type. within are the structs that it is
// embedded in.
func addFields(fields map[string]reflect.Type, t reflect.Type, within []reflect.Type) {
	if slices.Contains(within, t) {
		return
	}
	within = append(within[:len(within):len(within)], t)
	for f := range t.Fields() {
		name, tagged := jsonName(f)
		inner := f.Type
		if inner.Kind() == reflect.Pointer && inner.Name() == "" {
			inner = inner.Elem()
		}
		embedded := f.Anonymous && inner.Kind() == reflect.Struct
		switch {
		case f.Tag.Get("json") == "-" || !f.IsExported() && !embedded:
		case embedded && !tagged:
			addFields(fields, inner, within)
		default:
			if _, outer := fields[name]; !outer {
				fields[name] = f.Type
			}
		}
	}
}
