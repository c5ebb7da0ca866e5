package actor

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// TypeError reports a type whose values encoding/json does not bring back as they
// were, whatever they hold.
type TypeError struct {
	Type   reflect.Type
	Faults []string // each names a field and the type that it belongs to
}

// Error returns all faults, one a line if there are several.
func (e *TypeError) Error() string {
	if len(e.Faults) == 1 {
		return e.Faults[0]
	}
	return fmt.Sprintf("%v does not survive JSON:\n\t%s", e.Type, strings.Join(e.Faults, "\n\t"))
}

// CheckJSON reports as a [*TypeError] what types alone show to be lost when a value of
// type t is encoded with encoding/json and decoded again, at any depth: fields that are
// unexported, left out by their tag, or hidden by another one of the same name;
// interfaces with methods; functions, channels and complex numbers; keys of maps that
// JSON cannot have; a MarshalJSON or MarshalText that is an embedded field's, that has
// a pointer receiver and is not called, or that has no counterpart.
//
// An empty interface is allowed. What it holds comes back as JSON knows it: every
// number is a float64. What values alone show is not reported, such as a NaN, an empty
// map that is left out by omitempty, or a string that is not UTF-8.
func CheckJSON(t reflect.Type) error {
	return (&inspector{encode: true, decode: true}).check(t, false)
}

// inspector walks over a type as encoding/json does.
type inspector struct {
	encode, decode bool // what happens to its values
	concrete       bool // an empty interface is a fault as well
	seen           map[inspected]bool
	faults         []string
}

// inspected is a type in a place whose values can be addressed, or cannot: methods with
// a pointer receiver are called in the first alone.
type inspected struct {
	typ         reflect.Type
	addressable bool
}

func (i *inspector) check(t reflect.Type, addressable bool) error {
	if t == nil {
		return nil
	}
	i.seen = map[inspected]bool{}
	i.value(t.String(), t, addressable)
	if len(i.faults) == 0 {
		return nil
	}
	return &TypeError{Type: t, Faults: i.faults}
}

func (i *inspector) fault(path, format string, args ...any) {
	i.faults = append(i.faults, path+": "+fmt.Sprintf(format, args...))
}

// value inspects a type; path leads to it.
func (i *inspector) value(path string, t reflect.Type, addressable bool) {
	at := inspected{t, addressable}
	if i.seen[at] || t.Size() == 0 {
		return
	}
	i.seen[at] = true
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && i.ownForm(path, t, addressable) {
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		i.fields(path, t, addressable)
	case reflect.Map:
		i.key(path, t.Key())
		i.value(path+"[]", t.Elem(), false)
	case reflect.Pointer:
		i.value(path, t.Elem(), true)
	case reflect.Slice:
		i.value(path+"[]", t.Elem(), true)
	case reflect.Array:
		i.value(path+"[]", t.Elem(), addressable)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			i.fault(path, "%v is an interface: JSON does not tell what was in it", t)
		} else if i.concrete {
			i.fault(path, "what an interface holds may come back as another type")
		}
	case reflect.Func, reflect.Chan, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		i.fault(path, "JSON has no form for %v", t)
	default: // a plain value
	}
}

// key inspects the type of a map's keys.
func (i *inspector) key(path string, t reflect.Type) {
	p := reflect.PointerTo(t)
	encodes, decodes := t.Implements(reflect.TypeFor[encoding.TextMarshaler]()), p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
	switch k := t.Kind(); {
	case k == reflect.String:
	case i.encode && i.decode && encodes != decodes:
		i.fault(path, "key %v needs both MarshalText, with a value receiver, and UnmarshalText", t)
	case encodes && i.encode || decodes && i.decode:
	case k < reflect.Int || k > reflect.Uintptr:
		i.fault(path, "JSON has no form for key %v", t)
	}
}

// codec is the pair of methods by which a type has a form of its own.
type codec struct {
	encodes, decodes string // names; empty: none
	unaddressed      string // a method that encodes, with a pointer receiver, and is not called
}

func codecOf(t reflect.Type, addressable bool) (c codec) {
	p := reflect.PointerTo(t)
	for _, m := range []struct {
		name string
		typ  reflect.Type
	}{{"MarshalJSON", reflect.TypeFor[json.Marshaler]()}, {"MarshalText", reflect.TypeFor[encoding.TextMarshaler]()}} {
		switch {
		case c.encodes != "":
		case t.Implements(m.typ) || addressable && p.Implements(m.typ):
			c.encodes = m.name
		case c.unaddressed == "" && p.Implements(m.typ):
			c.unaddressed = m.name
		}
	}
	if p.Implements(reflect.TypeFor[json.Unmarshaler]()) {
		c.decodes = "UnmarshalJSON"
	} else if p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		c.decodes = "UnmarshalText"
	}
	return c
}

// ownForm inspects the methods by which a type has a form of its own, and reports
// whether it has one.
func (i *inspector) ownForm(path string, t reflect.Type, addressable bool) bool {
	c := codecOf(t, addressable)
	encodes := c.encodes
	if encodes == "" {
		encodes = c.unaddressed
	}
	for _, m := range []struct {
		name     string
		concerns bool
	}{{encodes, i.encode}, {c.decodes, i.decode}} {
		from, lossy, ok := embeddedMethod(t, m.name)
		switch {
		case !ok || !m.concerns:
			continue
		case lossy:
			i.fault(path, "%s of its embedded field %s stands for all of %v, and the other fields are lost", m.name, from.Name, t)
		default: // the struct is that field
			i.value(path+"."+from.Name, from.Type, addressable)
		}
		return true
	}
	switch {
	case i.encode && c.encodes == "" && c.unaddressed != "":
		i.fault(path, "%s of %v has a pointer receiver and is not called for a value here", c.unaddressed, t)
		return true
	case i.encode && i.decode && c.encodes != "" && c.decodes == "":
		i.fault(path, "%v has %s and nothing that reads it again", t, c.encodes)
	case i.encode && i.decode && c.encodes == "" && c.decodes != "":
		i.fault(path, "%v has %s and nothing that writes for it", t, c.decodes)
	case i.encode && c.encodes != "" || !i.encode && c.decodes != "":
	default:
		return false
	}
	return true
}
